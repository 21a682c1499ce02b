"""Trains networks side by side; their records are on disk as far as they have got."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
from rich.text import Text

from experiments.common import parallel
from experiments.common.run_folder import RunFolder
from experiments.common.text_classification.measurement import Network, Outcome, measure, work
from experiments.common.text_classification.texts import Texts


def train(
    chosen: Sequence[Network],
    texts: Texts,
    seeds: int,
    seed: int,
    folder: RunFolder,
    write: Callable[[Sequence[Outcome]], Any],
) -> list[Outcome]:
    """The outcomes of networks, in their order.

    Args:
      chosen: what to train.
      texts: on what.
      seeds: runs of each.
      seed: from which all their random numbers follow; a network does not depend on what is trained beside it.
      folder: of the run.
      write: called with the outcomes so far as soon as a network has ended.
    """
    lock = threading.Lock()
    ended: list[Outcome | None] = [None] * len(chosen)
    standing = {network.name: "waiting" for network in chosen}
    keys = jax.random.split(jax.random.key(seed), seeds)

    def looked(outcome: Outcome) -> None:
        scores = outcome.fit.scores
        with lock:
            standing[outcome.network.name] = (
                f"epoch {scores.shape[1]}: {100 * (1 - scores[:, -1].mean()):.1f} % of the validation part, "
                f"at the best {100 * (1 - scores.min(axis=1).mean()):.1f} %"
            )

    def below() -> Text:
        with lock:
            return Text("\n".join(f"{name}: {line}" for name, line in standing.items()))

    def finished(place: int, outcome: Outcome) -> None:
        ended[place] = outcome
        write([each for each in ended if each is not None])
        folder.console.print(f"{outcome.network.name}: {standing[outcome.network.name]}", highlight=False, markup=False)

    jobs = [functools.partial(measure, network, texts, keys, looked) for network in chosen]
    at_a_time = parallel.programs_at_a_time()
    sessions = [folder.session(network.name) for network in chosen]
    steps = [work(network, texts) for network in chosen]
    parallel.run(jobs, sessions, steps, at_a_time, folder.console, finished, below)
    return [each for each in ended if each is not None]
