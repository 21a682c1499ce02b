"""The teaching programs in 64 bit: what 32 bit leaves between the curves is rounding, as here nothing is left."""

import itertools

import jax
import numpy as np
import pytest

from experiments import teaching
from experiments.teaching import config, peers
from experiments.teaching.ours import Ours

STEPS = 20


@pytest.fixture(autouse=True)
def ranks_promoted():
    """Keras promotes ranks."""
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
def test_the_same_weights_give_the_same_curve(library, name, cell, epochs, tolerance):
    module, _ = peers.LIBRARIES[library]
    pytest.importorskip(f"experiments.teaching.peers.{module}", exc_type=ImportError)
    (lesson,) = config.plan(teaching.Config(programs=(name,), cell=cell, epochs=epochs))
    found, _ = peers.find()
    (form,) = (form for form in found if form.name == library)
    ours, theirs = Ours().begin(lesson), form.begin(lesson)
    batches = [lesson.program.batch(places) for places in itertools.chain(*lesson.batches)][:STEPS]
    wanted, got = (np.array([learner.step(*batch) for batch in batches]) for learner in (ours, theirs))
    assert wanted.dtype == np.float64
    np.testing.assert_allclose(got, wanted, rtol=tolerance)
    xs, _ = batches[0]
    np.testing.assert_array_equal(ours.scores(xs).argmax(axis=-1), theirs.scores(xs).argmax(axis=-1))
