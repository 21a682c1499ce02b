"""The tables: for each part its columns, its rows under their titles, and what is to be known to read them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.throughput import floor, quantities
from experiments.throughput.job import Record
from experiments.throughput.peers import ours
from experiments.throughput.quantities import number
from rnn_jax.report import Column

MODES = {"forward": "forward", "forward_backward": "forward and backward"}


@dataclasses.dataclass(frozen=True)
class TableOf:
    """One part's table."""

    columns: list[Column]
    sections: Mapping[str, Sequence[Any]]
    caption: str


def tables(records: Sequence[Record]) -> dict[str, TableOf]:
    """Those of the parts that have records, in order."""
    makers: dict[str, Callable[[Sequence[Record]], TableOf]] = {
        "layers": _layers,
        "lengths": _lengths,
        "training": _training,
        "recipes": _recipes,
        "memory": _memory,
        "compilation": _compilation,
        "seeds": _seeds,
        "loop": _loop,
        "floor": _floor,
    }
    found = {part: quantities.select(records, part=part) for part in makers}
    return {part: makers[part](of_part) for part, of_part in found.items() if of_part}


def _rounds(records: Sequence[Record]) -> str:
    counts = quantities.values(records, "rounds")
    return f"{min(counts)} to {max(counts)} rounds" if len(counts) > 1 else f"{counts[0]} rounds"


def _ratio_columns(records: Sequence[Record], unit: str) -> list[Column]:
    """The reference in ms, every other contestant as a multiple of it; rows are (records of a row)."""

    def ms(row: Sequence[Record], name: str) -> Record | None:
        return next(iter(quantities.select(row, contestant=name)), None)

    def ratio(name: str) -> Callable[[Any], str]:
        def text(row: Any) -> str:
            record, base = ms(row, name), ms(row, unit)
            if record is None or base is None:
                return "-"
            return number(record["median_ms"] / base["median_ms"]) + "*" * (not record["same_function"])

        return text

    def milliseconds(row: Any) -> str:
        base = ms(row, unit)
        return "-" if base is None else number(base["median_ms"])

    names = quantities.values(records, "contestant")
    short = {"Checkpointed": "Checkp."}
    others = [Column(short.get(name, name), ratio(name)) for name in names if name != unit]
    return [Column(f"{unit} ms", milliseconds), *others]


def _layers(records: Sequence[Record]) -> TableOf:
    unit = quantities.reference(records)
    sections: dict[str, list[Any]] = {}
    for mode, title in MODES.items():
        of_mode = quantities.select(records, mode=mode)
        places = dict.fromkeys((r["cell"], r["shape"]) for r in of_mode)
        rows = [quantities.select(of_mode, cell=cell, shape=shape) for cell, shape in places]
        if rows:
            sections[f"{title}, times {unit}'s time"] = rows
    difference = max(max(r["outputs_difference"], r["input_gradients_difference"]) for r in records)
    return TableOf(
        [
            Column("cell", lambda row: row[0]["cell"], right=False),
            Column("BxTxDxH", lambda row: row[0]["shape"], right=False),
            *_ratio_columns(records, unit),
        ],
        sections,
        f"{ours.DEFAULT}: unroll with its default engine; Scan: the plain one. Medians of {_rounds(records)}; "
        f"{unit}'s in ms, the others as multiples of it, less is faster. Same weights, inputs and loss; outputs and "
        f"gradients by the inputs equal within {difference:.0e} of the largest. * another function (haiku: ReLU for "
        "tanh, the GRU's reset before the product), checked against that function.",
    )


def _lengths(records: Sequence[Record]) -> TableOf:
    unit = quantities.reference(records)
    rows = [quantities.select(records, steps=steps) for steps in quantities.values(records, "steps")]
    first = records[0]
    sizes = f"B = {first['batch']}, D = {first['input_size']}, H = {first['hidden_size']}"
    return TableOf(
        [Column("T", lambda row: str(row[0]["steps"])), *_ratio_columns(records, unit)],
        {f"over T: {first['cell']}, {sizes}, forward and backward, times {unit}'s time": rows},
        f"Medians of {_rounds(records)}.",
    )


def _training(records: Sequence[Record]) -> TableOf:
    first = records[0]
    title = (
        f"an optimization step: LSTM on {first['task']}, T = {first['steps']}, B = {first['batch']}, "
        f"H = {first['hidden_size']}"
    )
    return TableOf(
        [
            Column("program", lambda r: r["contestant"], right=False),
            Column("seeds", lambda r: str(r["seeds"])),
            Column("ms a step", lambda r: number(r["median_ms"])),
            Column("ms a step and seed", lambda r: number(r["median_ms_a_seed"])),
            Column("loss after", lambda r: f"{r['loss_after']:.3f}"),
        ],
        {title: records},
        f"Data drawn, loss, gradient, clipping, Adam. Medians of {_rounds(records)} of {first['steps_a_call']} steps. "
        "torch: a loop that reads the last step only, seeds one after the other.",
    )


def _recipes(records: Sequence[Record]) -> TableOf:
    first = records[0]
    ratios = quantities.recipe_ratios(records)

    def ratio(record: Record) -> str:
        told = record["contestant"] == ours.DEFAULT and record["task"] in ratios
        return number(ratios[record["task"]]) if told else ""

    title = (
        f"trainings of the long-dependency benchmark: {first['cells']}, {first['seeds']} seeds each, "
        f"B = {first['batch']}, H = {first['hidden_size']}"
    )
    return TableOf(
        [
            Column("task", lambda r: r["task"], right=False),
            Column("T", lambda r: str(r["steps"])),
            Column("program", lambda r: r["contestant"], right=False),
            Column("s", lambda r: number(r["median_ms"] / 1e3)),
            Column("sequences/s", lambda r: number(r["sequences_per_second"])),
            Column("ratio", ratio),
            Column("first s", lambda r: number(r["first_call_ms"] / 1e3)),
            Column("loss after", lambda r: f"{r['loss_after'] / r['baseline']:.2f}"),
        ],
        {title: records},
        f"s: {first['steps_a_call']} optimization steps of every cell and seed, data drawn, loss, gradient, clipping, "
        f"Adam; medians of {_rounds(records)}. ratio: of that time to torch's. first s: the first time, initialisation "
        f"and compilation included. loss after: over the baseline's, mean of all. {ours.DEFAULT}: a program a cell, "
        f"{first['programs_at_a_time']} side by side; torch: a loop, one cell and seed after the other.",
    )


def _memory(records: Sequence[Record]) -> TableOf:
    lengths = quantities.values(records, "steps")
    ways = quantities.values(records, "way")
    first = records[0]

    def megabytes(steps: int, field: str) -> Callable[[Any], str]:
        def text(way: Any) -> str:
            found = quantities.select(records, way=way, steps=steps)
            return "-" if not found or found[0][field] is None else number(found[0][field] / 1e6)

        return text

    columns = [Column("", lambda way: way, right=False)]
    columns += [Column(f"T={steps}", megabytes(steps, "temporary_bytes")) for steps in lengths]
    if any(r["allocator_peak_bytes"] is not None for r in records):
        columns += [Column(f"peak T={steps}", megabytes(steps, "allocator_peak_bytes")) for steps in lengths]
    sizes = f"B = {first['batch']}, D = {first['input_size']}, H = {first['hidden_size']}"
    title = f"temporary memory of a gradient, MB: {first['cell']}, {sizes}"
    return TableOf(
        columns,
        {title: ways},
        "Loss on the final state, gradient by the parameters; what the compiled program needs beside its arguments "
        "(the inputs) and results. truncated: one gradient step a segment, the state carried on. peak: what the "
        "device's allocator held at most, less the arguments.",
    )


def _compilation(records: Sequence[Record]) -> TableOf:
    first = records[0]

    def seconds(stage: str) -> Callable[[Any], str]:
        def text(row: Any) -> str:
            of_stage = quantities.select(row, stage=stage)
            return number(of_stage[0]["median_ms"] / 1e3)

        return text

    sections = {}
    for over, title in (("steps", "time to compile over T, one layer"), ("layers", "over layers, T = 100")):
        of_sweep = quantities.select(records, over=over)
        rows = [quantities.select(of_sweep, **{over: value}) for value in quantities.values(of_sweep, over)]
        if rows:
            sections[f"{title}: LSTM, B = {first['batch']}, D = H = {first['size']}, forward and backward"] = rows
    return TableOf(
        [
            Column("T", lambda row: str(row[0]["steps"])),
            Column("layers", lambda row: str(row[0]["layers"])),
            Column("trace, lower s", seconds("lower")),
            Column("compile s", seconds("compile")),
        ],
        sections,
        f"Medians of {_rounds(records)}, caches cleared before each.",
    )


def _seeds(records: Sequence[Record]) -> TableOf:
    rows = [quantities.select(records, seeds=seeds) for seeds in quantities.values(records, "seeds")]

    def a_seed(way: str) -> Callable[[Any], str]:
        return lambda row: number(quantities.select(row, way=way)[0]["median_ms_a_seed"])

    def ratio(way: str) -> Callable[[Any], str]:
        (alone,) = quantities.select(rows[0], way=way)
        return lambda row: number(quantities.select(row, way=way)[0]["median_ms_a_seed"] / alone["median_ms_a_seed"])

    ways = quantities.values(records, "way")
    return TableOf(
        [
            Column("seeds", lambda row: str(row[0]["seeds"])),
            *(Column(f"{way} ms", a_seed(way)) for way in ways),
            *(Column(f"{way} ratio", ratio(way)) for way in ways),
        ],
        {f"seeds in one program: {records[0]['cell']} {records[0]['shape']}, forward and backward": rows},
        "ms: a seed. ratio: to one seed's alone. over_seeds: the trainer's way. "
        f"Devices: {records[0]['devices']}. Medians of {_rounds(records)}.",
    )


def _loop(records: Sequence[Record]) -> TableOf:
    bare, first = quantities.select(records, way="bare")[0], records[0]
    every = first["log_every"]
    return TableOf(
        [
            Column("way", lambda row: row["way"], right=False),
            Column("ms a step", lambda row: number(row["ms_a_step"])),
            Column("added", lambda row: f"{row['median_ms'] / bare['median_ms'] - 1:+.1%}"),
        ],
        {f"the loop: LSTM on {first['task']}, T = {first['steps']}, a log point every {every} steps": records},
        "bare: compiled steps alone. logged: metrics.jsonl and progress bar. saved: a checkpoint at every log point, "
        f"{number(first['ms_a_checkpoint'])} ms each; with one every 30 s the loop adds {first['overhead']:.1%}. "
        f"Medians of {_rounds(records)}.",
    )


def _floor(records: Sequence[Record]) -> TableOf:
    found = quantities.times(records)
    rows = list(found)

    def gigaflops(place: Any) -> str:
        cell, shape = place
        (record,) = quantities.select(records, cell=cell, shape=shape, contestant=floor.FLOOR)
        return number(record["gigaflops_a_second"])

    return TableOf(
        [
            Column("cell", lambda place: place[0], right=False),
            Column("BxTxDxH", lambda place: place[1], right=False),
            Column("products ms", lambda place: number(found[place][floor.FLOOR])),
            Column("GFLOP/s", gigaflops),
            Column(f"{ours.DEFAULT} ms", lambda place: number(found[place][ours.DEFAULT])),
            Column("share", lambda place: f"{found[place][floor.FLOOR] / found[place][ours.DEFAULT]:.0%}"),
        ],
        {"the floor: the matrix products of forward and backward alone": rows},
        f"share: of {ours.DEFAULT}'s time. Medians of {_rounds(records)}.",
    )
