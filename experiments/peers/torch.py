"""PyTorch: `nn.RNN`, `nn.LSTM` and `nn.GRU`, time first and eager, on a GPU those of cuDNN.

PyTorch has two biases, b_ih and b_hh, where others have their sum. Their gradients are equal and Adam updates each, so
the sum moves twice as fast. To train as other libraries do, `hold_second_biases` leaves b_hh as it is.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch
from torch.nn import functional

from experiments import peers
from experiments.common import precision
from experiments.peers.programs import Data, Programs
from rnn_jax import Cell, Stack, cells, interop, machine, training
from rnn_jax.models import Classifier

MODULES: dict[type[Cell], Callable[..., torch.nn.RNNBase]] = {
    cells.VanillaRNN: torch.nn.RNN,
    cells.LSTM: torch.nn.LSTM,
    cells.GRU: torch.nn.GRU,
}


def jax_device() -> str:
    """Returns PyTorch's name of the device that JAX uses.

    Raises:
      Unavailable: if PyTorch cannot use it.
    """
    name = {"cpu": "cpu", "gpu": "cuda"}.get(jax.default_backend())
    if name is None:
        raise peers.Unavailable(f"it does not run on a {jax.default_backend()}")
    if name == "cuda" and not torch.cuda.is_available():
        raise peers.Unavailable(
            f"torch {torch.__version__} sees no GPU: install the build for this GPU, see pytorch.org"
        )
    return name


def match_jax() -> None:
    """Sets PyTorch up as JAX is in a benchmark: on the same device, one thread per core, TF32 products if JAX has them.

    Raises:
      Unavailable: if PyTorch cannot use the device.
    """
    jax_device()
    torch.set_num_threads(machine.cores())
    rounded = precision.in_force() != "highest"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rounded


def tensor(array: Any, device: str = "cpu") -> torch.Tensor:
    """Returns a copy of an array in its dtype; NumPy, through which it goes, has no bfloat16."""
    return torch.tensor(np.array(array, np.float64), dtype=getattr(torch, str(array.dtype)), device=device)


def recurrent(cell: Cell, params: Any = None, device: str = "cpu") -> torch.nn.RNNBase:
    """Returns the module of a cell, or of a `Stack` of equal cells.

    Args:
      cell: cell or stack.
      params: parameters of `cell`, in whose dtype the module computes; None leaves those that PyTorch draws.
      device: PyTorch's name of the device.

    Raises:
      Unsupported: if PyTorch has no such module.
    """
    layers = cell.layers if isinstance(cell, Stack) else (cell,)
    kind, *_ = [peers.find("PyTorch's layers", MODULES, layer) for layer in layers]
    options: dict[str, Any] = {"num_layers": len(layers), "device": device}
    state_dict = {}
    if params is not None:
        try:
            state_dict = {name: tensor(array) for name, array in interop.to_pytorch(cell, params).items()}
        except ValueError as error:  # such as another activation
            raise peers.Unsupported(str(error)) from error
        options["dtype"] = next(iter(state_dict.values())).dtype
    if isinstance(layers[0], cells.VanillaRNN):
        options["nonlinearity"] = layers[0].activation.__name__
    module = kind(layers[0].input_size, layers[0].hidden_size, **options)
    if state_dict:
        module.load_state_dict(state_dict)
    return module


def programs(cell: Cell, data: Data) -> Programs:
    """Returns the layer of a cell with the parameters in `data`, on the device of JAX."""
    device = jax_device()
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    module = recurrent(cell, data.params, device)
    xs, loss_weights = tensor(data.xs, device).requires_grad_(), tensor(data.loss_weights, device)
    arguments = [*module.parameters(), xs]

    def forward() -> torch.Tensor:
        with torch.no_grad():
            outputs = module(xs)[0]
        wait()
        return outputs

    def forward_backward() -> tuple[torch.Tensor, ...]:
        gradients = torch.autograd.grad((module(xs)[0] * loss_weights).sum(), arguments)
        wait()
        return gradients

    return Programs(forward, forward_backward, lambda a: a.float().cpu().numpy())


def network(
    cell: Cell, output_size: int, params: Any = None, device: str = "cpu"
) -> tuple[torch.nn.RNNBase, torch.nn.Linear]:
    """Returns the module of a cell, as `recurrent`, and a dense readout of its outputs.

    Args:
      cell: cell or stack.
      output_size: width of the readout.
      params: parameters of a model with fields `cell` and `readout`; None leaves those that PyTorch draws.
      device: PyTorch's name of the device.
    """
    core = recurrent(cell, None if params is None else params.cell, device)
    readout = torch.nn.Linear(cell.output_size, output_size, device=device)
    if params is not None:
        dense = params.readout["params"]
        readout.to(next(core.parameters()).dtype)
        readout.load_state_dict({"weight": tensor(dense["kernel"]).T, "bias": tensor(dense["bias"])})
    return core, readout


def hold_second_biases(recurrent: torch.nn.RNNBase) -> None:
    """Sets the gradient of b_hh to zero, except at a GRU's candidate, which adds it inside the reset product."""
    for name, parameter in recurrent.named_parameters():
        if name.startswith("bias_hh"):
            mask = torch.zeros_like(parameter)
            if isinstance(recurrent, torch.nn.GRU):
                mask[2 * recurrent.hidden_size :] = 1
            parameter.register_hook(lambda gradient, mask=mask: gradient * mask)


def classifier(trainer: training.Trainer[Classifier], state: training.TrainState, as_written: bool) -> peers.Network:
    """Creates a recurrent module and `nn.Linear`, trained by Adam in one thread.

    Args:
      trainer: trainer, whose model has a cell or a `Stack` of equal cells and no encoder.
      state: initial parameters of one seed.
      as_written: whether both biases are trained.

    Raises:
      Unsupported: if PyTorch has no such module.
    """
    torch.set_num_threads(1)  # products this small gain nothing from more
    core, readout = network(trainer.model.cell, trainer.model.classes, state.params)
    if not as_written:
        hold_second_biases(core)
    assert isinstance(trainer.optimizer, training.Adam)
    optimizer = torch.optim.Adam([*core.parameters(), *readout.parameters()], trainer.optimizer.learning_rate)

    def logits(xs: np.ndarray) -> torch.Tensor:
        outputs, _ = core(torch.tensor(xs, dtype=readout.weight.dtype))
        return readout(outputs[-1])

    def step(xs: np.ndarray, labels: np.ndarray) -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits(xs), torch.tensor(labels, dtype=torch.int64))
        loss.backward()
        optimizer.step()
        return loss.item()

    return peers.Network(step, lambda xs: logits(xs).detach().numpy())
