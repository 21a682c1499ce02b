"""Answers to questions about stories: the model equals its equations, and padding reaches nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Bidirectional, Dropout, unroll
from rnn_jax.data import Embedding
from rnn_jax.models import BahdanauCell, Dot, General, LuongCell, QuestionAnswerer, WordEncoder
from tests.refusals import refuses

S, B, W, WORDS, CLASSES = 5, 3, 4, 9, 6
SENTENCE = WordEncoder(Embedding(WORDS, 3), GRU(3, 2))
BOTH = Bidirectional(GRU(4, 3))
MODELS = {
    "attention": QuestionAnswerer(SENTENCE, BOTH, LuongCell(GRU(4 + 5, 5), General(5, 6), 5), CLASSES, hops=2),
    "forward": QuestionAnswerer(SENTENCE, LSTM(4, 5), LuongCell(LSTM(4 + 2, 5), Dot(5, 5), 2), CLASSES),
    "none": QuestionAnswerer(SENTENCE, BOTH, GRU(4 + 6, 5), CLASSES, hops=2),
}
BAHDANAU = BahdanauCell(GRU(4 + 6, 5), General(5, 6), 5)
LENGTHS = np.array([5, 2, 3])


# Unoptimised: compiling takes seconds, running milliseconds.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def inputs():
    rng = np.random.default_rng(0)
    story, question = (rng.integers(4, WORDS, shape).astype(np.int32) for shape in ((S, B, W), (B, W)))
    story[1, :, 3] = story[3, :, 2:] = question[:, 3] = 0  # shorter sentences
    return story, question


@pytest.mark.parametrize("name", ["attention", "none", pytest.param("forward", marks=pytest.mark.extended)])
def test_logits_follow_from_the_equations(name):
    model, (story, question) = MODELS[name], inputs()
    params = model.init(jax.random.key(0))
    logits, weights = jit(model.apply)(params, story, question, LENGTHS)

    def by_hand(params):
        story_vectors, x = (model.sentences.apply(params.sentences, ids) for ids in (story, question))
        state, memory = unroll(model.story, params.story, story_vectors, lengths=LENGTHS)
        if model.attends:
            reader = model.reader.with_memory(params.reader, memory, LENGTHS)
        else:
            reader, x = params.reader, jnp.concatenate([x, state.forward, state.backward], axis=-1)
        return unroll(model.reader, reader, jnp.stack([x] * model.hops))[1][-1]

    dense = jax.tree.map(np.asarray, params.readout["params"])
    expected = np.asarray(jit(by_hand)(params)) @ dense["kernel"] + dense["bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    if model.attends:
        assert weights.shape == (B, model.hops, S)
        np.testing.assert_allclose(weights.sum(axis=-1), np.ones((B, model.hops)), rtol=1e-6)
    else:
        assert weights is None


@pytest.mark.parametrize("name", ["attention", pytest.param("none", marks=pytest.mark.extended)])
def test_padded_sentences_and_words_reach_no_weight_no_logit_and_no_gradient(name):
    model, (story, question) = MODELS[name], inputs()
    params = model.init(jax.random.key(0))

    def run(params, story, question):
        answers = model.apply(params, story, question, LENGTHS)
        return jnp.sum(answers.logits**2), answers

    other = np.where(np.arange(S)[:, None, None] < LENGTHS[:, None], story, 1 + story % 3)
    assert np.any(other != story)
    longer = np.pad(other, [(0, 2), (0, 0), (0, 1)]), np.pad(question, [(0, 0), (0, 1)])
    value_and_grad = jit(jax.value_and_grad(run, has_aux=True))
    (_, expected), expected_grads = value_and_grad(params, story, question)
    (_, got), grads = value_and_grad(params, *longer)
    np.testing.assert_allclose(expected.logits, got.logits, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), expected_grads, grads)
    assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(grads.sentences))
    if model.attends:
        beyond = np.arange(S + 2)[None] >= LENGTHS[:, None]
        assert np.all(np.moveaxis(np.asarray(got.weights), 1, 0)[:, beyond] == 0)


@pytest.mark.extended
def test_loss_is_the_mean_cross_entropy_and_noise_needs_a_key():
    model, (story, question) = MODELS["attention"], inputs()
    params, answers = model.init(jax.random.key(0)), np.array([0, 5, 2])
    logits = jax.nn.log_softmax(jit(model.apply)(params, story, question).logits)
    expected = -np.mean(np.asarray(logits)[np.arange(B), answers])
    np.testing.assert_allclose(jit(model.loss)(params, story, question, answers), expected, rtol=1e-6)
    noisy = QuestionAnswerer(SENTENCE, Dropout(BOTH, 0.5), model.reader, CLASSES)
    refuses(lambda: noisy.apply(params, story, question), ValueError, "is random, so key must be given")
    one, other = (jit(noisy.apply)(params, story, question, key=jax.random.key(seed)).logits for seed in (0, 1))
    assert np.any(one != other)


def test_wrong_parts_and_inputs_are_refused():
    model, (story, question) = MODELS["attention"], inputs()
    reader, params = model.reader, model.init(jax.random.key(0))
    for make, error, words in [
        (lambda: QuestionAnswerer(GRU(3, 2), BOTH, reader, 2), TypeError, ["sentences must be a WordEncoder"]),
        (lambda: QuestionAnswerer(SENTENCE, "gru", reader, 2), TypeError, ["story must be a cell or layer, got 'gru'"]),
        (lambda: QuestionAnswerer(SENTENCE, BOTH, None, 2), TypeError, ["reader must be a cell or layer, got None"]),
        (
            lambda: QuestionAnswerer(SENTENCE, BOTH, reader, 0),
            ValueError,
            ["classes must be a positive integer, got 0"],
        ),
        (
            lambda: QuestionAnswerer(SENTENCE, BOTH, reader, 2, 0),
            ValueError,
            ["hops must be a positive integer, got 0"],
        ),
        (
            lambda: QuestionAnswerer(SENTENCE, GRU(3, 6), reader, 2),
            ValueError,
            ["story must have the input_size 4, got 3"],
        ),
        (
            lambda: QuestionAnswerer(SENTENCE, GRU(4, 5), reader, 2),
            ValueError,
            ["memory_size 5, the output_size", "got 6"],
        ),
        (
            lambda: QuestionAnswerer(SENTENCE, BOTH, GRU(4, 5), 2),
            ValueError,
            ["reader must have the input_size 10, got 4"],
        ),
        (
            lambda: model.apply(params, story[0], question),
            ValueError,
            ["story must be [S, B, W]", "got shapes [3, 4] and"],
        ),
        (lambda: model.apply(params, story[:0], question), ValueError, ["S of at least 1", "[0, 3, 4] and [3, 4]"]),
        (lambda: model.apply(params, story, question[:2]), ValueError, ["[5, 3, 4] and [2, 4]"]),
        (lambda: model.loss(params, story, question, [0, 6, 1]), ValueError, ["answers must be in [0, 6), got 6"]),
        (lambda: model.apply(params, story, question, [6, 1, 1]), ValueError, ["6"]),
    ]:
        refuses(make, error, *words)
