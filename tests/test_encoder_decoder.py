"""Encoder and decoder: teacher forcing, padding, initial states, scheduled sampling, both searches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LRU, LSTM, S6, Bidirectional, ClockworkRNN, Dropout, Stack
from rnn_jax.data import Embedding, OneHot, Vocabulary
from rnn_jax.models import (
    Additive,
    BahdanauCell,
    Decoder,
    Dot,
    EncoderDecoder,
    General,
    LuongCell,
    beam_search,
    greedy,
    sequence_to_sequence,
)

E, H, A, V, S = 3, 6, 5, 7, 9
TOKENS = Embedding(S, E)
NETWORKS = {
    "luong": EncoderDecoder(
        TOKENS, Bidirectional(GRU(E, 4)), Decoder(Embedding(V, E), LuongCell(GRU(E + A, H), General(H, 8), A))
    ),
    "bahdanau": EncoderDecoder(
        TOKENS, Bidirectional(LSTM(E, 4)), Decoder(OneHot(V), BahdanauCell(LSTM(V + 8, H), Additive(H, 8, 4), A))
    ),
    "same state": EncoderDecoder(TOKENS, LSTM(E, H), Decoder(Embedding(V, E), LSTM(E, H))),
    "bridged": EncoderDecoder(TOKENS, LRU(E, 4), Decoder(Embedding(V, E), Stack([GRU(E, 4), LSTM(4, H)]))),
    "matrices": EncoderDecoder(TOKENS, ClockworkRNN(E, 4), Decoder(Embedding(V, E), S6(E, H, state_size=2))),
    "counter": EncoderDecoder(TOKENS, S6(E, 4, state_size=2), Decoder(Embedding(V, E), ClockworkRNN(E, H))),
}
SOURCE = np.random.default_rng(0).integers(4, S, (5, 3))
TARGETS = np.random.default_rng(1).integers(4, V, (6, 3))
SOURCE_LENGTHS, TARGET_LENGTHS = np.array([5, 3, 1]), np.array([6, 2, 4])
TARGETS[TARGET_LENGTHS - 1, np.arange(3)] = Vocabulary.END


def ready(name, sharp=1.0):
    model = NETWORKS[name]
    params = model.init(jax.random.key(3))
    readout = jax.tree.map(lambda leaf: sharp * leaf, params.decoder.readout)
    return model, params._replace(decoder=params.decoder._replace(readout=readout))


def encoded(name, sharp=1.0):
    model, params = ready(name, sharp)
    start = model.encode(params, SOURCE, SOURCE_LENGTHS)
    return model.decoder, start.params, start.state


@pytest.mark.extended
@pytest.mark.parametrize("name", NETWORKS)
def test_loss_equals_that_of_stepping_through_the_targets(name):
    model, params = ready(name)
    loss = model.loss(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    decoder, decoder_params, state = encoded(name)
    token, total, step = np.full(3, Vocabulary.BEGIN), 0.0, jax.jit(decoder.step)
    for t in range(len(TARGETS)):
        state, logits = step(decoder_params, state, token)
        token = TARGETS[t]
        nats = -np.asarray(jax.nn.log_softmax(logits))[np.arange(3), token]
        total += np.sum(nats * (t < TARGET_LENGTHS))
    assert float(loss) == pytest.approx(total / TARGET_LENGTHS.sum(), rel=1e-5)


@pytest.mark.parametrize("name", ["luong"])
def test_padding_changes_nothing_and_gradients_are_finite(name):
    model, params = ready(name)
    source = np.pad(SOURCE, ((0, 2), (0, 0)), constant_values=4)
    targets = np.pad(TARGETS, ((0, 3), (0, 0)), constant_values=5)
    source[np.arange(7)[:, None] >= SOURCE_LENGTHS] = 8
    run = jax.jit(jax.value_and_grad(lambda p, *a: model.loss(p, *a)))
    expected = run(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    got = run(params, source, SOURCE_LENGTHS, targets, TARGET_LENGTHS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), expected, got)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))


@pytest.mark.extended
@pytest.mark.parametrize("name", ["bahdanau"])
def test_empty_sources_and_targets_leave_finite_gradients(name):
    model, params = ready(name)
    run = jax.jit(
        jax.value_and_grad(lambda p: model.loss(p, SOURCE, np.array([0, 3, 0]), TARGETS, np.array([2, 0, 0])))
    )
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(run(params)))
    assert float(model.loss(params, SOURCE, SOURCE_LENGTHS, TARGETS, np.zeros(3, int))) == 0


def test_state_that_fits_is_passed_on_and_another_passes_through_tanh():
    model, params = ready("same state")
    assert params.bridge == ()
    state = model.encode(params, SOURCE, SOURCE_LENGTHS).state
    xs = E**0.5 * model.tokens.apply(params.tokens, SOURCE)
    for b, length in enumerate(SOURCE_LENGTHS):
        alone = model.encoder.initial_state(params.encoder)
        for x in xs[:length, b]:
            alone = model.encoder.step(params.encoder, alone, model.encoder.project(params.encoder, x))
        np.testing.assert_allclose(state.h[b], alone.h, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(state.c[b], alone.c, rtol=1e-5, atol=1e-6)
    model, params = ready("luong")
    bridge = jax.tree.map(np.asarray, params.bridge["params"])
    assert bridge["kernel"].shape == (8, H)
    start = model.encode(params, SOURCE, SOURCE_LENGTHS)
    forward = np.asarray(start.params.cell.memory.values)[SOURCE_LENGTHS - 1, np.arange(3), :4]
    backward = np.asarray(start.params.cell.memory.values)[0, :, 4:]
    expected = np.tanh(np.concatenate([forward, backward], axis=-1) @ bridge["kernel"] + bridge["bias"])
    np.testing.assert_allclose(start.state.cell, expected, rtol=1e-5, atol=1e-6)
    wide = ready("bridged")
    assert wide[1].bridge["params"]["kernel"].shape == (8, 4 + 2 * H)  # a complex number counts as two


def test_the_source_matters():
    for name in ("luong", "same state"):
        model, params = ready(name)
        other = SOURCE.copy()
        other[0, 1] = 4 + (other[0, 1] - 3) % (S - 4)
        rows = []
        for source in (SOURCE, other):
            start = model.encode(params, source, SOURCE_LENGTHS)
            rows.append(model.decoder.log_probability(start.params, TARGETS, start.state, lengths=TARGET_LENGTHS))
        changed = np.asarray(rows[0] != rows[1])
        assert changed.tolist() == [False, True, False], name


@pytest.mark.extended
@pytest.mark.parametrize("name", ["bahdanau", pytest.param("bridged", marks=pytest.mark.extended)])
def test_scheduled_sampling_reads_sampled_tokens(name):
    decoder, params, state = encoded(name, sharp=1e4)  # so sharp that every draw is the most probable token
    key = jax.random.key(0)
    sampled = decoder.apply(params, TARGETS, state, key=key, sampling_probability=1.0)[1]
    forced = decoder.apply(params, TARGETS, state)[1]
    token = np.full(3, Vocabulary.BEGIN)
    stepped = []
    stepped_state = state
    for _ in range(6):
        stepped_state, logits = decoder.step(params, stepped_state, token)
        stepped.append(logits)
        token = jnp.argmax(logits, axis=-1)
    np.testing.assert_allclose(sampled, np.stack(stepped), rtol=1e-3, atol=0.5)
    assert np.any(np.abs(np.asarray(sampled) - np.asarray(forced)) > 1)
    np.testing.assert_allclose(sampled[0], forced[0], rtol=1e-4, atol=0.1)


@pytest.mark.extended
def test_scheduled_sampling_depends_on_probability_and_key():
    decoder, params, state = encoded("luong")
    run = jax.jit(lambda p, key: decoder.apply(params, TARGETS, state, key=key, sampling_probability=p)[1])
    forced = decoder.apply(params, TARGETS, state)[1]
    np.testing.assert_allclose(run(0.0, jax.random.key(1)), forced, rtol=1e-4, atol=1e-5)
    half, again, other = (run(0.5, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(half, again)
    assert np.any(half != other)

    def loss(readout):
        changed = params._replace(readout=readout)
        return decoder.loss(
            changed, TARGETS, state, lengths=TARGET_LENGTHS, key=jax.random.key(1), sampling_probability=0.5
        )

    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jax.grad(loss)(params.readout)))


def test_draws_have_the_models_probabilities():
    from rnn_jax.models.scheduled_sampling import _tokens

    logits = jnp.log(jnp.array([[0.1, 0.0, 0.6, 0.3]]))
    us = (jnp.arange(1000) + 0.5) / 1000
    tokens = jax.vmap(lambda u: _tokens(logits, u[None])[0])(us)
    assert np.bincount(tokens, minlength=4).tolist() == [100, 0, 600, 300]


def test_dropout_needs_a_key_and_uses_it():
    network = NETWORKS["luong"]
    cell = LuongCell(Dropout(GRU(E + A, H), 0.5), General(H, 8), A)
    model = EncoderDecoder(TOKENS, Dropout(network.encoder, 0.5), Decoder(Embedding(V, E), cell))
    params = model.init(jax.random.key(0))
    arguments = (params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    plain, one, other = (model.loss(*arguments, key) for key in (None, jax.random.key(0), jax.random.key(1)))
    assert len({float(plain), float(one), float(other)}) == 3
    sampled = model.loss(*arguments, jax.random.key(0), 0.5)
    assert np.isfinite(sampled)


def exhaustive(decoder, params, state, b, max_length, alpha):
    """Returns the best score and tokens among all sequences that end, for column b."""
    best, step = (-np.inf, None), jax.jit(decoder.step)
    alive = [((), jax.tree.map(lambda leaf: leaf[None], state), 0.0)]
    for length in range(1, max_length + 1):
        new = []
        for tokens, token_state, log_p in alive:
            last = jnp.full((1, 3), tokens[-1] if tokens else Vocabulary.BEGIN)
            token_state, logits = step(params, token_state, last)
            gains = np.asarray(jax.nn.log_softmax(logits))[0, b]
            ended = (log_p + gains[Vocabulary.END]) / ((5 + length) / 6) ** alpha
            best = max(best, (ended, (*tokens, Vocabulary.END)), key=lambda pair: pair[0])
            for token in range(V):
                if token not in (Vocabulary.END, Vocabulary.PADDING):
                    new.append(((*tokens, token), token_state, log_p + gains[token]))
        alive = new
    return best


@pytest.mark.parametrize(("name", "alpha"), [("luong", 0.0), ("same state", 5.0)])
def test_a_wide_beam_finds_the_best_of_all_sequences(name, alpha):
    decoder, params, state = encoded(name, sharp=3.0)
    result = beam_search(decoder, params, state, width=V**3, max_length=3, alpha=alpha)
    for b in range(3):
        score, tokens = exhaustive(decoder, params, state, b, 3, alpha)
        assert float(result.scores[b]) == pytest.approx(score, rel=1e-4)
        assert tuple(result.tokens[b, : int(result.lengths[b])].tolist()) == tokens
    if alpha > 1:  # long sequences win, so beams have been reordered
        assert np.all(result.lengths == 3)


@pytest.mark.parametrize("name", ["luong", "matrices", "counter"])
def test_beam_of_width_one_is_greedy(name):
    for sharp in (1.0, 4.0, 20.0):
        decoder, params, state = encoded(name, sharp)
        one = greedy(decoder, params, state, max_length=8)
        beam = beam_search(decoder, params, state, width=1, max_length=8, alpha=0.0)
        for expected, got in zip(one, beam, strict=True):
            np.testing.assert_allclose(expected, got, rtol=1e-5, atol=1e-5)


@pytest.mark.extended
def test_wider_beam_is_no_worse_and_sequences_are_independent():
    decoder, params, state = encoded("luong", sharp=3.0)
    scores = [beam_search(decoder, params, state, width=k, max_length=6, alpha=0.0).scores for k in (1, 40)]
    assert np.all(scores[1] >= scores[0] - 1e-5)
    model, whole = ready("luong", sharp=3.0)
    batched = beam_search(decoder, params, state, width=3, max_length=6)
    for b, length in enumerate(SOURCE_LENGTHS):
        alone = model.encode(whole, SOURCE[:, b : b + 1], length[None])
        single = beam_search(decoder, alone.params, alone.state, width=3, max_length=6)
        np.testing.assert_array_equal(single.tokens[0], batched.tokens[b])
        np.testing.assert_allclose(single.scores[0], batched.scores[b], rtol=1e-5)
        np.testing.assert_allclose(single.weights[0], batched.weights[b], atol=1e-5)


@pytest.mark.extended
@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_scores_and_weights_belong_to_the_tokens(search):
    """For several networks, so that hypotheses are reordered in the beam."""
    model = NETWORKS["luong"]
    decoder = model.decoder

    @jax.jit
    def searched(params):
        start = model.encode(params, SOURCE, SOURCE_LENGTHS)
        if search == "greedy":
            result, penalty = greedy(decoder, start.params, start.state, max_length=6), 1.0
        else:
            result = beam_search(decoder, start.params, start.state, width=4, max_length=6, alpha=3.0)
            penalty = ((5 + result.lengths) / 6) ** 3.0
        log_p = decoder.log_probability(start.params, result.tokens.T, start.state, lengths=result.lengths)

        def step(state_and_last, token):
            state, _ = decoder.step(start.params, *state_and_last)
            return (state, token), state.weights

        begin = jnp.full(3, Vocabulary.BEGIN, jnp.int32)
        _, weights = jax.lax.scan(step, (start.state, begin), result.tokens.T)
        return result, log_p / penalty, jnp.swapaxes(weights, 0, 1)

    lengths = []
    for seed in range(12):
        params = model.init(jax.random.key(seed))
        readout = jax.tree.map(lambda leaf: 3 * leaf, params.decoder.readout)
        params = params._replace(decoder=params.decoder._replace(readout=readout))
        result, scores, weights = searched(params)
        np.testing.assert_allclose(result.scores, scores, rtol=1e-4, atol=1e-5)
        inside = np.arange(6)[None] < np.asarray(result.lengths)[:, None]
        np.testing.assert_allclose(result.weights, weights * inside[..., None], atol=1e-5)
        assert np.all(np.asarray(result.tokens)[~inside] == Vocabulary.PADDING)
        lengths += result.lengths.tolist()
    assert len(set(lengths)) > 2


@pytest.mark.parametrize("name", ["luong"])
def test_nan_logits_give_no_sequence_and_the_score_nan(name):
    """As of a network that has diverged; the other sequences of the batch are as before."""
    decoder, params, state = encoded(name)
    bad = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), state)
    greedily = functools.partial(greedy, decoder, params, max_length=4)
    by_beam = functools.partial(beam_search, decoder, params, width=2, max_length=4)
    for search in (greedily, by_beam):
        result, expected = search(bad), search(state)
        assert np.isnan(result.scores).tolist() == [False, True, False]
        assert result.lengths[1] == 0
        assert np.all(result.tokens[1] == Vocabulary.PADDING)
        for got, right in zip(result, expected, strict=True):
            np.testing.assert_array_equal(got[::2], right[::2])
        everywhere = search(jax.tree.map(lambda leaf: leaf * jnp.nan, state))
        assert np.all(np.isnan(everywhere.scores))
        assert not np.any(everywhere.lengths)


def test_invalid_input_is_rejected_by_name():
    model, params = ready("luong")
    decoder = model.decoder
    with pytest.raises(ValueError, match=r"Embedding: ids must be in \[0, 7\), got 7"):
        model.loss(params, SOURCE, SOURCE_LENGTHS, np.full((2, 3), 7), np.array([2, 2, 2]))
    with pytest.raises(ValueError, match="encoder must read the 3 features of"):
        EncoderDecoder(TOKENS, GRU(4, 4), decoder)
    with pytest.raises(ValueError, match="the decoder's attention must have the memory_size 4, the encoder's output_"):
        EncoderDecoder(TOKENS, GRU(E, 4), decoder)
    with pytest.raises(TypeError, match="decoder must be a Decoder"):
        EncoderDecoder(TOKENS, GRU(E, 4), GRU(E, 4))
    with pytest.raises(ValueError, match="cell must read the 3 features of"):
        Decoder(Embedding(V, 3), GRU(4, 4))
    start = model.encode(params, SOURCE, SOURCE_LENGTHS)
    with pytest.raises(ValueError, match=r"targets must be \[T, \*batch\] with T of at least 1, got shape \[0, 3\]"):
        decoder.apply(start.params, TARGETS[:0], start.state)
    with pytest.raises(ValueError, match=r"sampling_probability must be in \[0, 1\], got 2"):
        decoder.apply(start.params, TARGETS, start.state, sampling_probability=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="draws tokens at random: give a key"):
        decoder.apply(start.params, TARGETS, start.state, sampling_probability=0.5)
    with pytest.raises(ValueError, match="beam_search: width must be a positive integer, got 0"):
        beam_search(decoder, start.params, start.state, width=0, max_length=3)
    with pytest.raises(ValueError, match="alpha must be a number of at least 0, got -1"):
        beam_search(decoder, start.params, start.state, width=1, max_length=3, alpha=-1)
    with pytest.raises(ValueError, match="greedy: max_length must be a positive integer, got 0"):
        greedy(decoder, start.params, start.state, max_length=0)


def test_equal_models_are_one_value():
    again = EncoderDecoder(
        Embedding(S, E),
        Bidirectional(GRU(E, 4)),
        Decoder(Embedding(V, E), LuongCell(GRU(E + A, H), General(H, 8), A)),
    )
    assert again == NETWORKS["luong"]
    assert hash(again) == hash(NETWORKS["luong"])


@pytest.mark.parametrize(
    ("attention", "cell"),
    [
        ("general", LuongCell(Dropout(GRU(E + A, H), 0.1), General(H, H), A)),
        ("dot", LuongCell(Dropout(GRU(E + A, H), 0.1), Dot(H, H), A)),
        ("additive", BahdanauCell(Dropout(GRU(E + H, H), 0.1), Additive(H, H, H), A)),
        (None, Dropout(GRU(E, H), 0.1)),
    ],
)
def test_sequence_to_sequence_puts_the_parts_together(attention, cell):
    model = sequence_to_sequence(GRU, S, V, E, H, attention, readout=A, dropout=0.1)
    assert model == EncoderDecoder(TOKENS, Dropout(Bidirectional(GRU(E, H // 2)), 0.1), Decoder(Embedding(V, E), cell))


def test_sequence_to_sequence_refuses_odd_units_and_an_unknown_attention():
    with pytest.raises(ValueError, match="units must be even, for two directions of one size, got 5"):
        sequence_to_sequence(GRU, S, V, E, 5)
    with pytest.raises(ValueError, match="attention must be None or one of general, dot, additive, got 'generall'"):
        sequence_to_sequence(GRU, S, V, E, H, "generall")


def test_log_probability_is_the_loss_of_all_tokens():
    model, params = ready("luong")
    logs = model.log_probability(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    loss = model.loss(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    np.testing.assert_allclose(-np.sum(logs) / np.sum(TARGET_LENGTHS), loss, rtol=1e-6)
