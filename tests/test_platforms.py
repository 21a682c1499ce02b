"""The programs of `Hoisted` for other platforms, run on the CPU: equal to `Scan`; and the platform decided by XLA."""

import importlib.metadata
import importlib.util

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LSTM, Hoisted, LearnedInitialState, Scan, VanillaRNN, Zoneout, machine, targets
from rnn_jax.engines import decisions

D, H = 3, 5
PLANS = {"tpu": decisions.PLANS["tpu"], "gpu": decisions.PLANS["cuda"]}


class Quadratic(rnn_jax.SplitCell):
    """Not linear in its state before the product; `activate` has a product of its own; part of its state is an integer.

    Its carry is (h, number of steps).
    """

    def init(self, key):
        shape = (self.hidden_size, self.hidden_size)
        return {name: 0.3 * jax.random.normal(k, shape) for name, k in zip("ab", jax.random.split(key), strict=True)}

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size)), jnp.zeros((*batch_shape, 1), int)

    def recurrent(self, params, state):
        return state[0] ** 2 @ params["a"]

    def activate(self, params, state, drive, r):
        return jnp.tanh(drive + r + state[0] @ params["b"]), state[1] + 1

    def output(self, params, state, x):
        return state[0] * (1 + 0.1 * state[1])


CELLS = {
    "rnn": VanillaRNN(D, H),
    "lstm": LSTM(D, H),
    "gru": GRU(D, H),
    "peephole": rnn_jax.CELLS["lstm_peephole"](D, H),
    "layer_norm": rnn_jax.CELLS["gru_layer_norm"](D, H),
    "not_split": rnn_jax.GRUResetBefore(D, H),
    "linear": rnn_jax.MinGRU(D, H),
    "zoneout": Zoneout(LSTM(D, H), 0.1),
    "learned": LearnedInitialState(LSTM(D, H)),
    "quadratic": Quadratic(H, H),
}


def extended(*values):
    return pytest.param(*values, marks=pytest.mark.extended)


@pytest.fixture(params=PLANS)
def plan(request, monkeypatch):
    """The plan of another platform, for the CPU."""
    monkeypatch.setattr(decisions, "PLANS", {"cpu": PLANS[request.param]})
    return PLANS[request.param]


def gradients(cell, engine, batch, steps=7, **options):
    """Returns results of an unrolled cell, with the gradients of a loss on all of them."""
    with jax.enable_x64():
        params = jax.tree.map(lambda leaf: leaf.astype(float), cell.init(jax.random.key(0)))
        xs = jax.random.normal(jax.random.key(1), (steps, *batch, cell.input_size), float)
        state = cell.initial_state(params, batch)
        state = jax.tree.map(lambda s: s + 0.1 if jnp.issubdtype(s.dtype, jnp.inexact) else s, state)

        def loss(params, xs, state):
            final, ys = rnn_jax.unroll(cell, params, xs, state, engine=engine, **options)
            weights = jnp.cos(jnp.arange(ys.size, dtype=float)).reshape(ys.shape)
            return jnp.sum(ys * weights) + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(final)), (final, ys)

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True, allow_int=True))(params, xs, state)


def check_equal(got, expected):
    def check(g, e):
        if g.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-10)

    jax.tree.map(check, got, expected)


@pytest.mark.parametrize("name", [name if name == "lstm" else extended(name) for name in CELLS])
@pytest.mark.parametrize("batch", [(2,), (1,)], ids=str)
def test_each_platforms_program_is_that_of_scan(plan, name, batch):
    options = {"key": jax.random.key(2)} if name == "zoneout" else {}
    got, expected = (gradients(CELLS[name], engine, batch, **options) for engine in (Hoisted(), Scan()))
    check_equal(got, expected)


@pytest.mark.parametrize("name", [extended("lstm"), "gru", extended("not_split")])
def test_lengths_and_resets(plan, name):
    options = {"lengths": jnp.array([7, 3]), "resets": jnp.zeros((7, 2), bool).at[4, 0].set(True)}
    check_equal(*(gradients(CELLS[name], engine, (2,), **options) for engine in (Hoisted(), Scan())))


@pytest.mark.extended
@pytest.mark.parametrize("name", ["lstm", "gru", "quadratic"])
def test_segments_and_kept_arguments(plan, name, monkeypatch):
    expected = gradients(CELLS[name], Scan(), (2,))
    check_equal(gradients(CELLS[name], Hoisted(keep=True), (2,)), expected)
    monkeypatch.setattr(decisions, "SEGMENT_BYTES", 1000)  # some steps
    check_equal(gradients(CELLS[name], Hoisted(2), (2,)), expected)


@pytest.mark.extended
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_batches_of_no_and_of_two_dimensions(plan, name):
    for batch in ((), (2, 3)):
        check_equal(*(gradients(CELLS[name], engine, batch) for engine in (Hoisted(), Scan())))


@pytest.mark.extended
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_vmap_and_second_derivatives(plan, name):
    cell = CELLS[name]
    params = cell.init(jax.random.key(0))
    xs = jax.random.normal(jax.random.key(1), (3, 4, 2, D))

    def slope(engine, x):
        def loss(x):
            return jnp.sum(rnn_jax.unroll(cell, params, x, engine=engine)[1] ** 2)

        return jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) ** 2))(x)

    got, expected = (jax.jit(jax.vmap(lambda x, e=e: slope(e, x)))(xs) for e in (Hoisted(), Scan()))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_product_in_activate_is_not_linearised_for_all_steps(plan):
    # Its weights would be in memory once for each step.
    cell, steps, wide = Quadratic(64, 64), 40, 64

    def loss(params, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Hoisted())[1])

    params = jax.eval_shape(cell.init, jax.random.key(0))
    jaxpr = str(jax.make_jaxpr(jax.grad(loss))(params, jax.ShapeDtypeStruct((steps, 2, wide), jnp.float32)))
    assert f"[{steps},{wide},{wide}]" not in jaxpr


def gru_gradient():
    """Returns a jitted gradient, and shapes of its arguments."""
    cell = GRU(D, H)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(rnn_jax.unroll(cell, p, x)[1])))
    return gradient, params, jax.ShapeDtypeStruct((4, 2, D), jnp.float32)


def test_the_platform_is_that_of_the_compiled_program(monkeypatch):
    monkeypatch.setattr(machine, "platforms", lambda: {"cpu", "tpu"})
    gradient, *shapes = gru_gradient()
    programs = {name: jax.export.export(gradient, platforms=[name])(*shapes).mlir_module() for name in ("cpu", "tpu")}
    for program in programs.values():
        assert program.count("stablehlo.while") == 2  # other platforms' loops are not in it
    # On a TPU all inputs are projected before the loop, on a CPU each in it.
    projected = "(tensor<4x2x3xf32>, tensor<3x15xf32>) -> tensor<4x2x15xf32>"
    assert projected in programs["tpu"]
    assert projected not in programs["cpu"]


def test_programs_that_cannot_be_compiled_are_not_traced(monkeypatch):
    monkeypatch.setattr(machine, "platforms", lambda: {"cpu"})
    gradient, *shapes = gru_gradient()
    assert "branches_platforms" not in str(jax.make_jaxpr(gradient)(*shapes))


@pytest.mark.parametrize(
    ("plugins", "libtpu", "backend", "expected"),
    [
        ([], False, "cpu", {"cpu"}),
        (["xla_cuda12"], False, "cpu", {"cpu", "cuda"}),
        ([], True, "cpu", {"cpu", "tpu"}),
        ([], False, "tpu", {"cpu", "tpu"}),
        ([], False, "gpu", {"cpu", "cuda", "rocm"}),
    ],
)
def test_platforms_are_those_whose_compiler_is_installed(monkeypatch, plugins, libtpu, backend, expected):
    found = [importlib.metadata.EntryPoint(name, f"jax_plugins.{name}", "jax_plugins") for name in plugins]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if libtpu else None)
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert machine.platforms.__wrapped__() == expected


SHAPES = [(32, 100, 128, 128), (64, 200, 64, 256), (128, 784, 1, 128), (1, 1000, 64, 128)]
PEERS = {VanillaRNN: nn.SimpleCell, LSTM: nn.OptimizedLSTMCell, GRU: nn.GRUCell}


def compiled_loops(kind, shape, contestant, target):
    """Returns the loops of the gradient of mean(h^2), by an engine or, without one, by flax, compiled for a target."""
    batch, steps, inputs, hidden = shape
    xs = jax.ShapeDtypeStruct((steps, batch, inputs), jnp.float32)
    if contestant is None:
        peer = nn.RNN(PEERS[kind](hidden), time_major=True)
        params, run = jax.eval_shape(peer.init, jax.random.key(0), xs), peer.apply
    else:
        cell = kind(inputs, hidden)
        params = jax.eval_shape(cell.init, jax.random.key(0))

        def run(params, xs):
            return rnn_jax.unroll(cell, params, xs, engine=contestant)[1]

    gradient = jax.grad(lambda params, xs: jnp.mean(run(params, xs) ** 2))
    return targets.loops(targets.compile_for(gradient, params, xs, target=target))


def installed(target):
    try:
        return targets.find(target)
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.extended
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", PEERS)
def test_on_a_tpu_a_step_costs_at_most_four_fifths_of_the_best_alternative(kind, shape):
    installed("v5e")
    ours, scan, peer = (
        sum(loop.cycles for loop in compiled_loops(kind, shape, contestant, "v5e"))
        for contestant in (Hoisted(), Scan(), None)
    )
    assert ours <= 0.8 * min(scan, peer)


@pytest.mark.extended
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", PEERS)
def test_on_a_gpu_a_step_launches_three_kernels_forward_and_four_backward(kind, shape):
    installed("h200")
    forward, backward = compiled_loops(kind, shape, Hoisted(), "h200")
    assert forward.ops <= 3 + 1  # and the loop's counter
    assert backward.ops <= 4 + 1
