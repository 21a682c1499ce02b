"""Results as arrays, figures, tables and a few sentences."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import SymLogNorm
from matplotlib.ticker import MaxNLocator

from experiments.common.networks import short_name
from experiments.common.numbers import number
from experiments.common.run_folder import Report, Table
from experiments.newton.config import Plan
from experiments.newton.cost import Record
from experiments.newton.measurement import Outcome
from rnn_jax import plotting, targets
from rnn_jax.report import Column

COLORS = ScalarMappable(SymLogNorm(0.03, vmin=-0.5, vmax=0.5), "coolwarm")  # of exponents
TICKS = [-3, -1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3]
EXPONENT = "largest Lyapunov exponent (nats per step)"
FLOOR = 1e-9  # smallest error in figures, of those that are zero

Outcomes = Mapping[tuple[str, str], Outcome]  # by network and engine


def rounds(record: Record) -> int:
    """Returns what runs one after the other: Newton's iterations, and the steps that it leaves to the loop."""
    return record["measured"] + record["looped"]


def summarize(plan: Plan, costs: Sequence[Record], outcomes: Outcomes) -> Report:
    """Returns figures, tables and findings."""
    records = [record for each, _ in outcomes.values() for record in each if "looped" in record]
    counts = [record for record in records if not np.isnan(record["exponent"])]  # NaN if the states are not finite
    draw = {
        "exponent.png": (
            "What runs one after the other, and the Lyapunov exponent",
            functools.partial(_exponents, plan, counts),
        ),
        "cost.png": ("A gradient by each engine; launches: compiled, not run", functools.partial(_costs, costs)),
        "accuracy.png": ("Newton's iterates and trainings against Scan", functools.partial(_accuracy, outcomes)),
    }
    tables = [_count_table(plan, counts), _cost_table(plan, costs)]
    return Report("Which recurrences are parallel over time?", _findings(plan, counts, costs, outcomes), tables, draw)


def _findings(plan: Plan, counts: Sequence[Record], costs: Sequence[Record], outcomes: Outcomes) -> list[str]:
    sentences = []
    for what, low, high in (("below -0.1", -np.inf, -0.1), ("from -0.1 to 0", -0.1, 0), ("above 0", 0, np.inf)):
        chosen = [r for r in counts if r["length"] == plan.lengths[-1] and low <= r["exponent"] < high]
        solved = [r["measured"] for r in chosen if not r["looped"]]
        within = f" in {min(solved)} to {max(solved)} iterations" if solved else ""
        sentences.append(f"{len(solved)} of {len(chosen)} converge{within} ({what})")
    findings = [f"T = {plan.lengths[-1]:,}, by largest Lyapunov exponent: {', '.join(sentences)}."]
    newton = [r for r in costs if r["engine"] == "Newton"]
    faster = [r for r in newton if "median_ms" in r and r["median_ms"] < _loop(costs, r, "median_ms")]
    where = ", ".join("{batch} x {length} x {hidden_size}".format(**r) for r in faster) or "nowhere"
    findings.append(f"Newton is faster than both loops on this machine at B x T x H = {where}.")
    for r in newton:
        if "launches" in r and r["length"] == plan.lengths[-1]:
            fewer = f"{_loop(costs, r, 'launches') / r['launches']:,.0f} times fewer launches than the better loop"
            findings.append(f"Compiled for {targets.TARGETS[r['target']].title}, T = {r['length']:,}: {fewer}.")
    difference = max(float(np.max(_difference(*pair))) for pair in _losses(outcomes).values())
    return [*findings, f"Losses of trainings by Newton and by Scan differ by at most {difference:.1e} of their size."]


def _loop(costs: Sequence[Record], record: Record, field: str) -> float:
    """Returns the smaller value of a field of the loops, `Scan` and `Hoisted`, on the shape of a record."""
    shape = ("length", "hidden_size", "batch", "target")
    same = [r for r in costs if all(r.get(name) == record.get(name) for name in shape)]
    return min(r[field] for r in same if r["engine"] in ("Scan", "Hoisted"))


def _losses(outcomes: Outcomes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns the losses [seeds, steps] by Scan and by Newton, by the network's name, for the steps of both."""
    pairs = [
        (name, outcomes[name, "Scan"][1].loss, outcomes[name, "Newton"][1].loss) for name, e in outcomes if e == "Scan"
    ]
    return {name: (scan[:, : newton.shape[1]], newton[:, : scan.shape[1]]) for name, scan, newton in pairs}


def _difference(scan: np.ndarray, newton: np.ndarray) -> np.ndarray:
    return np.abs(newton - scan) / np.abs(scan)


def _table(
    plan: Plan, rows: Mapping[str, Any], first: Sequence[Column], text: Any, last: Sequence[Column]
) -> tuple[Any, Any]:
    """Returns columns and sections of a table with a column for each T; rows are records by T."""

    def at(length: int, row: Mapping[int, Record]) -> str:
        return text(row[length]) if length in row else "-"

    by_length = [Column(f"T={length:,}", functools.partial(at, length)) for length in plan.lengths]
    return [*first, *by_length, *last], {title: list(each.values()) for title, each in rows.items()}


def _count_table(plan: Plan, counts: Sequence[Record]) -> Table:
    rows: dict[str, dict[Any, dict[int, Record]]] = {}
    for r in counts:
        rows.setdefault(short_name(r["cell"]), {}).setdefault((r["network"], r["seed"]), {})[r["length"]] = r
    columns = [
        Column("network", lambda row: row[max(row)]["network"], right=False),
        Column("exponent", lambda row: f"{row[max(row)]['exponent']:+.3f}"),
        Column("kappa", lambda row: number(row[max(row)]["amplification"])),
        Column("predicted", lambda row: f"{row[max(row)]['predicted']:,}"),
    ]
    caption = (
        "Newton iterations, + steps left to the loop if it does not converge. exponent: largest Lyapunov exponent, in "
        "nats per step; kappa: largest error over residual; predicted: iterations; these three at the largest T.\n"
    )
    iterations = lambda r: f"{r['measured']}" + (f" + {r['looped']:,}" if r["looped"] else "")  # noqa: E731
    return Table(*_table(plan, rows, columns, iterations, []), caption)


def _title(record: Record) -> str:
    if "target" in record:
        return f"{targets.TARGETS[record['target']].title}: compiled, not run"
    return "this machine, B x H = {batch} x {hidden_size}".format(**record)


def _cost_table(plan: Plan, costs: Sequence[Record]) -> Table:
    rows: dict[str, dict[str, dict[int, Record]]] = {}
    for r in costs:
        rows.setdefault(_title(r), {}).setdefault(r["engine"], {})[r["length"]] = r
    engine = Column("engine", lambda row: row[max(row)]["engine"], right=False)
    memory = Column("MB", lambda row: number(row[max(row)]["temporary_bytes"] / 1e6, 3))
    caption = (
        "Gradient of a GRU (Associative: minGRU) by its parameters. This machine: ms; devices: launches one after "
        "another. MB: temporary memory at the largest T.\n"
    )
    cost = lambda r: f"{r['launches']:,}" if "launches" in r else number(r["median_ms"], 3)  # noqa: E731
    return Table(*_table(plan, rows, [engine], cost, [memory]), caption)


def _exponents(plan: Plan, counts: Sequence[Record]) -> bytes:
    """Draws what runs one after the other: over T, colored by the exponent; at the largest T, over the exponent."""
    figure, longest = plotting.figure((12.5, 5)), plan.lengths[-1]
    left, right = figure.subplots(1, 2)
    for name in dict.fromkeys((r["cell"], r["network"], r["seed"]) for r in counts):
        line = [r for r in counts if (r["cell"], r["network"], r["seed"]) == name]
        color = COLORS.to_rgba(line[-1]["exponent"])
        left.plot([r["length"] for r in line], list(map(rounds, line)), color=color, lw=1.5, marker="o", ms=4)
    left.plot(plan.lengths, plan.lengths, "--", color="black", lw=1, label="T: the loop")
    left.set(xlabel="T (steps)", xscale="log", title="a line for each network")
    bar = figure.colorbar(COLORS, ax=left, location="bottom", label=EXPONENT, aspect=40)
    bar.set_ticks(TICKS[2:], labels=[f"{x:g}" for x in TICKS[2:]])
    for marker, cell in zip("osD^vP*X", dict.fromkeys(r["cell"] for r in counts), strict=False):
        for r in counts:
            if r["cell"] == cell and r["length"] == longest:
                face = "none" if r["looped"] else COLORS.to_rgba(r["exponent"])
                right.plot(max(r["exponent"], TICKS[0]), rounds(r), marker, ms=8, mfc=face, mec="black", mew=0.8)
        right.plot([], [], marker, ms=8, mfc="0.8", mec="black", mew=0.8, label=short_name(cell))
    right.plot([], [], "o", ms=8, mfc="none", mec="black", mew=0.8, label="the loop had to help")
    right.axvline(0, color="black", lw=1)
    right.set_xscale("symlog", linthresh=0.03)
    right.set_xticks(TICKS, [f"{x:g}" for x in TICKS])
    right.set(xlabel=EXPONENT, title=f"T = {longest:,}")
    for axis in (left, right):
        axis.set(ylabel="Newton iterations + steps left to the loop", yscale="log")
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    figure.suptitle("Well below 0: a few iterations, whatever T. Near and above 0: the loop runs nearly all steps")
    return plotting.png(figure)


def _costs(costs: Sequence[Record]) -> bytes:
    """Draws time, and launches for each target, over T."""
    titles = list(dict.fromkeys(map(_title, costs)))
    figure = plotting.figure((4.6 * len(titles), 4.8))
    axes = figure.subplots(1, len(titles), squeeze=False)[0]
    for axis, title in zip(axes, titles, strict=True):
        panel = [r for r in costs if _title(r) == title]
        field = "launches" if "launches" in panel[0] else "median_ms"
        for name in dict.fromkeys(r["engine"] for r in panel):
            line = [r for r in panel if r["engine"] == name]
            axis.plot([r["length"] for r in line], [r[field] for r in line], "o-", ms=4, label=name)
        ylabel = {"launches": "launches, one after another", "median_ms": "time (ms)"}[field]
        axis.set(title=title, xlabel="T (steps)", ylabel=ylabel, xscale="log", yscale="log")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("The gradient of a fresh GRU by its parameters")
    return plotting.png(figure)


def _accuracy(outcomes: Outcomes) -> bytes:
    """Draws errors by iteration, and losses by Scan and by Newton with their difference."""
    figure = plotting.figure((14, 4.6))
    errors, losses, differences = axes = figure.subplots(1, 3)
    for (network, engine), (records, _) in outcomes.items():
        if engine == "Scan":
            errors.plot(np.maximum(records[0]["errors"], FLOOR), marker="o", ms=4, label=short_name(network))
    for place, (scan, newton) in enumerate(_losses(outcomes).values()):
        steps = 1 + np.arange(newton.shape[1])
        losses.plot(steps, scan[0], color=f"C{place}", lw=4, alpha=0.35)
        losses.plot(steps, newton[0], color=f"C{place}", lw=1, ls="--")
        differences.plot(steps, np.maximum(_difference(scan, newton)[0], FLOOR), color=f"C{place}", lw=1)
    differences.axhline(float(np.finfo(np.float32).eps), color="black", ls=":", lw=1, label="rounding of float32")
    errors.set(title="States of fresh networks, T = 1,000", xlabel="iterations (0: first guess)")
    errors.set(ylabel="largest error against Scan", yscale="log")
    errors.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.set(title="Training: Scan (wide), Newton (dashed)", xlabel="optimization step", ylabel="loss", yscale="log")
    differences.set(
        title="Training: difference", xlabel="optimization step", ylabel="|difference| / loss", yscale="log"
    )
    for axis in axes:
        axis.grid(alpha=0.3)
    errors.legend(frameon=False)
    differences.legend(frameon=False)
    return plotting.png(figure)
