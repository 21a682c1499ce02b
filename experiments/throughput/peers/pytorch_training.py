"""A training loop as one writes it in PyTorch: one cell, a readout of what the loss reads, clipping, Adam."""

from collections.abc import Callable

import torch

from experiments.throughput.peers.pytorch_tasks import WRITTEN
from experiments.throughput.timing import Call
from rnn_jax import Cell, ReadoutModel, cells, tasks, training

CORES: dict[type[Cell], Callable[..., torch.nn.RNNBase]] = {
    cells.VanillaRNN: torch.nn.RNN,
    cells.LSTM: torch.nn.LSTM,
    cells.GRU: torch.nn.GRU,
}


def network(model: ReadoutModel, device: str) -> tuple[torch.nn.RNNBase, torch.nn.Linear]:
    """The cell and the readout, with weights as PyTorch draws them."""
    cell = model.cell
    core = CORES[type(cell)](cell.input_size, cell.hidden_size, device=device)
    return core, torch.nn.Linear(cell.hidden_size, model.output_size, device=device)


def loop(device: str, seed: int, task: tasks.Task, trainer: training.Trainer, steps: int) -> Call:
    """A call that makes `steps` more optimization steps of one seed and returns the last loss, read from the device.

    The same as `training.run(trainer, task, ...)`, but that the weights begin as PyTorch draws them, and the readout
    runs only at the steps that the loss reads.
    """
    clip, optimizer = trainer.clip, trainer.optimizer
    # What is written out below, and nothing else.
    assert isinstance(clip, training.ClipByNorm)
    assert isinstance(optimizer, training.Adam)
    torch.manual_seed(seed)  # of the weights
    core, readout = network(trainer.model, device)
    parameters = [*core.parameters(), *readout.parameters()]
    adam = torch.optim.Adam(parameters, lr=optimizer.learning_rate)
    written = WRITTEN[type(task)]
    draw = written.drawing(task, trainer.batch_size, torch.Generator(device).manual_seed(seed))

    def run() -> float:
        for _ in range(steps):
            batch = draw()
            adam.zero_grad()
            outputs = readout(batch.read(core(batch.inputs)[0]))
            loss = written.loss(outputs, batch.targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip.limit)
            adam.step()
        return loss.item()

    return run
