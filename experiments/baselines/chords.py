"""Models of the next chord that see at most the last one.

Every loss is that of the networks in `experiments.music`: the binary cross-entropy in nats, summed over the keys, mean
over all steps of all pieces but each piece's first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import threadpoolctl

from experiments.common.fitting import Baseline
from rnn_jax import significance

PENALTIES = (3e-5, 1e-4, 3e-4)  # of the logistic regression; the validation set chooses

Model = Callable[[np.ndarray], np.ndarray]  # from the last chords [N, K] to logits [N, K]


class Losses(NamedTuple):
    """The loss of each piece of a split, in nats, summed over its steps."""

    sums: np.ndarray  # [seeds, pieces]
    steps: np.ndarray  # [pieces], of each piece all but the first

    @property
    def nats_per_step(self) -> np.ndarray:
        """Mean over all steps of all pieces [seeds]."""
        return self.scored.values

    @property
    def scored(self) -> significance.Scored:
        """Nats per step, as the main score; items are pieces."""
        return significance.ratios(self.sums, self.steps)


def baselines(pieces: Mapping[str, Sequence[np.ndarray]]) -> list[Baseline[Losses]]:
    """Returns note frequencies, note frequencies given the last chord, and a logistic regression on it.

    Args:
      pieces: piano rolls [T, K] by split.
    """
    x, y = pairs(pieces["training"])
    # OpenBLAS's threads spin while they wait: on shared cores, this takes many times as long with them.
    with threadpoolctl.threadpool_limits(1):
        by_penalty = {f"penalty {penalty:g}": _regression(x, y, penalty) for penalty in PENALTIES}
    return [
        _best("note frequencies", pieces, {"": _frequencies(y)}),
        _best("repeat last chord, smoothed", pieces, {"": _repetition(x, y)}),
        _best("logistic regression, last chord", pieces, by_penalty),
    ]


def pairs(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns every step but the last of each piece, and the step after it, [N, K] both."""
    x, y = (np.concatenate([piece[steps] for piece in pieces]) for steps in (slice(-1), slice(1, None)))
    return x.astype(np.float32), y.astype(np.float32)


def nats(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns -log p(y), summed over keys [N]."""
    # log(1 + exp(logits)), by one exponential that cannot overflow.
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return (softplus - y * logits).sum(axis=1, dtype=np.float64)


def _losses(pieces: Sequence[np.ndarray], model: Model) -> Losses:
    (x, y), steps = pairs(pieces), np.array([len(piece) - 1 for piece in pieces])
    return Losses(np.bincount(np.repeat(np.arange(len(steps)), steps), nats(model(x), y), len(steps))[None], steps)


def _best(title: str, pieces: Mapping[str, Sequence[np.ndarray]], models: Mapping[str, Model]) -> Baseline[Losses]:
    validation = {setting: _losses(pieces["validation"], model).nats_per_step for setting, model in models.items()}
    chosen = min(models, key=lambda setting: float(validation[setting][0]))
    return Baseline(title, validation[chosen], _losses(pieces["test"], models[chosen]), {"chosen": chosen or None})


def _logit(on: np.ndarray, steps: np.ndarray | int, prior: np.ndarray | float) -> np.ndarray:
    """Returns the logit of a frequency, smoothed by one step with the prior's frequency."""
    p = (on + prior) / (steps + 1)
    return np.log(p) - np.log1p(-p)


def _frequencies(y: np.ndarray) -> Model:
    """Each key sounds as often as in training, whatever came before."""
    logits = _logit(y.sum(0), len(y), 0.5)
    return lambda x: np.broadcast_to(logits, x.shape)


def _repetition(x: np.ndarray, y: np.ndarray) -> Model:
    """Each key sounds as often as in training after a step in which it sounded, or did not."""
    prior = (y.sum(0) + 0.5) / (len(y) + 1)
    on, off = (_logit((w * y).sum(0), w.sum(0), prior) for w in (x, 1 - x))
    return lambda last: np.where(last > 0, on, off)


def _regression(x: np.ndarray, y: np.ndarray, penalty: float) -> Model:
    """Every key's logit is W x + b, fitted by L-BFGS to the mean loss + penalty / 2 ||W||^2."""
    from scipy import optimize

    keys = x.shape[1]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = flat[:-keys].reshape(keys, keys).astype(x.dtype), flat[-keys:].astype(x.dtype)
        logits = x @ w + b
        error = ((1 + np.tanh(logits / 2)) / 2 - y) / len(y)
        gradient = np.concatenate([(x.T @ error + penalty * w).ravel(), error.sum(0)])
        return float(np.mean(nats(logits, y))) + penalty / 2 * float(np.sum(w**2)), gradient.astype(np.float64)

    start = np.concatenate([np.zeros(keys * keys), _logit(y.sum(0), len(y), 0.5)])
    fitted = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    w, b = fitted[:-keys].reshape(keys, keys), fitted[-keys:]
    return lambda last: last @ w + b
