"""How an experiment is run, whatever is run: flags of every experiment that trains, none of which changes a result."""

import dataclasses
import os
from pathlib import Path

import jax

from experiments.command_line import UserError, check_positive, setting

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rnn_jax"
WORTH_KEEPING = 0.3  # seconds of compilation


@dataclasses.dataclass(frozen=True)
class Settings:
    """How it is run; every field is a flag."""

    resume: bool = setting(True, "Go on with what --workdir holds of this config; --noresume: begin anew.")
    checkpoint_seconds: float = setting(30.0, "Between two checkpoints of a training.")
    keep: int = setting(3, "Checkpoints of a training that stay: so many of the last, and the best.")
    tensorboard: bool = setting(False, "Event files beside metrics.jsonl; needs the extra `tensorboard`.")
    profile: float | None = setting(
        None, "Seconds to be profiled, from the first log point on, into --workdir/profile: for Perfetto or XProf."
    )
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

    def begin(self) -> None:
        """Sets for the whole process what is set so; for command lines."""
        if self.compilation_cache:
            jax.config.update("jax_compilation_cache_dir", self.compilation_cache)
            jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING)
