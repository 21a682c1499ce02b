"""A user's own images with captions: their splits, captions by networks and by the nearest image, and the report."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines.nearest_image import nearest
from experiments.captioning.config import LABELS, Config, make_model
from experiments.common import figures, fitting, margins, networks
from experiments.common.captioned_images import Data, Test, scores
from experiments.common.fitting import Network
from experiments.common.run_folder import Report, Table
from experiments.common.runner import Job
from rnn_jax import plotting, report, training
from rnn_jax.applications import ImageCaptioner
from rnn_jax.data import Examples
from rnn_jax.models import Captioner

EVALUATED = 100  # images at a time
DRAWN = 4  # images in the figure


Outcome = fitting.Outcome[Test]
Baseline = fitting.Baseline[Test]


def loss(model: Captioner, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    """Returns the loss of a batch; a caption of each image is drawn here, so epochs differ."""
    (key_caption, key_noise), whole = jax.random.split(key), batch.whole
    drawn = jax.random.randint(key_caption, whole["count"].shape, 0, whole["count"])
    target = jnp.take_along_axis(whole["target"], drawn[:, None, None], axis=1)[:, 0].T
    length = jnp.take_along_axis(whole["length"], drawn[:, None], axis=1)[:, 0]
    return model.loss(params, whole["image"] / jnp.float32(255), target, length, key_noise)


def make_networks(config: Config, data: Data) -> list[Network]:
    """Returns the networks of a config."""
    made = []
    for name in config.models:
        model = make_model(config, name, (config.size, config.size, 3), len(data.words), data.longest)
        networks.probe_loss(f"--cell={config.cell}", model, loss, [data.training])
        made.append(Network(name, config.trainer(model, [data.training]), LABELS[name]))
    return made


def evaluate(application: ImageCaptioner, data: Data, name: str, params: Any) -> Test:
    """Captions a split with the parameters of all seeds."""
    examples = Examples({}, {"scene": jnp.asarray(data.images(name))})
    results = training.predict(application, ImageCaptioner.search, params, examples, EVALUATED)
    per_seed = [
        [tuple(data.words.decode(row[:length])) for row, length in zip(tokens, lengths, strict=True)]
        for tokens, lengths in zip(results.tokens, results.lengths, strict=True)
    ]
    return scores(data.parts[name], per_seed, results.weights[0])


def baseline(data: Data) -> Baseline:
    """Returns the baseline whose caption is the first one of the training image with the nearest pixels."""

    def test(name: str) -> Test:
        places = nearest(data.images("training"), data.images(name))
        captions = [data.parts["training"].captions[place][0] for place in places]
        return scores(data.parts[name], [captions], np.zeros((len(captions), 0, 0)))

    return Baseline("the nearest image's caption", 1 - test("validation").rouge.mean(axis=1), test("test"))


def job(config: Config, data: Data, row: Baseline, network: Network) -> Job[Outcome]:
    """Returns the job that trains all seeds of a network and captions the test set."""
    application = ImageCaptioner(network.trainer.model, data.words, data.longest)
    test = functools.partial(evaluate, application, data)
    return fitting.fit_job(
        dataclasses.replace(network, application=application),
        config,
        loss,
        [data.training],
        score=lambda params: 1 - test("validation", params).rouge.mean(axis=1),
        test=functools.partial(test, "test"),
        records=functools.partial(records, row),
    )


def records(baseline: Baseline, row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    test = {"rougeL": row.test.rouge.mean(axis=1), "bleu": row.test.bleu}
    return fitting.fit_records(row, {"rougeL": 1 - row.validation}, test, **margins.fields(row, baseline))


def summarize(data: Data, baseline: Baseline, outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    label, part = "ROUGE-L, validation set (%)", data.parts["test"]
    rouge = functools.partial(figures.validation_figure, [baseline], outcomes, label, lambda e: 100 * (1 - e))
    pngs: dict[str, tuple[str, plotting.Drawing]] = {"validation.png": ("ROUGE-L during training", rouge)}
    for outcome in outcomes:
        images = outcome.network.trainer.model.images
        if outcome.network.trainer.model.decoder.attends:
            test = zip(data.images("test"), outcome.test.captions, part.captions, outcome.test.weights, strict=True)
            shown = [(image, caption, caption in references, each) for image, caption, references, each in test][:DRAWN]
            drawing = functools.partial(figures.attention_figure, shown, images.map_shape[:2])
            pngs["attention.png"] = ("Attention weights of each word", drawing)
    columns = [
        report.Column("captions by", lambda row: row.title, right=False),
        fitting.PARAMETERS,
        report.Column("ROUGE-L, %", lambda row: report.percent(row.test.rouge.mean(axis=1))),
        report.Column("BLEU, %", lambda row: report.percent(row.test.bleu)),
        fitting.MINUTES,
        margins.column((outcomes, baseline)),
    ]
    caption = f"Captions of the test set beside all references; medians over seeds, range in brackets. {margins.NOTE}"
    best = fitting.best_outcome(outcomes)
    finding = f"Validation chooses {best.title}: ROUGE-L {margins.words(best, baseline)}."
    title = f"{data.source}: {len(data.parts['training'].images):,} training images, {len(part.images):,} test images"
    table = Table(columns, {title: [baseline, *outcomes]}, caption)
    return Report("Captions of images", [finding, *fitting.diverged(outcomes)], [table], pngs)
