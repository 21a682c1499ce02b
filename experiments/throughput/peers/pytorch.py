"""PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`, eager, as they are used; on a GPU those of cuDNN."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import torch

from experiments.throughput.peers.contestant import Contestant, Programs, Unavailable
from experiments.throughput.problem import Data, Problem
from rnn_jax import cells, interop, machine

MODULES: dict[type, Callable[..., torch.nn.RNNBase]] = {
    cells.VanillaRNN: torch.nn.RNN,
    cells.LSTM: torch.nn.LSTM,
    cells.GRU: torch.nn.GRU,
}


def _prepare(device: str, problem: Problem, data: Data) -> Programs:
    dtype, sizes = getattr(torch, problem.dtype), (problem.shape.input_size, problem.shape.hidden_size)
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None

    def tensor(a: Any) -> torch.Tensor:
        # NumPy has no bfloat16; a copy, because JAX's arrays are read-only.
        return torch.tensor(np.array(a, np.float32), dtype=dtype, device=device)

    module = MODULES[type(problem.cell)](*sizes, device=device, dtype=dtype)
    module.load_state_dict({n: tensor(a) for n, a in interop.to_pytorch(problem.cell, data.params).items()})
    xs, loss_weights = tensor(data.xs).requires_grad_(), tensor(data.loss_weights)
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


def device() -> str:
    """Returns PyTorch's name of the device that JAX uses."""
    name = {"cpu": "cpu", "gpu": "cuda"}.get(jax.default_backend())
    if name is None:
        raise Unavailable(f"it does not run on a {jax.default_backend()}")
    if name == "cuda" and not torch.cuda.is_available():
        raise Unavailable(f"torch {torch.__version__} sees no GPU: install the build for this GPU, see pytorch.org")
    return name


def make(name: str) -> Contestant:
    """Returns PyTorch with one thread per core and full float32 products, as JAX has them here."""
    contestant = Contestant(name, functools.partial(_prepare, device()))
    torch.set_num_threads(machine.cores())
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return contestant
