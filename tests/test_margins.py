"""Margins in the units of points and nats: columns, fields and words, each from one bootstrap."""

from typing import NamedTuple

import numpy as np
import pytest

from experiments.common import margins
from experiments.common.fitting import Baseline
from experiments.common.margins import NATS, POINTS
from rnn_jax import significance
from rnn_jax.significance import Difference


class Result(NamedTuple):
    scored: significance.Scored


def row(title, mean, spread=0.01):
    values = mean + spread * np.random.default_rng(len(title)).normal(size=(1, 200))
    return Baseline(title, np.array([mean]), Result(significance.means(values)))


def test_less_is_better_of_nats_and_worse_of_points():
    network, baseline = row("GRU", 0.4), row("5-gram", 0.5)
    assert margins.words(network, baseline).startswith("-10.0 points (95 % interval -10.")
    assert margins.words(network, baseline).endswith(") beside 5-gram: worse")
    assert margins.words(network, baseline, NATS).startswith("-0.100 nats (95 % interval -0.10")
    assert margins.words(network, baseline, NATS).endswith(" beside 5-gram: better")
    assert (
        NATS.words(Difference(0.02, -0.01, 0.05), "x") == "+0.020 nats (95 % interval -0.010 to 0.050) beside x: a tie"
    )
    assert (
        POINTS.words(Difference(3, -np.inf, np.inf), "x") == "+3.0 points (95 % interval -inf to inf) beside x: unknown"
    )


def test_a_column_and_the_fields_of_a_record_agree():
    network, baseline = row("GRU", 0.4), row("5-gram", 0.5)
    column = margins.column(([baseline, network], baseline), metric=NATS)
    fields = margins.fields(network, baseline, NATS)
    assert (column.header, column.text(baseline)) == ("nats beside 5-gram", "")
    low, high = fields["test/margin_low"], fields["test/margin_high"]
    assert column.text(network) == f"{fields['test/margin']:+.3f} ({low:.3f} to {high:.3f})"
    assert fields["reference"] == "5-gram"
    assert margins.fields(baseline, baseline, NATS) == {}


def test_a_pair_of_models_is_resampled_once(monkeypatch):
    network, baseline = row("GRU", 0.4), row("bigram", 0.5)
    calls, bootstrap = [], significance.bootstrap
    monkeypatch.setattr(significance, "bootstrap", lambda *pair: calls.append(pair) or bootstrap(*pair))
    margins.fields(network, baseline)
    margins.column(([network], baseline))
    margins.words(network, baseline, NATS)
    assert len(calls) == 1
    margins.fields(baseline, network)
    assert len(calls) == 2


def test_of_several_baselines_the_validation_set_chooses():
    assert margins.reference([row("a", 0.5), row("b", 0.3), row("c", 0.4)]).title == "b"


@pytest.mark.parametrize(("metric", "verdict"), [(POINTS, "better"), (NATS, "worse")])
def test_the_verdict_follows_the_direction(metric, verdict):
    assert metric.words(Difference(0.3, 0.1, 0.5), "x").endswith(verdict)


def test_parts_of_a_text_are_long_and_few():
    """Runs of 500 equal losses: single characters take the 20,000 for independent, 10 parts do not."""
    losses, nothing = np.repeat(np.random.default_rng(6).normal(size=40), 500), np.zeros(20_000)
    difference, true = margins.over_parts(losses, nothing), np.std(losses) / np.sqrt(40)
    assert difference.value == pytest.approx(losses.mean())
    assert 0.5 < (difference.high - difference.low) / (2 * 2.26 * true) < 1.5
    assert margins.over_parts(losses[:1999], nothing[:1999]).verdict() == "unknown"  # not two parts of 1,000
    assert np.isfinite(margins.over_parts(losses[:2000], nothing[:2000])).all()
