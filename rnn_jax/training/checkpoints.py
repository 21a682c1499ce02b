"""Checkpoints of a training, written by orbax in the background; each is complete or not there at all.

    FOLDER/STEP/state   arrays on devices, by name, with their shardings
    FOLDER/STEP/host    arrays on the host
    FOLDER/STEP/notes   JSON: format, config, package versions, type and SHA-256 digest of every array

The metrics of the steps are not in it: they stand in the run's history (`history_log`), of which it has the mark.

A checkpoint of another format than `FORMAT` is rejected, not converted: it holds a training to resume, and other code
would not resume it as it started. To keep a trained model, use `models.save`.
"""

import concurrent.futures
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.trees import listed, named_leaves

FORMAT = 3
# One save at a time in a process: orbax 0.12.8 numbers temporary folders for all threads, and its own asynchronous
# saves of two parallel trainings took each other's folders.
_SAVER = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
_PACKAGES = ("jax", "jaxlib", "optax")  # other versions of these may change the last bits of a resumed training

Restored = TypeVar("Restored")


class CheckpointError(Exception):
    """A run's folder cannot be written, or none of its checkpoints can be resumed; the message says which and why."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
      folder: folder of these checkpoints alone; created if it does not exist.
      config: everything that determines the training, as JSON values; a checkpoint with another config is rejected.
      keep: number of most recent checkpoints to keep, in addition to the one with the least loss.
      report: function called with each message, such as that a checkpoint is corrupt.

    Raises:
      CheckpointError: if the folder cannot be written.
    """

    def __init__(self, folder: Path, config: Any, keep: int, report: Callable[[str], None]):
        import orbax.checkpoint as ocp  # importing it takes a second
        from orbax.checkpoint import checkpoint_managers as managers

        self._ocp, self._folder, self._report = ocp, folder, report
        self._config = json.loads(json.dumps(config))
        policies = [managers.LatestN(keep), managers.BestN(get_metric_fn=_loss, reverse=True, n=1)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=managers.AnyPreservationPolicy(policies),
            cleanup_tmp_directories=True,
            enable_async_checkpointing=False,
        )
        self._saving: concurrent.futures.Future[None] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            raise CheckpointError(f"{folder}: no checkpoints can be written there: {error.strerror}") from error

    def restore(self, like: Any, complete: Callable[[Any, dict[str, Any]], Restored]) -> Restored | None:
        """Restores the latest checkpoint that is not corrupt, and deletes corrupt ones after it.

        Args:
          like: state with the structure, shapes and shardings to restore.
          complete: function of the state and the host's arrays that returns the result; if it raises an error, the
            checkpoint is corrupt.

        Returns:
          The result; None if there is no checkpoint.

        Raises:
          CheckpointError: if it was written by another config or in another format, or all are corrupt.
        """
        corrupt = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = complete(*self._read(step, like))
            except CheckpointError:
                raise
            except Exception as error:  # orbax and the libraries under it raise nearly anything
                corrupt[step] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                self._report(f"{self._folder / str(step)} is corrupt ({corrupt[step]}); trying the one before it")
                continue
            for bad in corrupt:
                self._manager.delete(bad)
            return restored
        if corrupt:
            raise CheckpointError(f"{self._folder}: all checkpoints are corrupt, steps {sorted(corrupt)}")
        return None

    def save(self, step: int, state: Any, host: Mapping[str, Any], loss: float) -> None:
        """Starts to save a checkpoint in the background, once the save before it has ended.

        Args:
          step: number of the checkpoint; one that exists is not saved again.
          state: pytree of arrays on devices; it is copied, so its buffers may be donated afterwards.
          host: nested dicts of NumPy arrays, none of them empty.
          loss: loss by which the best checkpoint is chosen.

        Raises:
          CheckpointError: if this checkpoint, or the one before, could not be written.
        """
        self.wait()
        if step in self._manager.all_steps():
            return
        arrays = _copy(_nonempty_leaves(state))
        self._saving = _SAVER.submit(self._write, step, arrays, host, loss)
        if jax.process_count() > 1:  # processes synchronise in a save, and must not do so in the middle of a step
            self.wait()

    def _write(self, step: int, arrays: Any, host: Mapping[str, Any], loss: float) -> None:
        notes = {"format": FORMAT, "config": self._config, "versions": _versions(), "arrays": _digests(arrays, host)}
        notes["types"] = _types(arrays)
        args = self._ocp.args
        items = args.Composite(
            state=args.StandardSave(arrays),
            host=args.StandardSave(dict(host)),
            notes=args.JsonSave({**notes, "digest": _digest(notes)}),
        )
        self._manager.save(step, args=items, metrics={"loss": loss if np.isfinite(loss) else float("inf")})

    def wait(self) -> None:
        """Waits until the checkpoint being saved is on disk.

        Raises:
          CheckpointError: if it could not be written.
        """
        saving, self._saving = self._saving, None
        if saving is None or (error := saving.exception()) is None:
            return
        self._manager.reload()
        last = self._manager.latest_step()
        remaining = "there is no earlier one" if last is None else f"the last good one is that of step {last:,}"
        message = f"{self._folder}: a checkpoint could not be written: {_reason(error)}; {remaining}"
        raise CheckpointError(message) from error

    def close(self) -> None:
        """Waits for the checkpoint being saved, and closes the folder."""
        self.wait()
        self._manager.close()

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        notes, leaves = self._read_notes(step), _nonempty_leaves(like)
        if changes := differences(notes.get("types", _types(leaves)), _types(leaves)):
            raise CheckpointError(
                f"{self._folder / str(step)} holds other arrays: {listed(changes)}; resume with the float type "
                "(JAX_ENABLE_X64) and the code that wrote it, or start again in another folder"
            )
        args = self._ocp.args
        expected = {
            n: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding) for n, leaf in leaves.items()
        }
        items = args.Composite(state=args.StandardRestore(expected), host=args.StandardRestore())
        restored = self._manager.restore(step, args=items)
        state, host = restored.state, restored.host
        # Keys whose metadata is corrupt come back as plain numbers.
        if any((state[n].shape, state[n].dtype) != (leaf.shape, leaf.dtype) for n, leaf in expected.items()):
            raise ValueError("its arrays do not have the expected shapes and types")
        # An array that was or is spread over several processes has no digest.
        now, written = _digests(state, host), notes["arrays"]
        if any(now[name] != written[name] for name in now.keys() & written.keys()):
            raise ValueError("its arrays are not those that were written")
        merged = [state.get(name, leaf) for name, leaf in named_leaves(like).items()]
        return jax.tree.unflatten(jax.tree.structure(like), merged), dict(host)

    def _read_notes(self, step: int) -> dict[str, Any]:
        args, path = self._ocp.args, self._folder / str(step)
        notes = self._manager.restore(step, args=args.Composite(notes=args.JsonRestore())).notes
        if _digest({key: value for key, value in notes.items() if key != "digest"}) != notes["digest"]:
            raise ValueError("its notes are not those that were written")
        if notes["format"] != FORMAT:
            raise CheckpointError(
                f"{path} has format {notes['format']}, this version of rnn_jax reads format {FORMAT} only: resume with "
                f"the version that wrote it ({notes['versions']}), or start again in another folder"
            )
        if changes := differences(notes["config"], self._config):
            raise CheckpointError(f"{path} was written by another config: {'; '.join(changes)}")
        if notes["versions"] != _versions():
            self._report(f"{path} was written with {notes['versions']}, this is {_versions()}: last bits may differ")
        return notes


def _types(leaves: Mapping[str, Any]) -> dict[str, str]:
    """Returns dtype and shape of each array, by name."""
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves.items()}


def _reason(error: BaseException) -> str:
    """Returns the cause in a few words; tensorstore's message is a paragraph that ends in the system's error code."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    known = os.strerror(int(number[1])) if number else getattr(error, "strerror", None)
    return known or " ".join(str(error).split())[:300] or type(error).__name__


def differences(saved: Any, given: Any, name: str = "") -> list[str]:
    """Lists the differences of two JSON values, a phrase each: `hidden_size: 64 there, 128 here`."""
    if isinstance(saved, dict) and isinstance(given, dict):
        keys, prefix = dict.fromkeys([*saved, *given]), f"{name}." if name else ""
        return [phrase for key in keys for phrase in differences(saved.get(key), given.get(key), f"{prefix}{key}")]
    same = saved == given and isinstance(saved, bool) == isinstance(given, bool)
    return [] if same else [f"{name or 'value'}: {json.dumps(saved)} there, {json.dumps(given)} here"]


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def _nonempty_leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves by name, without empty arrays, which orbax refuses."""
    return {name: leaf for name, leaf in named_leaves(tree).items() if leaf.size}


@jax.jit
def _copy(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def _digests(state: Any, host: Any) -> dict[str, str]:
    """Returns a digest of each array that this process holds completely."""
    digests = {}
    for name, leaf in named_leaves({"state": state, "host": host}).items():
        if isinstance(leaf, jax.Array):
            if not leaf.is_fully_addressable:
                continue
            leaf = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        array = np.ascontiguousarray(leaf)
        digests[name] = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
    return digests


def _digest(notes: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(notes, sort_keys=True).encode()).hexdigest()
