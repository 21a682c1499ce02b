"""The training loop: an interrupted run resumes to the same result; between log points the host does no work."""

import errno
import inspect
import json
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import training
from rnn_jax.training import sources
from tests import trainings


@pytest.mark.parametrize(
    "name", ["task", *(pytest.param(n, marks=pytest.mark.extended) for n in ("stream", "examples"))]
)
def test_an_interrupted_training_resumes_to_the_same_end(name: str, tmp_path: Path) -> None:
    kind = trainings.KINDS[name]()
    straight = trainings.train(kind, trainings.session(tmp_path / "straight"))
    assert straight is not None
    trainings.assert_same(straight, trainings.whole(name))
    folder = tmp_path / "interrupted"
    for until in (2, 2, 6):  # steps of each sitting
        assert trainings.train(kind, trainings.session(folder, until=until)) is None
    resumed = trainings.train(kind, trainings.session(folder))
    assert resumed is not None
    trainings.assert_same(resumed, straight)
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "straight" / "metrics.jsonl").read_bytes()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(
        range(trainings.LOG_EVERY, trainings.STEPS + 1, trainings.LOG_EVERY)
    )
    assert [line["step"] for line in lines if "size" in line] == [4, 8, 12]
    np.testing.assert_allclose(lines[0]["loss"], straight.history.loss[:, :2].mean(axis=1))
    # A training that has ended is restored, not run again.
    trainings.assert_same(trainings.train(kind, trainings.session(folder, until=0)) or straight, straight)


def test_a_session_takes_its_folder_as_a_string_and_stops_no_other_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind = trainings.on_task()
    ended = trainings.train(kind, training.Session("relative", {"size": 4}))
    assert ended is not None
    assert (tmp_path / "relative" / "metrics.jsonl").exists()
    trainings.assert_same(trainings.train(kind, training.Session("relative", {"size": 4})) or ended, ended)
    # The default is made anew for every training: no event is shared.
    assert training.Session().stop is not training.Session().stop
    assert inspect.signature(training.train).parameters["session"].default is None
    assert inspect.signature(training.fit).parameters["session"].default is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda state: jax.tree.map(lambda leaf: leaf[0], state),
            r"of all seeds, \[seeds, ...\], got step of shape \[\]",
        ),
        (lambda state: state.params, "a TrainState, got ReadoutParams; pass training.init"),
    ],
)
def test_a_state_without_seeds_or_of_another_kind_is_refused(make: Any, message: str, tmp_path: Path) -> None:
    kind = trainings.on_task()
    state = make(kind.initial())
    with pytest.raises((TypeError, ValueError), match=f"train: state must be {message}"):
        training.train(kind.trainer, kind.source, state, 2, log_every=1, session=training.Session(tmp_path))
    with pytest.raises((TypeError, ValueError), match=f"training.start: state must be {message}"):
        training.start(kind.trainer, kind.source, state)
    assert not list(tmp_path.iterdir())


def test_messages_that_cannot_be_written_do_not_end_a_training(tmp_path: Path) -> None:
    def fail(_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kind = trainings.on_task()
    assert trainings.train(kind, trainings.session(tmp_path, until=4)) is None
    session = training.Session(tmp_path, {"size": 4}, 0.0, advance=fail, report=fail)
    with pytest.warns(
        RuntimeWarning, match="messages cannot be written .No space left on device.; training continues"
    ) as w:
        progress = trainings.train(kind, session)
    assert len(w) == 1
    assert progress is not None
    trainings.assert_same(progress, trainings.whole("task"))
    assert (tmp_path / "checkpoints" / str(trainings.STEPS)).is_dir()


@pytest.mark.parametrize("implementation", ["rbg", "unsafe_rbg"])
def test_keys_whose_draws_depend_on_other_seeds_are_refused(implementation: str) -> None:
    keys = jax.random.split(jax.random.key(3, impl=implementation), 2)
    with pytest.raises(ValueError, match=f"training.init: keys must be of threefry2x32.*got {implementation}; pass"):
        training.init(trainings.on_task().trainer, keys)


@pytest.mark.parametrize("name", ["task", *(pytest.param(n, marks=pytest.mark.slow) for n in ("stream", "examples"))])
def test_between_log_points_nothing_is_compiled_and_nothing_comes_from_the_host(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is anything copied to the host, which JAX can guard against on a GPU but not on a CPU."""
    kind = trainings.KINDS[name]()
    assert trainings.train(kind, trainings.session(tmp_path / "first")) is not None  # compiles everything
    source = type(sources.as_source(kind.source))
    run = source.run

    def guarded(*args: Any) -> Any:
        # A batch of examples is dispatched by its number, from the host.
        with jax.transfer_guard_host_to_device("disallow" if name == "examples" else "disallow_explicit"):
            return run(*args)

    compiled: list[str] = []
    monkeypatch.setattr(source, "run", guarded)
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    jax.jit(lambda: jnp.zeros(3) + len(compiled))()
    assert any("backend_compile" in event for event in compiled)  # the listener sees compilations
    compiled.clear()
    assert trainings.train(kind, trainings.session(tmp_path / "second")) is not None
    assert not [event for event in compiled if "backend_compile" in event]
