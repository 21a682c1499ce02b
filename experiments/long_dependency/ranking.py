"""The board of cells on equal terms: ranks over all tasks, what was learned, and whether reach predicts it."""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from experiments.common import networks, numbers
from experiments.long_dependency.result import Result, by_task, quality, ranked
from rnn_jax import plotting, report, significance
from rnn_jax.significance import Difference

SHORTEST = 1e-12  # kept share of a gradient below which all are drawn alike
NAMED = 3  # cells that a sentence names


@dataclasses.dataclass(frozen=True)
class Row:
    """One cell: its result and rank on each task, in the order of the tasks; None where it has not been run."""

    cell: str
    results: tuple[Result | None, ...]
    ranks: tuple[float, ...]  # 1 is the best; equal ones share the mean of their ranks; NaN if not run

    @property
    def mean_rank(self) -> float:
        return float(np.nanmean(self.ranks))

    @property
    def finished(self) -> list[Result]:
        return [result for result in self.results if result is not None]

    @property
    def solved(self) -> int:
        """Number of tasks solved by most seeds."""
        return sum(math.isfinite(result.sequences_until_solved) for result in self.finished)

    @property
    def step_time(self) -> float:
        """Time of an optimization step over an LSTM's, the geometric mean over tasks."""
        return float(np.exp(np.mean(np.log([result.step_time or math.nan for result in self.finished]))))


def rows(results: Sequence[Result]) -> list[Row]:
    """Returns a row for each cell with a finished result, best first."""
    finished = {task: [r for r in each if r.finished] for task, each in by_task(results).items()}
    places = {task: dict(zip([r.cell for r in each], _ranks(each), strict=True)) for task, each in finished.items()}
    found = {(r.task, r.cell): r for each in finished.values() for r in each}
    cells = dict.fromkeys(r.cell for r in results if r.finished)
    board = [
        Row(
            cell,
            tuple(found.get((task, cell)) for task in finished),
            tuple(ranks.get(cell, math.nan) for ranks in places.values()),
        )
        for cell in cells
    ]
    return sorted(board, key=lambda row: row.mean_rank)


def _ranks(results: Sequence[Result]) -> np.ndarray:
    """Returns the rank of each result on a task; those without a solving seed at the baseline are equal."""
    from scipy import stats

    learned = [quality(r) if r.solving or r.beyond_baseline else (1.0, math.inf, math.inf) for r in results]
    places = {key: place for place, key in enumerate(sorted(set(learned)))}
    return stats.rankdata([places[key] for key in learned])


def beside_best(results: Sequence[Result]) -> dict[str, Difference]:
    """Returns by cell, over seeds, its mean rank less that of the first cell, on the tasks that both have.

    Ranks are those among the runs of one seed.
    """
    finished = [result for result in results if result.finished]
    seeds = range(min(result.seeds for result in finished))
    boards = [{row.cell: np.array(row.ranks) for row in rows([r.of_seed(s) for r in finished])} for s in seeds]
    best, *others = rows(finished)

    def difference(cell: str) -> Difference:
        pairs = np.array([(board[cell], board[best.cell]) for board in boards])  # [seeds, 2, tasks]
        both = ~np.isnan(pairs).any(axis=(0, 1))
        means = pairs[..., both].mean(axis=-1) if both.any() else np.full(pairs.shape[:2], np.nan)
        return significance.paired(*means.T)

    return {row.cell: difference(row.cell) for row in others}


def table(results: Sequence[Result]) -> tuple[list[report.Column], dict[str, list[Row]]]:
    """Returns the columns and sections of the table of ranks."""
    tasks, more = list(by_task(results)), beside_best(results)

    def rank(index: int, row: Row) -> str:
        result = row.results[index]
        if result is None:
            return "-"
        return f"{row.ranks[index]:.3g}{'*' if math.isfinite(result.sequences_until_solved) else ''}"

    columns = [
        report.Column("cell", lambda row: networks.short_name(row.cell), right=False),
        report.Column("mean", lambda row: f"{row.mean_rank:.1f}"),
        report.Column("beside best", lambda row: str(more.get(row.cell, ""))),
        *(report.Column(str(n + 1), functools.partial(rank, n)) for n in range(len(tasks))),
        report.Column("solved", lambda row: f"{row.solved}/{len(row.finished)}"),
        report.Column("time", lambda row: numbers.number(row.step_time)),
        report.Column("kept", lambda row: _over_tasks(row.finished, "kept")),
        report.Column("exponent", lambda row: _over_tasks(row.finished, "exponent")),
    ]
    titles = ", ".join(f"{n} {task}" for n, task in enumerate(tasks, 1))
    return columns, {f"Rank by task: {titles}": rows(results)}


CAPTION = (
    "mean: of the ranks on the tasks; equal losses at the baseline share a rank. beside best: mean rank within a seed "
    "less that of the first cell, and its 95 % interval over seeds (Student's); if it holds 0, it is a tie. *: solved "
    "by most seeds. time: of an optimization step over an LSTM's, measured in turn with it. kept: gradient at the "
    "longest lag over that at the shortest, before and after training; exponent: largest Lyapunov exponent, nats a "
    "step, likewise; medians over tasks and seeds.\n"
)


def _over_tasks(results: Sequence[Result], quantity: str) -> str:
    moments = ([v for r in results for v in getattr(r, moment).get(quantity, [])] for moment in ("before", "after"))
    return " ".join(numbers.number(float(np.median(values))) for values in moments)


DETAILS = [
    report.Column("rate", lambda r: numbers.number(r.learning_rate)),
    report.Column("kept", lambda r: _over_tasks([r], "kept")),
    report.Column("exponent", lambda r: _over_tasks([r], "exponent")),
]


def learned(result: Result) -> float:
    """Returns the share of the baseline's loss that training has removed, in [0, 1]; the median over seeds."""
    share = 1 - float(np.median(result.last("loss"))) / result.baseline
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0


def correlation(results: Sequence[Result], moment: str) -> float:
    """Returns Spearman's correlation over cells between the kept gradient and what was learned; NaN below 4 cells."""
    from scipy import stats

    pairs = [(float(np.median(getattr(r, moment)["kept"])), learned(r)) for r in results if r.finished]
    if len(pairs) < 4 or min(len(set(values)) for values in zip(*pairs, strict=True)) < 2:
        return math.nan
    return float(stats.spearmanr(pairs).statistic)


def findings(results: Sequence[Result]) -> list[str]:
    """Returns what the board says in words: the best, who solves what, and whether reach predicts learning."""
    board, more = rows(results), beside_best(results)
    ties = [networks.short_name(cell) for cell, difference in more.items() if difference.verdict(True) != "worse"]
    best = ", ".join(f"{networks.short_name(row.cell)} {row.mean_rank:.1f}" for row in board[:NAMED])
    solvers = []
    for task, each in by_task(results).items():
        solving = [r for r in ranked(each) if math.isfinite(r.sequences_until_solved)]
        cells = [networks.short_name(r.cell) for r in solving]
        rest = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
        solvers.append(f"{task} by {', '.join(cells[:NAMED]) or 'none'}{rest}")
    values = [
        f"{task} {correlation(each, 'before'):.2f} ({correlation(each, 'after'):.2f})"
        for task, each in by_task(results).items()
    ]
    return [
        f"Best mean ranks of {len(board)} cells: {best}.",
        f"Over seeds, the first is better than {len(more) - len(ties)} of them; ties with it: "
        f"{', '.join(ties[:NAMED]) or 'none'}{f' and {len(ties) - NAMED} more' * (len(ties) > NAMED)}.",
        f"Solved by most seeds, in the order of sequences needed: {'; '.join(solvers)}.",
        "Spearman's correlation over cells between the gradient kept at the longest lag at initialisation (after "
        f"training) and the share of the baseline's loss removed: {', '.join(values)}.",
    ]


def draw(results: Sequence[Result]) -> plotting.Drawings:
    """Returns caption and drawing by file name."""
    return {
        "board.png": ("What each cell has learned", functools.partial(heat_map, results)),
        "reach.png": ("Does the gradient's reach predict learning?", functools.partial(reach, results)),
    }


def heat_map(results: Sequence[Result]) -> bytes:
    """Draws cells x tasks: the share of the baseline's loss removed, and sequences until solved. Returns a PNG."""
    from matplotlib import ticker

    board, tasks = rows(results), by_task(results)
    shares = np.array([[math.nan if r is None else learned(r) for r in row.results] for row in board])
    figure = plotting.figure((1.35 * len(tasks) + 4, 0.26 * len(board) + 2))
    axis = figure.subplots()
    image = axis.imshow(shares, aspect="auto", cmap="viridis", vmin=0, vmax=1)
    engineering = ticker.EngFormatter(sep="", places=0)
    for y, row in enumerate(board):
        for x, result in enumerate(row.results):
            if result is not None and math.isfinite(result.sequences_until_solved):
                text, color = engineering(result.sequences_until_solved), "black" if shares[y, x] > 0.5 else "white"
                axis.text(x, y, text, ha="center", va="center", fontsize=8, color=color)
    titles = [f"{task}\nT = {each[0].length}" for task, each in tasks.items()]
    axis.set_xticks(range(len(tasks)), titles, rotation=30, ha="left")
    axis.set_yticks(range(len(board)), [f"{networks.short_name(row.cell)}  {row.mean_rank:.1f}" for row in board])
    axis.xaxis.tick_top()
    axis.set_ylabel("cell and its mean rank")
    figure.colorbar(image, label="share of the baseline's loss removed", shrink=0.5)
    figure.supxlabel("number: training sequences until most seeds had solved the task", fontsize=9)
    return plotting.png(figure)


def reach(results: Sequence[Result]) -> bytes:
    """Draws what was learned over the gradient kept at the longest lag, before and after training. Returns a PNG."""
    figure = plotting.figure((12, 5))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, moment in zip(axes, ("before", "after"), strict=True):
        for color, (task, each) in enumerate(by_task(results).items()):
            finished = [r for r in each if r.finished]
            kept = [max(float(np.median(getattr(r, moment)["kept"])), SHORTEST) for r in finished]
            filled = [f"C{color}" if math.isfinite(r.sequences_until_solved) else "none" for r in finished]
            label = f"{task}: {correlation(each, moment):.2f}"
            shares = [learned(r) for r in finished]
            axis.scatter(kept, shares, s=28, facecolors=filled, edgecolors=f"C{color}", label=label)
        axis.set(
            xscale="log",
            xlabel=f"gradient kept at the longest lag {moment} training (1e-12: that or less)",
            ylabel="share of the baseline's loss removed" if moment == "before" else None,
        )
        axis.grid(alpha=0.3)
        axis.legend(title="Spearman's correlation", frameon=False, fontsize=8, title_fontsize=8)
    figure.suptitle("Each point is one cell on one task, filled if solved by most seeds")
    return plotting.png(figure)
