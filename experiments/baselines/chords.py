"""Models of the next chord that see at most the last one.

Every loss is that of the networks in `experiments.music`: the binary cross-entropy in nats, summed over the keys, mean
over all steps of all pieces but each piece's first.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import threadpoolctl

from experiments.common.fitting import Baseline

PENALTIES = (3e-5, 1e-4, 3e-4)  # of the logistic regression; the validation set chooses

Model = Callable[[np.ndarray], np.ndarray]  # from the last chords [N, K] to logits [N, K]


def baselines(pieces: Mapping[str, Sequence[np.ndarray]]) -> list[Baseline[dict[str, np.ndarray]]]:
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


def nats_per_step(logits: np.ndarray, y: np.ndarray) -> float:
    """Returns -log p(y), summed over keys, mean over steps."""
    # log(1 + exp(logits)), by one exponential that cannot overflow.
    softplus = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return float(np.sum(softplus - y * logits, dtype=np.float64) / len(y))


def _best(
    title: str, pieces: Mapping[str, Sequence[np.ndarray]], models: Mapping[str, Model]
) -> Baseline[dict[str, np.ndarray]]:
    losses: dict[str, dict[str, float]] = {}
    for split in ("validation", "test"):
        x, y = pairs(pieces[split])
        losses[split] = {setting: nats_per_step(model(x), y) for setting, model in models.items()}
    chosen = min(models, key=lambda setting: losses["validation"][setting])
    validation, test = (np.array([losses[split][chosen]]) for split in ("validation", "test"))
    return Baseline(title, validation, {"nats_per_step": test}, {"chosen": chosen or None})


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
        return nats_per_step(logits, y) + penalty / 2 * float(np.sum(w**2)), gradient.astype(np.float64)

    start = np.concatenate([np.zeros(keys * keys), _logit(y.sum(0), len(y), 0.5)])
    fitted = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    w, b = fitted[:-keys].reshape(keys, keys), fitted[-keys:]
    return lambda last: last @ w + b
