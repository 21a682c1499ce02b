"""What a run leaves behind and shows: the record, the arrays, the table, the findings in words."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from experiments.char_lm.config import Config, Plan
from experiments.char_lm.measurement import ORDER, STRATEGY, Baselines, Looks, Outcome
from experiments.common.records import training_arrays
from rnn_jax import report, trees


class Row(NamedTuple):
    """Of the table."""

    model: str
    validation: float  # nats per character
    test: float


def parameters(params: Any) -> dict[str, np.ndarray]:
    """Of the one seed, by name."""
    return {name: np.asarray(leaf[0]) for name, leaf in trees.named_leaves(params).items()}


def record(plan: Plan, config: Config, baselines: Baselines, looks: Looks) -> dict[str, Any]:
    """The flat record of a run, as far as it has got; all losses are means over a part's characters."""
    best = looks.best_look
    corpus = plan.corpus
    return {
        "run": config.cell,
        "seed": config.seed,
        "baseline": baselines.unigram["test"],
        "optimizer": repr(plan.trainer.optimizer),
        "clip": repr(plan.trainer.clip),
        "finished": False,
        "source": plan.source,
        "definition": plan.model.cell,
        "parameters": plan.trainer.parameters,
        "vocabulary": len(corpus.vocabulary),
        **{f"{part}/characters": len(getattr(corpus, part)) for part in plan.streams},
        **{f"{part}/unknown_characters": count for part, count in corpus.unknown.items()},
        "steps": looks.steps[-1],
        "best_step": looks.steps[best],
        **_losses("validation", looks.validation[best]),
        **{
            f"{name}/{key}": value
            for name, losses in ((f"{ORDER}-gram", baselines.ngram), ("unigram", baselines.unigram))
            for part, loss in losses.items()
            for key, value in _losses(part, loss).items()
        },
    }


def finished_record(plan: Plan, config: Config, baselines: Baselines, outcome: Outcome) -> dict[str, Any]:
    """The same, with what is known at the end."""
    return {
        **record(plan, config, baselines, outcome.looks),
        "finished": True,
        "after/loss": outcome.test,
        **_losses("test", outcome.test),
        "seconds": outcome.seconds,
        "characters_per_second": plan.characters
        * outcome.looks.steps[-1]
        / (plan.streams["training"].segments * outcome.seconds),
        "diverged": outcome.diverged,
        "prompt": plan.prompt,
        "sample": outcome.sample,
    }


def _losses(part: str, nats: float) -> dict[str, float]:
    return {f"{part}/nats_per_character": nats, f"{part}/bits_per_character": nats / math.log(2)}


def arrays(config: Config, outcome: Outcome) -> dict[str, np.ndarray]:
    """The curves as `experiments.common.records` names them; NAME/validation/... [looks]."""
    return {
        **training_arrays(config.cell, outcome.history),
        f"{config.cell}/validation/step": np.array(outcome.looks.steps),
        f"{config.cell}/validation/loss": np.array(outcome.looks.validation),
    }


COLUMNS = [
    report.Column("model", lambda row: row.model, right=False),
    report.Column("validation: nats", lambda row: f"{row.validation:.4f}"),
    report.Column("bits", lambda row: f"{row.validation / math.log(2):.4f}"),
    report.Column("test: nats", lambda row: f"{row.test:.4f}"),
    report.Column("bits", lambda row: f"{row.test / math.log(2):.4f}"),
]


def rows(config: Config, baselines: Baselines, outcome: Outcome) -> list[Row]:
    """The network and the models that count."""
    best = outcome.looks.validation[outcome.looks.best_look]
    return [
        Row(f"{config.cell}, {config.layers} x {config.hidden_size}", best, outcome.test),
        Row(f"{ORDER}-gram (interpolated Kneser-Ney)", baselines.ngram["validation"], baselines.ngram["test"]),
        Row("unigram", baselines.unigram["validation"], baselines.unigram["test"]),
    ]


def title(plan: Plan) -> str:
    """Of the table."""
    return f"The next character of {plan.source}: {plan.characters + 1:,} to learn from"


def caption(plan: Plan) -> str:
    """Of the table."""
    unknown = plan.corpus.unknown
    return (
        f"Nats and bits per character. {len(plan.corpus.vocabulary)} tokens, those of the training part; not among "
        f"them {unknown['validation']} characters of the validation part and {unknown['test']} of the test part."
    )


def sentences(plan: Plan, baselines: Baselines, outcome: Outcome) -> list[str]:
    """What was found; computed from the measurements."""
    looks, epoch = outcome.looks, plan.streams["training"].segments
    best = looks.best_look
    gains = {
        part: baselines.ngram[part] - loss
        for part, loss in (("validation", looks.validation[best]), ("test", outcome.test))
    }
    told = [f"{abs(gain):.3f} nats {'below' if gain > 0 else 'above'} it on {part}" for part, gain in gains.items()]
    last = looks.validation[-1]
    found = [
        f"Against the {ORDER}-gram model the network is {' and '.join(told)}.",
        f"Best on validation at step {looks.steps[best]:,} of {plan.steps:,}, epoch "
        f"{looks.steps[best] / epoch:.1f}; {last:.4f} nats at the last look, where the training loss was "
        f"{np.mean(outcome.history.loss[0, -epoch:]):.4f} over the epoch before.",
        f"{plan.characters * looks.steps[-1] / (epoch * outcome.seconds):,.0f} characters a second over "
        f"{outcome.seconds / 60:.1f} minutes.",
    ]
    return found if outcome.diverged is None else [*found, f"It did not end well: {outcome.diverged}."]


def show(console: Console, plan: Plan, table: Sequence[Row], words: Sequence[str], sample: str) -> None:
    """Prints the table, the findings and the sample."""
    console.print(report.TextTables(COLUMNS, {title(plan): table}, caption(plan)), highlight=False)
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
    console.rule(f"a sample by {STRATEGY}, after {plan.prompt!r}".replace("[", r"\["), align="left")
    console.print(sample, markup=False, highlight=False)
    console.rule()
