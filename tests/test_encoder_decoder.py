"""Encoder and decoder: teacher forcing, padding, states handed over, scheduled sampling, both searches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LRU, LSTM, Bidirectional, Dropout, Stack
from rnn_jax.data import Embedding, OneHot, Vocabulary
from rnn_jax.models import (
    Additive,
    BahdanauCell,
    Decoder,
    EncoderDecoder,
    General,
    LuongCell,
    beam_search,
    greedy,
)

pytestmark = pytest.mark.usefixtures("unoptimized")

E, H, A, V, S = 3, 6, 5, 7, 9
TOKENS = Embedding(S, E)
NETWORKS = {
    "luong": EncoderDecoder(
        TOKENS, Bidirectional(GRU(E, 4)), Decoder(Embedding(V, E), LuongCell(GRU(E + A, H), General(H, 8), A))
    ),
    "bahdanau": EncoderDecoder(
        TOKENS, Bidirectional(LSTM(E, 4)), Decoder(OneHot(V), BahdanauCell(LSTM(V + 8, H), Additive(H, 8, 4), A))
    ),
    "handed over": EncoderDecoder(TOKENS, LSTM(E, H), Decoder(Embedding(V, E), LSTM(E, H))),
    "bridged": EncoderDecoder(TOKENS, LRU(E, 4), Decoder(Embedding(V, E), Stack([GRU(E, 4), LSTM(4, H)]))),
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


def begun(name, sharp=1.0):
    model, params = ready(name, sharp)
    found = model.encode(params, SOURCE, SOURCE_LENGTHS)
    return model.decoder, found.params, found.state


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_is_what_stepping_says_of_the_targets(name):
    model, params = ready(name)
    loss = model.loss(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    decoder, bound, state = begun(name)
    token, total = np.full(3, Vocabulary.BEGIN), 0.0
    for t in range(len(TARGETS)):
        state, logits = decoder.step(bound, state, token)
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
    wanted = run(params, SOURCE, SOURCE_LENGTHS, TARGETS, TARGET_LENGTHS)
    got = run(params, source, SOURCE_LENGTHS, targets, TARGET_LENGTHS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), wanted, got)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(got))


@pytest.mark.parametrize("name", ["bahdanau"])
def test_empty_sources_and_targets_leave_finite_gradients(name):
    model, params = ready(name)
    run = jax.jit(
        jax.value_and_grad(lambda p: model.loss(p, SOURCE, np.array([0, 3, 0]), TARGETS, np.array([2, 0, 0])))
    )
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(run(params)))
    assert float(model.loss(params, SOURCE, SOURCE_LENGTHS, TARGETS, np.zeros(3, int))) == 0


def test_a_state_that_fits_is_handed_over_and_another_goes_through_tanh():
    model, params = ready("handed over")
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
    found = model.encode(params, SOURCE, SOURCE_LENGTHS)
    forward = np.asarray(found.params.cell.memory.values)[SOURCE_LENGTHS - 1, np.arange(3), :4]
    backward = np.asarray(found.params.cell.memory.values)[0, :, 4:]
    wanted = np.tanh(np.concatenate([forward, backward], axis=-1) @ bridge["kernel"] + bridge["bias"])
    np.testing.assert_allclose(found.state.cell, wanted, rtol=1e-5, atol=1e-6)
    wide = ready("bridged")
    assert wide[1].bridge["params"]["kernel"].shape == (8, 4 + 2 * H)  # complex numbers are two


def test_the_source_matters():
    for name in ("luong", "handed over"):
        model, params = ready(name)
        other = SOURCE.copy()
        other[0, 1] = 4 + (other[0, 1] - 3) % (S - 4)
        rows = []
        for source in (SOURCE, other):
            found = model.encode(params, source, SOURCE_LENGTHS)
            rows.append(model.decoder.log_probability(found.params, TARGETS, found.state, lengths=TARGET_LENGTHS))
        changed = np.asarray(rows[0] != rows[1])
        assert changed.tolist() == [False, True, False], name


@pytest.mark.parametrize("name", ["bahdanau", "bridged"])
def test_scheduled_sampling_reads_its_own_tokens(name):
    decoder, params, state = begun(name, sharp=1e4)  # so sharp that a draw is the most probable token
    key = jax.random.key(0)
    own = decoder.apply(params, TARGETS, state, key=key, sampling_probability=1.0)[1]
    taught = decoder.apply(params, TARGETS, state)[1]
    token = np.full(3, Vocabulary.BEGIN)
    free = []
    walk = state
    for _ in range(6):
        walk, logits = decoder.step(params, walk, token)
        free.append(logits)
        token = jnp.argmax(logits, axis=-1)
    np.testing.assert_allclose(own, np.stack(free), rtol=1e-3, atol=0.5)
    assert np.any(np.abs(np.asarray(own) - np.asarray(taught)) > 1)
    np.testing.assert_allclose(own[0], taught[0], rtol=1e-4, atol=0.1)


def test_scheduled_sampling_draws_by_probability_and_its_key():
    decoder, params, state = begun("luong")
    run = jax.jit(lambda own, key: decoder.apply(params, TARGETS, state, key=key, sampling_probability=own)[1])
    taught = decoder.apply(params, TARGETS, state)[1]
    np.testing.assert_allclose(run(0.0, jax.random.key(1)), taught, rtol=1e-4, atol=1e-5)
    half, again, other = (run(0.5, jax.random.key(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(half, again)
    assert np.any(half != other)

    def loss(readout):
        its = params._replace(readout=readout)
        return decoder.loss(
            its, TARGETS, state, lengths=TARGET_LENGTHS, key=jax.random.key(1), sampling_probability=0.5
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


def everything(decoder, params, state, b, max_length, alpha):
    """The best score of all sequences that end, by trying each; of sequence b."""
    best = (-np.inf, None)
    alive = [((), jax.tree.map(lambda leaf: leaf[None], state), 0.0)]
    for length in range(1, max_length + 1):
        new = []
        for tokens, its_state, log_p in alive:
            last = jnp.full((1, 3), tokens[-1] if tokens else Vocabulary.BEGIN)
            its_state, logits = decoder.step(params, its_state, last)
            gains = np.asarray(jax.nn.log_softmax(logits))[0, b]
            ended = (log_p + gains[Vocabulary.END]) / ((5 + length) / 6) ** alpha
            best = max(best, (ended, (*tokens, Vocabulary.END)), key=lambda found: found[0])
            for token in range(V):
                if token not in (Vocabulary.END, Vocabulary.PADDING):
                    new.append(((*tokens, token), its_state, log_p + gains[token]))
        alive = new
    return best


@pytest.mark.parametrize(("name", "alpha"), [("luong", 0.0), ("handed over", 5.0)])
def test_a_wide_beam_finds_the_best_of_all_sequences(name, alpha):
    decoder, params, state = begun(name, sharp=3.0)
    found = beam_search(decoder, params, state, width=V**3, max_length=3, alpha=alpha)
    for b in range(3):
        score, tokens = everything(decoder, params, state, b, 3, alpha)
        assert float(found.scores[b]) == pytest.approx(score, rel=1e-4)
        assert tuple(found.tokens[b, : int(found.lengths[b])].tolist()) == tokens
    if alpha > 1:  # then long ones win, in which beams have changed their places
        assert np.all(found.lengths == 3)


@pytest.mark.parametrize("name", ["luong"])
def test_a_beam_of_one_is_greedy(name):
    for sharp in (1.0, 4.0, 20.0):
        decoder, params, state = begun(name, sharp)
        one = greedy(decoder, params, state, max_length=8)
        beam = beam_search(decoder, params, state, width=1, max_length=8, alpha=0.0)
        for wanted, got in zip(one, beam, strict=True):
            np.testing.assert_allclose(wanted, got, rtol=1e-5, atol=1e-5)


def test_a_wider_beam_does_not_find_less_and_sequences_are_on_their_own():
    decoder, params, state = begun("luong", sharp=3.0)
    scores = [beam_search(decoder, params, state, width=k, max_length=6, alpha=0.0).scores for k in (1, 40)]
    assert np.all(scores[1] >= scores[0] - 1e-5)
    model, whole = ready("luong", sharp=3.0)
    together = beam_search(decoder, params, state, width=3, max_length=6)
    for b, length in enumerate(SOURCE_LENGTHS):
        alone = model.encode(whole, SOURCE[:, b : b + 1], length[None])
        found = beam_search(decoder, alone.params, alone.state, width=3, max_length=6)
        np.testing.assert_array_equal(found.tokens[0], together.tokens[b])
        np.testing.assert_allclose(found.scores[0], together.scores[b], rtol=1e-5)
        np.testing.assert_allclose(found.weights[0], together.weights[b], atol=1e-5)


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_scores_and_weights_are_those_of_the_tokens_found(search):
    """Over some networks, so that hypotheses change their places in the beam on their way."""
    model = NETWORKS["luong"]
    decoder = model.decoder

    @jax.jit
    def searched(params):
        begun = model.encode(params, SOURCE, SOURCE_LENGTHS)
        if search == "greedy":
            found, penalty = greedy(decoder, begun.params, begun.state, max_length=6), 1.0
        else:
            found = beam_search(decoder, begun.params, begun.state, width=4, max_length=6, alpha=3.0)
            penalty = ((5 + found.lengths) / 6) ** 3.0
        log_p = decoder.log_probability(begun.params, found.tokens.T, begun.state, lengths=found.lengths)

        def look(state_and_last, token):
            state, _ = decoder.step(begun.params, *state_and_last)
            return (state, token), state.weights

        begin = jnp.full(3, Vocabulary.BEGIN, jnp.int32)
        _, weights = jax.lax.scan(look, (begun.state, begin), found.tokens.T)
        return found, log_p / penalty, jnp.swapaxes(weights, 0, 1)

    lengths = []
    for seed in range(12):
        params = model.init(jax.random.key(seed))
        readout = jax.tree.map(lambda leaf: 3 * leaf, params.decoder.readout)
        params = params._replace(decoder=params.decoder._replace(readout=readout))
        found, scores, weights = searched(params)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)
        inside = np.arange(6)[None] < np.asarray(found.lengths)[:, None]
        np.testing.assert_allclose(found.weights, weights * inside[..., None], atol=1e-5)
        assert np.all(np.asarray(found.tokens)[~inside] == Vocabulary.PADDING)
        lengths += found.lengths.tolist()
    assert len(set(lengths)) > 2


def test_what_does_not_fit_is_refused():
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
    found = model.encode(params, SOURCE, SOURCE_LENGTHS)
    with pytest.raises(ValueError, match=r"targets must be \[T, \*batch\] with T of at least 1, got shape \[0, 3\]"):
        decoder.apply(found.params, TARGETS[:0], found.state)
    with pytest.raises(ValueError, match=r"sampling_probability must be in \[0, 1\], got 2"):
        decoder.apply(found.params, TARGETS, found.state, sampling_probability=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="draws tokens at random: give a key"):
        decoder.apply(found.params, TARGETS, found.state, sampling_probability=0.5)
    with pytest.raises(ValueError, match="beam_search: width must be a positive integer, got 0"):
        beam_search(decoder, found.params, found.state, width=0, max_length=3)
    with pytest.raises(ValueError, match="alpha must be a number of at least 0, got -1"):
        beam_search(decoder, found.params, found.state, width=1, max_length=3, alpha=-1)
    with pytest.raises(ValueError, match="greedy: max_length must be a positive integer, got 0"):
        greedy(decoder, found.params, found.state, max_length=0)


def test_equal_models_are_one_value():
    again = EncoderDecoder(
        Embedding(S, E),
        Bidirectional(GRU(E, 4)),
        Decoder(Embedding(V, E), LuongCell(GRU(E + A, H), General(H, 8), A)),
    )
    assert again == NETWORKS["luong"]
    assert hash(again) == hash(NETWORKS["luong"])
