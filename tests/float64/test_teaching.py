"""The teaching programs in 64 bit: the differences that remain between curves in 32 bit are rounding."""

import itertools

import jax
import numpy as np
import pytest

from experiments import teaching
from experiments.teaching import config, measurement

STEPS = 20


@pytest.fixture(autouse=True)
def rank_promotion():
    """Allows rank promotion, which Keras needs."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize(
    ("library", "name", "cell", "epochs", "tolerance"),
    [
        ("PyTorch", "generator", None, 10, 1e-13),
        ("PyTorch", "generator", "gru", 10, 1e-13),
        ("PyTorch", "classifier", None, 1, 1e-13),
        ("Keras", "generator", None, 10, 1e-13),
        ("Keras", "classifier", None, 1, 1e-7),  # its tanh computes in 32 bit
    ],
)
def test_same_weights_give_the_same_curve(library, name, cell, epochs, tolerance):
    pytest.importorskip(f"experiments.peers.{measurement.LIBRARIES[library]}", exc_type=ImportError)
    (setup,) = config.plan(teaching.Config(programs=(name,), cell=cell, epochs=epochs))
    forms, _, _ = measurement.find()
    ours, theirs = (forms[form](setup.trainer, setup.state) for form in ("rnn_jax", library))
    xs, labels = setup.program.xs, setup.program.labels
    batches = [(xs[:, n], labels[n]) for n in itertools.islice(itertools.chain(*setup.batches), STEPS)]
    expected, losses = (np.array([network.step(*batch) for batch in batches]) for network in (ours, theirs))
    assert expected.dtype == np.float64
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    xs, _ = batches[0]
    np.testing.assert_array_equal(ours.scores(xs).argmax(axis=-1), theirs.scores(xs).argmax(axis=-1))
