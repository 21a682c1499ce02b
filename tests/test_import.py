"""What `import rnn_jax` loads: nothing large besides JAX, flax and optax."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Each is imported where it is used: they take tenths of seconds to seconds.
LARGE = ("jax.experimental.pallas", "matplotlib", "orbax", "rich", "safetensors", "scipy.stats", "sklearn", "torch")


def test_importing_the_library_loads_no_large_one() -> None:
    code = "import sys, jax, flax, optax; before = set(sys.modules); import rnn_jax; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "rnn_jax.engines.fused" in loaded.split()
    assert [name for name in loaded.split() if name in LARGE] == []
