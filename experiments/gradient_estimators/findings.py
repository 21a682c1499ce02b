"""What the numbers say, in words; nothing stands here that is not computed."""

import numpy as np

from experiments.gradient_estimators.results import Results, final_loss, short


def sentences(results: Results) -> list[str]:
    """One a question."""
    found: list[str] = []
    exact = [float(np.max(quality.bias)) for _, _, estimator, quality in results.qualities() if estimator == "RTRL"]
    found.append(f"RTRL is the gradient: at most {max(exact):.1e} of its norm away from BPTT's, in single precision.")
    noisy = [quality for _, _, estimator, quality in results.qualities() if estimator == "UORO"]
    spread, bias = (np.concatenate([np.ravel(getattr(q, name)) for q in noisy]) for name in ("spread", "bias"))
    found.append(
        f"UORO's single estimate deviates by {np.min(spread):.1f} to {np.max(spread):.1f} times the gradient's norm, "
        f"and its mean over {results.config.draws} keys, less what chance explains, by {np.median(bias / spread):.2f} "
        "of that in the median."
    )
    for cell in results.config.cells:
        biased: dict[str, list[float]] = {}
        for (_, name), _, estimator, quality in results.qualities():
            if name == cell and estimator not in ("RTRL", "UORO"):
                biased.setdefault(estimator, []).append(float(np.median(quality.cosine)))
        order = sorted(biased, key=lambda e: -float(np.median(biased[e])))
        told = ", ".join(
            f"{e} {np.median(biased[e]):.2f} ({min(biased[e]):.2f} to {max(biased[e]):.2f})" for e in order
        )
        found.append(f"{short(cell)}: cosine to the gradient, median and range over tasks and moments: {told}.")
    for problem in results.problems:
        of = problem.task_name, problem.cell_name
        last = {e: float(np.median(final_loss(results.losses[(*of, e)]))) for e in results.estimators(of[1])}
        if problem.task_name == "characters":
            del last["BPTT"]
        under = sorted((e for e in last if last[e] < 0.9 * problem.task.baseline), key=lambda e: last[e])
        best = min(last, key=lambda e: last[e])
        told = ", ".join(under) if under else "none"
        found.append(
            f"{problem.task_name}, {short(of[1])}: lowest loss by {best} ({last[best]:.3f}); more than a tenth under "
            f"the memoryless {problem.task.baseline:.3f}: {told}."
        )
    return found
