"""Checkpoints of a training, by orbax: written while it goes on, each whole or not at all.

    FOLDER/STEP/state   the arrays of the devices, by name, with how they were sharded
    FOLDER/STEP/host    the arrays of the host
    FOLDER/STEP/notes   JSON: the format, what the training was made by, versions, a digest of every array

Formats: a checkpoint of another format than `FORMAT` is refused, not converted. It is a training that goes on, and code
of another version would not go on as it began; what is to outlive a version are parameters (`interop`, safetensors).
"""

import concurrent.futures
import hashlib
import importlib.metadata
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.training.step import named_leaves

FORMAT = 1
# One save at a time in a process, whosever it is: orbax 0.12.8 numbers them for all threads together, and its own
# asynchronous saves of two trainings side by side took each other's folders.
_SAVER = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
_PACKAGES = ("jax", "jaxlib", "optax")  # with others of these a training may go on otherwise, in the last bits


class CheckpointError(Exception):
    """A run's folder cannot be written, or no checkpoint that is there can be gone on from; says which and why."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
      folder: theirs alone; made where it is not there.
      made_by: all that the training follows from, as JSON has it; one made by anything else is not gone on with.
      keep: of the newest so many stay, and of all the one with the least loss.
      tell: called with a sentence where something is to be known, as that a checkpoint is damaged.

    Raises:
      CheckpointError: where the folder cannot be written.
    """

    def __init__(self, folder: Path, made_by: Any, keep: int, tell: Callable[[str], None]):
        import orbax.checkpoint as ocp  # takes a second
        from orbax.checkpoint import checkpoint_managers as managers

        self._ocp, self._folder, self._tell = ocp, folder, tell
        self._made_by = json.loads(json.dumps(made_by))
        kept = [managers.LatestN(keep), managers.BestN(get_metric_fn=_loss, reverse=True, n=1)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=managers.AnyPreservationPolicy(kept),
            cleanup_tmp_directories=True,
            enable_async_checkpointing=False,
        )
        self._saving: concurrent.futures.Future[None] | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            raise CheckpointError(f"{folder}: no checkpoints can be written there: {error.strerror}") from error

    def restore(self, like: Any) -> tuple[Any, dict[str, Any]] | None:
        """What was saved last; where that is damaged, what was saved before it.

        Args:
          like: gives the structure, shapes and places of the state.

        Returns:
          The state and what the host had; None where there is no checkpoint.

        Raises:
          CheckpointError: where it was made by something else or is of another format, or all are damaged.
        """
        damaged = {}
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                found = self._read(step, like)
            except CheckpointError:
                raise
            except Exception as error:  # orbax and what is under it raise nearly anything
                damaged[step] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                self._tell(f"{self._folder / str(step)} is damaged ({damaged[step]}); the one before it is taken")
                continue
            for bad in damaged:
                self._manager.delete(bad)
            return found
        if damaged:
            raise CheckpointError(f"{self._folder}: all checkpoints are damaged, steps {sorted(damaged)}")
        return None

    def save(self, step: int, state: Any, host: Mapping[str, Any], loss: float) -> None:
        """Begins to save, after the save before has ended; training may go on at once.

        Args:
          step: its number; one that is there is not saved again.
          state: a pytree of arrays on devices.
          host: nested dicts of NumPy arrays, none of them empty.
          loss: by which the best is chosen.

        Raises:
          CheckpointError: where this one, or the one before, could not be written.
        """
        self.wait()
        if step in self._manager.all_steps():
            return
        arrays = _copy(_saved(state))  # training gives its own away
        self._saving = _SAVER.submit(self._write, step, arrays, host, loss)
        if jax.process_count() > 1:  # processes meet at a save, and would meet in another order than in training
            self.wait()

    def _write(self, step: int, arrays: Any, host: Mapping[str, Any], loss: float) -> None:
        notes = {"format": FORMAT, "made_by": self._made_by, "versions": _versions(), "arrays": _digests(arrays, host)}
        args = self._ocp.args
        items = args.Composite(
            state=args.StandardSave(arrays),
            host=args.StandardSave(dict(host)),
            notes=args.JsonSave({**notes, "digest": _digest(notes)}),
        )
        self._manager.save(step, args=items, metrics={"loss": loss if np.isfinite(loss) else float("inf")})

    def wait(self) -> None:
        """Until what was begun is saved.

        Raises:
          CheckpointError: where it could not be written.
        """
        saving, self._saving = self._saving, None
        if saving is None or (error := saving.exception()) is None:
            return
        self._manager.reload()
        last = self._manager.latest_step()
        kept = "there is none from before" if last is None else f"the last good one is that of step {last:,}"
        raise CheckpointError(f"{self._folder}: a checkpoint could not be written: {_reason(error)}; {kept}") from error

    def close(self) -> None:
        """Ends, after what was begun is saved."""
        self.wait()
        self._manager.close()

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        args = self._ocp.args
        notes = self._manager.restore(step, args=args.Composite(notes=args.JsonRestore())).notes
        if _digest({key: value for key, value in notes.items() if key != "digest"}) != notes["digest"]:
            raise ValueError("its notes are not what was written")
        where = self._folder / str(step)
        if notes["format"] != FORMAT:
            raise CheckpointError(
                f"{where} is of format {notes['format']}, this version of rnn_jax goes on with format {FORMAT} alone: "
                f"take the version that began it ({notes['versions']}), or begin anew"
            )
        if told := differences(notes["made_by"], self._made_by):
            raise CheckpointError(f"{where} was made by another config: {'; '.join(told)}")
        if notes["versions"] != _versions():
            self._tell(f"{where} was made with {notes['versions']}, this is {_versions()}: last bits may differ")
        leaves = named_leaves(like)
        wanted = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
            for name, leaf in _saved(like).items()
        }
        found = self._manager.restore(
            step, args=args.Composite(state=args.StandardRestore(wanted), host=args.StandardRestore())
        )
        # Keys whose notes are damaged come back as plain numbers.
        if any((found.state[n].shape, found.state[n].dtype) != (leaf.shape, leaf.dtype) for n, leaf in wanted.items()):
            raise ValueError("its arrays are not of the shapes and types wanted")
        # Of arrays that lay on several processes there is none, or there was.
        here, there = _digests(found.state, found.host), notes["arrays"]
        if any(here[name] != there[name] for name in here.keys() & there.keys()):
            raise ValueError("its arrays are not what was written")
        state = jax.tree.unflatten(jax.tree.structure(like), [found.state.get(n, leaf) for n, leaf in leaves.items()])
        return state, dict(found.host)


def _reason(error: BaseException) -> str:
    """In a few words; tensorstore's own are a paragraph, with the system's number at its end."""
    number = re.search(r"os_error_code='(\d+)'", str(error))
    known = os.strerror(int(number[1])) if number else getattr(error, "strerror", None)
    return known or " ".join(str(error).split())[:300] or type(error).__name__


def differences(saved: Any, given: Any, name: str = "") -> list[str]:
    """Where two values of JSON differ, a phrase each: `hidden_size: 64 there, 128 here`."""
    if isinstance(saved, dict) and isinstance(given, dict):
        keys = dict.fromkeys([*saved, *given])
        start = f"{name}." if name else ""
        return [told for key in keys for told in differences(saved.get(key), given.get(key), f"{start}{key}")]
    same = saved == given and isinstance(saved, bool) == isinstance(given, bool)
    return [] if same else [f"{name or 'value'}: {json.dumps(saved)} there, {json.dumps(given)} here"]


def _loss(metrics: Mapping[str, float]) -> float:
    return metrics["loss"]


def _saved(tree: Any) -> dict[str, Any]:
    """The leaves by name; orbax takes no empty array, and there is nothing in it to be saved."""
    return {name: leaf for name, leaf in named_leaves(tree).items() if leaf.size}


@jax.jit
def _copy(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def _digests(state: Any, host: Any) -> dict[str, str]:
    """Of each array that this process has whole."""
    found = {}
    for name, leaf in named_leaves({"state": state, "host": host}).items():
        if isinstance(leaf, jax.Array):
            if not leaf.is_fully_addressable:
                continue
            leaf = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        array = np.ascontiguousarray(leaf)
        found[name] = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
    return found


def _digest(notes: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(notes, sort_keys=True).encode()).hexdigest()
