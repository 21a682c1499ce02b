"""The sequence classifier and its poolings against NumPy and PyTorch; padding, batches, dropout, invalid input."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, Bidirectional, Dropout, Residual, Stack, VanillaRNN, interop, unroll
from rnn_jax.data import Embedding, OneHot
from rnn_jax.models import Classifier, LastStep, MaxPool, MeanPool

IDS = np.random.default_rng(0).integers(0, 6, (5, 4))
LENGTHS = np.array([5, 3, 1, 4])
LABELS = np.array([0, 2, 1, 2])
POOLINGS = [LastStep(), MeanPool(), MaxPool()]


def network(pooling=LastStep(), dropout=0.0):  # noqa: B008, a frozen dataclass
    return Classifier(Bidirectional(VanillaRNN(3, 2)), 3, Embedding(6, 3), pooling, dropout)


def numpy_logits(model, params, ids):
    """Logits of one sequence [L], step by step."""
    rows = np.sqrt(3) * np.asarray(params.encoder["params"]["embedding"])[ids]
    both = []
    for cell, xs in ((params.cell.forward, rows), (params.cell.backward, rows[::-1])):
        h, hs = np.zeros(2), []
        for x in xs:
            h = np.tanh(x @ cell.w_i + h @ cell.w_h + cell.b)
            hs.append(h)
        both.append(np.array(hs))
    forward, backward = both[0], both[1][::-1]
    ys = np.concatenate([forward, backward], axis=1)
    pooled = {
        LastStep: np.concatenate([forward[-1], backward[0]]),
        MeanPool: np.mean(ys, axis=0),
        MaxPool: np.max(ys, axis=0),
    }[type(model.pooling)]
    dense = params.readout["params"]
    return pooled @ dense["kernel"] + dense["bias"]


@pytest.mark.parametrize("pooling", POOLINGS, ids=repr)
def test_logits_and_loss_equal_numpys(pooling):
    model = network(pooling)
    params = model.init(jax.random.key(1))
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # so that biases matter
    expected = np.array([numpy_logits(model, params, IDS[:n, i]) for i, n in enumerate(LENGTHS)])
    np.testing.assert_allclose(model.apply(params, IDS, LENGTHS), expected, rtol=1e-5, atol=1e-6)
    shares = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    nats = -np.mean(np.log(shares[np.arange(4), LABELS]))
    assert float(model.loss(params, IDS, LABELS, LENGTHS)) == pytest.approx(nats, rel=1e-5)


@pytest.mark.peers
def test_last_step_equals_pytorchs_final_states():
    torch = pytest.importorskip("torch")
    layer = torch.nn.LSTM(3, 2, bidirectional=True)
    core = Bidirectional(LSTM(3, 2))
    xs = np.random.default_rng(1).normal(size=(5, 4, 3)).astype(np.float32)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(xs), torch.tensor(LENGTHS), enforce_sorted=False)
    _, (h, _) = layer(packed)
    expected = torch.cat([h[0], h[1]], dim=1).detach().numpy()
    _, ys = unroll(core, interop.from_pytorch(core, layer.state_dict()), xs, lengths=LENGTHS)
    np.testing.assert_allclose(LastStep()(core, ys, jnp.asarray(LENGTHS)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS, ids=repr)
def test_padding_changes_neither_logits_nor_gradients(pooling):
    model = Classifier(Bidirectional(GRU(2, 3)), 3, None, pooling)
    params = model.init(jax.random.key(0))
    xs = np.random.default_rng(2).normal(size=(7, 4, 2)).astype(np.float32)
    inside = np.arange(7)[:, None] < LENGTHS[None]
    xs[~inside] = np.nan
    lengths = np.array([5, 3, 0, 4])  # the third has no step

    @jax.jit
    def run(params, xs):
        return jax.value_and_grad(model.loss)(params, xs, LABELS, lengths)

    value, grads = run(params, xs)
    shorter, short_grads = run(params, np.nan_to_num(xs[:5], nan=9.0))
    assert np.isfinite(value)
    assert float(value) == pytest.approx(float(shorter), rel=1e-6)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(short_grads), strict=True):
        assert np.all(np.isfinite(a))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("pooling", POOLINGS, ids=repr)
def test_sequences_are_independent_and_one_without_steps_gives_the_bias(pooling):
    model = network(pooling)
    params = model.init(jax.random.key(3))
    params = params._replace(readout=jax.tree.map(lambda leaf: leaf + 0.5, params.readout))
    logits = model.apply(params, IDS, LENGTHS)
    others = IDS.copy()
    others[:, 1:] = (others[:, 1:] + 1) % 6
    np.testing.assert_array_equal(model.apply(params, others, LENGTHS)[0], logits[0])
    empty = model.apply(params, IDS, np.array([5, 3, 0, 4]))[2]
    np.testing.assert_allclose(empty, params.readout["params"]["bias"])


def test_without_lengths_every_step_is_read():
    model = network(MeanPool())
    params = model.init(jax.random.key(0))
    np.testing.assert_array_equal(model.apply(params, IDS), model.apply(params, IDS, np.full(4, 5)))


@pytest.mark.parametrize(
    ("cell", "at_end"),
    [
        (LSTM(2, 2), [1, 1]),
        (Bidirectional(GRU(2, 1), GRU(2, 2)), [1, 0, 0]),
        pytest.param(Stack([Bidirectional(GRU(2, 1)), GRU(2, 1)]), [1], marks=pytest.mark.extended),
        pytest.param(Stack([GRU(2, 2), Bidirectional(GRU(2, 1))]), [1, 0], marks=pytest.mark.extended),
        (Residual(Dropout(Bidirectional(GRU(2, 1)), 0.5)), [1, 0]),
        pytest.param(Bidirectional(Bidirectional(GRU(2, 1))), [1, 0, 0, 1], marks=pytest.mark.extended),
    ],
    ids=str,
)
def test_last_step_depends_on_the_whole_sequence(cell, at_end):
    """Every pooled feature depends on every input."""
    params = cell.init(jax.random.key(0))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(4, 1, 2)), jnp.float32)

    def pooled(xs):
        _, ys = unroll(cell, params, xs, key=None)
        return LastStep()(cell, ys, jnp.array([4]))[0], ys[:, 0]

    (features, ys), jacobian = pooled(xs), jax.jit(jax.jacobian(lambda xs: pooled(xs)[0]))(xs)
    np.testing.assert_array_equal(features, np.where(at_end, ys[-1], ys[0]))
    if not isinstance(cell, Residual):
        assert np.all(np.any(np.asarray(jacobian)[:, :, 0] != 0, axis=-1))


def test_dropout_acts_on_pooled_features_and_keeps_their_mean():
    model = network(MeanPool(), dropout=0.5)
    params = model.init(jax.random.key(0))
    plain = model.apply(params, IDS, LENGTHS, key=None)
    np.testing.assert_array_equal(network(MeanPool()).apply(params, IDS, LENGTHS), plain)
    keys = jax.random.split(jax.random.key(1), 1000)
    drawn = jax.jit(jax.vmap(lambda key: model.apply(params, jnp.asarray(IDS), jnp.asarray(LENGTHS), key=key)))(keys)
    assert np.max(np.std(drawn, axis=0)) > 0.05
    np.testing.assert_allclose(np.mean(drawn, axis=0), plain, atol=0.06)
    # Each of 4 features is dropped or doubled before a linear readout, so a logit has at most 2^4 values.
    assert len(np.unique(np.round(drawn[:, 0, 0], 4))) <= 2**4


def test_dropout_inside_the_cell_gets_a_separate_key():
    model = Classifier(Dropout(GRU(6, 2), 0.5), 2, OneHot(6))
    params = model.init(jax.random.key(0))
    first, again, other = (model.apply(params, IDS, key=jax.random.key(k)) for k in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


INVALID = [
    (lambda: Classifier("lstm", 2), TypeError, "Classifier: cell must be a cell or layer, got 'lstm'"),
    (lambda: Classifier(GRU(3, 2), 0), ValueError, "Classifier: classes must be a positive integer, got 0"),
    (lambda: Classifier(GRU(3, 2), 2, dropout=1.0), ValueError, "dropout must be a number from 0 to below 1, got 1.0"),
    (lambda: Classifier(GRU(3, 2), 2, pooling="max"), TypeError, "pooling must be one such as LastStep(), got 'max'"),
    (lambda: Classifier(GRU(3, 2), 2, "onehot"), TypeError, "encoder must be a OneHot, an Embedding or None"),
    (lambda: Classifier(GRU(3, 2), 2, OneHot(4)), ValueError, "cell must read the 4 features of OneHot(size=4)"),
    (
        lambda: Classifier(Bidirectional(GRU(3, 2), merge="sum"), 2).init(jax.random.key(0)),
        ValueError,
        "LastStep: Bidirectional must have merge='concat', got 'sum'",
    ),
    (lambda: apply(IDS[:0]), ValueError, "inputs must have at least one step, got shape [0, 4]"),
    (lambda: apply(IDS * 1.0), TypeError, "ids must be integers, got float64"),
    (lambda: apply(IDS + 1), ValueError, "ids must be in [0, 6), got 6"),
    (lambda: apply(IDS, LENGTHS + 1), ValueError, "lengths must be from 0 to T = 5, got 6"),
    (lambda: apply(IDS, LENGTHS[:3]), ValueError, "lengths must have the batch shape of xs, [4], got shape [3]"),
    (lambda: loss(LABELS * 1.0), TypeError, "labels must be integers, got float64"),
    (lambda: loss(LABELS[:2]), ValueError, "labels must be [4], got shape [2]"),
    (lambda: loss(LABELS + 1), ValueError, "labels must be in [0, 3), got 3"),
    (lambda: loss(LABELS - 1), ValueError, "labels must be in [0, 3), got -1"),
]


def apply(ids, lengths=None):
    return network().apply(network().init(jax.random.key(0)), ids, lengths)


def loss(labels):
    return network().loss(network().init(jax.random.key(0)), IDS, labels)


@pytest.mark.parametrize(("call", "kind", "message"), INVALID, ids=[message for _, _, message in INVALID])
def test_invalid_input_is_rejected_by_name(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_traced_label_out_of_range_gives_nan():
    params = network().init(jax.random.key(0))
    jitted = jax.jit(lambda labels: network().loss(params, IDS, labels))
    assert np.isfinite(jitted(LABELS))
    assert np.isnan(jitted(LABELS + 1))
    assert np.isnan(jitted(LABELS - 1))
