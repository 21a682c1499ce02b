"""The compiled training loop: batches drawn inside, a scan over optimization steps, all seeds in one program."""

import functools

import jax

from rnn_jax import mesh
from rnn_jax.gradients import task_loss
from rnn_jax.models import ReadoutModel
from rnn_jax.seeds import in_groups, over_seeds, place
from rnn_jax.tasks import Task
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend


def run(trainer: Trainer[ReadoutModel], task: Task, state: TrainState, steps: int) -> tuple[TrainState, StepMetrics]:
    """Trains all seeds for `steps` optimization steps, in one program without a transfer to the host.

    On a CPU that program is run for groups of seeds side by side, one a core, where the cores divide the seeds.

    Args:
      trainer: static.
      task: drawn from inside the program.
      state: [seeds, ...]; its buffers are given away.
      steps: static.

    Returns:
      The new state, and the metrics of every step, [seeds, steps].
    """
    return in_groups(lambda of_group: _run(trainer, task, of_group, steps), place(state))


@functools.partial(jax.jit, static_argnames=("trainer", "steps"), donate_argnames="state")
def _run(trainer: Trainer[ReadoutModel], task: Task, state: TrainState, steps: int) -> tuple[TrainState, StepMetrics]:
    model, estimator = trainer.model, trainer.estimator
    mesh.check(trainer)

    def train_step(state: TrainState, task: Task) -> tuple[TrainState, StepMetrics]:
        key, key_batch, key_noise = jax.random.split(state.key, 3)
        batch = mesh.split_batch(task.sample(key_batch, trainer.batch_size))
        carry = estimator.init(model.cell, state.params, batch.inputs, key=key_noise)
        of_batch = task_loss(model, task, batch)
        loss, grads, _ = estimator(model.cell, of_batch, state.params, carry, batch.inputs, batch)
        return mesh.split_state(descend(trainer, state, key, loss, grads))

    def of_seed(state: TrainState, task: Task) -> tuple[TrainState, StepMetrics]:
        return jax.lax.scan(lambda state, _: train_step(state, task), state, length=steps)

    return over_seeds(of_seed, state, task)
