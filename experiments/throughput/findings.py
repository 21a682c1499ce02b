"""The findings in words, won and lost."""

from collections.abc import Sequence

from experiments.throughput import quantities
from experiments.throughput.job import Record
from experiments.throughput.peers import ours
from experiments.throughput.quantities import Place, number
from experiments.throughput.tables import MODES

GROWTH = 16  # T so many times longer, of which the memory is told


def sentences(records: Sequence[Record], missing: dict[str, str]) -> list[str]:
    """What was found, a paragraph each; all of it computed from the records."""
    found = [f"{name} did not take part: {why}." for name, why in missing.items()]
    for mode, title in MODES.items():
        found += _against(title, records, mode)
    for of_part in (_training, _recipes, _memory, _compilation, _seeds, _loop, _floor):
        found += of_part(records)
    return found


def _against(title: str, records: Sequence[Record], mode: str) -> list[str]:
    times = quantities.times(records, part="layers", mode=mode)
    if not times:
        return []
    unit = quantities.reference(quantities.select(records, part="layers"))
    told = [_won_and_lost(f"{title}, {ours.DEFAULT} against {unit}", quantities.ratios(times, ours.DEFAULT, unit))]
    best = quantities.ratios_to_best_jax_library(times)
    if best:
        told.append(_won_and_lost(f"{title}, {ours.DEFAULT} against the fastest of the other JAX libraries", best))
    return told


def _won_and_lost(title: str, ratios: dict[Place, float]) -> str:
    def name(place: Place) -> str:
        return f"{' '.join(place)} ({number(ratios[place])})"

    won = sorted((place for place in ratios if ratios[place] < 1), key=ratios.__getitem__)
    lost = sorted((place for place in ratios if ratios[place] >= 1), key=ratios.__getitem__, reverse=True)
    mean = number(quantities.geometric_mean(ratios.values()))
    text = f"{title}: {mean} times its time (geometric mean of {len(ratios)})"
    text += f"; won {len(won)}" + (f", by most {name(won[0])}" if won else "")
    return text + f"; lost {len(lost)}" + (f", worst first: {', '.join(map(name, lost))}" if lost else "") + "."


def _training(records: Sequence[Record]) -> list[str]:
    of_part = quantities.select(records, part="training")
    told = []
    for record in quantities.select(of_part, contestant=ours.DEFAULT):
        for other in quantities.select(of_part, seeds=record["seeds"]):
            if other is not record:
                ratio = record["median_ms_a_seed"] / other["median_ms_a_seed"]
                verdict = "won" if ratio < 1 else "lost"
                seeds = "one seed" if record["seeds"] == 1 else f"{record['seeds']} seeds"
                told.append(f"{seeds} {number(ratio)} ({verdict})")
    return [f"An optimization step, {ours.DEFAULT} against torch, time a seed: {', '.join(told)}."] if told else []


def _recipes(records: Sequence[Record]) -> list[str]:
    ratios = quantities.recipe_ratios(records)
    if not ratios:
        return []
    told = [f"{task} {number(ratio)} ({'won' if ratio < 1 else 'lost'})" for task, ratio in ratios.items()]
    mean = number(quantities.geometric_mean(ratios.values()))
    return [
        f"Trainings of the long-dependency benchmark, {ours.DEFAULT} against torch: {', '.join(told)} times its time; "
        f"{mean} in the geometric mean."
    ]


def _memory(records: Sequence[Record]) -> list[str]:
    of_part = quantities.select(records, part="memory")
    told = []
    for way in quantities.values(of_part, "way"):
        bytes_at = {r["steps"]: r["temporary_bytes"] for r in quantities.select(of_part, way=way)}
        long = max(bytes_at)
        if long // GROWTH in bytes_at:
            told.append(f"{way} {number(bytes_at[long] / bytes_at[long // GROWTH])}")
    if not told:
        return []
    lengths = f"T = {long // GROWTH} to {long}"
    return [f"Temporary memory with T {GROWTH} times longer ({lengths}) becomes, times what it was: {', '.join(told)}."]


def _compilation(records: Sequence[Record]) -> list[str]:
    told = []
    for over in ("steps", "layers"):
        total: dict[int, float] = {}
        for record in quantities.select(records, part="compilation", over=over):
            total[record[over]] = total.get(record[over], 0) + record["median_ms"]
        if len(total) > 1:
            told.append(f"{number(total[max(total)] / total[min(total)])} from {min(total)} to {max(total)} {over}")
    return [f"Time to compile, all stages, becomes times what it was: {', '.join(told)}."] if told else []


def _seeds(records: Sequence[Record]) -> list[str]:
    told = []
    for way in quantities.values(quantities.select(records, part="seeds"), "way"):
        of_way = quantities.select(records, part="seeds", way=way)
        alone, most = of_way[0]["median_ms_a_seed"], of_way[-1]
        least = min(of_way, key=lambda record: record["median_ms_a_seed"])
        ratios = {r["seeds"]: f"{number(r['median_ms_a_seed'] / alone)} with {r['seeds']}" for r in (least, most)}
        told.append(f"{way} {', '.join(ratios.values())}")
    return (
        [f"Time a seed in one program, times one's alone, the least and the last: {'; '.join(told)}."] if told else []
    )


def _loop(records: Sequence[Record]) -> list[str]:
    found = quantities.select(records, part="loop")
    if not found:
        return []
    return [
        f"The loop of a whole training, with a checkpoint every 30 s, takes {found[0]['overhead']:.1%} more time than "
        f"its compiled steps alone; a checkpoint takes {number(found[0]['ms_a_checkpoint'])} ms."
    ]


def _floor(records: Sequence[Record]) -> list[str]:
    shares = quantities.floor_shares(records)
    if not shares:
        return []
    ordered = sorted(shares, key=shares.__getitem__)
    ends = " to ".join(f"{shares[place]:.0%} ({' '.join(place)})" for place in (ordered[0], ordered[-1]))
    return [f"The matrix products alone are {ends} of {ours.DEFAULT}'s time, forward and backward."]
