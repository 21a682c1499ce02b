"""The CRF against the sum and the maximum over all sequences of tags; lengths, gradients, invalid input."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from rnn_jax.models import CRF, crf
from rnn_jax.models.crf import CRFParams

T, B, K = 5, 4, 3
LENGTHS = np.array([5, 1, 3, 0])
MODEL = CRF(K)


@jax.jit
def solve(params, logits, tags, lengths):
    """Returns log likelihood, log Z and the best tags."""
    return (
        MODEL.log_likelihood(params, logits, tags, lengths),
        MODEL.log_partition(params, logits, lengths),
        MODEL.decode(params, logits, lengths),
    )


def problem(seed=0, steps=T):
    """Returns parameters, logits [T, B, K] and tags [T, B]."""
    rng = np.random.default_rng(seed)
    params = CRFParams(*(rng.normal(size=shape).astype(np.float32) for shape in (K, (K, K), K)))
    return params, rng.normal(size=(steps, B, K)).astype(np.float32), rng.integers(0, K, (steps, B))


def score(params, logits, tags):
    """Returns the score of the tags of one sequence, by its definition; logits [n, K]."""
    if not len(tags):
        return 0.0
    start, transitions, end = (np.asarray(leaf, float) for leaf in params)
    steps = sum(float(row[tag]) for row, tag in zip(logits, tags, strict=True))
    return start[tags[0]] + steps + sum(transitions[pair] for pair in itertools.pairwise(tags)) + end[tags[-1]]


def enumerated(params, logits):
    """Returns every sequence of tags of one sequence of logits [n, K], and their scores."""
    paths = list(itertools.product(range(K), repeat=len(logits)))
    return paths, [score(params, logits, path) for path in paths]


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_likelihood_and_decoding_equal_an_enumeration_mapped_leaf_paths(steps):
    params, logits, tags = problem(steps, steps)
    lengths = np.minimum(LENGTHS, steps)
    likelihood, log_z, decoded = map(np.asarray, solve(params, logits, tags, lengths))
    assert decoded.dtype == np.int32
    for column, length in enumerate(lengths):
        paths, scores = enumerated(params, logits[:length, column])
        np.testing.assert_allclose(log_z[column], logsumexp(scores), rtol=1e-5, atol=1e-6)
        expected = score(params, logits[:length, column], tags[:length, column]) - logsumexp(scores)
        np.testing.assert_allclose(likelihood[column], expected, rtol=1e-5, atol=1e-6)
        assert tuple(decoded[:length, column].tolist()) == paths[int(np.argmax(scores))]
        assert np.all(decoded[length:, column] == -1)


def test_probabilities_mapped_leaf_paths_have_the_sum_1():
    params, logits, _ = problem()
    paths = np.array(list(itertools.product(range(K), repeat=T))).T  # [T, paths]
    likelihoods = jax.jit(jax.vmap(lambda path: MODEL.log_likelihood(params, logits[:, 0], path)))(paths.T)
    np.testing.assert_allclose(np.sum(np.exp(likelihoods)), 1, rtol=1e-5)


def test_gradients_of_the_partition_function_are_the_marginals():
    params, logits, _ = problem()
    logits = logits[:, 0]
    paths, scores = enumerated(params, logits)
    probabilities = np.exp(scores - logsumexp(scores))
    marginals, pairs = np.zeros((T, K)), np.zeros((K, K))
    for path, probability in zip(paths, probabilities, strict=True):
        marginals[np.arange(T), path] += probability
        for pair in itertools.pairwise(path):
            pairs[pair] += probability
    by_params, by_logits = jax.jit(jax.grad(MODEL.log_partition, argnums=(0, 1)))(params, logits)
    np.testing.assert_allclose(by_logits, marginals, atol=1e-6)
    np.testing.assert_allclose(by_params.transitions, pairs, atol=1e-5)
    np.testing.assert_allclose(by_params.start, marginals[0], atol=1e-6)
    np.testing.assert_allclose(by_params.end, marginals[-1], atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5, 7])
def test_the_product_in_pairs_is_the_sum_step_by_step(steps):
    """Both in this process: a CPU takes the one, other platforms the other."""
    params, logits, _ = problem(steps, steps)
    inside = np.arange(steps)[:, None] < np.minimum(LENGTHS, steps)

    def total(solve, params, logits):
        values = crf._each(lambda *each: solve(params, *each), logits, inside)
        return jnp.sum(values * jnp.arange(1.0, 5)), values

    pairs, sums = (
        jax.jit(jax.value_and_grad(lambda *each, s=solve: total(s, *each), (0, 1), has_aux=True))(params, logits)
        for solve in (crf._in_pairs, crf._forward)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), pairs, sums)


def test_padding_and_other_sequences_have_no_effect():
    params, logits, tags = problem()
    beyond = np.arange(T)[:, None] >= LENGTHS
    spoiled, wrong = np.where(beyond[..., None], np.nan, logits), np.where(beyond, 99, tags)

    @jax.jit
    def value(params, logits, tags, lengths):
        return jax.value_and_grad(lambda each: -jnp.sum(MODEL.log_likelihood(*each, tags, lengths)))((params, logits))

    expected, got = value(params, logits, tags, LENGTHS), value(params, spoiled, wrong, LENGTHS)
    jax.tree.map(np.testing.assert_array_equal, got, expected)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))
    assert np.all(np.asarray(got[1][1])[beyond] == 0)


def test_a_fresh_crf_is_a_softmax_at_each_step():
    _, logits, tags = problem()
    params = MODEL.init(jax.random.key(0))
    chosen = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), tags[..., None], -1)[..., 0]
    inside = np.arange(T)[:, None] < LENGTHS
    expected = np.sum(chosen * inside, axis=0)
    likelihood, _, decoded = solve(params, logits, tags, LENGTHS)
    np.testing.assert_allclose(likelihood, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(decoded, np.where(inside, np.argmax(logits, -1), -1))


def test_seeds_are_mapped_as_if_each_were_alone():
    problems = [problem(seed) for seed in range(3)]
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *(p for p, _, _ in problems))
    _, logits, tags = problems[0]
    mapped = jax.vmap(solve, in_axes=(0, None, None, None))(params, logits, tags, LENGTHS)
    for seed, (alone, _, _) in enumerate(problems):
        for mapped_leaf, leaf in zip(mapped, solve(alone, logits, tags, LENGTHS), strict=True):
            np.testing.assert_allclose(mapped_leaf[seed], leaf, rtol=1e-5, atol=1e-6)


def test_scores_of_long_sequences_and_forbidden_transitions_stay_finite():
    logits = np.random.default_rng(0).normal(size=(300, 2, K)).astype(np.float32)
    params = CRFParams(
        np.zeros(K, np.float32), np.where(np.eye(K), 0, -1e4).astype(np.float32), np.zeros(K, np.float32)
    )
    # Only the paths of one tag are left.
    expected = logsumexp(logits.sum(axis=0, dtype=float), axis=-1)
    inside = np.ones((300, 2), bool)
    for solve in (crf._in_pairs, crf._forward):
        values = functools.partial(lambda s, p: crf._each(functools.partial(s, p), logits, inside), solve)
        value, grads = jax.jit(jax.value_and_grad(lambda p, values=values: jnp.sum(values(p))))(params)
        np.testing.assert_allclose(value, expected.sum(), rtol=1e-4)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    best = np.argmax(logits.sum(axis=0), axis=-1)
    np.testing.assert_array_equal(MODEL.decode(params, logits), np.broadcast_to(best, (300, 2)))


def test_a_traced_tag_out_of_range_makes_its_sequence_nan():
    params, logits, tags = problem()
    tags[0, 2] = K
    likelihood, _, _ = solve(params, logits, tags, LENGTHS)
    assert np.isnan(np.asarray(likelihood)).tolist() == [False, False, True, False]


PARAMS, LOGITS, TAGS = problem()
BAD = [
    (lambda: CRF(0), ValueError, "CRF: tags must be a positive integer, got 0"),
    (lambda: CRF(2.0), ValueError, "CRF: tags must be a positive integer, got 2.0"),
    (lambda: CRF(4).log_partition(PARAMS, LOGITS), ValueError, "CRF: params.start must be"),
    (lambda: MODEL.decode(PARAMS, LOGITS[..., :2]), ValueError, "CRF: logits must be [T, *batch, 3] with T > 0, got"),
    (lambda: MODEL.decode(PARAMS, LOGITS[:0]), ValueError, "with T > 0, got shape [0, 4, 3]"),
    (lambda: MODEL.decode(PARAMS, LOGITS, [1, 2]), ValueError, "CRF: lengths must have the batch shape of logits, [4]"),
    (lambda: MODEL.decode(PARAMS, LOGITS, [1, 2, 6, 0]), ValueError, "CRF: lengths must be from 0 to T = 5, got 6"),
    (lambda: MODEL.decode(PARAMS, LOGITS, [1.0, 2, 5, 0]), TypeError, "CRF: lengths"),
    (lambda: MODEL.log_likelihood(PARAMS, LOGITS, TAGS[:2]), ValueError, "CRF: tags must be [5, 4], as logits, got"),
    (lambda: MODEL.log_likelihood(PARAMS, LOGITS, TAGS + K), ValueError, "CRF: tags must be in [0, 3), got"),
    (lambda: MODEL.log_likelihood(PARAMS, LOGITS, TAGS * 1.0), TypeError, "CRF: tags"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_invalid_input_is_refused(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
