"""The tasks as one writes them in PyTorch: batches drawn on the device, and only what the loss reads."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from rnn_jax import tasks


class Batch(NamedTuple):
    """Time-major sequences and the N answers that are wanted of them; steps after a sequence's end are zeros."""

    inputs: torch.Tensor  # [T, B, input_size]
    targets: torch.Tensor  # [N, 1] floats, or classes [N]
    read: Callable[[torch.Tensor], torch.Tensor]  # [T, B, features] -> [N, features], where the answers stand


Draw = Callable[[], Batch]


@dataclasses.dataclass(frozen=True)
class Written:
    """A task in PyTorch.

    Args:
      drawing: called once with the task, sequences a batch, and where random numbers come from, which names the device.
      loss: of outputs [N, output_size] and targets: the mean over N.
    """

    drawing: Callable[[Any, int, torch.Generator], Draw]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def last_step(hs: torch.Tensor) -> torch.Tensor:
    """Of all sequences at once: they are of one length."""
    return hs[-1]


def every_step(hs: torch.Tensor) -> torch.Tensor:
    """Steps and sequences as one axis, as PyTorch's losses want classes on the second."""
    return hs.flatten(0, 1)


def adding(task: tasks.Adding, batch: int, generator: torch.Generator) -> Draw:
    """Values and marks; their marked sum is wanted at the last step."""
    random: dict[str, Any] = {"generator": generator, "device": generator.device}
    length = task.length

    def draw() -> Batch:
        values = torch.rand(length, batch, **random)
        first = torch.randint(0, length // 2, (1, batch), **random)
        second = torch.randint(length // 2, length, (1, batch), **random)
        marks = torch.zeros_like(values).scatter_(0, torch.cat([first, second]), 1.0)
        return Batch(torch.stack([values, marks], dim=-1), (values * marks).sum(0)[:, None], last_step)

    return draw


def copying(task: tasks.Copying, batch: int, generator: torch.Generator) -> Draw:
    """Ten of the symbols 0 to 7, blanks (8) with the delimiter (9) among them; at every step a class is wanted."""
    random: dict[str, Any] = {"generator": generator, "device": generator.device}
    blanks = torch.full((task.sequence_length, batch), 8, device=generator.device)

    def draw() -> Batch:
        recalled = torch.randint(0, 8, (10, batch), **random)
        symbols, targets = blanks.clone(), blanks.clone()
        symbols[:10] = recalled
        symbols[-11] = 9
        targets[-10:] = recalled
        return Batch(functional.one_hot(symbols, 10).float(), every_step(targets), every_step)

    return draw


def temporal_order(task: tasks.TemporalOrder, batch: int, generator: torch.Generator) -> Draw:
    """The symbols a b c d E B X Y are 0 to 7; the order of X and Y is wanted at B, the last step before the padding."""
    random: dict[str, Any] = {"generator": generator, "device": generator.device}
    steps = torch.arange(task.sequence_length, device=generator.device)[:, None]
    powers = 2 ** torch.arange(task.symbols, device=generator.device).flip(0)[:, None]

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


def pixels(task: tasks.PixelSequences, batch: int, generator: torch.Generator) -> Draw:
    """Images of the training set with replacement, a pixel a step; the class is wanted at the last one."""
    device = generator.device
    # Once, time-major, so that a batch is one indexing.
    images = torch.tensor(np.array(task.train_images.T) / task.scale, dtype=torch.float32, device=device)[..., None]
    labels = torch.tensor(np.array(task.train_labels), dtype=torch.int64, device=device)

    def draw() -> Batch:
        index = torch.randint(0, len(labels), (batch,), generator=generator, device=device)
        return Batch(images[:, index], labels[index], last_step)

    return draw


WRITTEN: dict[type[tasks.Task], Written] = {
    tasks.Adding: Written(adding, functional.mse_loss),
    tasks.Copying: Written(copying, functional.cross_entropy),
    tasks.TemporalOrder: Written(temporal_order, functional.cross_entropy),
    tasks.PixelSequences: Written(pixels, functional.cross_entropy),
}
