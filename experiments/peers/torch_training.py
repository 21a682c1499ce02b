"""Trainings of the long-dependency benchmark as one writes them in PyTorch, with batches drawn on the device.

Only the steps that have targets are read out. A sampler is a generator of batches, from a task, the batch size and
PyTorch's options `generator` and `device`.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from experiments.peers.torch import jax_device, network
from rnn_jax import tasks, training


class Batch(NamedTuple):
    """Time-major sequences and their N targets; steps after a sequence's end are zeros."""

    inputs: torch.Tensor  # [T, B, input_size]
    targets: torch.Tensor  # floats [N, 1], or classes [N]
    read: Callable[[torch.Tensor], torch.Tensor]  # returns the steps with targets: [T, B, features] -> [N, features]


def adding(task: tasks.Adding, batch: int, random: dict[str, Any]) -> Iterator[Batch]:
    """Samples values and marks; the target at the last step is the sum of the marked values."""
    while True:
        values = torch.rand(task.length, batch, **random)
        first = torch.randint(0, task.length // 2, (1, batch), **random)
        second = torch.randint(task.length // 2, task.length, (1, batch), **random)
        marks = torch.zeros_like(values).scatter_(0, torch.cat([first, second]), 1.0)
        yield Batch(torch.stack([values, marks], dim=-1), (values * marks).sum(0)[:, None], lambda hs: hs[-1])


def copying(task: tasks.Copying, batch: int, random: dict[str, Any]) -> Iterator[Batch]:
    """Samples ten of the symbols 0 to 7, then blanks (8) and a delimiter (9); every step has a target."""
    blanks = torch.full((task.sequence_length, batch), 8, device=random["device"])
    while True:
        recalled = torch.randint(0, 8, (10, batch), **random)
        symbols, targets = blanks.clone(), blanks.clone()
        symbols[:10] = recalled
        symbols[-11] = 9
        targets[-10:] = recalled
        yield Batch(functional.one_hot(symbols, 10).float(), targets.flatten(), lambda hs: hs.flatten(0, 1))


def temporal_order(task: tasks.TemporalOrder, batch: int, random: dict[str, Any]) -> Iterator[Batch]:
    """Samples symbols a b c d E B X Y (0 to 7); the target, the order of X and Y, is at B, the last step."""
    steps = torch.arange(task.sequence_length, device=random["device"])[:, None]
    powers = 2 ** torch.arange(task.symbols, device=random["device"]).flip(0)[:, None]
    while True:
        ends = torch.randint(task.length, task.sequence_length + 1, (1, batch), **random) - 1
        bits = torch.randint(0, 2, (task.symbols, batch), **random)
        places = torch.cat([torch.randint(low, high + 1, (1, batch), **random) for low, high in task.windows])
        symbols = torch.randint(0, 4, (task.sequence_length, batch), **random)
        symbols[0] = 4
        symbols.scatter_(0, places, 6 + bits).scatter_(0, ends, 5)
        inputs = functional.one_hot(symbols, 8) * (steps <= ends)[..., None]
        yield Batch(inputs.float(), (bits * powers).sum(0), functools.partial(_at, ends[..., None]))


def _at(index: torch.Tensor, hs: torch.Tensor) -> torch.Tensor:
    return hs.gather(0, index.expand(1, hs.shape[1], hs.shape[2]))[0]


def pixels(task: tasks.PixelSequences, batch: int, random: dict[str, Any]) -> Iterator[Batch]:
    """Samples training images with replacement, one pixel a step; the target at the last step is the class."""
    device = random["device"]
    # Once, time-major, so that a batch is one indexing.
    images = torch.tensor(np.array(task.train_images.T) / task.scale, dtype=torch.float32, device=device)[..., None]
    labels = torch.tensor(np.array(task.train_labels), dtype=torch.int64, device=device)
    while True:
        index = torch.randint(0, len(labels), (batch,), **random)
        yield Batch(images[:, index], labels[index], lambda hs: hs[-1])


# Sampler and loss, the mean over N of outputs [N, output_size] and targets.
TASKS: dict[type[tasks.Task], tuple[Callable[..., Any], Callable[..., torch.Tensor]]] = {
    tasks.Adding: (adding, functional.mse_loss),
    tasks.Copying: (copying, functional.cross_entropy),
    tasks.TemporalOrder: (temporal_order, functional.cross_entropy),
    tasks.PixelSequences: (pixels, functional.cross_entropy),
}


def losses(
    task: tasks.Task, trainer: training.Trainer, seeds: int, seed: int, steps: int
) -> Iterator[tuple[float, ...]]:
    """Trains one seed after the other and yields their losses after every `steps` optimization steps.

    As `training.run(trainer, task, ...)`, but PyTorch initialises, and the readout runs only at steps with targets.
    """
    return zip(*(_seed_losses(task, trainer, seed + number, steps) for number in range(seeds)), strict=True)


def _seed_losses(task: tasks.Task, trainer: training.Trainer, seed: int, steps: int) -> Iterator[float]:
    device = jax_device()
    clip, optimizer = trainer.clip, trainer.optimizer
    assert isinstance(clip, training.ClipByNorm)
    assert isinstance(optimizer, training.Adam)
    torch.manual_seed(seed)  # of the weights
    core, readout = network(trainer.model.cell, trainer.model.output_size, device=device)
    parameters = [*core.parameters(), *readout.parameters()]
    adam = torch.optim.Adam(parameters, lr=optimizer.learning_rate)
    sampler, loss_function = TASKS[type(task)]
    random = {"generator": torch.Generator(device).manual_seed(seed), "device": device}
    batches = sampler(task, trainer.batch_size, random)
    while True:
        for batch in itertools.islice(batches, steps):
            adam.zero_grad()
            loss = loss_function(readout(batch.read(core(batch.inputs)[0])), batch.targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip.limit)
            adam.step()
        yield loss.item()
