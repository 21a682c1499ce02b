"""The engine `Fused`: its kernel, interpreted on a CPU, against `Scan`; its program for a TPU; what it does not take.

A kernel that is wrong at the boundary of two blocks of steps, or of two tiles of sequences, fails: the interpreter's
blocks are 4 steps and 8 sequences, and no size here is divisible by them. `test_a_kernel_with_a_wrong_carry_fails`
breaks it on purpose.
"""

import functools
import logging
import re
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import CELLS, LRU, LSTM, Fused, Scan, SplitCell, VanillaRNN, Zoneout, targets
from rnn_jax.cells.projection import over_batch
from rnn_jax.engines import fused, invariants, time_kernel
from rnn_jax.testing import cells as contract
from rnn_jax.testing import engines
from tests import registry

T, B, D, H = 6, 10, 3, 4  # two blocks of steps, two tiles of sequences
KERNEL = Fused(interpret=True)


class User(SplitCell):
    """A cell as users write them: weights normalised in the step, a number, an array, a counter."""

    def init(self, key):
        keys = jax.random.split(key)
        return {
            "w_i": jax.random.normal(keys[0], (self.input_size, self.hidden_size)),
            "w_h": jax.random.normal(keys[1], (self.hidden_size, self.hidden_size)),
            "leak": jnp.asarray(0.3),
            "b": jnp.zeros(self.hidden_size),
        }

    def initial_state(self, params, batch_shape=()):
        return {"h": jnp.zeros((*batch_shape, self.hidden_size)), "steps": jnp.zeros(batch_shape, jnp.int32)}

    def project(self, params, x):
        return x @ params["w_i"]

    def recurrent(self, params, state):
        return state["h"] @ (params["w_h"] / jnp.linalg.norm(params["w_h"], axis=0, keepdims=True))

    def activate(self, params, state, drive, r):
        leak = jax.nn.sigmoid(params["leak"])
        h = (1 - leak) * state["h"] + leak * jax.nn.silu(drive + r + over_batch(params["b"], r.ndim))
        decay = jnp.asarray(np.linspace(0.5, 1.0, self.hidden_size, dtype=np.float32))
        return {"h": h * over_batch(decay, h.ndim), "steps": state["steps"] + 1}

    def output(self, params, state, x):
        return state["h"]


class IndRNN(SplitCell):
    """h_t = relu(x_t W + u h_{t-1}), Li et al. 2018 (arXiv:1803.04831)."""

    def init(self, key):
        w = jax.random.normal(key, (self.input_size, self.hidden_size))
        return w, jax.random.uniform(key, (self.hidden_size,), minval=-1.0)

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def project(self, params, x):
        return x @ params[0]

    def recurrent(self, params, state):
        return over_batch(params[1], state.ndim) * state

    def activate(self, params, state, drive, r):
        return jax.nn.relu(drive + r)


def has_vectors(make):
    """Whether all of a cell's state is real, and [*batch, features]: the kernel takes nothing else."""
    cell = make(D, 4)
    leaves = jax.tree.leaves(jax.eval_shape(lambda key: cell.initial_state(cell.init(key)), jax.random.key(0)))
    return all(leaf.ndim < 2 and not jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in leaves)


KINDS = {name: make for name, make in CELLS.items() if has_vectors(make)} | {"user": User, "indrnn": IndRNN}


def options():
    flags = jnp.zeros((T, B), bool).at[2, ::2].set(True).at[4, 1].set(True)
    return {"lengths": jnp.arange(B) % T + 1, "resets": flags}


@functools.partial(jax.jit, static_argnums=(0, 1))
def value_and_gradients(cell, engine, params, xs, state, options):
    def loss(params, xs, state):
        final_state, ys = rnn_jax.unroll(cell, params, xs, state, engine=engine, key=None, **options)
        leaves = jax.tree.leaves((final_state, ys))
        return sum(jnp.sum(jnp.sin(jnp.arange(leaf.size)).reshape(leaf.shape) * leaf) for leaf in leaves)

    return jax.value_and_grad(loss, (0, 1, 2), allow_int=True)(params, xs, state)


def check_gradients(cell, engine=KERNEL):
    arguments = contract.moved_params(cell), contract.inputs(cell, T, B), contract.moved_state(cell, B), options()
    got, expected = (value_and_gradients(cell, each, *arguments) for each in (engine, Scan()))
    for g, e in zip(*map(jax.tree.leaves, (got, expected)), strict=True):
        if g.dtype != jax.dtypes.float0:
            np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-5)


def kernel_marks(name):
    if name == "rnn":
        return ()
    return pytest.mark.slow if name in registry.VARIANTS else pytest.mark.extended


@pytest.mark.parametrize("name", [pytest.param(name, marks=kernel_marks(name)) for name in KINDS])
def test_the_kernel_equals_scan_in_value_and_gradient(name):
    check_gradients(KINDS[name](D, H))


@pytest.mark.extended
@pytest.mark.parametrize(
    "around",
    [
        rnn_jax.LearnedInitialState,
        rnn_jax.MixedPrecision,
        functools.partial(Zoneout, rate=0.1),
        functools.partial(rnn_jax.RecurrentDropout, rate=0.1),
    ],
)
def test_the_kernel_takes_wrappers(around):
    check_gradients(around(LSTM(D, H)))


@pytest.mark.extended
@pytest.mark.parametrize("cell", [LSTM(D, H), rnn_jax.GRUResetBefore(D, H), User(D, H)], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize(
    "check",
    [contract.batch_dimensions, contract.rows, contract.segments, contract.seeds, contract.compilation, engines.states],
    ids=lambda check: check.__name__,
)
def test_the_kernel_fulfils_the_contract(cell, check):
    check(cell, KERNEL)


@pytest.mark.extended
def test_a_kernel_with_a_wrong_carry_fails(monkeypatch):
    cell = VanillaRNN(D, 5)
    check_gradients(cell)
    when = time_kernel.pl.when
    monkeypatch.setattr(time_kernel.pl, "when", lambda first: when(first | True))  # every block starts from s_0
    value_and_gradients.clear_cache()
    with pytest.raises(AssertionError, match="Mismatch"):
        check_gradients(cell)
    value_and_gradients.clear_cache()


@pytest.mark.extended
def test_the_kernel_has_no_races():
    interpreter = pytest.importorskip("jax._src.pallas.mosaic.interpret.interpret_pallas_call")
    assert time_kernel.INTERPRETER.detect_races
    check_gradients(VanillaRNN(D, H))
    assert interpreter.races is not None
    assert not interpreter.races.races_found


def lowered(cell, platform, steps=20, batch=32, **options):
    """Returns the program of a gradient for a platform that need not be there, before that platform's compiler."""

    def loss(params, xs, options):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Fused(), key=None, **options)[1])

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, batch, cell.input_size), jnp.float32)
    program = jax.jit(jax.grad(loss, argnums=(0, 1))).trace(params, xs, options)
    return program.lower(lowering_platforms=(platform,)).as_text()


def loops_of_preparation(cell):
    """Returns how many loops the gradient of `cell.prepare` has: none, but for a matrix exponential."""

    def total(params):
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(cell.prepare(params)))

    traced = jax.jit(jax.grad(total)).trace(jax.eval_shape(cell.init, jax.random.key(0)))
    return traced.lower(lowering_platforms=("tpu",)).as_text().count("stablehlo.while")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.extended if name in registry.VARIANTS else ()) for name in KINDS]
)
def test_a_program_for_a_tpu_has_two_kernels_and_no_loop(name):
    cell = KINDS[name](D, 128)
    text = lowered(cell, "tpu")
    assert text.count("tpu_custom_call") == 2
    assert text.count("stablehlo.while") == loops_of_preparation(cell)


@pytest.mark.parametrize("precision", ["default", "highest", "high", "tensorfloat32"])
def test_every_precision_of_products_has_a_kernel(precision):
    with jax.default_matmul_precision(precision):
        assert lowered(LSTM(D, 128), "tpu").count("tpu_custom_call") == 2


def test_masks_and_wrappers_have_a_kernel():
    options = {"lengths": jnp.arange(32) % 20, "resets": jnp.zeros((20, 32), bool)}
    for cell in (User(D, 128), rnn_jax.LearnedInitialState(rnn_jax.MixedPrecision(Zoneout(LSTM(D, 128), 0.1)))):
        assert lowered(cell, "tpu", **options).count("tpu_custom_call") == 2


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_elsewhere_the_steps_are_a_loop(platform):
    text = lowered(LSTM(D, H), platform)
    assert text.count("stablehlo.while") == 2
    assert "custom_call_target" not in text


class OverBatch(VanillaRNN):
    """A step that reduces over its batch."""

    def activate(self, params, state, drive, r):
        return jnp.tanh(drive + r - jnp.mean(r, axis=0, keepdims=True))


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (LRU(D, H), "LRU runs as by .* complex64"),
        (OverBatch(D, H), "OverBatch runs as by .* mixes the sequences"),
        (LSTM(D, 4096), r"LSTM runs as by .* 2\d\d MiB, 256 of them constants, .* about 2\d{3} units"),
        (Zoneout(LRU(D, H), 0.1), "LRU runs"),
    ],
    ids=lambda value: getattr(type(value), "__name__", None),
)
def test_what_the_kernel_does_not_take_runs_as_by_hoisted_and_is_logged(cell, reason, caplog):
    fused._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        text = lowered(cell, "tpu")
    assert "tpu_custom_call" not in text
    (record,) = caplog.records
    assert re.match(f"Fused: {reason}", record.getMessage())


def test_forward_mode_and_second_derivatives_are_refused():
    cell, xs = VanillaRNN(D, H), jnp.ones((T, D))

    def loss(params):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Fused())[1] ** 2)

    params = contract.moved_params(cell)
    with pytest.raises(TypeError, match=r"^Fused: .* reverse mode .*; use engine=Scan\(\)"):
        jax.jvp(loss, (params,), (params,))
    for second in (lambda g: jax.jvp(g, (params,), (params,)), lambda g: jax.jacrev(g)(params)):
        with pytest.raises(TypeError, match=r"^Fused: .* derivative of a gradient; use engine=Scan\(\)"):
            second(jax.grad(loss))


def test_seeds_have_kernels():
    cell = LSTM(D, 128)
    params = jax.tree.map(lambda p: jnp.stack([p, p]), contract.moved_params(cell))

    def loss(params, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Fused())[1])

    program = jax.jit(jax.vmap(jax.grad(loss), (0, None))).trace(params, jnp.ones((T, B, D)))
    assert program.lower(lowering_platforms=("tpu",)).as_text().count("tpu_custom_call") == 2


def test_a_part_of_a_step_that_depends_on_parameters_alone_is_outside_the_loop():
    cell = User(D, H)
    params, state = contract.moved_params(cell), contract.moved_state(cell, B)
    drive = cell.project(params, contract.inputs(cell, B))
    parts = invariants.split(cell.step, params, state, drive)
    values = parts.before(params)
    got, expected = parts.inside(values, state, drive), cell.step(params, state, drive)
    jax.tree.map(lambda g, e: np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-6), got, expected)
    trace = jax.make_jaxpr(parts.inside)(values, state, drive)
    assert not trace.consts
    names = [eqn.primitive.name for eqn in trace.jaxpr.eqns]
    assert names.count("dot_general") == 1
    assert not {"sqrt", "reduce_sum", "jit", "custom_jvp_call"}.intersection(names)
    assert [v.shape for v in values] == [v.shape for v in parts.values]


@pytest.mark.extended
@pytest.mark.parametrize("target", ["v5e", "v6e"])
@pytest.mark.parametrize(("name", "hidden", "batch"), [
    ("rnn", 128, 8), ("lstm", 256, 64), ("gru", 512, 256), ("lstm_layer_norm", 128, 32), ("user", 100, 5),
])  # fmt: skip
def test_it_compiles(name, hidden, batch, target):
    try:
        targets.find(target)
    except ImportError as error:
        pytest.skip(str(error))
    cell = KINDS[name](D, hidden)

    def loss(params, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=Fused())[1])

    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((100, batch, D), jnp.float32)
    compiled = targets.compile_for(jax.grad(loss), params, xs, target=target)
    assert targets.total(compiled).kernels == 2


@pytest.mark.extended
def test_a_time_step_costs_a_twentieth_of_what_it_does_in_a_loop():
    # In a process of its own: a TPU's compiler reads when it starts what it is to write.
    program = """
        import jax, rnn_jax
        from rnn_jax import bundles, targets

        bundles.record()
        cell = rnn_jax.LSTM(128, 128)
        params = jax.eval_shape(cell.init, jax.random.key(0))
        xs = jax.ShapeDtypeStruct((100, 32, 128), "float32")

        def gradient(engine):
            return jax.grad(lambda p, x: (rnn_jax.unroll(cell, p, x, engine=engine)[1] ** 2).mean(), argnums=(0, 1))

        kernels = bundles.of(targets.compile_for(gradient(rnn_jax.Fused()), params, xs))
        loops = targets.loops(targets.compile_for(gradient(rnn_jax.Scan()), params, xs))
        assert sorted(kernels) == ["time_loop.1", "time_loop_reverse.1"], kernels
        assert 0 < 20 * sum(kernels.values()) < sum(loop.cycles for loop in loops), (kernels, loops)
        """
    try:
        targets.find("v5e")
    except ImportError as error:
        pytest.skip(str(error))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
