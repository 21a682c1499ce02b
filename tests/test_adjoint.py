"""The gradient that engines with their own solvers share (`rnn_jax.engines.adjoint`), by two engines written here.

One solves for states and adjoints by sweeps over all steps at once, as Newton's method does (but without Jacobians: it
takes T sweeps); one loops over steps and keeps arrays for its backward pass, as a fused kernel would.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LRU, LSTM, Cell, LearnedInitialState, Scan
from rnn_jax.engines import adjoint
from rnn_jax.trees import floats, refill

T, B, D, H = 5, 2, 3, 4


def pull(cell, params, before, inputs, of):
    """(ds_t/ds_{t-1})^T of all steps at once; zero for integers."""

    def step(leaves):
        return floats(cell.step(params, refill(before, leaves), cell.project(params, inputs)))

    (back,) = jax.vjp(step, floats(before))[1](floats(of, before))
    return refill(jax.tree.map(jnp.zeros_like, before), back)


@dataclasses.dataclass(frozen=True)
class Sweeps:
    """After k sweeps the first k states, and the last k adjoints, are right."""

    def __call__(self, cell, params, state, inputs):
        return adjoint.solve(self, cell, params, state, inputs)

    def states(self, cell, params, state, inputs):
        states = jax.tree.map(lambda s: jnp.broadcast_to(s, (T, *s.shape)), state)
        for _ in range(T):
            before = jax.tree.map(lambda first, s: jnp.concatenate([first[None], s[:-1]]), state, states)
            states = cell.step(params, before, cell.project(params, inputs))
        return states, None

    def adjoints(self, cell, params, before, inputs, kept, grad_states):
        adjoints = grad_states
        for _ in range(T):
            back = pull(cell, params, before, inputs, adjoints)
            adjoints = jax.tree.map(
                lambda grad, b: grad + jnp.concatenate([b[1:], jnp.zeros_like(b[:1])]), grad_states, back
            )
        return adjoints


@dataclasses.dataclass(frozen=True)
class Loops:
    """Keeps the drives."""

    def __call__(self, cell, params, state, inputs):
        return adjoint.solve(self, cell, params, state, inputs)

    def states(self, cell, params, state, inputs):
        drives, states = cell.project(params, inputs), []
        for t in range(T):
            state = cell.step(params, state, jax.tree.map(lambda d, t=t: d[t], drives))
            states.append(state)
        return jax.tree.map(lambda *all_: jnp.stack(all_), *states), drives

    def adjoints(self, cell, params, before, inputs, kept, grad_states):
        adjoints, back = [], jax.tree.map(lambda grad: jnp.zeros_like(grad[0]), grad_states)
        for t in reversed(range(T)):
            adjoints.append(jax.tree.map(lambda grad, b, t=t: grad[t] + b, grad_states, back))
            at, drive = jax.tree.map(lambda leaf, t=t: leaf[t], (before, kept))
            (back,) = jax.vjp(lambda s, at=at, d=drive: floats(cell.step(params, refill(at, s), d)), floats(at))[1](
                floats(adjoints[-1])
            )
            back = refill(jax.tree.map(jnp.zeros_like, at), back)
        return jax.tree.map(lambda *all_: jnp.stack(all_[::-1]), *adjoints)


class Counted(NamedTuple):
    h: jax.Array
    steps: jax.Array


class Clock(Cell):
    """Integers in the state and in the inputs; `project` is the default."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size + self.hidden_size, self.hidden_size))}

    def initial_state(self, params, batch_shape=()):
        return Counted(jnp.zeros((*batch_shape, self.hidden_size)), jnp.zeros(batch_shape, jnp.int32))

    def step(self, params, state, drive):
        x, add = drive
        h = jnp.tanh(jnp.concatenate([x, state.h], axis=-1) @ params["w"])
        return Counted(jnp.where((state.steps % 2 == 0)[..., None], h, 0.5 * state.h), state.steps + add)


CELLS = {
    "lstm": LSTM(D, H), "gru": GRU(D, H), "lru": LRU(D, H), "clock": Clock(D, H),
    "learned": LearnedInitialState(LSTM(D, H)),
}  # fmt: skip


@pytest.mark.parametrize("engine", [Sweeps(), pytest.param(Loops(), marks=pytest.mark.extended)], ids=str)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize(
    "lengths", [pytest.param(None, marks=pytest.mark.extended), np.array([3, 0])], ids=["full", "lengths"]
)
def test_gradient_follows_from_states_and_adjoints(engine, cell, lengths):
    rng = np.random.default_rng(0)
    params = cell.init(jax.random.key(0))
    xs = jnp.asarray(rng.normal(size=(T, B, D)), jnp.float32)
    if isinstance(cell, Clock):
        xs = (xs, jnp.asarray(rng.integers(1, 3, (T, B)), jnp.int32))
    state = jax.tree.map(
        lambda s: (s + jnp.asarray(rng.normal(size=s.shape))).astype(s.dtype), cell.initial_state(params, (B,))
    )

    def gradient(engine):
        def loss(params, xs, state):
            results = rnn_jax.unroll(cell, params, xs, state, lengths=lengths, engine=engine)
            weights = [np.sin(np.arange(leaf.size)).reshape(leaf.shape) for leaf in floats(results)]
            squares = [jnp.abs(leaf) ** 2 for leaf in floats(results)]
            return sum(jnp.sum(w * s) for w, s in zip(weights, squares, strict=True)), results

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True, allow_int=True))(params, xs, state)

    def close(got, expected):
        if got.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)

    got, expected = gradient(engine), gradient(Scan())
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(close, got, expected)


def test_a_sequence_without_steps_returns_the_state():
    cell = LSTM(D, H)
    params = cell.init(jax.random.key(0))
    state = jax.tree.map(lambda s: s + 1, cell.initial_state(params, (B,)))
    final, states = Sweeps()(cell, params, state, jnp.zeros((0, B, D)))
    jax.tree.map(np.testing.assert_array_equal, final, state)
    assert states.h.shape == (0, B, H)
