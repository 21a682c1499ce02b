"""The training, watched on the validation part; at its end the test part, on the parameters that were best there."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiments.char_lm.config import PARTS_LOOKED_AT, Config, Plan
from experiments.char_lm.ngram import NGram
from experiments.common.flags import UserError
from rnn_jax import training
from rnn_jax.data import Vocabulary
from rnn_jax.models import Nucleus, generate
from rnn_jax.seeds import fetch

ORDER = 5  # of the n-gram model
CALLS = 12  # from one look to the next at the most; at each the bar moves and an interrupt is heard
SAMPLE = 600  # characters
STRATEGY = Nucleus(0.95)


@dataclasses.dataclass(frozen=True)
class Baselines:
    """Nats per character by part, of models that count: of the last 4 characters, and of none."""

    ngram: dict[str, float]
    unigram: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Looks:
    """At the validation part, as far as they gave a number; [looks] first."""

    steps: list[int]  # optimization steps done
    validation: list[float]  # nats per character
    best: Any  # parameters at the least of these

    @classmethod
    def of(cls, progress: training.Progress) -> "Looks":
        losses = progress.curves["validation"][0]
        seen = np.isfinite(losses)
        return cls(progress.eval_steps[seen].tolist(), losses[seen].tolist(), progress.best)

    @property
    def best_look(self) -> int:
        return int(np.argmin(self.validation))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run gave."""

    looks: Looks
    history: training.StepMetrics  # of NumPy arrays, [1, steps]
    test: float  # nats per character, of the best parameters
    sample: str  # the prompt and what was drawn after it
    seconds: float  # of the training, compilation and looks counted in
    diverged: str | None  # how


def baselines(plan: Plan) -> Baselines:
    """Fits them to the training part."""
    corpus, size = plan.corpus, len(plan.corpus.vocabulary)
    models = [NGram.fit(corpus.training, size, n) for n in (ORDER, 1)]
    return Baselines(*({part: model.loss(getattr(corpus, part)) for part in PARTS_LOOKED_AT} for model in models))


def measure(plan: Plan, config: Config, looked: Callable[[Looks], None], session: training.Session) -> Outcome | None:
    """Trains, and keeps the parameters that are best on the validation part.

    Args:
      plan: what to run.
      config: of the experiment.
      looked: called after each look at the validation part.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.

    Raises:
      UserError: where the training diverged before the first look.
    """
    key_init, key_sample = jax.random.split(jax.random.key(config.seed))
    trainer, streams = plan.trainer, plan.streams

    def validation(progress: training.Progress) -> dict[str, np.ndarray]:
        lost = fetch(progress.training.diverged)
        losses = training.evaluate(trainer.model, streams["validation"], progress.training.params)["loss"]
        return {"validation": np.where(lost, np.nan, losses)}

    def over(progress: training.Progress) -> bool:
        if (looks := Looks.of(progress)).steps:
            looked(looks)
        return bool(np.all(fetch(progress.training.diverged)))

    between = plan.steps // config.checkpoints
    progress = training.train(
        trainer,
        streams["training"],
        training.init(trainer, key_init[None]),
        plan.steps,
        log_every=between // max(count for count in range(1, CALLS + 1) if between % count == 0),  # one program
        evaluate=validation,
        eval_every=between,
        best_by="validation",
        stop_if=over,
        session=session,
    )
    if progress is None:
        return None
    looks, diverged = Looks.of(progress), training.divergence(progress.history, 0)
    if not looks.steps:
        raise UserError(f"nothing was learnt, a lower --learning_rate may help: {diverged}")
    return Outcome(
        looks,
        progress.history,
        float(training.evaluate(trainer.model, streams["test"], looks.best)["loss"][0]),
        _sample(plan, looks.best, key_sample),
        progress.seconds,
        diverged,
    )


def _sample(plan: Plan, params: Any, key: jax.Array) -> str:
    vocabulary = plan.corpus.vocabulary
    prompt = vocabulary.encode(plan.prompt)
    tokens, lengths = generate(
        plan.model,
        jax.tree.map(lambda leaf: leaf[0], params),
        STRATEGY,
        key,
        prompt[:, None],
        count=SAMPLE,
        end=Vocabulary.END,
        max_length=len(prompt) + SAMPLE,
    )
    return "".join(vocabulary.decode(np.asarray(tokens)[: int(lengths[0]), 0]))
