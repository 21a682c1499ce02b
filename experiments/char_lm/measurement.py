"""The training, watched on the validation part; at its end the test part, on the parameters that were best there."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.char_lm.config import PARTS_LOOKED_AT, Config, Plan
from experiments.char_lm.ngram import NGram
from experiments.command_line import UserError
from rnn_jax import training
from rnn_jax.data import Vocabulary
from rnn_jax.models import Nucleus, generate

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
class Progress:
    """What is known at a look; [looks] first."""

    steps: list[int]  # optimization steps done
    validation: list[float]  # nats per character
    best: Any  # parameters at the least of these; None where none was finite

    @property
    def best_look(self) -> int:
        return int(np.nanargmin(self.validation))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run gave."""

    progress: Progress
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


def measure(
    plan: Plan,
    config: Config,
    looked: Callable[[Progress], None],
    advance: Callable[[int], None],
    stop: threading.Event,
) -> Outcome | None:
    """Trains, and keeps the parameters that are best on the validation part.

    Args:
      plan: what to run.
      config: of the experiment.
      looked: called after each look at the validation part.
      advance: called with the number of optimization steps just done.
      stop: once set, the run ends as soon as it can.

    Returns:
      The outcome; None where it was stopped.

    Raises:
      UserError: where the training diverged before the first look.
    """
    began = time.perf_counter()
    key_init, key_sample = jax.random.split(jax.random.key(config.seed))
    trainer, streams = plan.trainer, plan.streams
    state = training.begin_stream(trainer, streams["training"], training.init(trainer, key_init[None]))
    between = plan.steps // config.checkpoints
    calls = max(count for count in range(1, CALLS + 1) if between % count == 0)  # all of one length: one program
    progress, pieces = Progress([], [], None), []
    for look in range(1, config.checkpoints + 1):
        for _ in range(calls):
            if stop.is_set():
                return None
            state, piece = training.run_stream(trainer, streams["training"], state, between // calls)
            pieces.append(jax.tree.map(np.asarray, piece))
            advance(between // calls)
        if np.any(state.training.diverged):
            break
        params = state.training.params
        loss = float(training.evaluate_stream(trainer.model, streams["validation"], params)[0])
        if loss < min(progress.validation, default=np.inf):
            progress = dataclasses.replace(progress, best=jax.tree.map(jnp.copy, params))  # training gives its own away
        progress = dataclasses.replace(
            progress, steps=[*progress.steps, look * between], validation=[*progress.validation, loss]
        )
        looked(progress)
    seconds = time.perf_counter() - began
    history = training.join(pieces)
    diverged = training.divergence(history, 0)
    if progress.best is None:
        raise UserError(f"nothing was learnt, a lower --learning_rate may help: {diverged}")
    test = float(training.evaluate_stream(trainer.model, streams["test"], progress.best)[0])
    return Outcome(progress, history, test, _sample(plan, progress.best, key_sample), seconds, diverged)


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
