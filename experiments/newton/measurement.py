"""One training by one engine; with `Scan`, also Newton's iterations on the network before and after it, for every T."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.moments import split_seeds
from experiments.common.records import divergence_fields
from experiments.newton.config import Config, Network, Plan
from rnn_jax import Cell, Newton, Scan, diagnostics, initializers, tasks, training, unroll

ERROR_LENGTH = 1000  # T at which iterates are compared with `Scan`
MOST_ITERATES = 8

Record = dict[str, Any]


# Records of each seed's training and of each count of iterations; the curves of the training, [seeds, steps].
Outcome = tuple[list[Record], training.StepMetrics]


def measure(network: Network, engine: str, config: Config, plan: Plan, session: training.Session) -> Outcome | None:
    """Trains all seeds of a network and counts iterations; returns None if the session was stopped."""
    key_seeds, key_inputs = jax.random.split(jax.random.key(config.seed))
    state = training.init(network.trainers[engine], jax.random.split(key_seeds, config.seeds))
    trainer, fresh = initializers.without_initializers(network.trainers[engine]), split_seeds(state.params)
    cell, steps = trainer.model.cell, config.steps if engine == "Scan" else config.compared
    progress = training.train(trainer, network.task, state, steps, log_every=-(-steps // 5), session=session)
    if progress is None:
        return None
    shared = {"cell": network.name, "definition": cell, "engine": engine, "steps": steps}
    shared |= {"baseline": network.task.baseline, "dependency": network.task.dependency}
    records: list[Record] = [
        {"run": f"{network.name}/{engine}", "seed": seed, **divergence_fields(progress.history, seed), **shared}
        for seed in range(config.seeds)
    ]
    if engine != "Scan":
        return records, progress.history
    xs = tasks.Adding(ERROR_LENGTH).sample(key_inputs, 1).inputs
    records[0]["errors"] = iterate_errors(cell, fresh[0].cell, xs)
    for seed, trained in enumerate(split_seeds(progress.training.params)):
        for record in _counts(network.name, cell, fresh[seed].cell, trained.cell, plan, key_inputs):
            if session.stop.is_set():
                return None
            records.append(record | {"seed": seed})
    return records, progress.history


def _counts(name: str, cell: Cell, fresh: Any, trained: Any, plan: Plan, key: jax.Array) -> Iterator[Record]:
    """Yields a record of the iterations at every gain and after training, for every T."""
    networks = {f"gain {g:g}": with_gain(cell, fresh, g) for g in (plan.gains if cell.is_split else [1.0])}
    for length in plan.lengths:
        xs = tasks.Adding(length).sample(key, 1).inputs
        for network, params in {**networks, "trained": trained}.items():
            result = diagnostics.parallelizability(cell, params, xs)
            fields = {"cell": name, "network": network, "length": length, **result._asdict()}
            yield {"run": f"{name}/{network}/T {length}", **fields}


def with_gain(cell: Cell, params: Any, gain: float) -> Any:
    """Returns the parameters with those of the recurrent product of a `SplitCell` times a gain."""
    state = jax.tree.map(jnp.ones_like, cell.initial_state(params))
    used = jax.grad(lambda p: jnp.sum(cell.recurrent(p, state)))(params)  # type: ignore[attr-defined]
    return jax.tree.map(lambda leaf, grad: gain * leaf if np.any(grad != 0) else leaf, params, used)


def iterate_errors(cell: Cell, params: Any, xs: jax.Array) -> list[float]:
    """Returns max |s - s_Scan| of the first guess and of each iterate, for a network on which Newton converges."""
    exact = unroll(cell, params, xs, engine=Scan())[1]
    residuals = np.asarray(diagnostics.newton_iterations(cell, params, xs).residuals)
    errors = []
    for residual in residuals[np.isfinite(residuals)][:MOST_ITERATES]:
        # Newton ends with the first iterate whose residual is within the tolerance.
        ys = unroll(cell, params, xs, engine=Newton(tolerance=max(1.001 * float(residual), 1e-7)))[1]
        errors.append(float(jnp.max(jnp.abs(ys - exact))))
    return errors
