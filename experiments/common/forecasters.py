"""Networks that forecast a series: model, windows, initialisation as an autoregression, training, records, rows."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import fitting, networks
from experiments.common.flags import UserError
from experiments.common.run_folder import RunFolder
from experiments.common.runner import Job, init_state, run_jobs
from experiments.common.series import AUTOREGRESSION, Data, SeriesConfig
from rnn_jax import models, training
from rnn_jax.applications import Application
from rnn_jax.applications.series_forecaster import DIRECT, spread
from rnn_jax.data import Examples, windows
from rnn_jax.layers import DelayLine
from rnn_jax.models import Forecaster, Gaussian
from rnn_jax.models.readout import ReadoutParams

OVERLAP = 16  # windows of the training set that contain each of its points

Scores = TypeVar("Scores")


def make_forecaster(config: SeriesConfig, data: Data, name: str, horizon: int = 1) -> Forecaster:
    """Returns the network called `name`; with a horizon above 1 one that forecasts all steps at once.

    It forecasts the series alone, unless it feeds back its forecasts: then the covariates, too.

    Raises:
      UserError: if it cannot be made or used.
    """
    features, covariates = data.inputs.shape[1], len(data.columns.covariates)
    predicted = 1 + covariates if horizon == 1 < data.horizon else 1
    cell = networks.make_stack(name, features, config.hidden_size, data.window, config.layers)
    # Losses are taken over the second half of a window: by then the delay line is full.
    most = data.window // 2 + 1
    taps = min(data.autoregression.order, most) if config.taps is None else config.taps
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


@dataclasses.dataclass(frozen=True, eq=False)
class Result(Generic[Scores]):
    """Test results of a baseline, or of a network's seeds and of their ensemble."""

    output: Any  # forecasts or anomaly scores, of the ensemble
    scores: Scores  # of the ensemble
    per_seed: list[Scores]  # empty for a baseline

    @property
    def is_network(self) -> bool:
        return bool(self.per_seed)


@dataclasses.dataclass(frozen=True)
class Evaluation(Generic[Scores]):
    """How models are evaluated on the test set.

    Args:
      baselines: output of each baseline, such as its forecasts.
      predict: function of (model, params [seeds, ...], key) that returns the output of the ensemble, then of each seed.
      score: function from an output to scores, a pytree.
      flat: function from scores to fields of a record.
      fields: further fields of every record.
      application: function of a model and the scores of one seed that returns what `--save_model` writes.
    """

    baselines: Mapping[str, Any]
    predict: Callable[[Forecaster, Any, jax.Array], Sequence[Any]]
    score: Callable[[Any], Scores]
    flat: Callable[[Scores], Mapping[str, float]]
    fields: dict[str, Any]
    application: Callable[[Forecaster, Scores], Application]

    def result(self, outputs: Sequence[Any]) -> Result[Scores]:
        """Returns the result of an ensemble and its seeds, or of a baseline."""
        scores = [self.score(output) for output in outputs]
        return Result(outputs[0], scores[0], scores[1:])


def measure(
    folder: RunFolder,
    config: SeriesConfig,
    data: Data,
    models: Mapping[str, Forecaster],
    keys: jax.Array,
    evaluation: Evaluation[Scores],
) -> tuple[dict[str, Result[Scores]], list[fitting.Outcome[Result[Scores]]]]:
    """Evaluates the baselines, trains all seeds of every network on the training set, and evaluates them.

    Args:
      folder: run folder.
      config: config of the experiment.
      data: series.
      models: networks by name.
      keys: random keys [networks, 2], for the initialisation of the seeds and for `evaluation.predict`.
      evaluation: evaluation on the test set.

    Returns:
      Results by name, baselines first, and the trained networks.
    """
    results = {name: evaluation.result([output]) for name, output in evaluation.baselines.items()}
    fields = data.record() | evaluation.fields
    order = data.autoregression.order
    parameters = data.autoregression.parameters
    linear: dict[str, Any] = {"order": order, "parameters": parameters, "validation/mae": data.validation_mae}
    own = {AUTOREGRESSION: linear}
    records = [
        fitting.baseline_record(name, **fields, **own.get(name, {}), **evaluation.flat(result.scores))
        for name, result in results.items()
    ]
    jobs = [
        _job(config, data, name, model, key_seeds, key_predict, evaluation)
        for (name, model), (key_seeds, key_predict) in zip(models.items(), keys, strict=True)
    ]
    outcomes = run_jobs(folder, jobs, records)
    return results | {outcome.network.name: outcome.test for outcome in outcomes}, outcomes


def _job(
    config: SeriesConfig,
    data: Data,
    name: str,
    model: Forecaster,
    key_seeds: jax.Array,
    key_predict: jax.Array,
    evaluation: Evaluation[Scores],
) -> Job[fitting.Outcome[Result[Scores]]]:
    buckets = [examples(data, model, 0, data.ends.training, max(1, data.window // OVERLAP))]
    validation = examples(data, model, *data.ends[:2], max(1, data.window // 2))
    trainer = config.trainer(model, buckets)

    def score(params: Any) -> np.ndarray:
        losses, weights = training.predict(model, _window_losses, params, validation, config.batch_size)
        return np.sum(losses * weights, axis=1) / np.sum(weights, axis=1)

    def test(params: Any) -> Result[Scores]:
        return evaluation.result(evaluation.predict(model, params, key_predict))

    def trained(outcome: fitting.Outcome[Result[Scores]]) -> models.Trained | None:
        seed = fitting.best_seed(outcome)
        scores = None if seed is None else outcome.test.per_seed[seed]
        return None if scores is None else fitting.trained_best(outcome, evaluation.application(model, scores))

    records = functools.partial(_records, evaluation.flat, data.record() | evaluation.fields)
    init = functools.partial(_init, data, trainer, jax.random.split(key_seeds, config.seeds))
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


def _init(data: Data, trainer: training.Trainer[Forecaster], keys: jax.Array) -> training.TrainState:
    """Returns initial states; a readout with a delay line is initialised as an autoregression, for every seed.

    Its weights for the cell's output are 0. So training starts from the strongest baseline, which it need not find.
    """
    state = init_state(trainer, keys)
    model = trainer.model
    if not isinstance(model.cell, DelayLine):
        return state

    def for_all_seeds(weights: np.ndarray, like: jax.Array) -> jax.Array:
        return jnp.array(np.broadcast_to(weights, like.shape), like.dtype)  # a copy: training donates its buffers

    kernel, bias = _regression(data, model, model.cell)
    given = state.params.readout["params"]
    dense = {"kernel": for_all_seeds(kernel, given["kernel"]), "bias": for_all_seeds(bias, given["bias"])}
    return state._replace(params=state.params._replace(readout={"params": dense}))


def _regression(data: Data, model: Forecaster, line: DelayLine) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel [features, H * F * outputs] and bias of a readout: for each step a regression on the delay line.

    Of the calendar features only those of the next step enter.
    """
    taps, horizon, inputs = line.taps, model.horizon, data.inputs
    points = np.arange(data.transform.lost + taps - 1, data.ends.training - horizon)
    lagged = points[:, None] - np.arange(taps)
    ahead = points[:, None] + np.arange(1, horizon + 1)
    complete = data.usable[lagged].all(axis=1) & data.usable[ahead].all(axis=1)
    enters = np.ones((taps, inputs.shape[1]), bool)
    enters[1:, data.x.shape[1] :] = False
    read = inputs[lagged].reshape(len(points), -1)[:, enters.ravel()]
    design = np.column_stack([read, np.ones(len(points))])[complete]
    targets = targets_of(data, model, ahead)[complete].reshape(len(design), -1)
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


class Row(NamedTuple):
    """Row of a table."""

    name: str
    scores: Any


def rows(results: Mapping[str, Result[Any]]) -> list[Row]:
    """Returns a row for each model, a network's being the mean over its seeds, and one for each ensemble of several."""
    table = []
    for name, result in results.items():
        mean = jax.tree.map(lambda *values: np.mean(values, axis=0), *(result.per_seed or [result.scores]))
        table.append(Row(name, mean))
        if len(result.per_seed) > 1:
            table.append(Row("  ensemble", result.scores))
    return table


def _records(
    flat: Callable[[Any], Mapping[str, float]], fields: Mapping[str, Any], outcome: fitting.Outcome[Result[Any]]
) -> list[dict[str, Any]]:
    """Returns flat records: one for each seed and, if there are several, one for their ensemble, a run of its own."""
    result = outcome.test
    per_seed = fitting.fit_records(outcome, {"loss": outcome.validation}, {}, **fields)
    per_seed = [{**record, **flat(scores)} for record, scores in zip(per_seed, result.per_seed, strict=True)]
    if len(per_seed) == 1:
        return per_seed
    shared = {k: v for k, v in per_seed[0].items() if k not in ("best_epoch", "validation/loss", "diverged_at")}
    name = f"{outcome.network.name}, ensemble"
    diverged = any(record["diverged"] for record in per_seed)
    ensemble = {"run": name, "label": name, "seconds": outcome.fit.seconds, "diverged": diverged}
    return [*per_seed, {**shared, **ensemble, **flat(result.scores)}]
