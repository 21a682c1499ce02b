"""The programs in PyTorch: `nn.RNN` or `nn.LSTM` and `nn.Linear` in a module, `nn.CrossEntropyLoss`, Adam.

PyTorch has two biases where others have one, b_ih and b_hh, that act as their sum. Their gradients are equal, and Adam
makes a step of its own of each: the sum moves twice as fast. To be the same program, b_hh stays what it is.
"""

import dataclasses
from typing import Any

import numpy as np
import torch

from experiments.teaching.peers import EPSILON
from experiments.teaching.program import Form, Learner, Lesson
from rnn_jax import Cell, cells, interop

MODULES: dict[type[Cell], Any] = {
    cells.VanillaRNN: torch.nn.RNN,
    cells.LSTM: torch.nn.LSTM,
    cells.GRU: torch.nn.GRU,
}


class Network(torch.nn.Module):
    """The recurrent layers, and a linear one that reads the last step of the top one."""

    def __init__(self, recurrent: torch.nn.RNNBase, classes: int):
        super().__init__()
        self.recurrent = recurrent
        self.fc = torch.nn.Linear(recurrent.hidden_size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, _ = self.recurrent(x)  # from a state of zeros
        scores: torch.Tensor = self.fc(out[:, -1, :])
        return scores


@dataclasses.dataclass(frozen=True)
class PyTorch:
    """PyTorch, batch first, eager.

    Args:
      name: in the tables.
      as_written: with both biases trained.
    """

    name: str
    as_written: bool = False

    def refusal(self, lesson: Lesson) -> str | None:
        for cell, _ in lesson.layers:
            if type(cell) not in MODULES:
                return (
                    f"PyTorch's layers are {', '.join(kind.__name__ for kind in MODULES)} here, "
                    f"not {type(cell).__name__}"
                )
        try:
            interop.to_pytorch(lesson.trainer.model.cell, lesson.state.params.cell)
        except ValueError as error:  # such as another activation
            return str(error)
        return None

    def begin(self, lesson: Lesson) -> Learner:
        _, _, features, classes = lesson.program.sizes
        lowest, _ = lesson.layers[0]
        options: dict[str, Any] = {"num_layers": len(lesson.layers), "batch_first": True}
        if isinstance(lowest, cells.VanillaRNN):
            options["nonlinearity"] = lowest.activation.__name__
        kernel, bias = lesson.dense
        dtype = torch.from_numpy(kernel).dtype
        recurrent = MODULES[type(lowest)](features, lowest.hidden_size, **options)
        model = Network(recurrent, classes).to(dtype)
        exported = interop.to_pytorch(lesson.trainer.model.cell, lesson.state.params.cell)
        recurrent.load_state_dict({name: torch.tensor(np.array(array)) for name, array in exported.items()})
        model.fc.load_state_dict({"weight": torch.tensor(kernel.T), "bias": torch.tensor(bias)})
        if not self.as_written:
            _hold_second_biases(recurrent)
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=lesson.learning_rate, eps=EPSILON)

        def tensor(xs: np.ndarray) -> torch.Tensor:
            return torch.tensor(np.swapaxes(xs, 0, 1).copy(), dtype=dtype)

        def step(xs: np.ndarray, labels: np.ndarray) -> float:
            optimizer.zero_grad()
            loss = criterion(model(tensor(xs)), torch.tensor(labels, dtype=torch.int64))
            loss.backward()
            optimizer.step()
            return float(loss.item())

        def scores(xs: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                found: np.ndarray = model(tensor(xs)).numpy()
            return found

        return Learner(step, scores)


def _hold_second_biases(recurrent: torch.nn.RNNBase) -> None:
    """No gradient for b_hh; the GRU's, at its candidate, stands inside the reset product and is no second one."""
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_hh"):
            free = torch.zeros_like(parameter)
            if isinstance(recurrent, torch.nn.GRU):
                free[2 * recurrent.hidden_size :] = 1
            parameter.register_hook(lambda gradient, free=free: gradient * free)


def forms() -> list[Form]:
    """PyTorch with one thread: products as small as these gain nothing by more, which wait for each other."""
    torch.set_num_threads(1)
    return [PyTorch("PyTorch"), PyTorch("PyTorch, as written", as_written=True)]
