"""Results as arrays, figures, tables and a few sentences."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.common.figures import lines
from experiments.common.networks import short_name
from experiments.common.numbers import number
from experiments.common.run_folder import Report, Table
from experiments.common.tables import Record, digits, pivot, select, values
from experiments.newton.config import ENGINES, Plan
from experiments.newton.measurement import Outcome
from rnn_jax import plotting, targets

TICKS = [-3, -1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3]
EXPONENT = "largest Lyapunov exponent (nats per step)"
FLOOR = 1e-9  # smallest error in figures, of those that are zero

Outcomes = Mapping[tuple[str, str], Outcome]  # by network and engine


def rounds(record: Record) -> int:
    """Returns what runs one after the other: Newton's iterations, and the steps that it leaves to the loop."""
    return record["measured"] + record["looped"]


def summarize(plan: Plan, costs: Sequence[Record], outcomes: Outcomes) -> Report:
    """Returns figures, tables and findings."""
    records = [record for each, _ in outcomes.values() for record in each]
    counts = [r for r in records if not np.isnan(r.get("exponent", np.nan))]  # NaN if the states are not finite
    draw = {
        "exponent.png": ("What runs one after the other, and the Lyapunov exponent", lambda: _exponents(plan, counts)),
        "cost.png": ("A gradient by each engine; launches: compiled, not run", lambda: _costs(costs)),
        "accuracy.png": ("Newton's iterates and trainings against Scan", lambda: _accuracy(outcomes)),
    }
    findings, tables = _findings(plan, counts, costs, outcomes), [_count_table(counts), _cost_table(costs)]
    return Report("Which recurrences are parallel over time?", findings, tables, draw)


def _findings(plan: Plan, counts: Sequence[Record], costs: Sequence[Record], outcomes: Outcomes) -> list[str]:
    sentences = []
    for what, low, high in (("below -0.1", -np.inf, -0.1), ("from -0.1 to 0", -0.1, 0), ("above 0", 0, np.inf)):
        chosen = [r for r in select(counts, length=plan.lengths[-1]) if low <= r["exponent"] < high]
        solved = [r["measured"] for r in chosen if not r["looped"]]
        within = f" in {min(solved)} to {max(solved)} iterations" if solved else ""
        sentences.append(f"{len(solved)} of {len(chosen)} converge{within} ({what})")
    findings = [f"T = {plan.lengths[-1]:,}, by largest Lyapunov exponent: {', '.join(sentences)}."]
    newton = select(costs, engine="Newton")
    faster = [r for r in newton if "median_ms" in r and r["median_ms"] < _loop(costs, r, "median_ms")]
    where = ", ".join("{batch} x {length} x {hidden_size}".format(**r) for r in faster) or "nowhere"
    findings.append(f"Newton is faster than both loops on this machine at B x T x H = {where}.")
    for r in select(newton, length=plan.lengths[-1]):
        if "launches" in r:
            fewer = f"{_loop(costs, r, 'launches') / r['launches']:,.0f} times fewer launches than the better loop"
            findings.append(f"Compiled for {targets.TARGETS[r['target']].title}, T = {r['length']:,}: {fewer}.")
    difference = max(float(np.max(each)) for *_, each in _losses(outcomes).values())
    return [*findings, f"Losses of trainings by Newton and by Scan differ by at most {difference:.1e} of their size."]


def _loop(costs: Sequence[Record], record: Record, field: str) -> float:
    """Returns the smaller value of a field of the loops, `Scan` and `Hoisted`, on the shape of a record."""
    shape = {name: record.get(name) for name in ("length", "hidden_size", "batch", "target")}
    return min(r[field] for r in select(costs, **shape) if r["engine"] in ("Scan", "Hoisted"))


def _losses(outcomes: Outcomes) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Returns losses [seeds, steps] by Scan and by Newton, for the steps of both, and their relative difference."""
    compared = {}
    for name, _ in outcomes:
        scan, newton = (outcomes[name, engine][1].loss for engine in ENGINES)
        steps = min(scan.shape[1], newton.shape[1])
        scan, newton = scan[:, :steps], newton[:, :steps]
        compared[name] = scan, newton, np.abs(newton - scan) / np.abs(scan)
    return compared


def _count_table(counts: Sequence[Record]) -> Table:
    columns = {
        "network": "network",
        "exponent": lambda r, _: f"{r['exponent']:+.3f}",
        "kappa": lambda r, _: number(r["amplification"]),
        "predicted": lambda r, _: f"{r['predicted']:,}",
        "T={:,}": lambda r, _: f"{r['measured']}" + (f" + {r['looped']:,}" if r["looped"] else ""),
    }
    caption = (
        "Newton iterations, + steps left to the loop if it does not converge. exponent: largest Lyapunov exponent, in "
        "nats per step; kappa: largest error over residual; predicted: iterations; these three at the largest T.\n"
    )
    return pivot(counts, lambda r: short_name(r["cell"]), ("network", "seed"), columns, caption, by="length")


def _title(record: Record) -> str:
    if "target" in record:
        return f"{targets.TARGETS[record['target']].title}: compiled, not run"
    return "this machine, B x H = {batch} x {hidden_size}".format(**record)


def _cost_table(costs: Sequence[Record]) -> Table:
    columns = {
        "engine": "engine",
        "T={:,}": lambda r, _: f"{r['launches']:,}" if "launches" in r else digits(r["median_ms"]),
        "MB": ("temporary_bytes", 1e-6),
    }
    caption = (
        "Gradient of a GRU (Associative: minGRU) by its parameters. This machine: ms; devices: launches one after "
        "another. MB: temporary memory at the largest T.\n"
    )
    return pivot(costs, _title, ["engine"], columns, caption, by="length")


def _exponents(plan: Plan, counts: Sequence[Record]) -> bytes:
    """Draws what runs one after the other: over T, colored by the exponent; at the largest T, over the exponent."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import SymLogNorm

    colors = ScalarMappable(SymLogNorm(0.03, vmin=-0.5, vmax=0.5), "coolwarm")
    figure, longest = plotting.figure((12.5, 5)), plan.lengths[-1]
    left, right = figure.subplots(1, 2)
    for cell, network, seed in dict.fromkeys((r["cell"], r["network"], r["seed"]) for r in counts):
        line = select(counts, cell=cell, network=network, seed=seed)
        color = colors.to_rgba(line[-1]["exponent"])
        left.plot([r["length"] for r in line], list(map(rounds, line)), color=color, lw=1.5, marker="o", ms=4)
    left.plot(plan.lengths, plan.lengths, "--", color="black", lw=1, label="T: the loop")
    left.set(xlabel="T (steps)", xscale="log", title="a line for each network")
    bar = figure.colorbar(colors, ax=left, location="bottom", label=EXPONENT, aspect=40)
    bar.set_ticks(TICKS[2:], labels=[f"{x:g}" for x in TICKS[2:]])
    for marker, cell in zip("osD^vP*X", values(counts, "cell"), strict=False):
        for r in select(counts, cell=cell, length=longest):
            face = "none" if r["looped"] else colors.to_rgba(r["exponent"])
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
        lines(axis, panel, "engine", "length", field)
        axis.set(title=title, ylabel={"launches": "launches, one after another", "median_ms": "time (ms)"}[field])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("The gradient of a fresh GRU by its parameters")
    return plotting.png(figure)


def _accuracy(outcomes: Outcomes) -> bytes:
    """Draws errors by iteration, and losses by Scan and by Newton with their difference."""
    from matplotlib.ticker import MaxNLocator

    figure = plotting.figure((14, 4.6))
    errors, losses, differences = axes = figure.subplots(1, 3)
    for (network, engine), (records, _) in outcomes.items():
        if engine == "Scan":
            errors.plot(np.maximum(records[0]["errors"], FLOOR), marker="o", ms=4, label=short_name(network))
    for place, (scan, newton, difference) in enumerate(_losses(outcomes).values()):
        steps = 1 + np.arange(newton.shape[1])
        losses.plot(steps, scan[0], color=f"C{place}", lw=4, alpha=0.35)
        losses.plot(steps, newton[0], color=f"C{place}", lw=1, ls="--")
        differences.plot(steps, np.maximum(difference[0], FLOOR), color=f"C{place}", lw=1)
    differences.axhline(float(np.finfo(np.float32).eps), color="black", ls=":", lw=1, label="rounding of float32")
    errors.set(title="States of fresh networks, T = 1,000", xlabel="iterations (0: first guess)")
    errors.set(ylabel="largest error against Scan", yscale="log")
    errors.xaxis.set_major_locator(MaxNLocator(integer=True))
    losses.set(title="Training: Scan (wide), Newton (dashed)", xlabel="optimization step", ylabel="loss", yscale="log")
    differences.set(title="Training: difference", xlabel="optimization step", ylabel="|difference| / loss")
    differences.set_yscale("log")
    for axis in axes:
        axis.grid(alpha=0.3)
    for axis in (errors, differences):
        axis.legend(frameon=False)
    return plotting.png(figure)
