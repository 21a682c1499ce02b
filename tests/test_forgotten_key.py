"""Whatever is random refuses a key that is left out: `key=None` is evaluation, and has to be written."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import GRU, LSTM, Cell, Scan, data, gradients, models, tasks, training
from rnn_jax.models.readout import ReadoutParams

T, B, D, H = 4, 2, 3, 3
KEY, XS, IDS = jax.random.key(1), jnp.ones((T, B, D)), jnp.full((T, B), 4)
LENGTHS, LABELS = jnp.array([4, 3]), jnp.array([0, 1])
DROPOUT, ZONEOUT = rnn_jax.Dropout(GRU(D, H), 0.5), rnn_jax.Zoneout(LSTM(D, H), 0.5)
RECURRENT = rnn_jax.RecurrentDropout(GRU(D, H), 0.5)
NOISY = {
    "dropout": (DROPOUT, "Dropout(GRU)"),
    "zoneout": (ZONEOUT, "Zoneout(LSTM)"),
    "recurrent": (RECURRENT, "RecurrentDropout(GRU)"),
    "stack": (rnn_jax.Stack([GRU(D, H), ZONEOUT]), "Zoneout(LSTM)"),
    "bidirectional": (rnn_jax.Bidirectional(GRU(D, H), DROPOUT), "Dropout(GRU)"),
    "residual": (rnn_jax.Residual(DROPOUT), "Dropout(GRU)"),
    "learned": (rnn_jax.LearnedInitialState(DROPOUT), "LearnedInitialState(Dropout(GRU))"),
}
QUIET = [
    GRU(D, H),
    rnn_jax.Stack([GRU(D, H), rnn_jax.LearnedInitialState(LSTM(H, H))]),
    rnn_jax.Bidirectional(GRU(D, H)),
]


def refuses(call, who):
    message = f"{who} is random, so key must be given; pass key=jax.random.key(...) in training, key=None in evaluation"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        call()


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("name", NOISY)
def test_unroll_refuses_noise_without_a_key(name, jit):
    cell, who = NOISY[name]
    params = cell.init(jax.random.key(0))
    run = jax.jit(lambda p, xs: rnn_jax.unroll(cell, p, xs)) if jit else lambda p, xs: rnn_jax.unroll(cell, p, xs)
    refuses(lambda: run(params, XS), who)


@pytest.mark.parametrize("cell", QUIET, ids=lambda cell: type(cell).__name__)
def test_cells_without_noise_need_no_key(cell):
    params = cell.init(jax.random.key(0))
    outputs = [rnn_jax.unroll(cell, params, XS, **options)[1] for options in ({}, {"key": None}, {"key": KEY})]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


class Jittered(Cell):
    """A user's cell with noise, if its class says so."""

    deviation = 1.0

    def init(self, key):
        return jnp.ones(())

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def noise(self, params, key, shape):
        return self.deviation * jax.random.normal(key, (*shape, self.hidden_size)) if self.deviation else None

    def project(self, params, x):
        x, drawn = rnn_jax.noise.split(x)
        return x if drawn is None else x + drawn

    def step(self, params, state, drive):
        return params * state + drive


class Calm(Jittered):
    deviation = 0.0


def test_a_cell_of_a_user():
    refuses(lambda: rnn_jax.unroll(Jittered(D, H), jnp.ones(()), XS), "Jittered")
    np.testing.assert_array_equal(rnn_jax.unroll(Jittered(D, H), jnp.ones(()), XS, key=None)[0], T * jnp.ones((B, H)))
    np.testing.assert_array_equal(rnn_jax.unroll(Calm(D, H), jnp.ones(()), XS)[0], T * jnp.ones((B, H)))


TOKENS = data.Embedding(6, D)
READOUT, LANGUAGE = models.ReadoutModel(DROPOUT, 2), models.LanguageModel(TOKENS, ZONEOUT)
CLASSIFIER, MASKED = models.Classifier(ZONEOUT, 2), models.Classifier(GRU(D, H), 2, dropout=0.5)
TAGGER, WORDS = models.Tagger(TOKENS, DROPOUT, 3), models.Tagger(TOKENS, GRU(D, H), 3, word_dropout=0.5)
CTC, FORECASTER = models.CTC(DROPOUT, 2), models.Forecaster(DROPOUT, models.Gaussian())
ENCODING = models.EncoderDecoder(TOKENS, DROPOUT, models.Decoder(TOKENS, GRU(D, H)))
DECODING = models.EncoderDecoder(TOKENS, GRU(D, H), models.Decoder(TOKENS, DROPOUT))
MODELS = {
    "readout": (READOUT, lambda p, **k: READOUT.apply(p, XS, **k), "Dropout(GRU)"),
    "language": (LANGUAGE, lambda p, **k: LANGUAGE.loss(p, IDS, IDS, **k), "Zoneout(LSTM)"),
    "classifier": (CLASSIFIER, lambda p, **k: CLASSIFIER.loss(p, XS, LABELS, **k), "Zoneout(LSTM)"),
    "classifier_dropout": (MASKED, lambda p, **k: MASKED.loss(p, XS, LABELS, **k), "Classifier: dropout"),
    "tagger": (TAGGER, lambda p, **k: TAGGER.loss(p, IDS, 0 * IDS, **k), "Dropout(GRU)"),
    "tagger_words": (WORDS, lambda p, **k: WORDS.loss(p, IDS, 0 * IDS, **k), "Tagger: word_dropout"),
    "ctc": (CTC, lambda p, **k: CTC.loss(p, XS, LENGTHS, LABELS[None] + 1, LABELS * 0 + 1, **k), "Dropout(GRU)"),
    "forecaster": (FORECASTER, lambda p, **k: FORECASTER.loss(p, XS, XS[:, :, None], **k), "Dropout(GRU)"),
    "encoder": (ENCODING, lambda p, **k: ENCODING.loss(p, IDS, LENGTHS, IDS, LENGTHS, **k), "Dropout(GRU)"),
    "decoder": (DECODING, lambda p, **k: DECODING.loss(p, IDS, LENGTHS, IDS, LENGTHS, **k), "Dropout(GRU)"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_refuse_noise_without_a_key(name):
    model, call, who = MODELS[name]
    params = jax.eval_shape(model.init, KEY)
    refuses(lambda: jax.eval_shape(call, params), who)
    for key in (None, KEY):
        jax.eval_shape(lambda p, key=key: call(p, key=key), params)


def test_a_classifier_and_a_tagger_without_dropout_need_no_key():
    for model, inputs in ((models.Classifier(GRU(D, H), 2), XS), (models.Tagger(TOKENS, GRU(D, H), 3), IDS)):
        jax.eval_shape(model.apply, jax.eval_shape(model.init, KEY), inputs)


@pytest.mark.parametrize(
    "estimator",
    [gradients.BPTT(Scan()), gradients.TBPTT(2), gradients.TBPTT(2, 4), gradients.RTRL()],
    ids=["BPTT", "TBPTT", "windows", "RTRL"],
)
def test_estimators_refuse_noise_without_a_key(estimator):
    for cell, who in ((ZONEOUT, "Zoneout(LSTM)"), (rnn_jax.Stack([GRU(D, H), DROPOUT]), "Dropout(GRU)")):
        params = ReadoutParams(cell.init(jax.random.key(0)), jnp.ones(()))
        refuses(lambda cell=cell, params=params: estimator.init(cell, params, XS), who)
        for key in (None, KEY):
            jax.eval_shape(lambda p, cell=cell, key=key: estimator.init(cell, p, XS, key=key), params)
    quiet = ReadoutParams(GRU(D, H).init(jax.random.key(0)), jnp.ones(()))
    assert estimator.init(GRU(D, H), quiet, XS) is not None


@pytest.mark.extended
def test_evaluation_and_diagnostics_are_without_noise():
    task, cell = tasks.Adding(4), rnn_jax.Zoneout(GRU(2, H), 0.5)
    trainer = training.Trainer(models.ReadoutModel(cell, 1), 2, training.Adam(0.1), None)
    state = training.init(trainer, KEY[None])
    results = [training.evaluate(trainer.model, task, state.params, KEY, 4, 1)["loss"] for _ in range(2)]
    np.testing.assert_array_equal(*results)
    one_seed, batch = jax.tree.map(lambda leaf: leaf[0], state.params), task.sample(KEY, 2)
    rnn_jax.diagnostics.examine(trainer.model, task, one_seed, batch)
    assert jnp.isfinite(rnn_jax.diagnostics.lyapunov_spectrum(cell, one_seed.cell, batch.inputs, 1)).all()
