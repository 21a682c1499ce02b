"""Numbers of NumPy, JAX and the standard library as sizes and rates: stored as Python's, or refused."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import (
    CELLS,
    LSTM,
    Checkpointed,
    Hoisted,
    Scan,
    VanillaRNN,
    data,
    gradients,
    initializers,
    mesh,
    models,
    tasks,
    training,
)
from rnn_jax.layers import DelayLine
from rnn_jax.report import plain

RNN = VanillaRNN(2, 3)
MODEL = models.ReadoutModel(RNN, 1)

NUMBERS = [
    *[pytest.param(kind(8), id=kind.__name__) for kind in (np.int64, np.uint8, np.array, jnp.int32)],
    *[pytest.param(kind(0.5), id=kind.__name__) for kind in (np.float32, np.float64, np.array, jnp.bfloat16, Fraction)],
]  # fmt: skip


def holders(number):
    """Every kind of object that takes a size, or a rate."""
    if number == 8:
        return [
            *[make(number, number) for make in CELLS.values()],
            DelayLine(RNN, number),
            models.ReadoutModel(RNN, number),
            models.Classifier(RNN, number),
            models.CTC(RNN, number),
            models.Forecaster(RNN, models.Gaussian(), number),
            models.TopK(number),
            models.ImageEncoder((number, number, 1), (number,), (number,)),
            models.Additive(number, number, number),
            data.OneHot(number),
            data.Embedding(number, number),
            data.Buckets((number,)),
            mesh.MeshShape(data=number),
            Scan(number),
            Hoisted(unroll=number),
            Checkpointed(number),
            gradients.TBPTT(number, number),
            gradients.SnAp(number),
            initializers.Chrono(number),
            training.CosineDecay(training.Adam(1), number),
            training.Trainer(MODEL, number, training.Adam(1), None),
            training.RollBack(limit=number),
            tasks.Copying(number),
            tasks.Parity(number),
        ]
    return [
        LSTM(2, 3, number),
        rnn_jax.LRU(2, 3, number),
        rnn_jax.Dropout(RNN, number),
        rnn_jax.RecurrentDropout(RNN, number),
        rnn_jax.Zoneout(RNN, number),
        rnn_jax.Zoneout(LSTM(2, 3), rnn_jax.cells.lstm.LSTMState(number, number)),
        models.Classifier(RNN, 2, dropout=number),
        models.Temperature(number),
        models.Nucleus(number),
        models.Gaussian(number),
        models.Quantiles((number,)),
        data.Transform(deviation=number),
        training.Adam(number),
        training.SGD(number, number),
        training.RMSProp(number, number, number),
        training.ClipByNorm(number),
        training.ClipByValue(number),
        training.ClipAdaptively(number),
        training.RollBack(number),
        initializers.Normal(number),
    ]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_other_libraries_are_pythons(number):
    for value, expected in zip(holders(number), holders(8 if number == 8 else 0.5), strict=True):
        assert value == expected
        assert hash(value) == hash(expected)
        assert repr(value) == repr(expected)
        assert plain(value) == plain(expected)


@pytest.mark.parametrize("wrong", [np.float32(2.5), np.bool_(True), np.int64(0), np.array([8])], ids=repr)
def test_numbers_of_other_libraries_that_are_no_sizes(wrong):
    with pytest.raises(ValueError, match="hidden_size must be a positive integer"):
        LSTM(2, wrong)


def test_functions_take_numbers_of_other_libraries():
    prompts = jnp.array([[1, 2], [3, 4]])
    model = models.LanguageModel(data.OneHot(5), LSTM(5, 3))
    params = model.init(jax.random.key(0))
    texts = [
        models.generate(model, params, models.Greedy(), jax.random.key(1), prompts, count=c, max_length=m)
        for c, m in ((2, 4), (np.int64(2), np.uint8(4)))
    ]
    np.testing.assert_array_equal(texts[0].tokens, texts[1].tokens)
