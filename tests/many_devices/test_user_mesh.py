"""`unroll` on a mesh of the user: split by the compiler (Auto axes), by types (Explicit) or by `shard_map` (Manual).

The loss is a sum over the batch, so that gradients are summed over devices, and nothing else has to be exchanged.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import rnn_jax
from rnn_jax import GRU, LRU, LSTM
from rnn_jax.engines import Associative, Checkpointed, Fused, Hoisted, Scan
from tests.many_devices import costs

T, B, D, H = 30, 16, 3, 8
KINDS = ["auto", "explicit", "manual"]
rare = functools.partial(pytest.param, marks=pytest.mark.extended)


def compiled(kind, devices, cell, engine, flags=False, reverse=False):
    """Returns a program for loss and gradients by parameters and inputs, and its arguments; kind None is no mesh."""

    def loss(params, xs, lengths, resets):
        given = {"lengths": lengths, "resets": resets} if flags else {}
        results = rnn_jax.unroll(cell, params, xs, engine=engine, reverse=reverse, **given)
        return sum(jnp.sum(jnp.abs(leaf) ** 2) for leaf in jax.tree.leaves(results))

    rng = np.random.default_rng(0)
    xs, lengths = rng.normal(size=(T, B, D)).astype(np.float32), rng.integers(0, T + 1, B)
    given = cell.init(jax.random.key(0)), xs, lengths, rng.random((T, B)) < 0.1
    if kind is None:
        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*given).compile(), given
    specs = P(), P(None, "rows"), P("rows"), P(None, "rows")
    axis_type = AxisType.Explicit if kind == "explicit" else AxisType.Auto
    devices = jax.make_mesh((devices,), ("rows",), axis_types=(axis_type,))
    shardings = tuple(NamedSharding(devices, spec) for spec in specs)
    placed = tuple(map(jax.device_put, given, shardings))
    if kind == "explicit":
        with jax.set_mesh(devices):  # in JAX 0.12 `zeros_like` of an array split by its type is whole without it
            return jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(*placed).compile(), placed
    total = loss
    if kind == "manual":
        total = jax.shard_map(lambda *a: jax.lax.psum(loss(*a), "rows"), mesh=devices, in_specs=specs, out_specs=P())
    # The arguments that are lowered are on no mesh, so `in_shardings` is all that splits them.
    program = jax.jit(jax.value_and_grad(total, argnums=(0, 1)), in_shardings=shardings)
    return program.lower(*given).compile(), placed


@functools.cache
def alone(cell, **options):
    program, given = compiled(None, 1, cell, Scan(), **options)
    return program(*given)


def assert_is_alone(kind, devices, cell, engine, **options):
    """Compares the results with those of one device, and returns the collectives of the program."""
    program, given = compiled(kind, devices, cell, engine, **options)
    for got, expected in zip(jax.tree.leaves(program(*given)), jax.tree.leaves(alone(cell, **options)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    return costs.collectives(program.as_text())


@pytest.mark.parametrize("devices", [2, rare(4)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_costs_one_sum_and_a_share_of_the_memory(kind, devices):
    cell, engine = LSTM(D, H), Hoisted()
    exchanged = assert_is_alone(kind, devices, cell, engine)
    parameters = sum(leaf.size for leaf in cell.init(jax.random.key(0)))
    ((what, size),) = exchanged.elements()
    assert what == "all-reduce"
    assert 4 * parameters < size <= 4 * (parameters + 3)  # and the loss, of h, c and all outputs
    split, one = (compiled(k, devices, cell, engine)[0].memory_analysis().temp_size_in_bytes for k in (kind, None))
    assert split < 1.2 * one / devices


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("cell", "engine"),
    [
        pytest.param(GRU(D, H), Hoisted(keep=False), id="recomputed"),
        rare(LSTM(D, H), Scan(), id="scan"),
        rare(LSTM(D, H), Checkpointed(), id="checkpointed"),
        rare(LSTM(D, H), Fused(), id="fused"),
        rare(LRU(D, H), Associative(), id="associative"),
        rare(rnn_jax.Stack((GRU(D, H), rnn_jax.MixedPrecision(LSTM(H, H)))), Hoisted(), id="stack"),
    ],
)
def test_lengths_and_resets_do_not_gather_sequences(kind, cell, engine):
    exchanged = assert_is_alone(kind, 4, cell, engine, flags=True, reverse=True)
    assert max(size for _, size in exchanged) < 4 * T * B * D


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_a_learned_initial_state_is_split(kind):
    assert_is_alone(kind, 2, rnn_jax.LearnedInitialState(GRU(D, H)), Hoisted(), flags=True)
