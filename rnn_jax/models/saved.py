"""Trained models as folders, which a later program loads: definition, parameters, and notes on the training.

    FOLDER/model.json               format, definition (`rnn_jax.definitions`), notes, versions of the packages
    FOLDER/parameters.safetensors   parameters by name
    FOLDER/orbax                    the same, for programs that read orbax's checkpoints

A vocabulary and all else that turns a user's input into arrays is a part of the definition (`rnn_jax.applications`).
"""

import dataclasses
import importlib.metadata
import json
import operator
import os
import secrets
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import definitions, files, static
from rnn_jax.trees import listed, named_leaves

FORMAT = 1
DEFINITION, PARAMETERS, ORBAX = "model.json", "parameters.safetensors", "orbax"
_PACKAGES = ("jax", "jaxlib", "flax")  # other versions of these may change the last bits of a prediction


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A model with its parameters, as `load` returns it.

    Args:
      definition: model, or application of a model (`rnn_jax.applications`), which has a field `model`.
      params: parameters of the model.
      notes: anything in the types of JSON, such as the config of the training; `matmul_precision` is used in `predict`.
    """

    definition: Any
    params: Any
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def model(self) -> Any:
        """The model, without what turns a user's input into arrays."""
        return getattr(self.definition, "model", self.definition)

    def apply(self, *arguments: Any, **options: Any) -> Any:
        """Returns `model.apply(params, ...)`."""
        with jax.default_matmul_precision(self.notes.get("matmul_precision")):
            return self.model.apply(self.params, *arguments, **options)

    def predict(self, *arguments: Any, **options: Any) -> Any:
        """Returns `predict(params, ...)` of the application, or of a model that has it, in the training's precision."""
        with jax.default_matmul_precision(self.notes.get("matmul_precision")):
            return self.definition.predict(self.params, *arguments, **options)


def save(folder: str | Path, trained: Trained) -> None:
    """Writes a folder, completely or not at all; one that exists is replaced.

    >>> import pathlib, tempfile
    >>> from rnn_jax import GRU, ReadoutModel, models
    >>> model = ReadoutModel(GRU(2, 8), 3)
    >>> params = model.init(jax.random.key(0))
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "gru"
    >>> models.save(folder, models.Trained(model, params))
    >>> loaded = models.load(folder)
    >>> xs = jnp.ones((5, 1, 2))
    >>> loaded.model == model, bool((loaded.apply(xs)[1] == model.apply(params, xs)[1]).all())
    (True, True)

    Args:
      folder: folder to write.
      trained: model and parameters.

    Raises:
      TypeError: as `definitions.to_json`.
      ValueError: if `folder` exists and is not that of a model; as `parameters.check`.
    """
    from rnn_jax import interop, parameters  # safetensors and orbax take a second to import

    path = files.expanded(folder).absolute()
    if path.exists() and not (path / DEFINITION).exists():
        raise ValueError(f"{folder}: must be a new folder, or that of a saved model, got one without {DEFINITION}")
    parameters.check(trained.model, trained.params)
    content = {"format": FORMAT, "definition": definitions.to_json(trained.definition)}
    content |= {"notes": dict(trained.notes), "versions": _versions()}
    arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(trained.params).items()}
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        interop.write_safetensors(unfinished / PARAMETERS, arrays)
        _write_orbax(unfinished / ORBAX, arrays)
        files.write(unfinished / DEFINITION, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        if path.exists():
            shutil.rmtree(path)
        os.replace(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def load(folder: str | Path) -> Trained:
    """Reads a folder that `save` has written; it imports and uses the classes named there: load those that you trust.

        trained = models.load("runs/sentiment/models/lstm")
        trained.predict(["a moving film", "a mess"])

    Args:
      folder: folder of the model.

    Raises:
      ValueError: with the folder, if a file is missing or unreadable, or has another format; if a class is missing or
        has changed; if the parameters are not those of the model.
    """
    path = files.expanded(folder)
    content = _read_definition(path)
    try:
        trained = Trained(definitions.from_json(content["definition"]), None, content["notes"])
    except ValueError as error:
        raise ValueError(f"{path / DEFINITION}: {error}") from error
    if (saved := content["versions"]) != _versions():
        warnings.warn(f"{folder}: saved with {saved}, this is {_versions()}: last bits may differ", stacklevel=2)
    return dataclasses.replace(trained, params=_read_parameters(path / PARAMETERS, trained.model))


def _read_definition(path: Path) -> dict[str, Any]:
    if not (path / DEFINITION).is_file():
        got = "other files" if path.is_dir() else "no such folder"
        raise ValueError(f"{path}: must be the folder of a saved model, which has a {DEFINITION}, got {got}")
    try:
        content = json.loads(files.read_bytes(path / DEFINITION))
        saved, _ = content["format"], [content[name] for name in ("definition", "notes", "versions")]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / DEFINITION}: must be as a model was saved, is damaged: {error!r}") from error
    if saved != FORMAT:
        raise ValueError(
            f"{path / DEFINITION}: must have format {FORMAT}, got {saved}; load it with {content['versions']}"
        )
    return content


def _read_parameters(path: Path, model: Any) -> Any:
    """Returns the parameters in a file, after a check that they are those of the model."""
    from rnn_jax import interop

    try:
        arrays = interop.read_safetensors(path)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: must hold the model's parameters, is missing; copy or save the folder again"
        ) from error
    like = _like(model)
    expected = {name: _text(leaf) for name, leaf in named_leaves(like).items()}
    given = {name: _text(array) for name, array in arrays.items()}
    wrong = [
        f"{name} must be {expected.get(name, 'absent')}, is {given.get(name, 'missing')}"
        for name in dict.fromkeys([*expected, *given])
        if expected.get(name) != given.get(name)
    ]
    if wrong:
        shapes = ({name: text[text.index("[") :] for name, text in side.items()} for side in (expected, given))
        hint = "; load it with the float type of its training, by JAX_ENABLE_X64" if operator.eq(*shapes) else ""
        raise ValueError(f"{path}: must hold the parameters of {type(model).__name__}: {listed(wrong)}{hint}")
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in expected])


def _like(model: Any) -> Any:
    """Returns a pytree with the structure, shapes and types of a model's parameters."""
    static.refuse_class(model, "model")
    try:
        return jax.eval_shape(lambda: model.init(jax.random.key(0)))
    except jax.errors.JAXTypeError:  # a user's init in NumPy
        return model.init(jax.random.key(0))


def _text(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def _write_orbax(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, {name: array for name, array in arrays.items() if array.size})  # it refuses empty ones


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}
