"""Settings of every test process."""

import os
import tempfile

import jax
import pytest
import threadpoolctl

# Several test processes share a GPU, where there is one: none may take most of its memory at the start, as JAX does.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

# XLA's newer way to compile fused loops takes half of the time of the tests, which do little but compile. With it:
# `XLA_FLAGS= python -m pytest`. Later versions may not know the flag (openxla/xla#48001), and end a process for that.
if jax.__version_info__ < (0, 11):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

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


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """Drops compiled programs after each module: some thousands take all memory maps of a process, and it dies."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def unoptimized():
    """For modules that compile much and run it for microseconds: LLVM's optimizations take half of their time.

    Not for those that train, measure, or compare bit for bit.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def one_thread():
    """OpenBLAS's threads spin while they wait: on cores shared with other tests they take a hundred times as long."""
    with threadpoolctl.threadpool_limits(1):
        yield
