"""What `import rnn_jax` loads besides JAX, flax and optax, and an experiment before its `--help`: nothing large."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each is imported where it is used: they take tenths of seconds to seconds.
LARGE = ("jax.experimental.pallas", "matplotlib", "orbax", "rich", "safetensors", "scipy.stats", "sklearn", "torch")


EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/__main__.py"))


def _loaded(names: list[str]) -> set[str]:
    """Returns the modules that imports add to those of JAX, flax and optax in a new process."""
    imports = "import jax, flax, optax; before = set(sys.modules); import " + ", ".join(names)
    code = f"import sys; {imports}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_the_library_loads_no_large_one() -> None:
    loaded = _loaded(["rnn_jax"])
    assert "rnn_jax.engines.fused" in loaded
    assert loaded.intersection(LARGE) == set()


@pytest.mark.extended
def test_importing_the_experiments_loads_no_large_library() -> None:
    loaded = _loaded([f"experiments.{name}" for name in EXPERIMENTS])
    assert "experiments.sentiment.config" in loaded
    assert loaded.intersection(LARGE) <= {"rich"}  # --help waits for them
