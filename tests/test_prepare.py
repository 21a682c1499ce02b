"""What a step derives from parameters alone is computed once, before all steps, and its gradient after all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import AntisymmetricRNN, ExpRNN, Hoisted, LearnedInitialState, MixedPrecision, Stack, Zoneout, unroll
from rnn_jax.engines import Checkpointed, Scan
from rnn_jax.testing import cells as contract

T, B = 5, 2
CELL = ExpRNN(2, 3)
LOOPS = ("scan", "while")


def solves(jaxpr, looped=False):
    """Yields, for each solution of linear equations (the exponential has one), whether it is in a loop."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "lu":
            yield looped
        for part in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            if hasattr(part, "eqns"):
                yield from solves(getattr(part, "jaxpr", part), looped or eqn.primitive.name in LOOPS)


def gradient(cell, engine, **options):
    def loss(params, xs):
        return jnp.sum(unroll(cell, params, xs, engine=engine, key=None, **options)[1])

    params = jax.eval_shape(cell.init, jax.random.key(0))
    return jax.make_jaxpr(jax.grad(loss))(params, jnp.ones((T, B, cell.input_size))).jaxpr


@pytest.mark.parametrize("engine", [Scan(), Hoisted(), Checkpointed()], ids=lambda engine: type(engine).__name__)
def test_no_loop_of_a_gradient_computes_the_exponential(engine):
    places = list(solves(gradient(CELL, engine)))
    assert places
    assert not any(places)


@pytest.mark.extended
@pytest.mark.parametrize("around", [
    LearnedInitialState, lambda cell: Zoneout(cell, 0.1), MixedPrecision, lambda cell: Stack([cell, ExpRNN(3, 2)]),
], ids=["learned state", "zoneout", "mixed precision", "stack"])  # fmt: skip
def test_wrappers_and_layers_prepare_the_cells_inside(around):
    places = list(solves(gradient(around(CELL), Scan(), lengths=jnp.array([T, 2]))))
    assert places
    assert not any(places)


def test_without_preparation_each_step_computes_it():
    params = jax.eval_shape(CELL.init, jax.random.key(0))

    def states(params, xs):
        return Scan()(CELL, params, jnp.zeros((B, 3)), xs)[1]

    assert any(solves(jax.make_jaxpr(states)(params, jnp.ones((T, B, 2))).jaxpr))


@pytest.mark.parametrize("cell", [CELL, AntisymmetricRNN(2, 3), MixedPrecision(CELL)], ids=repr)
def test_a_step_takes_parameters_in_either_form(cell):
    params, state = contract.moved_params(cell), contract.moved_state(cell, B)
    prepared = cell.prepare(params)
    assert cell.prepare(prepared) is prepared
    drive = cell.project(params, contract.inputs(cell, B))
    np.testing.assert_array_equal(cell.step(prepared, state, drive), cell.step(params, state, drive))
