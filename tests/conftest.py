"""Settings of every test process."""

import gc
import os
import tempfile

import jax
import pytest
import threadpoolctl

# Several test processes share a GPU, where there is one: none may take most of its memory at the start, as JAX does.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

gc.disable()  # until all is imported and collected, which stays: looking for garbage in it takes 4 of 11 seconds

# The tests do little but compile. XLA's newer way to compile fused loops takes half of their time, and its division of
# small programs among threads a twentieth. With both: `XLA_FLAGS= python -m pytest`. Later versions may not know the
# flags (openxla/xla#48001), and end a process for that.
if jax.__version_info__ < (0, 11):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

# LLVM's optimizations take another third, in this process and its children. With them:
# `JAX_DISABLE_MOST_OPTIMIZATIONS=0 python -m pytest`; for a module, the fixture `optimized`.
UNOPTIMIZED = os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1"
jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)

# The tests do little but compile, and often the same program: all processes of a run share what is compiled.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    FOLDER = tempfile.TemporaryDirectory(prefix="compiled-", ignore_cleanup_errors=True)  # removed by its process
    os.environ["JAX_COMPILATION_CACHE_DIR"] = FOLDER.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", FOLDER.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

pytest.register_assert_rewrite("tests.drawing")  # a failure there shows the values, as it does in a test

jax.config.update("jax_numpy_rank_promotion", "raise")
MANY_DEVICES = os.environ.get("JAX_NUM_CPU_DEVICES") == "8"
if not MANY_DEVICES:
    jax.config.update("jax_num_cpu_devices", 3)  # an even number of seeds is spread over all but one

# Those tests need 64-bit floats, or eight devices, from the start of a process; tests/test_float64.py and
# tests/test_mesh.py run them in one of their own.
collect_ignore = [
    *([] if jax.config.jax_enable_x64 else ["float64"]),
    *([] if MANY_DEVICES else ["many_devices"]),
]


def pytest_collection_modifyitems(items):
    """Refuses names that hold an address: they differ between the processes that share the tests."""
    if addresses := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"a test's name must be the same in every process, got {addresses[0]}")


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """Drops compiled programs after each module: some thousands take all memory maps of a process, and it dies."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def optimized():
    """For modules that measure time, or compare bit for bit what users' programs compute."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", UNOPTIMIZED)


@pytest.fixture(scope="module")
def one_thread():
    """OpenBLAS's threads spin while they wait: on cores shared with other tests they take a hundred times as long."""
    with threadpoolctl.threadpool_limits(1):
        yield
