"""Cells whose Jacobians are known or unusual, and their inputs, for the tests of dynamics."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import Cell


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def made(cell, seed=0):
    return cell.init(jax.random.key(seed))


class Product(Cell):
    """s_t = M_t s_{t-1}, the M_t its inputs: arbitrary Jacobians."""

    def init(self, key):
        return jnp.zeros(())

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, x):
        m = jnp.reshape(x, (*x.shape[:-1], self.hidden_size, self.hidden_size))
        return jnp.squeeze(m @ state[..., None], -1)


class Mixed(NamedTuple):
    z: jax.Array
    steps: jax.Array
    h: jax.Array


class UserCell(Cell):
    """A user's cell: a complex component, one of integers, one real."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size, self.hidden_size)) / 2, "decay": jnp.asarray(0.3)}

    def initial_state(self, params, batch_shape=()):
        shape = (*batch_shape, self.hidden_size)
        return Mixed(jnp.zeros(shape, jnp.complex64), jnp.zeros(batch_shape, jnp.int32), jnp.ones(shape))

    def step(self, params, state, x):
        z = (0.6 + 0.3j) * state.z + state.h
        h = jnp.tanh(x @ params["w"] + 0.5 * state.h) * jax.nn.sigmoid(params["decay"]) + 0.1 * state.z.real
        return Mixed(z, state.steps + 1, h)

    def output(self, params, state, x):
        return state.h
