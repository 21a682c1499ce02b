"""The tagger and the word encoder against PyTorch and plain loops; padding, dropout, invalid input."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Bidirectional, Dropout, Stack
from rnn_jax.data import Embedding, OneHot, Vocabulary
from rnn_jax.models import CRF, Tagger, WordEncoder

T, B, C, TAGS = 5, 3, 4, 3
LENGTHS = np.array([5, 2, 3])
ENCODER = WordEncoder(Embedding(9, 3), GRU(3, 2))
BARE = Tagger(Embedding(8, 4), Bidirectional(LSTM(4, 3)), TAGS)
WITH = Tagger(Embedding(8, 4), Bidirectional(LSTM(8, 3)), TAGS, ENCODER)
STACKED = Tagger(
    Embedding(8, 4), Stack((Dropout(Bidirectional(GRU(8, 2)), 0.3), Dropout(GRU(4, 3), 0.3))), TAGS, ENCODER, 0.2
)
WITH_CRF = dataclasses.replace(BARE, crf=True)


def batch(model, seed=0):
    """Returns words, characters and tags, with arbitrary values in the padding."""
    rng = np.random.default_rng(seed)
    words, tags = rng.integers(4, 8, (T, B)), rng.integers(0, TAGS, (T, B))
    characters = rng.integers(1, 9, (T, B, C)) * (np.arange(C) < rng.integers(1, C + 1, (T, B, 1)))
    return words, (characters if model.word_encoder else None), tags


@functools.cache
def init(model):
    return jax.jit(model.init)(jax.random.key(0))


every_model = pytest.mark.parametrize(
    "model",
    [
        pytest.param(BARE, id="words", marks=pytest.mark.extended),
        pytest.param(WITH, id="characters"),
        pytest.param(STACKED, id="stack", marks=pytest.mark.extended),
    ],
)


def test_word_encoder_equals_a_loop_over_characters():
    params = ENCODER.init(jax.random.key(1))
    words = [[4, 5, 6], [7], [8, 8, 4, 5]]
    padded = np.array([[*word, *[0] * (C - len(word))] for word in words])
    got = ENCODER.apply(params, padded)
    table = params.embedding["params"]["embedding"]
    for row, word in zip(got, words, strict=True):
        ends = []
        for ids, cell_params in ((word, params.cell.forward), (word[::-1], params.cell.backward)):
            state = ENCODER.cell.initial_state(cell_params)
            for i in ids:
                drive = ENCODER.cell.project(cell_params, np.sqrt(3).astype(np.float32) * table[i])
                state = ENCODER.cell.step(cell_params, state, drive)
            ends.append(ENCODER.cell.output(cell_params, state, None))
        np.testing.assert_allclose(row, np.concatenate(ends), rtol=1e-5)


@pytest.mark.extended
def test_word_without_characters_is_zero_and_words_are_independent():
    params = ENCODER.init(jax.random.key(1))
    ids = np.array([[4, 5, 0, 0], [0, 0, 0, 0], [8, 7, 6, 5]])
    alone = [ENCODER.apply(params, ids[i : i + 1])[0] for i in range(3)]
    batched = ENCODER.apply(params, ids)
    np.testing.assert_array_equal(batched[1], np.zeros(4))
    np.testing.assert_allclose(batched, np.stack(alone), rtol=1e-6)
    assert ENCODER.apply(params, np.stack([ids, ids])).shape == (2, 3, ENCODER.features)


@pytest.mark.peers
def test_tagger_equals_pytorchs():
    torch = pytest.importorskip("torch")
    params, (words, _, _) = init(BARE), batch(BARE)
    lstm = torch.nn.LSTM(4, 3, bidirectional=True)
    with torch.no_grad():
        for cell, suffix in ((params.network.cell.forward, ""), (params.network.cell.backward, "_reverse")):
            # Both have the gates in the same order, as the test of the cell shows.
            w_i, w_h, b = (np.array(leaf) for leaf in (cell.w_i, cell.w_h, cell.b))
            getattr(lstm, f"weight_ih_l0{suffix}").copy_(torch.tensor(w_i.T))
            getattr(lstm, f"weight_hh_l0{suffix}").copy_(torch.tensor(w_h.T))
            getattr(lstm, f"bias_ih_l0{suffix}").copy_(torch.tensor(b))
            getattr(lstm, f"bias_hh_l0{suffix}").zero_()
        table = torch.tensor(np.array(params.embedding["params"]["embedding"]))
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            2.0 * table[torch.tensor(words)], torch.tensor(LENGTHS), enforce_sorted=False
        )
        hs, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0])
        dense = {name: torch.tensor(np.array(leaf)) for name, leaf in params.network.readout["params"].items()}
        expected = (hs @ dense["kernel"] + dense["bias"]).numpy()
    got = BARE.apply(params, words, lengths=LENGTHS)
    for column, length in enumerate(LENGTHS):
        np.testing.assert_allclose(got[:length, column], expected[:length, column], atol=1e-5)


@pytest.mark.extended
@every_model
def test_loss_and_prediction_equal_numpys(model):
    params, (words, characters, tags) = init(model), batch(model)
    logits = np.asarray(model.apply(params, words, characters, lengths=LENGTHS, key=None), np.float64)
    losses = [
        np.log(np.sum(np.exp(logits[t, b]))) - logits[t, b, tags[t, b]] for b in range(B) for t in range(LENGTHS[b])
    ]
    assert len(losses) == 10  # every word has the same weight, whatever its sentence's length
    assert model.loss(params, words, tags, characters, lengths=LENGTHS, key=None) == pytest.approx(
        np.mean(losses), rel=1e-5
    )
    predicted = np.asarray(model.predict(params, words, characters, lengths=LENGTHS))
    inside = np.arange(T)[:, None] < LENGTHS
    np.testing.assert_array_equal(predicted, np.where(inside, logits.argmax(-1), -1))
    whole = model.predict(params, words, characters)
    np.testing.assert_array_equal(whole, np.argmax(model.apply(params, words, characters, key=None), axis=-1))


def test_with_a_crf_loss_and_prediction_are_those_of_the_sentence_as_a_whole():
    params, (words, _, tags) = init(WITH_CRF), batch(WITH_CRF)
    assert all(np.all(leaf == 0) for leaf in params.crf)
    np.testing.assert_array_equal(
        init(BARE).network.readout["params"]["kernel"], params.network.readout["params"]["kernel"]
    )
    rng = np.random.default_rng(0)
    params = params._replace(crf=jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), params.crf))

    @jax.jit
    def run(params, lengths):
        logits = WITH_CRF.apply(params, words, lengths=lengths, key=None)
        loss, grads = jax.value_and_grad(lambda p: WITH_CRF.loss(p, words, tags, lengths=lengths, key=None))(params)
        likelihoods = CRF(TAGS).log_likelihood(params.crf, logits, tags, lengths)
        decoded = CRF(TAGS).decode(params.crf, logits, lengths)
        return loss, grads, likelihoods, decoded, WITH_CRF.predict(params, words, lengths=lengths)

    loss, grads, likelihoods, decoded, predicted = run(params, LENGTHS)
    assert loss == pytest.approx(-float(np.sum(likelihoods)) / LENGTHS.sum(), rel=1e-5)
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(grads))
    np.testing.assert_array_equal(predicted, decoded)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(run(params, 0 * LENGTHS)[:2]))


@pytest.mark.extended
@every_model
def test_padding_and_other_sentences_have_no_effect(model):
    params, (words, characters, tags) = init(model), batch(model)

    def value(words, characters, tags, lengths):
        run = jax.jit(jax.value_and_grad(lambda p: model.loss(p, words, tags, characters, lengths=lengths, key=None)))
        return run(params)

    beyond = np.arange(T)[:, None] >= LENGTHS
    others = batch(model, seed=1)
    changed = [
        None if old is None else np.where(beyond.reshape(T, B, *[1] * (old.ndim - 2)), new, old)
        for old, new in zip((words, characters, tags), (others[0], others[1], np.full((T, B), -7)), strict=True)
    ]
    loss, grads = value(words, characters, tags, LENGTHS)
    again, grads_again = value(*changed, LENGTHS)
    assert loss == again
    jax.tree.map(np.testing.assert_array_equal, grads, grads_again)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))
    logits = model.apply(params, words, characters, lengths=LENGTHS, key=None)
    alone = model.apply(params, words[:2, 1:2], None if characters is None else characters[:2, 1:2], key=None)
    np.testing.assert_allclose(logits[:2, 1], alone[:, 0], atol=1e-6)


def test_empty_sentences_have_no_loss():
    params, (words, characters, tags) = init(WITH), batch(WITH)
    lengths = np.array([0, 0, 0])
    run = jax.jit(jax.value_and_grad(lambda p: WITH.loss(p, words, tags, characters, lengths=lengths)))
    loss, grads = run(params)
    assert loss == 0
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(grads))


@pytest.mark.extended
def test_word_dropout_makes_words_unknown_but_keeps_their_characters():
    _, (words, characters, _) = None, batch(WITH)
    certain = dataclasses.replace(WITH, word_dropout=0.999999)
    params, key = init(WITH), jax.random.key(3)
    unknown = np.full_like(words, Vocabulary.UNKNOWN)
    dropped = certain.apply(params, words, characters, key=key)
    np.testing.assert_allclose(dropped, WITH.apply(params, unknown, characters), rtol=1e-6)
    assert np.any(dropped != certain.apply(params, words, characters, key=None))  # nothing is dropped
    half = dataclasses.replace(BARE, cell=LSTM(4, 3), word_dropout=0.5)
    many = np.full((1, 4000), 5)
    logits = half.apply(half.init(key), many, key=key)[0]
    assert len(np.unique(np.asarray(logits)[:, 0].round(5))) == 2
    assert 0.45 < np.mean(np.isclose(logits[:, 0], half.apply(half.init(key), many, key=None)[0, 0, 0])) < 0.55


@pytest.mark.extended
def test_traced_lengths_and_ids():
    params, (words, characters, tags) = init(WITH), batch(WITH)
    jitted = jax.jit(lambda w, c, t, n: WITH.loss(params, w, t, c, lengths=n))
    assert jitted(words, characters, tags, LENGTHS) == pytest.approx(
        float(WITH.loss(params, words, tags, characters, lengths=LENGTHS)), rel=1e-6
    )
    assert jnp.isnan(jitted(words + 8, characters, tags, LENGTHS))
    # In the padding, even traced ids out of range (NaN) reach no gradient.
    beyond = np.arange(T)[:, None] >= LENGTHS
    out_of_range = np.where(beyond, 99, words), np.where(beyond[..., None], 99, characters)
    grads = jax.jit(jax.grad(lambda p, w, c, n: WITH.loss(p, w, tags, c, lengths=n)))(params, *out_of_range, LENGTHS)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(grads))


def test_models_compare_by_value():
    assert hash(WITH) == hash(dataclasses.replace(WITH))
    assert dataclasses.replace(WITH, word_dropout=0.1) != WITH
    assert (BARE.features, WITH.features) == (4, 8)


def call(model, words=None, tags=None, characters=None, **more):
    good = batch(model)
    words = good[0] if words is None else words
    tags = good[2] if tags is None else tags
    characters = good[1] if characters is None else characters
    return model.loss(init(model), words, tags, characters, **more)


INVALID = [
    (lambda: dataclasses.replace(BARE, crf=1), TypeError, "Tagger: crf must be True or False, got 1"),
    (
        lambda: call(WITH, characters=np.ones((T, B + 1, C), int)),
        ValueError,
        r"must be \[5, 3, 'C'\].* got shape \[5, 4, 4\]",
    ),
    (lambda: WITH.apply(init(WITH), batch(WITH)[0]), ValueError, "characters are needed by the word encoder"),
    (lambda: call(BARE, characters=np.ones((T, B, C), int)), ValueError, "characters have no word encoder"),
    (lambda: call(BARE, words=np.ones((T, B))), TypeError, "Tagger: words must be integers, got float64"),
    (lambda: call(BARE, words=np.full((T, B), 8)), ValueError, r"ids must be in \[0, 8\), got 8"),
    (lambda: call(BARE, tags=np.full((T, B), 3)), ValueError, r"tags must be in \[0, 3\), got 3"),
    (lambda: call(BARE, tags=np.full((T, B), 1.0)), TypeError, "tags must be integers, got float64"),
    (lambda: call(BARE, tags=np.full((T, 1), 1)), ValueError, r"tags must be \[5, 3\], as words, got shape \[5, 1\]"),
    (lambda: call(BARE, lengths=[6, 1, 1]), ValueError, "lengths must be from 0 to T = 5, got 6"),
    (lambda: ENCODER.apply(ENCODER.init(jax.random.key(0)), np.ones(3, int)), ValueError, r"must be \[\*batch, C\]"),
    (lambda: WordEncoder(OneHot(9), GRU(9, 2)), TypeError, "embedding must be an Embedding, got OneHot"),
    (lambda: WordEncoder(Embedding(9, 3), GRU(4, 2)), ValueError, "must read the 3 features .* GRU of input_size 4"),
    (lambda: WordEncoder(Embedding(9, 3), "gru"), TypeError, "cell must be a cell or layer, got 'gru'"),
    (lambda: Tagger(Embedding(8, 4), LSTM(4, 3), TAGS, ENCODER), ValueError, "must read the 8 features of a word"),
    (lambda: Tagger(OneHot(8), LSTM(8, 3), TAGS), TypeError, "embedding must be an Embedding"),
    (lambda: Tagger(Embedding(8, 4), LSTM, TAGS), TypeError, "cell must be a cell or layer"),
    (lambda: Tagger(Embedding(8, 4), LSTM(4, 3), TAGS, LSTM(4, 3)), TypeError, "word_encoder must be a WordEncoder"),
    (lambda: Tagger(Embedding(8, 4), LSTM(4, 3), 0), ValueError, "tags must be a positive integer, got 0"),
    (lambda: Tagger(Embedding(8, 4), LSTM(4, 3), 2, None, 1.0), ValueError, "word_dropout must be a number from 0"),
]


@pytest.mark.parametrize(("do", "error", "message"), INVALID, ids=[message for *_, message in INVALID])
def test_invalid_input_is_rejected(do, error, message):
    with pytest.raises(error, match=message):
        do()
