"""One training by one engine; with `Scan`, also Newton's iterations on the network before and after it, for every T."""

from collections.abc import Iterator
from typing import Any

import jax

from experiments.common.moments import split_seeds
from experiments.common.records import divergence_fields
from experiments.common.tables import Record
from experiments.newton.config import Config, Plan
from rnn_jax import Cell, diagnostics, initializers, tasks, training

ERROR_LENGTH = 1000  # T at which iterates are compared with `Scan`

# Records of each seed's training and of each count of iterations; the curves of the training, [seeds, steps].
Outcome = tuple[list[Record], training.StepMetrics]


def measure(name: str, engine: str, config: Config, plan: Plan, session: training.Session) -> Outcome | None:
    """Trains all seeds of a cell by an engine and counts iterations; returns None if the session was stopped."""
    key_seeds, key_inputs = jax.random.split(jax.random.key(config.seed))
    state = training.init(plan.trainers[name, engine], jax.random.split(key_seeds, config.seeds))
    trainer, fresh = initializers.without_initializers(plan.trainers[name, engine]), split_seeds(state.params)
    cell, steps = trainer.model.cell, config.steps if engine == "Scan" else config.compared
    progress = training.train(trainer, plan.task, state, steps, log_every=-(-steps // 5), session=session)
    if progress is None:
        return None
    shared = {"cell": name, "definition": cell, "engine": engine, "steps": steps}
    shared |= {"baseline": plan.task.baseline, "dependency": plan.task.dependency}
    records: list[Record] = [
        {"run": f"{name}/{engine}", "seed": seed, **divergence_fields(progress.history, seed), **shared}
        for seed in range(config.seeds)
    ]
    if engine != "Scan":
        return records, progress.history
    xs = tasks.Adding(ERROR_LENGTH).sample(key_inputs, 1).inputs
    records[0]["errors"] = diagnostics.newton_errors(cell, fresh[0].cell, xs)
    for seed, trained in enumerate(split_seeds(progress.training.params)):
        for record in _counts(name, cell, fresh[seed].cell, trained.cell, plan, key_inputs):
            if session.stop.is_set():
                return None
            records.append(record | {"seed": seed})
    return records, progress.history


def _counts(name: str, cell: Cell, fresh: Any, trained: Any, plan: Plan, key: jax.Array) -> Iterator[Record]:
    """Yields a record of the iterations at every gain and after training, for every T."""
    gains = plan.gains if cell.is_split else []
    networks = {f"gain {g:g}": initializers.scale_recurrent(cell, fresh, g) for g in gains} or {"gain 1": fresh}
    for length in plan.lengths:
        xs = tasks.Adding(length).sample(key, 1).inputs
        for network, params in {**networks, "trained": trained}.items():
            result = diagnostics.parallelizability(cell, params, xs)
            fields = {"cell": name, "network": network, "length": length, **result._asdict()}
            yield {"run": f"{name}/{network}/T {length}", **fields}
