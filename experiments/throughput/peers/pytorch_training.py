"""Training as one writes it in PyTorch: batches drawn on the device, a cell, a readout of what the loss reads.

A sampler is called once with a task, the batch size and PyTorch's options `generator` and `device`; it returns a
function that draws a batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from experiments.common.timing import Call
from experiments.throughput.peers.pytorch import MODULES
from rnn_jax import ReadoutModel, tasks, training


class Batch(NamedTuple):
    """Time-major sequences and their N targets; steps after a sequence's end are zeros."""

    inputs: torch.Tensor  # [T, B, input_size]
    targets: torch.Tensor  # floats [N, 1], or classes [N]
    read: Callable[[torch.Tensor], torch.Tensor]  # returns the steps with targets: [T, B, features] -> [N, features]


def adding(task: tasks.Adding, batch: int, random: dict[str, Any]) -> Callable[[], Batch]:
    """Samples values and marks; the target at the last step is the sum of the marked values."""

    def draw() -> Batch:
        values = torch.rand(task.length, batch, **random)
        first = torch.randint(0, task.length // 2, (1, batch), **random)
        second = torch.randint(task.length // 2, task.length, (1, batch), **random)
        marks = torch.zeros_like(values).scatter_(0, torch.cat([first, second]), 1.0)
        return Batch(torch.stack([values, marks], dim=-1), (values * marks).sum(0)[:, None], lambda hs: hs[-1])

    return draw


def copying(task: tasks.Copying, batch: int, random: dict[str, Any]) -> Callable[[], Batch]:
    """Samples ten of the symbols 0 to 7, then blanks (8) and a delimiter (9); every step has a target."""
    blanks = torch.full((task.sequence_length, batch), 8, device=random["device"])

    def draw() -> Batch:
        recalled = torch.randint(0, 8, (10, batch), **random)
        symbols, targets = blanks.clone(), blanks.clone()
        symbols[:10] = recalled
        symbols[-11] = 9
        targets[-10:] = recalled
        return Batch(functional.one_hot(symbols, 10).float(), targets.flatten(), lambda hs: hs.flatten(0, 1))

    return draw


def temporal_order(task: tasks.TemporalOrder, batch: int, random: dict[str, Any]) -> Callable[[], Batch]:
    """Samples symbols a b c d E B X Y (0 to 7); the target, the order of X and Y, is at B, the last step."""
    steps = torch.arange(task.sequence_length, device=random["device"])[:, None]
    powers = 2 ** torch.arange(task.symbols, device=random["device"]).flip(0)[:, None]

    def draw() -> Batch:
        ends = torch.randint(task.length, task.sequence_length + 1, (1, batch), **random) - 1
        bits = torch.randint(0, 2, (task.symbols, batch), **random)
        places = torch.cat([torch.randint(low, high + 1, (1, batch), **random) for low, high in task.windows])
        symbols = torch.randint(0, 4, (task.sequence_length, batch), **random)
        symbols[0] = 4
        symbols.scatter_(0, places, 6 + bits).scatter_(0, ends, 5)
        inputs = functional.one_hot(symbols, 8) * (steps <= ends)[..., None]

        def at_ends(hs: torch.Tensor) -> torch.Tensor:
            return hs.gather(0, ends[..., None].expand(1, batch, hs.shape[-1]))[0]

        return Batch(inputs.float(), (bits * powers).sum(0), at_ends)

    return draw


def pixels(task: tasks.PixelSequences, batch: int, random: dict[str, Any]) -> Callable[[], Batch]:
    """Samples training images with replacement, one pixel a step; the target at the last step is the class."""
    device = random["device"]
    # Once, time-major, so that a batch is one indexing.
    images = torch.tensor(np.array(task.train_images.T) / task.scale, dtype=torch.float32, device=device)[..., None]
    labels = torch.tensor(np.array(task.train_labels), dtype=torch.int64, device=device)

    def draw() -> Batch:
        index = torch.randint(0, len(labels), (batch,), **random)
        return Batch(images[:, index], labels[index], lambda hs: hs[-1])

    return draw


# Sampler and loss, the mean over N of outputs [N, output_size] and targets.
TASKS: dict[type[tasks.Task], tuple[Callable[..., Any], Callable[..., torch.Tensor]]] = {
    tasks.Adding: (adding, functional.mse_loss),
    tasks.Copying: (copying, functional.cross_entropy),
    tasks.TemporalOrder: (temporal_order, functional.cross_entropy),
    tasks.PixelSequences: (pixels, functional.cross_entropy),
}


def network(model: ReadoutModel, device: str) -> tuple[torch.nn.RNNBase, torch.nn.Linear]:
    """Returns the cell and the readout, initialised by PyTorch."""
    cell = model.cell
    core = MODULES[type(cell)](cell.input_size, cell.hidden_size, device=device)
    return core, torch.nn.Linear(cell.hidden_size, model.output_size, device=device)


def loop(device: str, seed: int, task: tasks.Task, trainer: training.Trainer, steps: int) -> Call:
    """Returns a call that makes `steps` more optimization steps of one seed and returns the last loss.

    As `training.run(trainer, task, ...)`, but PyTorch initialises, and the readout runs only at steps with targets.
    """
    clip, optimizer = trainer.clip, trainer.optimizer
    assert isinstance(clip, training.ClipByNorm)
    assert isinstance(optimizer, training.Adam)
    torch.manual_seed(seed)  # of the weights
    core, readout = network(trainer.model, device)
    parameters = [*core.parameters(), *readout.parameters()]
    adam = torch.optim.Adam(parameters, lr=optimizer.learning_rate)
    sampler, loss_function = TASKS[type(task)]
    random = {"generator": torch.Generator(device).manual_seed(seed), "device": device}
    draw = sampler(task, trainer.batch_size, random)

    def run() -> float:
        for _ in range(steps):
            batch = draw()
            adam.zero_grad()
            loss = loss_function(readout(batch.read(core(batch.inputs)[0])), batch.targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip.limit)
            adam.step()
        return loss.item()

    return run
