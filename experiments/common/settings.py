"""How an experiment is run, whatever is run: flags of every experiment that trains, none of which changes a result."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import jax

from experiments.common.command_line import UserError, check_positive, setting
from rnn_jax import distributed, mesh

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnn_jax"
WORTH_KEEPING = 0.3  # seconds of compilation


@dataclasses.dataclass(frozen=True)
class Settings:
    """How it is run; every field is a flag, those of `surroundings` on a command line alone."""

    resume: bool = setting(True, "Go on with what --workdir holds of this config; --noresume: begin anew.")
    checkpoint_seconds: float = setting(30.0, "Between two checkpoints of a training.")
    keep: int = setting(3, "Checkpoints of a training that stay: so many of the last, and the best.")
    tensorboard: bool = setting(False, "Event files beside metrics.jsonl; needs the extra `tensorboard`.")
    profile: float | None = setting(
        None, "Seconds to be profiled, from the first log point on, into --workdir/profile: for Perfetto or XProf."
    )
    mesh: str | None = setting(
        None, "Devices by axis, as data:4,seeds:2: of data, of seeds, and of wide hidden layers (model)."
    )
    coordinator: str | None = setting(None, "host:port of process 0, where a run has several processes.")
    processes: int | None = setting(None, "How many processes a run has.")
    process: int | None = setting(None, "Which of them this one is, from 0.")
    compilation_cache: str = setting(
        str(CACHE), "Folder of compiled programs, for this run and those after it; empty: none is kept."
    )

    def checked(self) -> "Settings":
        """Itself.

        Raises:
          UserError: where a flag's value cannot be run.
        """
        check_positive(self, "checkpoint_seconds", "keep", "profile")
        if self.tensorboard:
            try:
                import tensorboardX  # noqa: F401
            except ImportError as error:
                raise UserError('--tensorboard needs tensorboardX: pip install "rnn-jax-bench[tensorboard]"') from error
        return self

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """Sets for the whole process what is set so, while a command line runs.

        Raises:
          UserError: where a flag's value cannot be run.
        """
        if self.compilation_cache:
            jax.config.update("jax_compilation_cache_dir", self.compilation_cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING)
        try:
            shape = None if self.mesh is None else mesh.MeshShape.parse(self.mesh)
            several = (self.coordinator, self.processes, self.process) != (None, None, None)
            # A plain run on a cluster must not wait for others.
            if shape is not None or several or "JAX_COORDINATOR_ADDRESS" in os.environ:
                distributed.initialize(self.coordinator, self.processes, self.process)
            built = None if shape is None else shape.build()
        except ValueError as error:
            raise UserError(f"--{error}") from error
        if built is None and jax.distributed.is_initialized():
            raise UserError("several processes need --mesh, which says what each of them has a part of")
        with distributed.together(), contextlib.nullcontext() if built is None else jax.set_mesh(built):
            yield
