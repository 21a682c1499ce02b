"""Compiles programs for accelerators that this machine does not have, and reads their cost off the compiled text.

    compiled = targets.compile_for(jax.grad(loss), params, xs, target="v5e")
    targets.loops(compiled)         # what one time step launches, and its estimated cycles
    targets.memory(compiled)        # bytes

Nothing is run: the results show that a program compiles, what it launches and what it allocates, not its time. The
compilers are large, so each is an extra: `pip install ".[compile-tpu]"`, `pip install ".[compile-cuda]"`.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

MIB, GIB = 2**20, 2**30


@dataclasses.dataclass(frozen=True)
class Target:
    """A device to compile for.

    Args:
      title: name of one device, as its vendor writes it.
      platform: "tpu" or "cuda".
      memory_bytes: memory of one device.
      on_chip_bytes: memory on the chip that the compiler gives to arrays, without counting it.
      cycle_ns: time of one clock cycle.
      extra: what to install, of this project's extras.
      module: module that is there once it is installed.
      topology: arguments of `jax.experimental.topologies.get_topology_desc`.
    """

    title: str
    platform: str
    memory_bytes: int
    on_chip_bytes: int
    cycle_ns: float
    extra: str
    module: str
    topology: Mapping[str, Any] = dataclasses.field(hash=False)


# The description that XLA needs of a GPU that it cannot ask.
_H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 4800000000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 151397597184 shared_memory_per_block_optin: 232448 cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
device_description_str: "NVIDIA H200 141GB HBM3e"
"""


def _tpu(title: str, memory_bytes: int, gigahertz: float, **topology: Any) -> Target:
    return Target(title, "tpu", memory_bytes, 128 * MIB, 1 / gigahertz, "compile-tpu", "libtpu", topology)


_ONE_CHIP = {"chips_per_host_bounds": (1, 1, 1), "num_slices": 1}
# Clocks of TPUs follow from the published peak: 197, 918, 275 bfloat16 TFLOP/s of 4, 4, 8 units of 128, 256, 128 rows.
TARGETS = {
    "v5e": _tpu("TPU v5e", 16 * GIB, 1.5, topology_name="v5e:1x1", **_ONE_CHIP),
    "v6e": _tpu("TPU v6e", 32 * GIB, 1.75, topology_name="v6e:1x1", **_ONE_CHIP),
    "v4": _tpu("TPU v4", 32 * GIB, 1.05, topology_name="v4:2x2x1"),
    "h200": Target(
        "NVIDIA H200",
        "cuda",
        151_397_597_184,
        0,
        1 / 1.98,
        "compile-cuda",
        "jax_plugins.xla_cuda12",
        {"topology_name": "", "target_config": _H200, "topology": "1x1x1"},
    ),
}

# Read when the compilers start. Without a TPU, its library needs no host and no lock for one process.
_ENVIRONMENT = {
    "tpu": {
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": "v5litepod-1",
        "TPU_WORKER_HOSTNAMES": "localhost",
    },
    "cuda": {"JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1"},
}


def find(name: str) -> Target:
    """Returns a target whose compiler is installed.

    Raises:
      ValueError: if there is no target of this name.
      ImportError: if its compiler is not installed; the message says how to install it.
    """
    if name not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, got {name!r}")
    target = TARGETS[name]
    try:
        installed = importlib.util.find_spec(target.module)
    except ModuleNotFoundError:  # not even the package that it is in
        installed = None
    if installed is None:
        raise ImportError(f'compiling for {name} needs {target.module}: pip install ".[{target.extra}]"')
    return target


def _device(name: str) -> jax.Device:
    from jax.experimental import topologies

    target = find(name)
    # JAX sets TPU_SKIP_MDS_QUERY if it finds no TPU.
    if target.platform == "cuda" or "TPU_SKIP_MDS_QUERY" in os.environ:
        for variable, value in _ENVIRONMENT[target.platform].items():
            os.environ.setdefault(variable, value)
    topology = functools.partial(topologies.get_topology_desc, platform=target.platform, **target.topology)
    with _no_flags():
        try:
            return topology().devices[0]
        except NotImplementedError:  # JAX has started, and rejected a plugin whose device it did not find
            importlib.import_module(target.module).initialize()
            return topology().devices[0]


@contextlib.contextmanager
def _no_flags() -> Iterator[None]:
    """Hides XLA_FLAGS, which are for the compiler of this machine: another ends the process if it does not know one."""
    flags = os.environ.pop("XLA_FLAGS", None)
    try:
        yield
    finally:
        if flags is not None:
            os.environ["XLA_FLAGS"] = flags


def compile_for(function: Callable[..., Any], *args: Any, target: str = "v5e") -> jax.stages.Compiled:
    """Compiles a function for one device of a kind that need not be there.

    Args:
      function: function to compile; it may be jitted already.
      args: pytrees of arrays or `jax.ShapeDtypeStruct`; only shapes and dtypes are read.
      target: one of `TARGETS`.

    Raises:
      ValueError: if there is no such target.
      ImportError: if its compiler is not installed.
      jax.errors.JaxRuntimeError: if the compiler rejects the program, such as one that does not fit in memory.
    """
    sharding = jax.sharding.SingleDeviceSharding(_device(target))
    shapes = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), jax.eval_shape(lambda *given: given, *args)
    )
    lowered = jax.jit(function, out_shardings=sharding).lower(*shapes)
    with _no_flags(), warnings.catch_warnings():
        # A compilation cache cannot read programs back for a device that is not there (jax 0.10.2).
        warnings.filterwarnings("ignore", message="Error reading persistent compilation cache entry")
        return lowered.compile()


class Memory(NamedTuple):
    """Memory of a compiled program in bytes. On a TPU, arrays that stay on the chip (VMEM) are not counted."""

    arguments: int
    outputs: int
    temporary: int


def memory(compiled: jax.stages.Compiled) -> Memory:
    """Returns the memory that a program needs on its device."""
    sizes: Any = compiled.memory_analysis()
    return Memory(sizes.argument_size_in_bytes, sizes.output_size_in_bytes, sizes.temp_size_in_bytes)


class Cost(NamedTuple):
    """Cost of some instructions.

    Attributes:
      ops: number of launched operations, or kernels; scalar bookkeeping such as the loop counter is not counted.
      cycles: the compiler's estimate; None if it gives none, as for a GPU.
      kernels: number of those ops that are custom kernels (Pallas), of which `cycles` contains nothing.
    """

    ops: int
    cycles: int | None
    kernels: int


def _sum(costs: Iterable[tuple[Cost, int]]) -> Cost:
    """Returns the sum of costs, each as often as it occurs."""
    result = Cost(0, None, 0)
    for (ops, cycles, kernels), count in costs:
        known = result.cycles if cycles is None else (result.cycles or 0) + cycles * count
        result = Cost(result.ops + ops * count, known, result.kernels + kernels * count)
    return result


class Loop(NamedTuple):
    """A loop of a compiled program; ops and cycles are those of one iteration, without loops inside it.

    Attributes:
      name: name of its body in the compiled text.
      ops: see `Cost`.
      cycles: see `Cost`.
      kernels: see `Cost`.
      iterations: number of iterations in the whole program; NaN if it depends on the data.
      is_backward: whether JAX made it as the transpose of another.
    """

    name: str
    ops: int
    cycles: int | None
    kernels: int
    iterations: float
    is_backward: bool


def loops(compiled: jax.stages.Compiled | str) -> list[Loop]:
    """Returns the loops of a compiled program, or of its text, outer ones before those inside them."""
    return list(_Program(compiled).loops())


def total(compiled: jax.stages.Compiled | str, iterations: Sequence[int] | None = None) -> Cost | None:
    """Returns the cost of a whole program, with every iteration of its loops; None if it depends on the data.

    Args:
      compiled: program, or its text.
      iterations: number of iterations of each of `loops`, for loops whose number depends on the data.
    """
    program = _Program(compiled)
    found = list(program.loops())
    counts = [loop.iterations for loop in found] if iterations is None else iterations
    if any(map(math.isnan, counts)):
        return None
    costs = [(Cost(loop.ops, loop.cycles, loop.kernels), int(n)) for loop, n in zip(found, counts, strict=True)]
    return _sum([(program.cost(program.entry), 1), *costs])


# Instructions that launch nothing: names of values, ends of copies, and calls, which count as their computations.
_FREE = re.compile(
    "parameter|constant|get-tuple-element|tuple|bitcast|after-all|add-dependency|opt-barrier|partition-id|replica-id|"
    "while|call|conditional|.*-done"
)
_FREE_CALLS = ("AllocateBuffer", "ConcatBitcast")
_KERNELS = ("tpu_custom_call", "mosaic_gpu", "__gpu$xla.gpu.triton")


class _Instruction(NamedTuple):
    shape: str
    opcode: str
    line: str

    def called(self, attribute: str) -> list[str]:
        """Returns the computations that an attribute names."""
        match = re.search(rf"\b{attribute}=(\{{[^}}]*\}}|%?[\w.\-]+)", self.line)
        return re.findall(r"[\w.\-]+", match[1]) if match else []

    def callees(self) -> list[str]:
        """Returns the computations that run once where this instruction stands: one of them, for a condition."""
        attributes = {
            "call": ("to_apply",),
            "conditional": ("branch_computations", "true_computation", "false_computation"),
        }
        return [name for attribute in attributes.get(self.opcode, ()) for name in self.called(attribute)]

    def cost(self) -> Cost:
        cycles = re.search(r'"estimated_cycles":"(\d+)"', self.line)
        target = re.search(r'custom_call_target="([^"]*)"', self.line)
        is_free = (
            bool(_FREE.fullmatch(self.opcode))
            or bool(re.match(r"(pred|[su]\d+)\[\]", self.shape))
            or (target is not None and target[1] in _FREE_CALLS)
        )
        is_kernel = target is not None and target[1] in _KERNELS
        return Cost(int(not is_free), int(cycles[1]) if cycles else None, int(is_kernel))


class _Program:
    """The computations of a compiled text, by name."""

    def __init__(self, compiled: jax.stages.Compiled | str) -> None:
        text = compiled if isinstance(compiled, str) else compiled.as_text() or ""
        self.entry, name = "", ""
        self.computations: dict[str, dict[str, _Instruction]] = {}
        for line in text.splitlines():
            if header := re.match(r"(ENTRY )?%?([\w.\-]+) .*\{$", line):
                name = header[2]
                self.computations[name] = {}
                self.entry = name if header[1] else self.entry
            elif line.startswith("}"):
                name = ""
            elif name and (each := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\(", line)):
                self.computations[name][each[1]] = _Instruction(each[2], each[3], line)

    def cost(self, name: str) -> Cost:
        """Returns the cost of a computation without its loops; of the branches of a condition, that of the dearest."""
        costs = []
        for each in self.computations[name].values():
            called = [self.cost(callee) for callee in each.callees()]
            if each.opcode == "conditional":
                called = [max(called, key=lambda branch: (branch.cycles or 0, branch.ops))]
            costs += [each.cost(), *called]
        return _sum((cost, 1) for cost in costs)

    def loops(self, name: str = "", times: float = 1) -> Iterator[Loop]:
        """Yields the loops of a computation that runs `times` times: of the whole program, without a name."""
        for each in self.computations[name or self.entry].values():
            if each.opcode == "while":
                (body,), (condition,) = each.called("body"), each.called("condition")
                iterations = times * self._iterations(each, condition)
                yield Loop(body, *self.cost(body), iterations, "transpose(jvp" in each.line)
                yield from self.loops(body, iterations)
            for callee in each.callees():
                yield from self.loops(callee, times)

    def _iterations(self, loop: _Instruction, condition: str) -> float:
        """Returns how often a loop runs: as the compiler notes, or up to the constant that its condition compares."""
        if known := re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.line):
            return int(known[1])
        for each in self.computations[condition].values():
            if each.opcode == "compare" and "direction=LT" in each.line:
                operand = re.search(r"compare\([^,]*, (?:[^%(]* )?%?([\w.\-]+)\)", each.line)
                bound = self.computations[condition].get(operand[1]) if operand else None
                if bound and (value := re.search(r"constant\((\d+)\)", bound.line)):
                    return int(value[1])
        return math.nan
