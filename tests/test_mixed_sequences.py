"""A step that mixes the sequences of its batch: it is noticed, and `Hoisted` then has the gradient of `Scan`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import Hoisted, LearnedInitialState, Scan, Zoneout
from rnn_jax.engines import decisions

D, H, B = 8, 32, 16
TYPES = {name: make(D, H) for name, make in rnn_jax.CELLS.items()}


class BatchNormalised(rnn_jax.Cell):
    """Normalises over the batch in every step."""

    def init(self, key):
        return {
            "w_i": jax.random.normal(key, (self.input_size, self.hidden_size)),
            "w_h": jax.random.normal(key, (self.hidden_size, self.hidden_size)),
        }

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, drive):
        a = drive @ params["w_i"] + state @ params["w_h"]
        return jnp.tanh(self.normalised(a))

    def normalised(self, a):
        return (a - jnp.mean(a, 0, keepdims=True)) / jnp.sqrt(jnp.var(a, 0, keepdims=True) + 0.1)


class NormalisedInside(BatchNormalised):
    """Hides the reduction in a function that returns an array with a batch."""

    def normalised(self, a):
        return jax.jit(super().normalised)(a)


class OfOneBatch(BatchNormalised):
    """Takes batches of four only."""

    def normalised(self, a):
        return a * jnp.arange(1.0, 5.0)[:, None]


@pytest.mark.parametrize("kind", [BatchNormalised, NormalisedInside, OfOneBatch])
@pytest.mark.parametrize("around", [lambda cell: cell, lambda cell: Zoneout(cell, 0.1)], ids=["bare", "zoneout"])
def test_a_step_that_mixes_sequences_has_the_gradient_of_scan(kind, around):
    cell = around(kind(2, 3))
    params, xs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (5, 4, 2))

    def gradient(engine):
        ys = functools.partial(rnn_jax.unroll, cell, xs=xs, engine=engine, key=None)
        return jax.grad(lambda p: jnp.sum(ys(p)[1] ** 2 * jnp.arange(4.0)[None, :, None]))(params)

    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5), gradient(Hoisted()), gradient(Scan())
    )


def one_by_one(a):
    return jax.lax.scan(lambda s, row: (s + row, s), jnp.zeros(a.shape[1]), a)[1]


MIXING = {
    "reversed": lambda a: a[::-1],
    "rolled": lambda a: jnp.roll(a, 1, 0),
    "permuted": lambda a: a[jnp.argsort(jnp.arange(a.shape[0]) % 3)],
    "sorted": lambda a: jnp.sort(a, 0),
    "summed": lambda a: jnp.cumsum(a, 0),
    "attending": lambda a: jax.nn.softmax(a @ a.T) @ a,
    "transposed": lambda a: jnp.cumsum(a.T, 1).T,
    "first": lambda a: a.at[0].set(0.0),
    "scanned": one_by_one,
    "numbered": lambda a: a * jnp.arange(float(a.shape[0]))[:, None],
    "drawn": lambda a: a + jax.random.normal(jax.random.key(0), a.shape),
}
SEPARATE = {
    "reversed": lambda a: a[:, ::-1],
    "permuted": lambda a: a[:, jnp.array([2, 0, 1])],
    "sorted": lambda a: jnp.sort(a, 1),
    "summed": lambda a: jnp.cumsum(a, 1),
    "attending": lambda a: jnp.einsum("bi,bj,bj->bi", a, a, a),
    "transposed": lambda a: jnp.cumsum(a.T, 0).T,
    "first": lambda a: a.at[:, 0].set(0.0),
    "chosen": lambda a: a - jnp.take_along_axis(a, jnp.argmax(a, 1, keepdims=True), 1),
    "looked_up": lambda a: jnp.eye(3)[jnp.argmax(a, 1)],
    "split": lambda a: jnp.concatenate(jnp.split(a, 3, 1), 1),
    "scanned": lambda a: one_by_one(a.T).T,
    "numbered": lambda a: a * jnp.arange(3.0)[None],
    "drawn": lambda a: a + jax.random.normal(jax.random.key(0), (1, 3)),
    "filled": lambda a: jax.jit(jnp.where)(a > 0, a, jnp.ones_like(a)),
}


def mixes(change):
    kind = type("Changed", (BatchNormalised,), {"normalised": lambda self, a: change(a)})
    cell, like = kind(2, 3), jax.ShapeDtypeStruct
    params, state = jax.eval_shape(cell.init, jax.random.key(0)), like((4, 3), jnp.float32)
    assert jax.eval_shape(cell.step, params, state, like((4, 2), jnp.float32)) == state
    return decisions.mixes_sequences(cell, params, state, like((5, 4, 2), jnp.float32))


@pytest.mark.parametrize("name", MIXING)
def test_an_operation_along_the_batch_mixes_sequences(name):
    assert mixes(MIXING[name])


@pytest.mark.parametrize("name", SEPARATE)
def test_the_same_operation_along_the_units_does_not(name):
    assert not mixes(SEPARATE[name])


@pytest.mark.parametrize("around", [lambda cell: cell, LearnedInitialState, rnn_jax.MixedPrecision])
@pytest.mark.parametrize("name", TYPES)
def test_no_cell_here_mixes_sequences(name, around):
    cell = around(TYPES[name])
    params = jax.eval_shape(cell.init, jax.random.key(0))
    state = jax.eval_shape(lambda p: cell.initial_state(p, (B,)), params)
    assert not decisions.mixes_sequences(cell, params, state, jax.ShapeDtypeStruct((3, B, D), jnp.float32))
