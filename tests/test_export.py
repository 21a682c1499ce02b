"""A whole training step and the lag-gradient measurement lower for CPU, GPU and TPU, whatever machine this is."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax import export

import rnn_jax
from rnn_jax import diagnostics, training
from rnn_jax.training import task_source
from tests import registry

PLATFORMS = ["cpu", "cuda", "tpu"]
TASK = rnn_jax.Adding(5)

every_cell = pytest.mark.parametrize("name", registry.NAMES)


def assert_lowers_everywhere(exported, results):
    assert exported.platforms == tuple(PLATFORMS)
    assert [(aval.shape, aval.dtype) for aval in exported.out_avals] == [(x.shape, x.dtype) for x in results]


@every_cell
def test_a_training_step_lowers_for_every_platform(name):
    model = rnn_jax.ReadoutModel(rnn_jax.CELLS[name](TASK.input_size, 3), TASK.output_size)
    trainer = training.Trainer(model, 2, training.Adam(1e-3), training.ClipByNorm(1.0))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    state = jax.eval_shape(functools.partial(training.init, trainer), keys)
    exported = export.export(task_source._run, platforms=PLATFORMS)(trainer, TASK, state, 1)

    def run(state):
        return training.run(trainer, TASK, training.start(trainer, TASK, state), 1)

    results = jax.tree.leaves(jax.eval_shape(run, state))
    assert_lowers_everywhere(exported, results)


# What a variant's step is made of lowers if its training step does.
@pytest.mark.parametrize("name", [pytest.param(name, marks=registry.marks(name)) for name in rnn_jax.CELLS])
def test_the_lag_gradients_lower_for_every_platform(name):
    cell = rnn_jax.CELLS[name](TASK.input_size, 3)

    @jax.jit
    def measure(params, xs):
        gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: jnp.sum(ys[-1] ** 2))
        return diagnostics.gradient_norms(gradients)

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((6, 2, TASK.input_size), jnp.float32)
    exported = export.export(measure, platforms=PLATFORMS)(params, xs)
    assert_lowers_everywhere(exported, jax.tree.leaves(jax.eval_shape(measure, params, xs)))
