"""The programs in PyTorch: `nn.RNN`, `nn.LSTM` or `nn.GRU` and `nn.Linear`, cross-entropy, Adam.

PyTorch has two biases, b_ih and b_hh, where others have their sum. Their gradients are equal and Adam updates each, so
the sum moves twice as fast. The same program as in other libraries therefore leaves b_hh as it is.
"""

from typing import Any

import numpy as np
import torch

from experiments.teaching.config import LEARNING_RATE
from experiments.teaching.measurement import Network, Unsupported
from experiments.teaching.peers import EPSILON
from experiments.teaching.programs import Setup
from rnn_jax import Cell, cells, interop

torch.set_num_threads(1)  # products this small gain nothing from more

MODULES: dict[type[Cell], Any] = {
    cells.VanillaRNN: torch.nn.RNN,
    cells.LSTM: torch.nn.LSTM,
    cells.GRU: torch.nn.GRU,
}


def create(setup: Setup, as_written: bool) -> Network:
    """Creates the network, batch first and eager; as written it trains both biases.

    Raises:
      Unsupported: if PyTorch has no such module.
    """
    for cell, _ in setup.layers:
        if type(cell) not in MODULES:
            names = ", ".join(kind.__name__ for kind in MODULES)
            raise Unsupported(f"PyTorch's layers are {names} here, not {type(cell).__name__}")
    try:
        exported = interop.to_pytorch(setup.trainer.model.cell, setup.state.params.cell)
    except ValueError as error:  # such as another activation
        raise Unsupported(str(error)) from error
    (cell, _), (kernel, bias) = setup.layers[0], setup.dense
    options = {"nonlinearity": cell.activation.__name__} if isinstance(cell, cells.VanillaRNN) else {}
    recurrent = MODULES[type(cell)](
        cell.input_size, cell.hidden_size, num_layers=len(setup.layers), batch_first=True, **options
    )
    readout = torch.nn.Linear(*kernel.shape)
    model = torch.nn.ModuleList([recurrent, readout]).to(torch.from_numpy(kernel).dtype)
    recurrent.load_state_dict({name: torch.tensor(np.array(array)) for name, array in exported.items()})
    readout.load_state_dict({"weight": torch.tensor(kernel.T), "bias": torch.tensor(bias)})
    if not as_written:
        hold_second_biases(recurrent)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, eps=EPSILON)

    def logits(xs: np.ndarray) -> torch.Tensor:
        outputs, _ = recurrent(torch.tensor(np.swapaxes(xs, 0, 1).copy(), dtype=readout.weight.dtype))
        return readout(outputs[:, -1, :])

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits(xs), torch.tensor(labels, dtype=torch.int64))
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return Network(step, lambda xs: logits(xs).detach().numpy())


def hold_second_biases(recurrent: torch.nn.RNNBase) -> None:
    """Sets the gradient of b_hh to zero, except at a GRU's candidate, which adds it inside the reset product."""
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_hh"):
            mask = torch.zeros_like(parameter)
            if isinstance(recurrent, torch.nn.GRU):
                mask[2 * recurrent.hidden_size :] = 1
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)
