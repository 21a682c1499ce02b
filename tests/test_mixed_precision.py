"""bfloat16 products with float32 sums: which operands, how close to float32, under every engine, for any cell."""

import collections
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import rnn_jax
from rnn_jax import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Checkpointed,
    Dropout,
    GRUResetBefore,
    Hoisted,
    LearnedInitialState,
    MixedPrecision,
    RecurrentDropout,
    Residual,
    Scan,
    Stack,
    VanillaRNN,
    Zoneout,
    initializers,
    training,
)
from rnn_jax.engines import decisions
from rnn_jax.wrapper import Wrapper
from tests import registry

T, B, D, H = 6, 4, 3, 16
ENGINES = [Scan(), Hoisted(), Checkpointed(), Checkpointed(recursive=True)]
CELLS = {name: make(D, H) for name, make in rnn_jax.CELLS.items()}
BFLOAT16 = ("bf16", "bf16", "f32")

every_cell = pytest.mark.parametrize("cell", registry.cells(D, H))
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def inputs(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def rounded(x):
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16), np.float64)


def products(function, *args):
    """The types of every product in a function's program, as (operand, operand, result)."""
    text = jax.jit(function).lower(*args).as_text()
    matches = re.findall(r"dot_general .*: \(tensor<(\S*)>, tensor<(\S*)>\) -> tensor<(\S*)>", text)
    assert len(matches) == text.count("dot_general ")
    return [tuple(re.sub(r"^(\d+x)*", "", shape) for shape in types) for types in matches]


def total(tree):
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(tree))


def results_of(layer, engine, params, xs, key=None, **sequences):
    """Final state, outputs and the gradients by params and inputs."""

    def loss(params, xs):
        results = rnn_jax.unroll(layer, params, xs, engine=engine, key=key, **sequences)
        weighted = [
            jnp.sum(jnp.real(jnp.sin(jnp.arange(y.size)).reshape(y.shape) * y)) for y in jax.tree.leaves(results)
        ]
        return sum(weighted), results

    gradients, results = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, xs)
    return *results, *gradients


def distance(got, expected):
    """The largest relative distance of two leaves, by the norm; their types are the same."""
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), got) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), expected
    )
    distances = [
        np.linalg.norm(g - w) / max(np.linalg.norm(w), 1e-6)
        for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    ]
    return max(distances)


@functools.cache
def params_of(layer):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: p + jnp.asarray(rng.normal(0, 0.1, p.shape), p.dtype), layer.init(jax.random.key(0)))


@functools.partial(compiled, static_argnums=(0, 1))
def compiled_results(layer, engine, params, xs):
    return results_of(layer, engine, params, xs)


@functools.cache
def run(layer, engine, inside=None):
    if inside is None:
        return compiled_results(layer, engine, params_of(layer), inputs(T, B, D))
    sequences = {"lengths": np.array([0, T - 3, T, T]), "resets": np.arange(T * B).reshape(T, B) % 5 == 0}
    noisy = functools.partial(results_of, layer, engine, key=jax.random.key(2), **sequences)
    return compiled(noisy)(params_of(inside), inputs(T, B, D))


class RoundedParameters(Wrapper):
    """Rounds the matrices that a step reads, prepared ones; gradients pass unchanged."""

    def prepare(self, params):
        def in_place(p):
            if p.ndim < 2:
                return p
            return p + jax.lax.stop_gradient(p.astype(jnp.bfloat16).astype(p.dtype) - p)

        return jax.tree.map(in_place, self.cell.prepare(params))


# Half a unit in the last of bfloat16's 8 bits is 2^-9; cotangents accumulate it over T steps.
NEAR = 2.0**-6


@every_cell
def test_results_are_near_float32_and_of_its_types(cell):
    # Each cell's own conditioning is measured by rounding only what products read, matrices and inputs, once.
    plain = run(cell, Scan())
    xs = jnp.asarray(rounded(inputs(T, B, D)), jnp.float32)
    near = distance(compiled_results(RoundedParameters(cell), Scan(), params_of(cell), xs), plain)
    assert near < 0.1
    assert near / 4 < distance(run(MixedPrecision(cell), Scan()), plain) < 4 * near


# Hoisted keeps a sum for the first, two arrays for the second; the third is not split.
@pytest.mark.parametrize("cell", [CELLS[name] for name in ("lstm", "gru", "gru_reset_before")], ids=repr)
@pytest.mark.parametrize(
    "engine", [ENGINES[1], *(pytest.param(e, marks=pytest.mark.extended) for e in ENGINES[2:])], ids=str
)
def test_engines_round_as_scan(cell, engine):
    # The same products of the same operands: results differ by the order of sums and by rounding.
    mixed = MixedPrecision(cell)
    assert distance(run(mixed, engine), run(mixed, Scan())) < 2.0**-10


@every_cell
@pytest.mark.parametrize("engine", ENGINES[:2], ids=str)
def test_every_product_is_of_bfloat16_forward_and_backward(cell, engine):
    params, xs = jax.eval_shape(cell.init, jax.random.key(0)), inputs(T, B, D)
    gradient = functools.partial(results_of, MixedPrecision(cell), engine)
    narrow, plain = products(gradient, params, xs), products(functools.partial(results_of, cell, engine), params, xs)
    assert len(narrow) == len(plain) >= 3  # at least x W and its two cotangents
    # Products of complex numbers, as in the LRU, are not replaced, nor those that prepare parameters.
    kept = collections.Counter(products(jax.grad(lambda p: total(cell.prepare(p))), params))
    replaced = collections.Counter(narrow) - kept
    assert {types for types in replaced if "complex" not in "".join(types)} == {BFLOAT16}


LAYERS = {
    "around": lambda c: Stack([Zoneout(c(LSTM(D, H)), 0.2), Dropout(LearnedInitialState(c(VanillaRNN(H, 2))), 0.2)]),
    "inside": lambda c: Stack([c(Zoneout(LSTM(D, H), 0.2)), c(LearnedInitialState(GRUResetBefore(H, 2)))]),
    "product": lambda c: Bidirectional(RecurrentDropout(c(GRU(D, H)), 0.2), c(RecurrentDropout(VanillaRNN(D, H), 0.2))),
    "stepped": lambda c: c(Residual(Stack([VanillaRNN(D, H), GRU(H, D)]))),
}


@pytest.mark.extended
@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(layer, id=name, marks=() if name == "around" else pytest.mark.extended)
        for name, layer in LAYERS.items()
    ],
)
def test_it_nests_with_layers_and_wrappers(layer):
    mixed, plain = layer(MixedPrecision), layer(lambda cell: cell)
    assert 2.0**-12 < distance(run(mixed, Hoisted(), inside=plain), run(plain, Hoisted(), inside=plain)) < NEAR
    gradient = functools.partial(results_of, mixed, Hoisted(), key=jax.random.key(0))
    assert set(products(gradient, params_of(plain), inputs(T, B, D))) == {BFLOAT16}


def test_it_keeps_the_kind_of_its_cell_and_one_array_for_two():
    cell = MixedPrecision(LSTM(D, H))
    params = params_of(cell)
    state, drive = cell.initial_state(params, (B,)), cell.project(params, inputs(B, D))
    assert cell.is_split
    assert decisions.reads_only_sum(cell, params, state, drive, cell.recurrent(params, state))
    assert not MixedPrecision(GRUResetBefore(D, H)).is_split


@pytest.mark.parametrize(
    "engine", [Hoisted(), *(pytest.param(e, marks=pytest.mark.extended) for e in (Scan(), Checkpointed()))], ids=str
)
def test_gradients_add_up_over_time_in_float32(engine):
    # 1000 contributions of one sign: a sum in bfloat16 stops growing at 256 of them.
    cell = VanillaRNN(1, 4)

    @functools.partial(compiled, static_argnums=0)
    def gradient(cell, params, xs):
        return jax.grad(lambda p: jnp.sum(rnn_jax.unroll(cell, p, xs, engine=engine)[1]))(params)

    params = jax.tree.map(lambda p: 0.1 * p, params_of(cell))
    short, long = (
        distance(gradient(MixedPrecision(cell), params, xs), gradient(cell, params, xs))
        for xs in (jnp.abs(inputs(10, 1, 1)), jnp.abs(inputs(1000, 1, 1)))
    )
    assert long < max(short, 2.0**-8)


def test_a_state_changes_by_less_than_bfloat16_resolves():
    cell = MixedPrecision(VanillaRNN(1, 1, activation=lambda z: z))
    params = cell.init(jax.random.key(0))._replace(w_i=jnp.full((1, 1), 2.0**-12), w_h=jnp.ones((1, 1)))
    final, _ = rnn_jax.unroll(cell, params, jnp.ones((3, 1)), jnp.ones(1))
    # The product rounds the state that it reads; its terms, the state itself and its sums are float32.
    assert final == 1 + 2.0**-12
    zoned, _ = rnn_jax.unroll(
        MixedPrecision(Zoneout(cell.cell, 0.5)), params, jnp.ones((1, 1)), jnp.full(1, 1 + 2.0**-12), key=None
    )
    assert zoned == 1 + 2.0**-12


def test_weights_are_cast_once_not_in_every_step():
    # A loop holds the weights in bfloat16 only. (The backward loop of Scan holds their gradient, in float32.)
    cell = MixedPrecision(LSTM(D, 24))
    params = jax.eval_shape(cell.init, jax.random.key(0))
    for function in (functools.partial(results_of, cell, Hoisted()), functools.partial(rnn_jax.unroll, cell)):
        text = jax.jit(function).lower(params, inputs(T, B, D)).compile().as_text()
        computations = dict(re.findall(r"^%?([\w.]+) \([^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
        loops = [computations[body] for body in re.findall(r"body=%([\w.]+)", text)]
        assert loops
        for loop in loops:
            assert "bf16[24,96]" in loop
            assert " f32[24,96]" not in loop


class Plain(Cell):
    """A user's cell: products written in several ways, one of them of the weights alone."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size + self.hidden_size, self.hidden_size)) / 3}

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, h, x):
        u = params["w"][self.input_size :]
        mixed = jnp.einsum("...i,ij->...j", h, u - u.T)
        return 0.9 * h + 0.1 * jnp.tanh(jnp.concatenate([x, h], -1) @ params["w"] + mixed)

    def output(self, params, h, x):
        return h @ params["w"][self.input_size :]


def test_it_works_with_a_user_defined_cell():
    cell = Plain(D, H)
    for engine in ENGINES:
        gradient = functools.partial(results_of, MixedPrecision(cell), engine)
        assert set(products(gradient, params_of(cell), inputs(T, B, D))) == {BFLOAT16}
    assert 2.0**-12 < distance(run(MixedPrecision(cell), Hoisted()), run(cell, Scan())) < NEAR


@pytest.mark.parametrize(
    "sizes",
    [
        *((0, 2, 1, 1), (1, 1, 1, 1), (9, 2, 3)),
        *(pytest.param(sizes, marks=pytest.mark.extended) for sizes in ((7, 5, 4, 6), (3, 1, 9, 2))),
    ],
    ids=str,
)
@pytest.mark.parametrize("engine", [Hoisted(), pytest.param(Scan(), marks=pytest.mark.extended)], ids=str)
def test_sizes_are_free(sizes, engine):
    # With XLA's optimizations: it may fail to run a product that it has rearranged.
    *leading, d, h = sizes
    cell, xs = VanillaRNN(d, h), inputs(*leading, d)
    mixed = jax.jit(functools.partial(results_of, MixedPrecision(cell), engine))(params_of(cell), xs)
    assert distance(mixed, compiled(functools.partial(results_of, cell, Scan()))(params_of(cell), xs)) < NEAR


@pytest.mark.extended
def test_forward_mode():
    cell = MixedPrecision(GRU(D, H))
    params, xs = params_of(cell), inputs(T, B, D)

    def loss(engine, xs):
        return jnp.sum(rnn_jax.unroll(cell, params, xs, engine=engine)[1] ** 2)

    def along(function):
        return lambda xs: jax.jvp(function, (xs,), (jnp.cos(xs),))

    plain, fast = functools.partial(loss, Scan()), functools.partial(loss, Hoisted())
    assert set(products(along(plain), xs)) == {BFLOAT16}
    gradient, curvature = compiled(along(jax.grad(fast)))(
        xs
    )  # of a gradient, also under an engine with a user-defined derivative
    np.testing.assert_allclose(compiled(along(plain))(xs)[1], jnp.sum(gradient * jnp.cos(xs)), rtol=NEAR)
    assert distance(curvature, compiled(along(jax.grad(plain)))(xs)[1]) < 2.0**-8


def test_all_seeds_in_one_program_are_the_seeds_run_alone():
    cell = MixedPrecision(VanillaRNN(D, H))
    params, xs = jax.vmap(cell.init)(jax.random.split(jax.random.key(0), 3)), inputs(T, B, D)
    run_one = functools.partial(results_of, cell, Hoisted())
    run_all, alone = jax.vmap(run_one, (0, None)), compiled(run_one)
    assert set(products(run_all, params, xs)) == {BFLOAT16}
    whole = compiled(run_all)(params, xs)
    alone = [alone(jax.tree.map(lambda p, s=s: p[s], params), xs) for s in range(3)]
    assert distance(whole, jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)) < 2.0**-8


@pytest.mark.extended
def test_it_learns_as_float32_does():
    task = rnn_jax.Adding(4)
    plain = VanillaRNN(2, 16, recurrent_init=initializers.Uniform())  # compiles faster than an orthogonal matrix
    losses = []
    for cell in (plain, MixedPrecision(plain)):
        trainer = training.Trainer(rnn_jax.ReadoutModel(cell, 1), 64, training.Adam(0.02), training.ClipByNorm(1.0))
        state = training.init(trainer, jax.random.split(jax.random.key(0), 1))
        _, metrics = training.run(trainer, task, training.start(trainer, task, state), 300)
        losses.append(np.mean(metrics.loss[:, -50:]))
    assert max(losses) < task.baseline / 10
    np.testing.assert_allclose(*np.log(losses), atol=np.log(1.5))


def test_it_lowers_for_every_platform():
    cell = MixedPrecision(LSTM(D, H))
    params = jax.eval_shape(cell.init, jax.random.key(0))
    gradient = jax.jit(functools.partial(results_of, cell, Hoisted()))
    exported = export.export(gradient, platforms=["cpu", "cuda", "tpu"])(params, inputs(T, B, D))
    assert {aval.dtype for aval in exported.out_avals} == {np.dtype("float32")}


def test_it_can_be_stepped_without_compiling():
    cell = MixedPrecision(LSTM(D, H))
    params, xs = params_of(cell), inputs(T, B, D)
    state = cell.initial_state(params, (B,))
    for x in xs:
        state = cell.step(params, state, cell.project(params, x))
    assert distance(state, compiled(functools.partial(rnn_jax.unroll, cell))(params, xs)[0]) < 2.0**-8


def test_only_a_cell_is_wrapped():
    with pytest.raises(TypeError, match="MixedPrecision: cell must be a Cell, got 3"):
        MixedPrecision(3)
