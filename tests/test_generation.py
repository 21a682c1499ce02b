"""Sampling strategies against their definitions, and generation against a loop over the growing sequence."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import initializers
from rnn_jax.data import Embedding, OneHot, pad, unpad
from rnn_jax.models import Greedy, LanguageModel, Nucleus, Temperature, TopK, generate, generation

SIZE = 7
LOGITS = np.random.default_rng(0).normal(0, 2, (40, SIZE)).astype(np.float32)
STRATEGIES = [
    Greedy(),
    Temperature(),
    Temperature(0.3),
    Temperature(4.0),
    TopK(1),
    TopK(3),
    TopK(SIZE, 2.0),
    Nucleus(0.3),
    Nucleus(0.9, 1.5),
    Nucleus(1.0),
]
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)


def softmax(logits):
    e = np.exp(np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def kept(p, count):
    """Returns the distribution restricted to its `count` most probable entries."""
    q = np.zeros_like(p)
    best = np.argsort(-p, kind="stable")[:count]
    q[best] = p[best]
    return q / q.sum()


def definition(strategy, logits):
    """Returns the probabilities of one row of logits, by NumPy."""
    match strategy:
        case Greedy():
            return np.eye(SIZE)[np.argmax(logits)]
        case Temperature(t):
            p = softmax(logits) ** (1 / t)
            return p / p.sum()
        case TopK(k, t):
            return kept(softmax(np.asarray(logits, np.float64) / t), k)
        case Nucleus(mass, t):
            p = softmax(np.asarray(logits, np.float64) / t)
            sums = np.cumsum(np.sort(p)[::-1])
            return kept(p, next((n for n in range(1, SIZE + 1) if sums[n - 1] >= mass), SIZE))
    raise AssertionError(strategy)


@every_strategy
def test_probabilities_equal_the_definition(strategy):
    got = jax.nn.softmax(strategy(jnp.asarray(LOGITS)))
    np.testing.assert_allclose(got, [definition(strategy, row) for row in LOGITS], rtol=2e-5, atol=1e-7)
    one = jax.nn.softmax(strategy(jnp.asarray(LOGITS[3])))  # any leading shape
    np.testing.assert_allclose(one, got[3], rtol=1e-6, atol=1e-7)


def test_limits_of_strategies_are_other_strategies():
    logits = jnp.asarray(LOGITS)
    np.testing.assert_array_equal(jax.nn.softmax(TopK(1, 3.0)(logits)), jax.nn.softmax(Greedy()(logits)))
    np.testing.assert_array_equal(jax.nn.softmax(Nucleus(1e-6)(logits)), jax.nn.softmax(Greedy()(logits)))
    np.testing.assert_allclose(jax.nn.softmax(Temperature(1e-3)(logits)), jax.nn.softmax(Greedy()(logits)), atol=1e-6)
    for t in (0.5, 1.0, 2.0):
        np.testing.assert_array_equal(Nucleus(1.0, t)(logits), Temperature(t)(logits))
        np.testing.assert_array_equal(TopK(SIZE, t)(logits), Temperature(t)(logits))
    np.testing.assert_array_equal(Temperature()(logits), logits)


def test_lower_ids_come_first_among_equal_logits():
    logits = jnp.array([1.0, 2.0, 2.0, 0.0, 2.0, 2.0, 1.0])
    for strategy, expected in (
        (Greedy(), [1]),
        (TopK(2), [1, 2]),
        (TopK(5), [0, 1, 2, 4, 5]),
        (Nucleus(0.5), [1, 2, 4]),
    ):
        assert np.flatnonzero(np.isfinite(strategy(logits))).tolist() == expected


def test_a_nucleus_ends_at_the_token_that_reaches_p():
    logits = jnp.log(jnp.array([0.5, 0.25, 0.125, 0.0625, 0.0625, 0.0, 0.0]))
    for p, expected in ((0.49, 1), (0.51, 2), (0.74, 2), (0.76, 3), (0.87, 3), (0.88, 4), (0.95, 5), (1.0, 5)):
        assert np.sum(np.isfinite(Nucleus(p)(logits))) == expected, p


@pytest.mark.parametrize("temperature", [1e-45, 1e-39, 1e-37, 3e38])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_extreme_temperatures_keep_the_order_of_the_tokens(temperature, dtype):
    """The largest logit over the temperature may overflow, and XLA takes the smallest temperatures for zero."""
    logits = jnp.array([[0, 99, 100], [-300, -100, -100.5], [7, -jnp.inf, 6]], dtype)
    uniform = [[1, 1, 1], [1, 1, 1], [1, 0, 1]]
    expected = uniform if temperature > 1 else [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    for strategy in (Temperature(temperature), TopK(3, temperature), Nucleus(1.0, temperature)):
        p = jax.jit(lambda x, strategy=strategy: jax.nn.softmax(strategy(x)))(logits)
        np.testing.assert_allclose(p, np.array(expected) / np.sum(expected, axis=1, keepdims=True), rtol=1e-2)


@every_strategy
def test_nan_logits_stay_nan_in_every_strategy(strategy):
    logits = jnp.asarray(LOGITS[:2]).at[0].set(jnp.nan)
    p = jax.nn.softmax(strategy(logits))
    assert np.all(np.isnan(p[0]))
    assert np.all(np.isfinite(p[1]))


INVALID_STRATEGIES = [
    (lambda: Temperature(1e-50), "Temperature: temperature must be a number that float32 holds, got 1e-50"),
    (lambda: TopK(2, 1e39), "TopK: temperature must be a number that float32 holds, got 1e+39"),
    (lambda: Temperature(0), "Temperature: temperature must be a positive number, got 0"),
    (lambda: Temperature(-1.0), "got -1.0"),
    (lambda: Temperature(float("nan")), "got nan"),
    (lambda: TopK(0), "TopK: k must be a positive integer, got 0"),
    (lambda: TopK(2.0), "TopK: k must be a positive integer, got 2.0"),
    (lambda: TopK(2, 0.0), "TopK: temperature must be a positive number, got 0.0"),
    (lambda: TopK(SIZE + 1)(jnp.zeros(SIZE)), "TopK: k must be at most the vocabulary's size, 7, got 8"),
    (lambda: Nucleus(0.0), "Nucleus: p must be a number above 0 and at most 1, got 0.0"),
    (lambda: Nucleus(1.1), "Nucleus: p must be a number above 0 and at most 1, got 1.1"),
    (lambda: Nucleus(float("nan")), "got nan"),
    (lambda: Nucleus(0.5, -1), "Nucleus: temperature must be a positive number, got -1"),
]


@pytest.mark.parametrize(("call", "message"), INVALID_STRATEGIES, ids=[message for _, message in INVALID_STRATEGIES])
def test_invalid_strategies_are_rejected(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


UNIFORM = initializers.Uniform()  # compiles faster than the orthogonal initialisation
STACK = rnn_jax.Stack((rnn_jax.GRU(3, 4, recurrent_init=UNIFORM), rnn_jax.LSTM(4, 4, recurrent_init=UNIFORM)))
MODEL = LanguageModel(Embedding(SIZE, 3), STACK)
KEY = jax.random.key(2)
PROMPTS = pad([np.array([1, 2, 3]), np.array([4]), np.array([5, 0, 6, 1, 2])])
LENGTH = 16


@functools.cache
def sharp_params():
    """Returns parameters that prefer some tokens."""
    return jax.tree.map(lambda leaf: 3 * leaf, jax.jit(MODEL.init)(jax.random.key(1)))


def write(strategy, key=KEY, prompts=PROMPTS.values, lengths=PROMPTS.lengths, params=None, count=6, end=None):
    params = sharp_params() if params is None else params
    generated = generate(MODEL, params, strategy, key, prompts, lengths, count=count, end=end, max_length=LENGTH)
    assert np.all(np.asarray(generated.tokens)[np.arange(LENGTH)[:, None] >= np.asarray(generated.lengths)] == 0)
    return [sequence.tolist() for sequence in unpad(*generated)]


@jax.jit
def read(params, sequence, length):
    """Returns the logits after a sequence, padded so that one program serves all."""
    return MODEL.apply(params, sequence, lengths=length)[1][length - 1]


def after(sequence):
    return read(sharp_params(), np.pad(np.array(sequence), (0, LENGTH - len(sequence))), len(sequence))


@pytest.mark.parametrize("strategy", [Greedy(), Temperature(1.5), TopK(3), Nucleus(0.8)], ids=repr)
def test_generation_equals_a_loop_over_the_growing_sequence(strategy):
    got = write(strategy)
    for row, prompt in enumerate(unpad(*PROMPTS)):
        sequence = prompt.tolist()
        for _ in range(6):
            logits = after(sequence)
            key = jax.random.fold_in(jax.random.fold_in(KEY, row), len(sequence))
            sequence.append(int(jax.random.categorical(key, strategy(logits))))
        assert got[row] == sequence


def test_sequences_of_a_batch_are_independent():
    batched = write(Temperature(2.0))
    alone = write(Temperature(2.0), prompts=PROMPTS.values[:3, :1], lengths=None)
    assert batched[0] == alone[0]
    others = PROMPTS.values.copy()
    others[:, 1:] = 3
    assert write(Temperature(2.0), prompts=others)[0] == batched[0]
    # Padding is not read.
    padded = np.where(np.arange(5)[:, None] < PROMPTS.lengths, PROMPTS.values, 99)
    for count in (1, 6):
        assert write(Temperature(2.0), prompts=padded, count=count) == write(Temperature(2.0), count=count)


def test_draws_depend_on_the_key_only():
    assert write(Temperature(2.0)) == write(Temperature(2.0))
    assert write(Temperature(2.0)) != write(Temperature(2.0), key=jax.random.key(3))
    assert write(Greedy()) == write(Greedy(), key=jax.random.key(3))


def test_fewer_tokens_are_a_prefix_of_more():
    longer, shorter = write(Temperature(2.0), count=9), write(Temperature(2.0), count=2)
    for a, b, prompt in zip(longer, shorter, unpad(*PROMPTS), strict=True):
        assert a[: len(b)] == b
        assert (len(a), len(b)) == (len(prompt) + 9, len(prompt) + 2)


def test_end_token_ends_only_its_sequence():
    free = write(Temperature(2.0), count=10)
    end = free[0][4]
    for prompt, whole, got in zip(unpad(*PROMPTS), free, write(Temperature(2.0), count=10, end=end), strict=True):
        drawn = whole[len(prompt) :]  # an end token in the prompt has no effect
        stop = drawn.index(end) + 1 if end in drawn else len(drawn)
        assert got == whole[: len(prompt) + stop]
    assert len(write(Temperature(2.0), count=10, end=end)[0]) in (4, 5)


def test_one_program_for_every_prompt_and_length():
    write(TopK(2))
    compiled = generation._generate._cache_size()
    for prompts, lengths, count, end, seed in (
        ([[1, 2, 3]], None, 1, None, 0),
        ([[1, 2, 3], [0, 0, 0], [4, 4, 4]], [1, 3, 2], 13, 5, 1),
        (np.ones((15, 3), np.int64), None, 1, 0, 2),
    ):
        write(TopK(2), jax.random.key(seed), prompts, lengths, count=count, end=end)
    assert generation._generate._cache_size() == compiled


def test_draws_have_the_frequencies_of_the_strategy():
    # 20,000 first tokens after the same one; each count within 4.5 standard deviations of its mean.
    draws = 20_000
    logits = after([3])
    for strategy in (Temperature(1.3), TopK(3), Nucleus(0.7)):
        generated = generate(MODEL, sharp_params(), strategy, KEY, np.full((1, draws), 3), count=1, max_length=2)
        counts = np.bincount(np.asarray(generated.tokens[1]), minlength=SIZE)
        q = definition(strategy, np.asarray(logits))
        assert np.all(counts[q == 0] == 0)
        assert np.all(np.abs(counts - draws * q) <= 4.5 * np.sqrt(draws * q * (1 - q)))


def test_it_runs_under_jit_and_vmap():
    params = sharp_params()
    traced = jax.jit(lambda p, n: generate(MODEL, params, Temperature(2.0), KEY, p, n, count=6, max_length=LENGTH))
    got = traced(PROMPTS.values, PROMPTS.lengths)
    assert [s.tolist() for s in unpad(*got)] == write(Temperature(2.0))


def test_nan_logits_give_minus_one_and_end_the_sequence():
    diverged = jax.tree.map(lambda leaf: leaf * jnp.nan, sharp_params())
    assert [s[-1] for s in write(Temperature(), params=diverged)] == [-1] * 3
    assert [len(s) for s in write(Temperature(), params=diverged)] == [4, 2, 6]


def unsteppable():
    model = LanguageModel(OneHot(SIZE), rnn_jax.Bidirectional(rnn_jax.GRU(SIZE, 2)))
    generate(model, model.init(KEY), Greedy(), KEY, [[1]], count=1)


INVALID_CALLS = [
    ({"count": 0}, ValueError, "generate: count must be a positive integer, got 0"),
    ({"end": SIZE}, ValueError, "generate: end must be a token, in [0, 7), got 7"),
    ({"end": -1}, ValueError, "generate: end must be an integer of at least 0, got -1"),
    ({"prompts": [1, 2]}, ValueError, "prompts must be [P, B] with B of at least 1, got shape [2]"),
    ({"prompts": np.zeros((3, 0), int)}, ValueError, "got shape [3, 0]"),
    ({"prompts": np.zeros((0, 3), int), "lengths": None}, ValueError, "prompts must hold 1 to P = 0 tokens each"),
    ({"lengths": [1, 0, 2]}, ValueError, "prompts must hold 1 to P = 5 tokens each (start an empty one with BEGIN)"),
    ({"lengths": [1, 6, 2]}, ValueError, "got lengths [1, 6, 2]"),
    ({"lengths": [1, 2]}, ValueError, "lengths must be [3], as prompts has columns, got [2]"),
    ({"lengths": [1.0, 2.0, 3.0]}, TypeError, "lengths must be integers, got float64"),
    ({"prompts": np.full((5, 3), 0.5)}, TypeError, "prompts must be integers, got float64"),
    ({"prompts": PROMPTS.values + 2}, ValueError, "tokens in [0, 7), got 7 at step 0 of prompt 2"),
    ({"count": 12}, ValueError, "prompt and count must have at most max_length = 16 tokens in total, got 17"),
]


@pytest.mark.parametrize(("given", "error", "message"), INVALID_CALLS, ids=[message for *_, message in INVALID_CALLS])
def test_invalid_calls_are_rejected_by_name(given, error, message):
    with pytest.raises(error, match=re.escape(message)):
        write(Greedy(), **given)


def test_cell_that_cannot_be_stepped_is_rejected():
    with pytest.raises(TypeError, match="can be unrolled, not stepped"):
        unsteppable()
