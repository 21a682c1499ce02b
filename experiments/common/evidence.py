"""Reads the folder of a finished run as evidence for the doctor; `records` names what the folder holds."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.flags import UserError
from rnn_jax.diagnostics import Evidence, Saturation, Snapshot


def read(workdir: str) -> dict[str, dict[int, Evidence]]:
    """Returns the evidence of every seed of every run in a folder: {run: {seed: evidence}}.

    Raises:
      UserError: if the folder does not exist, holds no finished run, or a file cannot be read.
    """
    folder = Path(workdir).expanduser()
    if not folder.is_dir():
        raise UserError(f"--workdir {workdir!r}: no such folder")
    records, arrays = _records(folder / "results.json"), _arrays(folder / "arrays.npz")
    evidence: dict[str, dict[int, Evidence]] = {}
    for record in records:
        try:
            evidence.setdefault(record["run"], {})[record["seed"]] = _evidence(record, arrays)
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder}: results.json and arrays.npz do not fit together at run {record.get('run')!r}, "
                f"seed {record.get('seed')!r}: {type(error).__name__}: {error}"
            ) from error
    return evidence


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; is {str(path.parent)!r} the --workdir of a run?")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # bad UTF-8 too
        raise UserError(f"{path} cannot be read: {error}") from error
    records = content.get("results") if isinstance(content, dict) else None
    readable = isinstance(records, list) and all(isinstance(r, dict) and {"run", "seed"} <= set(r) for r in records)
    if not records or not readable:
        first = records[0] if isinstance(records, list) and records else None
        fields = f", got {', '.join(list(first)[:4])}" if isinstance(first, dict) else ""
        raise UserError(
            f"{path} must hold records with the fields run and seed{fields}: the doctor reads trainings of networks, "
            "and this folder's experiment records none"
        )
    return records


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; the run has not finished, its arrays are written at the end")
    try:
        with np.load(path) as content:
            return dict(content)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _evidence(record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Evidence:
    """Returns the evidence of one seed; quantities that the folder does not hold are None."""
    seed, prefix = record["seed"], f"{record['run']}/"
    measured = {key.removeprefix(prefix): values for key, values in arrays.items() if key.startswith(prefix)}

    def number(field: str) -> float | None:
        value = record.get(field)
        return None if value is None else float(value)  # NaN and infinities are strings in JSON

    def array(key: str) -> np.ndarray | None:
        return measured[key][seed] if key in measured else None

    def under(key: str) -> dict[str, Any]:
        return {k.removeprefix(f"{key}/"): v[seed] for k, v in measured.items() if k.startswith(f"{key}/")}

    def snapshot(moment: str) -> Snapshot:
        shares = under(f"{moment}/saturation")
        nonlinearities = dict.fromkeys(key.rpartition("/")[0] for key in shares)
        return Snapshot(
            reach=array(f"{moment}/last_step/total"),
            saturation={op: Saturation(*(shares[f"{op}/{s}"] for s in Saturation._fields)) for op in nonlinearities},
            not_finite={parameter: int(count) for parameter, count in under(f"{moment}/not_finite").items()},
            loss=number(f"{moment}/loss"),
        )

    loss, before, now = array("training/loss"), snapshot("before"), snapshot("after")
    if loss is None and now.reach is None:  # an untrained network: its initial state is its current one
        before, now = Snapshot(), before
    dependency = number("dependency")
    return Evidence(
        baseline=number("baseline"),
        dependency=None if dependency is None else int(dependency),
        solved=record.get("solved"),
        optimizer=record.get("optimizer"),
        clip=record.get("clip"),
        user_cell=_user_cell(record.get("definition")),
        loss=loss,
        grad_norm=array("training/grad_norm"),
        grad_norms=under("training/grad_norms"),
        clipped=array("training/clipped"),
        before=before,
        now=now,
    )


def _user_cell(definition: Any) -> str | None:
    """Returns the name of the innermost cell of a record's definition that is not of the library; None if all are."""
    inside = definition.values() if isinstance(definition, dict) else definition if isinstance(definition, list) else ()
    names = [name for each in inside if (name := _user_cell(each))]
    if names or not isinstance(definition, dict) or not {"type", "hidden_size"} <= set(definition):
        return names[0] if names else None
    module, _, name = definition["type"].partition(":")
    return None if module.startswith("rnn_jax.") else name
