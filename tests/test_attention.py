"""Attention against NumPy, and the decoders of Bahdanau and of Luong against their papers' equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Stack, unroll
from rnn_jax.engines import Checkpointed, Hoisted, Scan
from rnn_jax.models import Additive, BahdanauCell, Dot, General, LuongCell

H, F, A, M, B = 5, 4, 3, 6, 3
FORMS = {"additive": Additive(H, F, A), "general": General(H, F), "dot": Dot(F, F)}
LENGTHS = np.array([6, 2, 0])


def memory(seed=0, size=F):
    return np.random.default_rng(seed).normal(size=(M, B, size)).astype(np.float32)


def query(form, *lead, seed=1):
    return np.random.default_rng(seed).normal(size=(*lead, B, form.query_size)).astype(np.float32)


def score(form, params, q, m):
    if isinstance(form, Additive):
        return np.tanh(q @ params.w_query + m @ params.w_memory) @ params.v
    return q @ m if isinstance(form, Dot) else q @ (m @ params.w_memory)


def numpy_attention(form, params, q, ms):
    """Context and weights of one query and its memory, by the papers' sums term by term."""
    terms = [np.exp(score(form, params, q, m)) for m in ms]
    weights = [term / sum(terms) for term in terms]
    return sum((w * m for w, m in zip(weights, ms, strict=True)), np.zeros(F)), weights


@pytest.mark.parametrize("name", FORMS)
def test_contexts_and_weights_equal_the_papers_sums(name):
    form, values = FORMS[name], memory()
    params = form.init(jax.random.key(0))
    q = query(form)
    context, weights = form(params, jnp.asarray(q), form.prepare(params, values, LENGTHS))
    for b, length in enumerate(LENGTHS):
        expected, expected_weights = numpy_attention(form, jax.tree.map(np.asarray, params), q[b], values[:length, b])
        np.testing.assert_allclose(context[b], expected, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(weights[:length, b], expected_weights, rtol=2e-5)
        assert np.all(np.asarray(weights)[length:, b] == 0)


@pytest.mark.parametrize("name", FORMS)
def test_padding_reaches_nothing_and_an_empty_memory_gives_zeros(name):
    form, values = FORMS[name], memory()
    params = form.init(jax.random.key(0))
    with_nan = np.where(np.arange(M)[:, None, None] < LENGTHS[None, :, None], values, np.nan).astype(np.float32)

    def total(params, values, q):
        context, weights = form(params, q, form.prepare(params, values, LENGTHS))
        return jnp.sum(context**2) + jnp.sum(weights**2), (context, weights)

    run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
    expected, got = (run(params, jnp.asarray(v), jnp.asarray(query(form))) for v in (values, with_nan))
    jax.tree.map(np.testing.assert_array_equal, expected, got)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))
    (_, (context, weights)), (_, grad_values, grad_query) = got
    assert np.all(context[2] == 0)
    assert np.all(weights[:, 2] == 0)
    assert np.all(grad_query[2] == 0)
    assert np.all(np.asarray(grad_values)[2:, 1] == 0)
    assert np.any(np.asarray(grad_values)[:2, 1] != 0)


@pytest.mark.parametrize("name", FORMS)
def test_large_scores_do_not_overflow(name):
    form = FORMS[name]
    params = jax.tree.map(lambda leaf: 1e4 * leaf, form.init(jax.random.key(0)))
    q = 1e4 * jnp.asarray(query(form))
    context, weights = form(params, q, form.prepare(params, memory(), LENGTHS))
    assert np.all(np.isfinite(context))
    np.testing.assert_allclose(np.sum(weights, axis=0), [1, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_leading_axes_attend_to_the_same_memory(name):
    form = FORMS[name]
    params = form.init(jax.random.key(0))
    prepared = form.prepare(params, memory(), LENGTHS)
    many = jnp.asarray(query(form, 2, 4))
    contexts, weights = form(params, many, prepared)
    assert contexts.shape == (2, 4, B, F)
    assert weights.shape == (2, 4, M, B)
    for i in np.ndindex(2, 4):
        context, expected_weights = form(params, many[i], prepared)
        np.testing.assert_allclose(contexts[i], context, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights[i], expected_weights, rtol=1e-5, atol=1e-6)


def test_wrong_memories_and_sizes_are_rejected():
    form = FORMS["general"]
    params = form.init(jax.random.key(0))
    for values, lengths, error, message in [
        (memory(size=3), None, ValueError, r"General: a memory must be \[M, \*batch, 4\], got shape \[6, 3, 3\]"),
        (memory().astype(int), None, TypeError, "must be floating point, got int"),
        (memory(), np.array([1.0, 2, 3]), TypeError, "lengths must be integers"),
        (memory(), np.array([1, 2]), ValueError, r"lengths must be \[3\], its batch shape, got shape \[2\]"),
        (memory(), np.array([1, 2, 7]), ValueError, "lengths must be from 0 to M = 6, got 7"),
    ]:
        with pytest.raises(error, match=message):
            form.prepare(params, values, lengths)
    with pytest.raises(ValueError, match="Dot: query_size and memory_size must be equal, got 5 and 4"):
        Dot(5, 4)
    with pytest.raises(ValueError, match="Additive: size must be a positive integer, got 0"):
        Additive(5, 4, 0)


E, OUT = 3, 7
CELLS = {
    "bahdanau, gru": BahdanauCell(GRU(E + F, H), Additive(H, F, A), OUT),
    "bahdanau, lstm": BahdanauCell(LSTM(E + F, H), Additive(H, F, A), OUT),
    "luong, gru": LuongCell(GRU(E + OUT, H), General(H, F), OUT),
    "luong, lstm": LuongCell(LSTM(E + OUT, H), General(H, F), OUT),
    "luong, stack": LuongCell(Stack([GRU(E + OUT, 4), LSTM(4, H)]), General(H, F), OUT),
}


def ready(cell):
    params = cell.with_memory(cell.init(jax.random.key(0)), memory(), LENGTHS)
    return params, jnp.asarray(np.random.default_rng(2).normal(size=(4, B, E)).astype(np.float32))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(p, h, x):
    d, r = x @ p.w_i + p.b, h @ p.w_h
    reset, z = sigmoid(d[:H] + r[:H]), sigmoid(d[H : 2 * H] + r[H : 2 * H])
    return z * h + (1 - z) * np.tanh(d[2 * H :] + reset * (r[2 * H :] + p.b_hn))


def lstm(p, state, x):
    i, f, g, o = np.split(x @ p.w_i + p.b + state[0] @ p.w_h, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("name", [name for name in CELLS if "stack" not in name])
def test_outputs_follow_the_papers_equations(name):
    cell = CELLS[name]
    params, xs = ready(cell)
    _, ys = unroll(cell, params, xs, engine=Scan())
    p, values = jax.tree.map(np.asarray, params), memory()
    inner, attention = p.cell, cell.attention
    for b, length in enumerate(LENGTHS):
        state = (np.zeros(H), np.zeros(H)) if "lstm" in name else np.zeros(H)
        h, y = np.zeros(H), np.zeros(OUT)
        for t, x in enumerate(np.asarray(xs)[:, b]):
            if "bahdanau" in name:
                c, _ = numpy_attention(attention, p.attention, h, values[:length, b])
                read = np.concatenate([x, c])
            else:
                read = np.concatenate([x, y])
            state = lstm(inner, state, read) if "lstm" in name else gru(inner, state, read)
            h = state[0] if "lstm" in name else state
            if "bahdanau" in name:
                y = np.tanh(np.concatenate([h, c, x]) @ p.w + p.b)
            else:
                c, _ = numpy_attention(attention, p.attention, h, values[:length, b])
                y = np.tanh(np.concatenate([c, h]) @ p.w + p.b)
            np.testing.assert_allclose(ys[t, b], y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("bahdanau, lstm", Hoisted(keep=True)),
        pytest.param("luong, gru", Checkpointed(2), marks=pytest.mark.extended),
        pytest.param("luong, stack", Hoisted(), marks=pytest.mark.extended),
    ],
    ids=repr,
)
def test_every_engine_gives_the_same_values_and_gradients(name, engine):
    cell = CELLS[name]
    params, xs = ready(cell)
    values = jnp.asarray(memory())

    def total(params, values, xs, engine):
        params = cell.with_memory(params, values, LENGTHS)
        final, ys = unroll(cell, params, xs, lengths=np.array([4, 3, 1]), engine=engine)
        return jnp.sum(ys * jnp.cos(jnp.arange(ys.size).reshape(ys.shape))) + jnp.sum(jax.tree.leaves(final)[0] ** 2)

    plain = params._replace(memory=None)
    run = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)), static_argnums=3)
    expected, got = (run(plain, values, xs, e) for e in (Scan(), engine))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), expected, got)
    assert np.any(np.asarray(expected[1][1]) != 0)


@pytest.mark.parametrize("name", ["bahdanau, gru", "luong, lstm"])
def test_sequences_do_not_depend_on_their_neighbours(name):
    cell = CELLS[name]
    params, xs = ready(cell)
    other = memory()
    other[:, 1:] += 1
    changed = cell.with_memory(params, other, LENGTHS)
    _, ys = unroll(cell, params, xs, engine=Scan())
    _, others = unroll(cell, changed, xs.at[:, 1:].add(1.0), engine=Scan())
    np.testing.assert_allclose(ys[:, 0], others[:, 0], rtol=1e-6)
    assert np.any(np.asarray(ys[:, 1]) != np.asarray(others[:, 1]))


def test_wrong_sizes_and_types_are_rejected():
    with pytest.raises(ValueError, match="attention must have the query_size 5, the cell's output_size, got 4"):
        LuongCell(GRU(E + OUT, H), General(4, F), OUT)
    with pytest.raises(ValueError, match="must read an input and 7 features of the attention, got input_"):
        LuongCell(GRU(OUT, H), General(H, F), OUT)
    with pytest.raises(TypeError, match="attention must be an Attention, got None"):
        LuongCell(GRU(E + OUT, H), None, OUT)
    with pytest.raises(TypeError, match="cell must be a Cell"):
        BahdanauCell(None, General(H, F), OUT)
    cell = CELLS["luong, gru"]
    with pytest.raises(ValueError, match="there is no memory; give one by with_memory"):
        unroll(cell, cell.init(jax.random.key(0)), jnp.zeros((2, B, E)))
