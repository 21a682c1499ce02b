"""A forecaster fitted to the training part, all seeds in one program, and what it forecasts from many origins."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import parallel
from experiments.forecasting.config import Data, trainer
from experiments.forecasting.rolling import Origins, Predicted
from rnn_jax import training
from rnn_jax.data import Examples, windows
from rnn_jax.layers import DelayLine
from rnn_jax.models import Forecaster
from rnn_jax.models.readout import ReadoutParams

ORIGINS_AT_A_TIME = 64
OVERLAP = 16  # windows of the training part that each of its points is in


def examples(data: Data, model: Forecaster, start: int, stop: int, stride: int) -> Examples:
    """Windows whose targets lie in [start, stop); of a window the second half of its steps counts.

    The first half is read, so that the state is one that has seen something, as it has where forecasts are made.
    """
    first = max(data.transform.lost, start - data.window)
    # The last step that has a target.
    places = windows(np.arange(first, stop - 1), data.window, stride)
    targets = places[:, :, None] + np.arange(1, model.horizon + 1)
    inside = np.minimum(targets, stop - 1)
    scored = (start <= targets) & (targets < stop) & data.usable[inside] & data.usable[places][:, :, None]
    scored &= (np.arange(data.window) >= data.window // 2)[:, None, None]
    steps = {
        "inputs": data.z[places][..., None],
        "targets": accumulated(data, data.z[inside])[..., None],
        "weights": scored,
    }
    return Examples(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), steps), ())


def accumulated(data: Data, z: np.ndarray) -> np.ndarray:
    """What a direct model forecasts, of z [..., H]: their sums as `Transform.accumulate` has it, in units of `spread`.

    Of one step ahead it is z itself.
    """
    return np.moveaxis(data.transform.accumulate(np.moveaxis(z, -1, 0)), 0, -1) / spread(data, z.shape[-1])


def spread(data: Data, horizon: int) -> np.ndarray:
    """The standard deviation [H] that these sums have where z is white noise."""
    impulse = data.transform.accumulate(np.eye(1, horizon)[0])
    return np.sqrt(np.cumsum(impulse**2))


def loss(model: Forecaster, params: ReadoutParams, batch: Examples, key: jax.Array) -> jax.Array:
    """Of a batch; `key` draws the noise of cells that have some."""
    steps = batch.steps
    return model.loss(params, steps["inputs"], steps["targets"], weights=steps["weights"], key=key)[1]


def _loss_each(model: Forecaster, params: ReadoutParams, batch: Examples) -> tuple[jax.Array, jax.Array]:
    """Of each window [B], and its weight."""

    def of_one(steps: Any) -> jax.Array:
        return model.loss(params, steps["inputs"], steps["targets"], weights=steps["weights"])[1]

    return jax.vmap(of_one, in_axes=1)(batch.steps), jnp.sum(batch.steps["weights"], axis=(0, 2))


def work(data: Data, model: Forecaster, batch_size: int, epochs: int) -> int:
    """Optimization steps of `fit`."""
    return epochs * training.epoch_steps([_training_part(data, model)], batch_size)


def _training_part(data: Data, model: Forecaster) -> Examples:
    return examples(data, model, 0, data.parts.training, max(1, data.window // OVERLAP))


def fit(
    data: Data,
    config: Any,
    model: Forecaster,
    keys: jax.Array,
    session: training.Session,
) -> training.Fit | None:
    """The parameters of each seed of `keys` that are best on the validation part; None where it was stopped."""
    found = _training_part(data, model)
    validation = examples(data, model, *data.parts[:2], max(1, data.window // 2))
    steps = config.epochs * training.epoch_steps([found], config.batch_size)

    def score(params: Any) -> np.ndarray:
        losses, weights = training.predict(model, _loss_each, params, validation, config.batch_size)
        return np.sum(losses * weights, axis=1) / np.sum(weights, axis=1)

    trained = trainer(config, model, steps)
    state = _begin(data, trained, keys)
    return training.fit(trained, loss, [found], state, config.epochs, score, session=session)


def _begin(data: Data, trainer: training.Trainer[Forecaster], keys: jax.Array) -> training.TrainState:
    """Fresh states; a network with a delay line begins as the linear autoregression that is best on the training part.

    What its cell gives is read with weights of 0 at first. So that training starts from the strongest opponent, and not
    by finding it.
    """
    state = parallel.begin(trainer, keys)
    model = trainer.model
    if not isinstance(model.cell, DelayLine):
        return state
    kernel, bias = _regression(data, model)
    given = state.params.readout["params"]
    dense = {"kernel": _for_all(kernel, given["kernel"]), "bias": _for_all(bias, given["bias"])}
    return state._replace(params=state.params._replace(readout={"params": dense}))


def _for_all(weights: np.ndarray, like: jax.Array) -> jax.Array:
    """The same of every seed, in an array of its own: training gives its arrays away."""
    return jnp.array(np.broadcast_to(weights, like.shape), like.dtype)


def _regression(data: Data, model: Forecaster) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [features, H * outputs] and bias of a readout: of each step ahead a regression on the delay line."""
    assert isinstance(model.cell, DelayLine)
    taps, horizon, stop = model.cell.taps, model.horizon, data.parts.training
    places = np.arange(data.transform.lost + taps - 1, stop - horizon)
    lagged = places[:, None] - np.arange(taps)
    targets = places[:, None] + np.arange(1, horizon + 1)
    fine = data.usable[lagged].all(axis=1) & data.usable[targets].all(axis=1)
    design = np.column_stack([data.z[lagged], np.ones(len(places))])[fine]
    wanted = accumulated(data, data.z[targets])[fine]
    solution, *_ = np.linalg.lstsq(design, wanted, rcond=None)
    kernel = np.zeros((model.cell.output_size, horizon, model.head.outputs))
    bias = np.zeros((horizon, model.head.outputs))
    for step, weights in enumerate(solution.T):
        follows, added = map(
            np.asarray, model.head.regression_readout(jnp.asarray((wanted - design @ solution)[:, step]))
        )
        kernel[-taps:, step] = weights[:-1, None] * follows
        bias[step] = weights[-1] * follows + added
    return kernel.reshape(len(kernel), -1), bias.ravel()


@dataclasses.dataclass(frozen=True)
class _Paths:
    """Paths [B, P, H] of each history of a batch, of a key of its own."""

    horizon: int
    count: int

    def __call__(self, model: Forecaster, params: ReadoutParams, batch: Examples) -> jax.Array:
        def of_one(history: jax.Array, key: jax.Array) -> jax.Array:
            return model.sample(params, history, self.horizon, key, self.count)[..., 0].T

        return jax.vmap(of_one, in_axes=(1, 0))(batch.steps, batch.whole)


def _ahead(model: Forecaster, params: ReadoutParams, batch: Examples) -> jax.Array:
    """What a direct model says of all steps, [B, H, head.outputs]."""
    _, outputs = model.apply(params, batch.steps)
    return outputs[-1, :, :, 0]


@dataclasses.dataclass(frozen=True, eq=False)
class Forecasts:
    """Of a network, from many origins."""

    seeds: list[Predicted]
    ensemble: Predicted


def forecast(data: Data, model: Forecaster, params: Any, origins: Origins, key: jax.Array, paths: int) -> Forecasts:
    """From every origin, by each seed of params [seeds, ...] and by all together.

    Iterated models: the ensemble's paths are those of all. Direct ones: its quantiles are the means of theirs
    (Vincent averaging).
    """
    histories = jnp.asarray(origins.histories(data.z, data.window)[..., None], jnp.result_type(float))
    base = data.transform.base(origins.histories(data.series.values, data.transform.lost + 1), data.horizon)
    given = Examples(histories, jax.random.split(key, len(origins.places)))
    if model.horizon > 1:
        outputs = training.predict(model, _ahead, params, given, ORIGINS_AT_A_TIME)  # [S, O, H, levels]
        ordered = np.sort(outputs, axis=-1).transpose(3, 0, 2, 1)  # [levels, S, H, O]
        sums = ordered * spread(data, data.horizon)[:, None]
        quantiles = data.transform.inverse(sums, base)
        return Forecasts(
            [_of_quantiles(quantiles[:, s]) for s in range(quantiles.shape[1])], _of_quantiles(quantiles.mean(axis=1))
        )
    drawn = training.predict(model, _Paths(data.horizon, paths), params, given, ORIGINS_AT_A_TIME)  # [S, O, P, H]
    z = drawn.transpose(3, 2, 0, 1)  # [H, P, S, O]
    levels = data.transform.inverse(data.transform.accumulate(z), base[:, None, None])
    by_seed = levels.transpose(2, 1, 0, 3)  # [S, P, H, O]
    together = by_seed.reshape(-1, *by_seed.shape[2:])
    return Forecasts([Predicted.of_paths(each) for each in by_seed], Predicted.of_paths(together))


def _of_quantiles(quantiles: np.ndarray) -> Predicted:
    """Of [levels, H, O], the levels those of `config.DIRECT`: 2.5, 10, 50, 90 and 97.5 percent."""
    return Predicted(quantiles[2], quantiles[[1, 0]], quantiles[[3, 4]])
