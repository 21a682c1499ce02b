"""What a compiled program communicates, and the table of a training step's costs by devices.

python -m tests.many_devices.costs
"""

import dataclasses
import functools
import math
import os
import re
from collections import Counter

import jax
import jax.numpy as jnp

import rnn_jax
from rnn_jax import initializers, mesh, training
from rnn_jax.seeds import place
from rnn_jax.training import task_source

BATCH, HIDDEN, LENGTH, STEPS = 16, 64, 20, 2
TASK = rnn_jax.Adding(LENGTH)
CELL = rnn_jax.LSTM(TASK.input_size, HIDDEN, recurrent_init=initializers.Uniform())  # compiles fast
MODEL = rnn_jax.ReadoutModel(CELL, TASK.output_size)
TRAINER = training.Trainer(MODEL, BATCH, training.SGD(0.1), training.ClipByNorm(1.0))

COLLECTIVE = re.compile(
    r"= (\(.*?\)|\S+) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)
ITEM_BYTES = {"f32": 4, "f64": 8, "s32": 4, "u32": 4, "pred": 1, "c64": 8}


def collectives(program: str) -> Counter:
    """Counts the executions of each collective, by its kind and the bytes of its result on one device.

    Args:
      program: an optimized HLO module as text; its loops have known trip counts.
    """
    calls, results, computation, entry = {}, {}, "", ""
    for line in program.splitlines():
        if opened := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            computation = opened[2]
            entry = computation if opened[1] else entry
            calls[computation], results[computation] = [], []
        if loop_ := re.search(r" while\(.*body=%?([\w.\-]+)", line):
            times = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', line)
            assert times, f"a loop of unknown length: {line}"
            calls[computation].append((loop_[1], int(times[1])))
        elif called := re.search(r"(?:to_apply|calls)=%?([\w.\-]+)", line):
            calls[computation].append((called[1], 1))
        for branches in re.findall(r"branch_computations=\{(.*?)\}", line):
            calls[computation] += [(name.strip(" %"), 1) for name in branches.split(",")]
        if exchanged := COLLECTIVE.search(line):
            arrays = re.findall(r"(\w+)\[([\d,]*)\]", exchanged[1])
            size = sum(ITEM_BYTES[kind] * math.prod(map(int, filter(None, shape.split(",")))) for kind, shape in arrays)
            results[computation].append((exchanged[2], size))

    total = Counter()

    def walk(computation: str, times: int) -> None:
        for each in results[computation]:
            total[each] += times
        for name, repeats in calls[computation]:
            walk(name, times * repeats)

    walk(entry, 1)
    return total


@dataclasses.dataclass(frozen=True)
class Costs:
    """Costs of `STEPS` optimization steps on one device."""

    collectives: Counter
    flops: float
    arguments: int  # bytes
    temporary: int  # bytes


@functools.cache
def fresh(seeds: int = 1) -> training.TrainState:
    """Returns fresh states; SGD has no optimizer state, whose structure would depend on the mesh."""
    return training.init(TRAINER, jax.random.split(jax.random.key(0), seeds))


def compiled(shape: str, seeds: int = 1, trainer: training.Trainer = TRAINER) -> tuple:
    """Returns the program that trains on a mesh, and its initial state."""
    state = jax.tree.map(jnp.copy, fresh(seeds))  # training donates it
    with jax.set_mesh(mesh.MeshShape.parse(shape).build()):
        state = place(state)
        return task_source._run.lower(trainer, TASK, state, STEPS).compile(), state


def costs(program: jax.stages.Compiled) -> Costs:
    memory = program.memory_analysis()
    return Costs(
        collectives(program.as_text()),
        program.cost_analysis()["flops"],
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
    )


def main() -> None:
    print("| mesh | collectives per step | bytes | of one kind | flops | state, bytes | temporary, bytes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for axis in ("data", "model", "seeds"):
        for devices in (1, 2, 4, 8):
            measured = costs(compiled(f"{axis}:{devices}", seeds=devices if axis == "seeds" else 1)[0])
            count = sum(measured.collectives.values()) // STEPS
            size = sum(times * bytes_ for (_, bytes_), times in measured.collectives.items()) // STEPS
            kinds = ", ".join(
                f"{times // STEPS} {kind} {bytes_:,}" for (kind, bytes_), times in sorted(measured.collectives.items())
            )
            print(
                f"| {axis}:{devices} | {count} | {size:,} | {kinds or 'none'} | {measured.flops:,.0f} | "
                f"{measured.arguments:,} | {measured.temporary:,} |"
            )


if __name__ == "__main__":
    os.environ["NPROC"] = "9"
    jax.config.update("jax_num_cpu_devices", 8)
    main()
