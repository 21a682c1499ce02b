"""PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`, eager, as they are used; cuDNN's on a GPU."""

import dataclasses
from typing import Any

import jax
import numpy as np
import torch

from experiments.throughput.peers.contestant import Programs, Unavailable, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop, report

MODULES = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


@dataclasses.dataclass(frozen=True)
class PyTorch:
    """On the kind of device that JAX runs on."""

    device: str
    name: str = "torch"

    function = staticmethod(same_function)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        def tensor(a: Any) -> torch.Tensor:
            # NumPy has no bfloat16; a copy, as JAX's arrays may not be written to.
            return torch.tensor(np.array(a, np.float32), dtype=getattr(torch, problem.dtype), device=self.device)

        module = MODULES[problem.cell_name](problem.shape.input_size, problem.shape.hidden_size)
        module = module.to(device=self.device, dtype=getattr(torch, problem.dtype))
        module.load_state_dict({n: tensor(a) for n, a in interop.to_pytorch(problem.cell, data.params).items()})
        xs, loss_weights = tensor(data.xs).requires_grad_(), tensor(data.loss_weights)
        arguments = [*module.parameters(), xs]

        def forward() -> torch.Tensor:
            with torch.no_grad():
                outputs = module(xs)[0]
            self.wait()
            return outputs

        def forward_backward() -> tuple[torch.Tensor, ...]:
            gradients = torch.autograd.grad((module(xs)[0] * loss_weights).sum(), arguments)
            self.wait()
            return gradients

        return Programs(
            forward,
            forward_backward,
            lambda: forward().float().cpu().numpy(),
            lambda: forward_backward()[-1].float().cpu().numpy(),
        )

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device != "cpu":
            torch.cuda.synchronize()


def make() -> PyTorch:
    """PyTorch with a thread a core and full float32 products, as JAX has them here."""
    device = {"cpu": "cpu", "gpu": "cuda"}.get(jax.default_backend())
    if device is None:
        raise Unavailable(f"it does not run on a {jax.default_backend()}")
    if device == "cuda" and not torch.cuda.is_available():
        raise Unavailable(f"torch {torch.__version__} sees no GPU: install the build for this GPU, see pytorch.org")
    torch.set_num_threads(report.environment()["cpus"])
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return PyTorch(device)
