"""Converted PyTorch modules of several layers and both directions, on packed sequences of different lengths.

Outputs, final states and all gradients are compared. Gradients are those of the weights by PyTorch's names, so
`from_pytorch` is differentiated too.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, VanillaRNN, unroll
from rnn_jax.cells.projected_lstm import ProjectedLSTM
from rnn_jax.interop import from_pytorch, to_pytorch
from rnn_jax.layers import Bidirectional, Stack

torch = pytest.importorskip("torch", reason="torch is not installed")

# A function from (input, hidden, projected) sizes to our cell, and one from the projected size to PyTorch's module.
KINDS = {
    "tanh": (lambda d, h, p: VanillaRNN(d, h), lambda p: (torch.nn.RNN, {})),
    "relu": (lambda d, h, p: VanillaRNN(d, h, jax.nn.relu), lambda p: (torch.nn.RNN, {"nonlinearity": "relu"})),
    "lstm": (lambda d, h, p: LSTM(d, h), lambda p: (torch.nn.LSTM, {})),
    "projected": (lambda d, h, p: ProjectedLSTM(d, h, proj_size=p), lambda p: (torch.nn.LSTM, {"proj_size": p})),
    "gru": (lambda d, h, p: GRU(d, h), lambda p: (torch.nn.GRU, {})),
}


class Case(NamedTuple):
    """A module and the lengths of a batch."""

    kind: str
    layers: int
    directions: int
    bias: bool
    inputs: int
    hidden: int
    projected: int
    steps: int
    lengths: np.ndarray  # [B]

    def layer(self):
        make = KINDS[self.kind][0]
        cell, layers = make(self.inputs, self.hidden, self.projected), []
        for _ in range(self.layers):
            layers.append(cell if self.directions == 1 else Bidirectional(cell))
            cell = make(layers[-1].output_size, self.hidden, self.projected)
        return layers[0] if self.layers == 1 else Stack(layers)

    def module(self):
        kind, options = KINDS[self.kind][1](self.projected)
        options |= {"num_layers": self.layers, "bidirectional": self.directions == 2, "bias": self.bias}
        return kind(self.inputs, self.hidden, **options).double()


def draw_case(kind, layers, directions):
    """Returns a case with random but reproducible sizes; it has a sequence of length 1 and one of full length."""
    rng = np.random.default_rng([*kind.encode(), layers, directions])
    inputs, hidden, steps, batch = (int(rng.integers(*bounds)) for bounds in ((1, 4), (2, 5), (3, 7), (2, 5)))
    lengths = rng.permutation([1, steps, *rng.integers(1, steps + 1, batch - 2)])
    bias, projected = bool(rng.random() < 0.75), int(rng.integers(1, hidden))
    return Case(kind, layers, directions, bias, inputs, hidden, projected, steps, lengths)


# Every kind with one and several layers, in one and both directions.
CASES = [
    draw_case(kind, layers, directions)
    for number, kind in enumerate(KINDS)
    for layers, directions in ((1, 1), (1, 2), (2, 1 + number % 2), (3, 2 - number % 2))
]


def run_theirs(module, case, xs, initial, cotangents):
    """Runs the packed sequences; returns outputs, final states [layers * directions, B, .] and gradients, as NumPy."""
    xs = torch.tensor(xs, requires_grad=True)
    initial = [torch.tensor(component, requires_grad=True) for component in initial]
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, torch.tensor(case.lengths), enforce_sorted=False)
    packed_ys, final = module(packed, tuple(initial) if len(initial) == 2 else initial[0])
    ys, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_ys)
    final = final if len(initial) == 2 else (final,)
    loss = sum((value * torch.tensor(weight)).sum() for value, weight in zip((ys, *final), cotangents, strict=True))
    loss.backward()
    gradients = ({name: p.grad.numpy() for name, p in module.named_parameters()}, xs.grad.numpy())
    initial_gradients = [component.grad.numpy() for component in initial]
    return (ys.detach().numpy(), [component.detach().numpy() for component in final]), (*gradients, initial_gradients)


def make_ours(layer, case, cotangents):
    """Returns our function of (state dict, xs, initial states), with results as those of `run_theirs`."""
    params = jax.eval_shape(layer.init, jax.random.key(0))
    state = jax.eval_shape(lambda p: layer.initial_state(p, (len(case.lengths),)), params)
    structure = jax.tree.structure(state)
    cotangents = [jnp.asarray(c) for c in cotangents]

    def loss(state_dict, xs, initial):
        # The leaves are ordered by layer, direction, then h before c (for an LSTM), as in PyTorch.
        leaves = [component[n] for n in range(case.layers * case.directions) for component in initial]
        params = from_pytorch(layer, state_dict)
        final, ys = unroll(layer, params, xs, jax.tree.unflatten(structure, leaves), lengths=case.lengths)
        leaves = jax.tree.leaves(final)
        final = [jnp.stack(leaves[n :: len(initial)]) for n in range(len(initial))]
        values = (ys, *final)
        return sum(jnp.sum(v * c) for v, c in zip(values, cotangents, strict=True)), (ys, final)

    run = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    return lambda *args: run(*args)[::-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.layers}-{case.directions}")
def test_outputs_states_and_gradients_equal_packed_torch(case):
    rng, module, layer = np.random.default_rng(0), case.module(), case.layer()
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.from_numpy(rng.normal(size=tuple(weight.shape)) / case.hidden**0.5))
    state_dict = {name: tensor.numpy() for name, tensor in module.state_dict().items()}

    batch, rows = len(case.lengths), case.layers * case.directions
    width = case.projected if case.kind == "projected" else case.hidden
    states = [(rows, batch, width), (rows, batch, case.hidden)][: 2 if case.kind in ("lstm", "projected") else 1]
    xs, initial = rng.normal(size=(case.steps, batch, case.inputs)), [rng.normal(size=shape) for shape in states]
    cotangents = [rng.normal(size=shape) for shape in ((case.steps, batch, width * case.directions), *states)]

    theirs = run_theirs(module, case, xs, initial, cotangents)
    run_ours = make_ours(layer, case, cotangents)
    chex.assert_trees_all_close(run_ours(state_dict, xs, initial), theirs, rtol=1e-9, atol=1e-9)

    # NaN in the padding changes nothing.
    padding = np.arange(case.steps)[:, None, None] >= case.lengths[:, None]
    with_nan = np.where(padding, np.nan, xs)
    chex.assert_trees_all_close(run_ours(state_dict, with_nan, initial), theirs, rtol=1e-9, atol=1e-9)

    # Converting back gives other arrays but the same function.
    converted = jax.jit(lambda state_dict: to_pytorch(layer, from_pytorch(layer, state_dict)))(state_dict)
    module = case._replace(bias=True).module()
    module.load_state_dict({name: torch.from_dlpack(array) for name, array in converted.items()})
    values, gradients = run_theirs(module, case, xs, initial, cotangents)
    chex.assert_trees_all_close((values, gradients[1:]), (theirs[0], theirs[1][1:]), rtol=1e-12, atol=1e-12)
