"""What the networks are compared with: models of the next step that know no more than the last one.

Every loss is that of the networks: the sum over the keys of the binary cross-entropy in nats, its mean over all steps
but each piece's first, of all pieces together.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import scipy.optimize
import threadpoolctl

PENALTIES = (3e-5, 1e-4, 3e-4)  # of the logistic regression; validation tells which


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Its losses by part, in nats a step."""

    validation: float
    test: float
    chosen: str  # what validation chose


def baselines(pieces: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Baseline]:
    """By name."""
    x, y = pairs(pieces["training"])
    # OpenBLAS's threads spin while they wait: where cores are shared, this takes many times as long with them.
    with threadpoolctl.threadpool_limits(1):
        by_penalty = {f"penalty {penalty:g}": _regression(x, y, penalty) for penalty in PENALTIES}
    return {
        "note frequencies": _best(pieces, {"": _frequencies(y)}),
        "last chord again, smoothed": _best(pieces, {"": _repetition(x, y)}),
        "logistic regression on it": _best(pieces, by_penalty),
    }


Model = Callable[[np.ndarray], np.ndarray]  # of the last steps [N, K], logits [N, K]


def pairs(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Every step but the last of each piece, and the one after it, [N, K] both."""
    x, y = (np.concatenate([piece[part] for piece in pieces]) for part in (slice(-1), slice(1, None)))
    return x.astype(np.float32), y.astype(np.float32)


def nats_per_step(logits: np.ndarray, y: np.ndarray) -> float:
    """-log p(y), summed over keys, mean over steps."""
    # log(1 + exp(logits)), by one exponential that cannot overflow.
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return float(np.sum(softplus - y * logits, dtype=np.float64) / len(y))


def _best(pieces: Mapping[str, Sequence[np.ndarray]], models: Mapping[str, Model]) -> Baseline:
    losses = {}
    for part in ("validation", "test"):
        x, y = pairs(pieces[part])
        losses[part] = {name: nats_per_step(model(x), y) for name, model in models.items()}
    name = min(models, key=lambda each: losses["validation"][each])
    return Baseline(losses["validation"][name], losses["test"][name], name)


def _logit(on: np.ndarray, steps: np.ndarray | int, prior: np.ndarray | float) -> np.ndarray:
    """Of a frequency, with one step of the prior's frequency seen beforehand."""
    p = (on + prior) / (steps + 1)
    return np.log(p) - np.log1p(-p)


def _frequencies(y: np.ndarray) -> Model:
    """Each key sounds as often as in training, whatever has gone before."""
    logits = _logit(y.sum(0), len(y), 0.5)
    return lambda x: np.broadcast_to(logits, x.shape)


def _repetition(x: np.ndarray, y: np.ndarray) -> Model:
    """Each key sounds as often as in training where it has just sounded, or where it has not."""
    prior = (y.sum(0) + 0.5) / (len(y) + 1)
    on, off = (_logit((w * y).sum(0), w.sum(0), prior) for w in (x, 1 - x))
    return lambda last: np.where(last > 0, on, off)


def _regression(x: np.ndarray, y: np.ndarray, penalty: float) -> Model:
    """Every key's logit is W x + b, by L-BFGS, on the mean loss and penalty / 2 ||W||^2."""
    keys = x.shape[1]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = flat[:-keys].reshape(keys, keys).astype(x.dtype), flat[-keys:].astype(x.dtype)
        logits = x @ w + b
        error = ((1 + np.tanh(logits / 2)) / 2 - y) / len(y)
        gradient = np.concatenate([(x.T @ error + penalty * w).ravel(), error.sum(0)])
        return nats_per_step(logits, y) + penalty / 2 * float(np.sum(w**2)), gradient.astype(np.float64)

    start = np.concatenate([np.zeros(keys * keys), _logit(y.sum(0), len(y), 0.5)])
    found = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    w, b = found[:-keys].reshape(keys, keys), found[-keys:]
    return lambda last: last @ w + b
