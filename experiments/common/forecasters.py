"""Networks that forecast a series: model, windows, initialisation as an autoregression, training."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import fitting, networks
from experiments.common.evaluations import Evaluations, Result
from experiments.common.flags import UserError
from experiments.common.panel import Panel
from experiments.common.run_folder import RunFolder
from experiments.common.runner import Job, init_state, run_jobs
from experiments.common.series import Data, SeriesConfig
from rnn_jax import models, training
from rnn_jax.applications.series_forecaster import DIRECT, spread
from rnn_jax.data import Examples, windows
from rnn_jax.layers import DelayLine
from rnn_jax.models import Forecaster, Gaussian
from rnn_jax.models.readout import ReadoutParams

OVERLAP = 16  # windows of the training set that contain each of its points

Scores = TypeVar("Scores")


def make_forecaster(config: SeriesConfig, panel: Panel, name: str, horizon: int = 1) -> Forecaster:
    """Returns the network called `name`; with a horizon above 1 one that forecasts all steps at once.

    It forecasts the series alone, unless it feeds back its forecasts: then the covariates, too.

    Raises:
      UserError: if it cannot be made or used.
    """
    data = panel.first
    features, covariates = data.inputs.shape[1], len(data.columns.covariates)
    predicted = 1 + covariates if horizon == 1 < data.horizon else 1
    cell = networks.make_stack(name, features, config.hidden_size, data.window, config.layers)
    # Losses are taken over the second half of a window: by then the delay line is full.
    most = data.window // 2 + 1
    order = max(each.autoregression.order for each in panel.each)
    taps = min(order, most) if config.taps is None else config.taps
    if taps > most:
        raise UserError(f"--taps must be at most half of the window of {data.window}, and 1 more, got {taps}")
    line = DelayLine(cell, taps) if taps else cell
    model = Forecaster(line, DIRECT if horizon > 1 else Gaussian(), horizon, features - predicted)

    def use(key: jax.Array) -> Any:
        params, xs, targets = model.init(key), jnp.zeros((2, 1, features)), jnp.zeros((2, 1, horizon, predicted))
        loss = jax.value_and_grad(lambda p: model.loss(p, xs, targets, key=key)[1])(params)
        known = jnp.zeros((2, 1, model.known)) if model.known else None
        return loss, model.sample(params, xs, 2, key, 2, known) if horizon == 1 else ()

    networks.probe(f"cell {name!r}", use)
    return model


def examples(data: Data, model: Forecaster, start: int, stop: int, stride: int) -> Examples:
    """Returns windows whose targets lie in [start, stop); the second half of a window's steps has weight.

    The first half warms up the state, which is not an initial one where forecasts are made either.
    """
    first = max(data.transform.lost, start - data.window)
    points = windows(np.arange(first, stop - 1), data.window, stride)  # the last step has a target
    targets = points[:, :, None] + np.arange(1, model.horizon + 1)
    inside = np.minimum(targets, stop - 1)
    scored = (start <= targets) & (targets < stop) & data.usable[inside] & data.usable[points][:, :, None]
    scored &= (np.arange(data.window) >= data.window // 2)[:, None, None]
    steps = {
        "inputs": data.inputs[points],
        "targets": targets_of(data, model, inside),
        "weights": scored,
    }
    return Examples(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), steps), ())


def targets_of(data: Data, model: Forecaster, ahead: np.ndarray) -> np.ndarray:
    """Returns what a model is to predict for the steps `ahead` [..., H]: [..., H, features]."""
    if model.features > 1:
        return data.x[ahead]
    return accumulated(data, data.z[ahead])[..., None]


def accumulated(data: Data, z: np.ndarray) -> np.ndarray:
    """Returns the targets of a direct model for z [..., H]: `Transform.accumulate` in units of `spread`.

    With one step ahead they are z itself.
    """
    return np.moveaxis(data.transform.accumulate(np.moveaxis(z, -1, 0)), 0, -1) / spread(data.transform, z.shape[-1])


def all_examples(panel: Panel, model: Forecaster, split: str, overlap: int) -> Examples:
    """Returns the windows of all series whose targets lie in the `training` or `validation` set.

    Args:
      panel: series.
      model: model that reads them.
      split: name of the split.
      overlap: number of windows that contain each point.
    """
    each = []
    for data in panel.each:
        start, stop = (0, data.ends.training) if split == "training" else data.ends[:2]
        each.append(examples(data, model, start, stop, max(1, data.window // overlap)))
    return each[0] if len(each) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *each)


def measure(
    folder: RunFolder,
    config: SeriesConfig,
    panel: Panel,
    models: Mapping[str, Forecaster],
    keys: jax.Array,
    evaluations: Evaluations[Scores],
) -> tuple[dict[str, Result[Scores]], list[fitting.Outcome[Result[Scores]]]]:
    """Evaluates the baselines, trains all seeds of every network on the training sets, and evaluates them.

    Args:
      folder: run folder.
      config: config of the experiment.
      panel: series.
      models: networks by name.
      keys: random keys [networks, 2], for the initialisation of the seeds and for `Evaluations.predict`.
      evaluations: evaluations on the test sets.

    Returns:
      Results by name, baselines first, and the trained networks.
    """
    results = evaluations.baselines()
    records = [each for name, result in results.items() for each in evaluations.baseline_records(panel, name, result)]
    jobs = [
        _job(config, panel, name, model, key_seeds, key_predict, evaluations)
        for (name, model), (key_seeds, key_predict) in zip(models.items(), keys, strict=True)
    ]
    outcomes = run_jobs(folder, jobs, records)
    return results | {outcome.network.name: outcome.test for outcome in outcomes}, outcomes


def _job(
    config: SeriesConfig,
    panel: Panel,
    name: str,
    model: Forecaster,
    key_seeds: jax.Array,
    key_predict: jax.Array,
    evaluations: Evaluations[Scores],
) -> Job[fitting.Outcome[Result[Scores]]]:
    buckets = [all_examples(panel, model, "training", OVERLAP)]
    validation = all_examples(panel, model, "validation", 2)
    trainer = config.trainer(model, buckets)

    def score(params: Any) -> np.ndarray:
        losses, weights = training.predict(model, _window_losses, params, validation, config.batch_size)
        return np.sum(losses * weights, axis=1) / np.sum(weights, axis=1)

    def test(params: Any) -> Result[Scores]:
        return evaluations.predict(model, params, key_predict)

    def trained(outcome: fitting.Outcome[Result[Scores]]) -> models.Trained | None:
        seed = fitting.best_seed(outcome)
        if seed is None:
            return None
        scores = [members[1 + seed] for members in outcome.test.by_series]
        return fitting.trained_best(outcome, evaluations.application(model, scores))

    records = functools.partial(evaluations.records, panel)
    init = functools.partial(_init, panel, trainer, jax.random.split(key_seeds, config.seeds))
    job = fitting.fit_job(fitting.Network(name, trainer), config, _loss, buckets, score, test, records, init=init)
    return dataclasses.replace(job, trained=trained)


def _loss(model: Forecaster, params: ReadoutParams, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch; `key` draws the noise of cells that have some."""
    steps = batch.steps
    return model.loss(params, steps["inputs"], steps["targets"], weights=steps["weights"], key=key)[1]


def _window_losses(model: Forecaster, params: ReadoutParams, batch: Examples) -> tuple[jax.Array, jax.Array]:
    """Returns the loss of each window [B], and its weight."""

    def window_loss(steps: Any) -> jax.Array:
        return model.loss(params, steps["inputs"], steps["targets"], weights=steps["weights"], key=None)[1]

    return jax.vmap(window_loss, in_axes=1)(batch.steps), jnp.sum(batch.steps["weights"], axis=(0, 2))


def _init(panel: Panel, trainer: training.Trainer[Forecaster], keys: jax.Array) -> training.TrainState:
    """Returns initial states; a readout with a delay line is initialised as an autoregression, for every seed.

    Its weights for the cell's output are 0. So training starts from the strongest baseline, which it need not find.
    """
    state = init_state(trainer, keys)
    model = trainer.model
    if not isinstance(model.cell, DelayLine):
        return state

    def for_all_seeds(weights: np.ndarray, like: jax.Array) -> jax.Array:
        return jnp.array(np.broadcast_to(weights, like.shape), like.dtype)  # a copy: training donates its buffers

    kernel, bias = _regression(panel, model, model.cell)
    given = state.params.readout["params"]
    dense = {"kernel": for_all_seeds(kernel, given["kernel"]), "bias": for_all_seeds(bias, given["bias"])}
    return state._replace(params=state.params._replace(readout={"params": dense}))


def _regression(panel: Panel, model: Forecaster, line: DelayLine) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel [features, H * F * outputs] and bias of a readout: for each step a regression on the delay line.

    Of the calendar features only those of the next step enter.
    """
    columns = panel.first.inputs.shape[1]
    enters = np.ones((line.taps, columns), bool)
    enters[1:, panel.first.x.shape[1] :] = False
    each = [_design(data, model, line.taps, enters.ravel()) for data in panel.each]
    design, targets = (side[0] if len(side) == 1 else np.concatenate(side) for side in zip(*each, strict=True))
    solution, *_ = np.linalg.lstsq(design, targets, rcond=None)
    residuals = jnp.asarray(targets - design @ solution)
    kernel = np.zeros((line.output_size, targets.shape[1], model.head.outputs))
    bias = np.zeros((targets.shape[1], model.head.outputs))
    rows = len(kernel) - enters.size + np.flatnonzero(enters)
    for output, weights in enumerate(solution.T):
        follows, added = map(np.asarray, model.head.regression_readout(residuals[:, output]))
        kernel[rows, output] = weights[:-1, None] * follows
        bias[output] = weights[-1] * follows + added
    return kernel.reshape(len(kernel), -1), bias.ravel()


def _design(data: Data, model: Forecaster, taps: int, enters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of a series for the regression: inputs that enter, and 1; targets."""
    points = np.arange(data.transform.lost + taps - 1, data.ends.training - model.horizon)
    lagged = points[:, None] - np.arange(taps)
    ahead = points[:, None] + np.arange(1, model.horizon + 1)
    complete = data.usable[lagged].all(axis=1) & data.usable[ahead].all(axis=1)
    read = data.inputs[lagged].reshape(len(points), -1)[:, enters]
    design = np.column_stack([read, np.ones(len(points))])[complete]
    return design, targets_of(data, model, ahead)[complete].reshape(len(design), -1)
