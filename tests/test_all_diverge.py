"""A network whose seeds all diverge: every experiment on a data set tests and reports it like any other network."""

import dataclasses
import json
from pathlib import Path

import pytest

from experiments import (
    anomaly,
    captioning,
    forecasting,
    music,
    names,
    sentiment,
    series,
    speech,
    tagging,
    translation,
    video,
)
from tests import (
    test_anomaly,
    test_captioning,
    test_forecasting,
    test_music,
    test_names_experiment,
    test_series_experiment,
    test_speech,
    test_tagging,
    test_text_classification,
    test_translation,
    test_video,
)

anomaly_data, forecasting_data, music_data = test_anomaly.data, test_forecasting.data, test_music.data
names_data, sentiment_data = test_names_experiment.data, test_text_classification.data
tagging_data = test_tagging.data

# One network each, and few programs to compile.
CONFIGS = {
    "anomaly": (anomaly, test_anomaly.TINY),
    "captioning": (captioning, test_captioning.tiny(models=("none",))),
    "forecasting": (forecasting, dataclasses.replace(test_forecasting.TINY, direct=())),
    "music": (music, dataclasses.replace(test_music.TINY, cells=("rnn",), buckets=1)),
    "names": (names, test_names_experiment.TINY),
    "sentiment": (sentiment, test_text_classification.TINY),
    "series": (series, test_series_experiment.TINY),
    "speech": (speech, dataclasses.replace(test_speech.TINY, questions=("digits",))),
    "tagging": (tagging, dataclasses.replace(test_tagging.TINY, taggers=("words",), buckets=1)),
    "translation": (translation, test_translation.tiny(attention=("none",), beam=1)),
    "video": (video, test_video.tiny(cells=("gru",))),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", CONFIGS)
def test_networks_that_diverge_are_reported(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adam's first update is finite, and the next loss is not."""
    experiment, tiny = CONFIGS[name]
    monkeypatch.setattr("experiments.common.texts.BUCKETS", 1)
    fixture = f"{name}_data"
    data = {"data": request.getfixturevalue(fixture)} if fixture in globals() else {}
    experiment.run(dataclasses.replace(tiny, seeds=2, learning_rate=1e38, **data), str(tmp_path))
    records = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    trained = [record for record in records if "diverged_at" in record]
    assert trained
    assert all(record["diverged"] for record in trained)
    assert "seed 0 diverged at step" in (tmp_path / "summary.html").read_text(encoding="utf-8")
