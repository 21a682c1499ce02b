"""How an experiment is run: flags of every experiment that trains, none of which changes a result."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax

from experiments.common import compilation, flags, precision, user_code
from experiments.common.flags import UserError, setting
from rnn_jax import distributed, machine, mesh, seeds

# A step of char_lm with its batch of 32 on two CPU devices takes 0.68 of one device's time with 64 and 128 units, 0.78
# with 256, 0.93 with 384, and 1.08 with 512, whose products fill two cores by themselves; with 64 units and 8 sequences
# on each, 0.81 (jaxlib 0.10.2).
WIDE = 512  # units
LEAST_PART = 8  # sequences on a device
RESUME = flags.Need(lambda settings: settings.resume, "with --noresume")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a run; every field is a flag. Those that `environment` sets hold for a command line only."""

    resume: bool = setting(True, "Resume what --workdir holds of this config; --noresume starts from scratch.")
    stale: str = setting(
        "refuse",
        "Policy if the code of a user-defined cell or task has changed since its training: refuse to resume, rerun "
        "the training, or keep its results and continue them with the new code.",
        choices=user_code.STALE,
        needs=RESUME,
    )
    checkpoint_seconds: float = setting(30.0, "Seconds between two checkpoints of a training.")
    keep: int = setting(3, "Number of most recent checkpoints to keep for each training, in addition to the best one.")
    tensorboard: bool = setting(
        False, "Write TensorBoard event files beside metrics.jsonl; needs the extra `tensorboard`."
    )
    profile: float | None = setting(
        None, "Seconds to profile from the first log point on, into --workdir/profile, for Perfetto or XProf."
    )
    mesh: str | None = setting(
        None,
        "Devices for each axis, as data:4,seeds:2: split batches (data), seeds, or wide hidden layers (model). By "
        "default one device, or all cores of a CPU for networks that are too few and too small to keep them busy.",
    )
    coordinator: str | None = setting(None, "host:port of process 0, for a run with several processes.")
    processes: int | None = setting(None, "Number of processes of the run.", checked=False)
    process: int | None = setting(None, "Index of this process, from 0.", checked=False)
    compilation_cache: str = setting(
        compilation.FOLDER, "Folder of compiled programs for this run and later ones; empty turns the cache off."
    )

    def checked(self) -> "Settings":
        """Returns itself.

        Raises:
          UserError: if a flag's value cannot be used.
        """
        flags.check(self)
        if self.tensorboard:
            try:
                import tensorboardX  # noqa: F401
            except ImportError as error:
                raise UserError('--tensorboard needs tensorboardX: pip install "rnn-jax-bench[tensorboard]"') from error
        return self

    @contextlib.contextmanager
    def environment(self, config: Any = None) -> Iterator[None]:
        """Sets up processes and mesh for the whole process while a command line runs.

        Args:
          config: config of the experiment, from which the default of `mesh` follows.

        Raises:
          UserError: if a flag's value cannot be used.
        """
        implementation = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]  # as JAX documents
        if implementation != seeds.IMPLEMENTATION:
            raise UserError(
                f"JAX_DEFAULT_PRNG_IMPL must be {seeds.IMPLEMENTATION}, by which a seed's numbers are the same on any "
                f"number of devices, got {implementation}"
            )
        try:
            shape = None if self.mesh is None else mesh.MeshShape.parse(self.mesh)
            given = {self.coordinator, self.processes, self.process} != {None}
            several = given or "JAX_COORDINATOR_ADDRESS" in os.environ
            # Without these flags a run on a cluster must not wait for other processes.
            if shape is not None or several:
                distributed.initialize(self.coordinator, self.processes, self.process)
            elif (cores := over_cores(config)) is not None:
                mesh.make_cpu_devices(cores.devices)
                shape = cores if jax.default_backend() == "cpu" else None
            built = None if shape is None else shape.build()
        except ValueError as error:
            raise UserError(f"--{error}") from error
        if built is None and jax.distributed.is_initialized():
            raise UserError("several processes need --mesh, which assigns each of them its part")
        with distributed.exit_on_error(), contextlib.nullcontext() if built is None else jax.set_mesh(built):
            yield


@dataclasses.dataclass(frozen=True)
class ModelSettings(Settings):
    """Settings of an experiment whose trained networks are of use afterwards (`rnn_jax.applications`)."""

    save_model: bool = setting(
        False,
        "Write each network, with the parameters of its best seed, config and vocabulary, into --workdir/models/NAME.",
    )
    load: str | None = setting(
        None,
        "Folder of such a model, applied to --predict or --predict_text; nothing is trained.",
        replaces=("save_model", *(f.name for f in dataclasses.fields(Settings) if f.name != "compilation_cache")),
    )
    predict: str | None = setting(None, "File that the model of --load reads; its answers are printed.")
    predict_text: str | None = setting(None, "Text in place of a file, for models that read texts.")

    def checked(self) -> "ModelSettings":
        """Returns itself; raises a UserError if a flag's value cannot be used, or flags do not fit each other."""
        super().checked()
        given = (self.predict is not None) + (self.predict_text is not None)
        if given != (self.load is not None):
            raise UserError(
                "--load=FOLDER needs --predict=FILE or --predict_text=TEXT, one of them, and each of them --load"
            )
        return self

    @contextlib.contextmanager
    def environment(self, config: Any = None) -> Iterator[None]:
        with contextlib.nullcontext() if self.load is not None else super().environment(config):
            yield


def over_cores(config: Any) -> mesh.MeshShape | None:
    """Returns the mesh that splits batches over the cores of a CPU, if a run's networks do not keep these busy."""
    cores, networks, seeds = machine.cores(), getattr(config, "networks", None), getattr(config, "seeds", 1)
    if networks is None or not 0 < networks * seeds < cores or config.hidden_size >= WIDE:
        return None
    parts = min(cores // seeds, config.batch_size // LEAST_PART)
    return mesh.MeshShape(data=parts, seeds=seeds) if parts > 1 else None


def with_precision(run: Callable[..., None]) -> Callable[..., None]:
    """Decorates an experiment's `run(config, ...)`: it computes in the config's `matmul_precision`, in every thread.

    Raises:
      UserError: if a flag's value is not allowed.
    """

    @functools.wraps(run)
    def running(config: flags.ComputeConfig, *arguments: Any, **options: Any) -> None:
        flags.check(config)
        with precision.products(config.matmul_precision):
            run(config, *arguments, **options)

    return running
