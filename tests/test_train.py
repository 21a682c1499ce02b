"""A whole training: interrupted and resumed it is what it is alone, whatever happens to its checkpoints."""

import contextlib
import dataclasses
import functools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LSTM, GRUResetBefore, VanillaRNN, tasks, training
from rnn_jax.data import Examples, OneHot, Streams
from rnn_jax.models import LanguageModel, ReadoutModel

STEPS, LOG_EVERY, LOOK_EVERY = 12, 2, 4


def _loss(model: ReadoutModel, params: Any, batch: Examples, key: jax.Array) -> jax.Array:
    logits = model.apply(params, batch.steps)[1][-1]
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch.whole, 2), axis=-1))


class _Kind:
    """A loop, and states at its beginning."""

    def __init__(self, trainer: training.Trainer, loop: Callable[..., Any], begin: Callable[[Any], Any]):
        self.trainer, self.loop, self._begin = trainer, functools.partial(loop, trainer), begin

    def begin(self) -> Any:
        return self._begin(training.init(self.trainer, jax.random.split(jax.random.key(3), 2)))


def _of_task(rate: float = 0.01, **options: Any) -> _Kind:
    task = tasks.Adding(length=6)
    trainer = training.Trainer(ReadoutModel(LSTM(2, 4), 1), 4, training.Adam(rate), None, **options)
    return _Kind(trainer, lambda t, state, steps: training.run(t, task, state, steps), lambda state: state)


def _of_stream(**options: Any) -> _Kind:
    ids = np.random.default_rng(0).integers(0, 5, 90)
    streams = Streams.of(ids, 3, 4)
    model = LanguageModel(OneHot(5), GRU(5, 4))
    trainer = training.Trainer(model.network, 3, training.Adam(0.01), training.ClipByNorm(1.0), **options)
    return _Kind(
        trainer,
        lambda t, state, steps: training.run_stream(t, streams, state, steps),
        lambda state: training.begin_stream(trainer, streams, state),
    )


def _of_examples(**options: Any) -> _Kind:
    rng = np.random.default_rng(0)
    buckets = [
        Examples(jnp.asarray(rng.normal(size=(n, 10, 1)), jnp.float32), jnp.asarray(rng.integers(0, 2, 10)))
        for n in (3, 5)
    ]
    trainer = training.Trainer(ReadoutModel(LSTM(1, 4), 2), 4, training.Adam(0.01), None, **options)
    return _Kind(
        trainer,
        lambda t, state, steps: training.run_examples(t, _loss, buckets, state, steps),
        training.begin_examples,
    )


KINDS = {"task": _of_task, "stream": _of_stream, "examples": _of_examples}


def _look(progress: training.Progress) -> dict[str, np.ndarray]:
    """Of parameters, so that what is kept as best can be told."""
    norms = [np.square(np.asarray(leaf)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in _params(progress)]
    return {"size": -np.sum(norms, axis=0)}


def _params(progress: training.Progress) -> list[Any]:
    return jax.tree.leaves(progress.training.params)


def _train(kind: _Kind, session: training.Session | None = None, steps: int = STEPS) -> training.Progress | None:
    return training.train(
        kind.trainer,
        kind.loop,
        kind.begin(),
        steps,
        log_every=LOG_EVERY,
        look=_look,
        look_every=LOOK_EVERY,
        best_by="size",
        session=session or training.Session(),
    )


def _session(folder: Path, *, until: int | None = None, **options: Any) -> training.Session:
    """Saves at every log point, and stops once `until` steps are done."""
    stop, done = threading.Event(), [0]

    def advance(steps: int) -> None:
        done[0] += steps
        if until is not None and done[0] >= until:
            stop.set()

    return training.Session(folder, {"size": 4}, 0.0, advance=advance, stop=stop, **options)


def _assert_same(one: training.Progress, other: training.Progress) -> None:
    for a, b in zip(jax.tree.leaves((one.state, one.best)), jax.tree.leaves((other.state, other.best)), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    for a, b in zip(jax.tree.leaves(one.history), jax.tree.leaves(other.history), strict=True):
        assert a.tobytes() == b.tobytes()
        assert a.dtype == b.dtype
    assert (one.done, one.looks.tolist()) == (other.done, other.looks.tolist())
    assert one.curves["size"].tobytes() == other.curves["size"].tobytes()


@functools.cache
def _whole(name: str) -> training.Progress:
    found = _train(KINDS[name]())
    assert found is not None
    return found


@pytest.mark.parametrize("name", list(KINDS))
def test_an_interrupted_training_goes_on_to_the_same_end(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]()
    straight = _train(kind, _session(tmp_path / "straight"))
    assert straight is not None
    _assert_same(straight, _whole(name))
    folder = tmp_path / "interrupted"
    for until in (2, 2, 6):  # each sitting so many steps more
        assert _train(kind, _session(folder, until=until)) is None
    resumed = _train(kind, _session(folder))
    assert resumed is not None
    _assert_same(resumed, straight)
    assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "straight" / "metrics.jsonl").read_bytes()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(LOG_EVERY, STEPS + 1, LOG_EVERY))
    assert [line["step"] for line in lines if "size" in line] == [4, 8, 12]
    np.testing.assert_allclose(lines[0]["loss"], straight.history.loss[:, :2].mean(axis=1))
    # Once it has ended it is read, not run again.
    _assert_same(_train(kind, _session(folder, until=0)) or straight, straight)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that has ended, with the checkpoints of its last three log points."""
    folder = tmp_path_factory.mktemp("ended")
    assert _train(_of_task(), _session(folder)) is not None
    return folder


def _damage_every_file(ended: Path, tmp_path: Path, damages: list[Callable[[Path], None]]) -> int:
    newest = ended / "checkpoints" / str(STEPS)
    told: list[str] = []
    cases = 0
    for file in sorted(path for path in newest.rglob("*") if path.is_file() and path.stat().st_size):
        for damage in damages:
            folder = tmp_path / str(cases)
            shutil.copytree(ended, folder)
            damage(folder / file.relative_to(ended))
            before = len(told)
            found = _train(_of_task(), _session(folder, tell=told.append))
            assert found is not None
            _assert_same(found, _whole("task"))
            assert told[before:], file  # where it goes on, and whether something is damaged
            shutil.rmtree(folder)
            cases += 1
    return sum("is damaged" in sentence for sentence in told)


def test_of_a_damaged_checkpoint_the_one_before_is_taken(ended: Path, tmp_path: Path) -> None:
    assert _damage_every_file(ended, tmp_path, [_truncated]) >= 5


@pytest.mark.slow
def test_of_a_checkpoint_damaged_in_any_way_the_one_before_is_taken(ended: Path, tmp_path: Path) -> None:
    assert _damage_every_file(ended, tmp_path, [_flipped, Path.unlink, lambda path: path.write_bytes(b"")]) >= 15


def test_a_half_written_checkpoint_is_none(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    newest = folder / "checkpoints" / str(STEPS)
    newest.rename(newest.with_name(f"{STEPS}.orbax-checkpoint-tmp"))
    found = _train(_of_task(), _session(folder))
    assert found is not None
    _assert_same(found, _whole("task"))


def test_where_all_are_damaged_it_is_said(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    for path in (folder / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(training.CheckpointError, match=r"all checkpoints are damaged, steps \[8, 10, 12\]"):
        _train(_of_task(), _session(folder))


def test_a_line_cut_by_a_kill_and_lines_after_the_checkpoint_are_written_anew(ended: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    shutil.rmtree(folder / "checkpoints" / str(STEPS))
    lines = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(lines[:-20])
    assert _train(_of_task(), _session(folder)) is not None
    assert (folder / "metrics.jsonl").read_text() == lines


def test_one_made_by_something_else_is_refused(ended: Path) -> None:
    with pytest.raises(training.CheckpointError, match=r"made by another config: size: 4 there, 5 here"):
        _train(_of_task(), training.Session(ended, {"size": 5}))


def test_one_of_another_format_is_refused(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    shutil.copytree(ended, folder)
    monkeypatch.setattr("rnn_jax.training.checkpoints.FORMAT", 2)
    with pytest.raises(training.CheckpointError, match=r"is of format 1, .* goes on with format 2 alone: .*begin anew"):
        _train(_of_task(), _session(folder))


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    progress = _train(_of_task(0.5), _session(tmp_path, keep=2), steps=20)
    assert progress is not None
    means = [np.mean(progress.history.loss[:, n - LOG_EVERY : n]) for n in range(LOG_EVERY, 21, LOG_EVERY)]
    best = LOG_EVERY * (int(np.argmin(means)) + 1)
    kept = {int(path.name) for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {18, 20, best}
    assert best < 18  # else the test shows nothing


def test_where_no_checkpoint_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where a folder is wanted")
    with pytest.raises(training.CheckpointError, match="no checkpoints can be written there: File exists"):
        _train(_of_task(), _session(tmp_path))


def test_differences_are_told_by_name() -> None:
    saved = {"type": "a:B", "cells": ["rnn", "gru"], "inner": {"rate": 0.1, "on": 1}}
    given = {"type": "a:B", "cells": ["rnn"], "inner": {"rate": 0.2, "on": True}, "more": None}
    assert training.differences(saved, saved) == []
    assert training.differences(saved, given) == [
        'cells: ["rnn", "gru"] there, ["rnn"] here',
        "inner.rate: 0.1 there, 0.2 here",
        "inner.on: 1 there, true here",
    ]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Bursting(tasks.Adding):
    """Adding, whose targets are infinite in one batch of three."""

    def sample(self, key: jax.Array, batch_size: int) -> tasks.Batch:
        batch = super().sample(key, batch_size)
        bad = jax.random.uniform(jax.random.fold_in(key, 1)) < 0.34
        return batch._replace(targets=jnp.where(bad, jnp.inf, batch.targets))


def _of_bursts(not_finite: Any) -> _Kind:
    task = _Bursting(length=6)
    model = ReadoutModel(LSTM(2, 4), 1)
    trainer = training.Trainer(model, 4, training.SGD(0.01), None, not_finite=not_finite)
    return _Kind(trainer, lambda t, state, steps: training.run(t, task, state, steps), lambda state: state)


def _bad(progress: training.Progress) -> np.ndarray:
    return ~np.isfinite(progress.history.grad_norm)


def test_by_stop_a_seed_stays_where_it_was() -> None:
    told: list[str] = []
    found = _train(_of_bursts(training.Stop()), training.Session(tell=told.append))
    assert found is not None
    first = np.argmax(_bad(found), axis=1)
    assert np.all(_bad(found)[np.arange(2), -1])
    assert found.training.step.tolist() == first.tolist()
    assert found.training.left_out.tolist() == [1, 1]
    assert sorted(told) == sorted(
        f"{training.divergence(found.history, seed)}; {left} seeds go on"
        for seed, left in ((seed, int(np.sum(first // LOG_EVERY > first[seed] // LOG_EVERY))) for seed in range(2))
    )


def test_by_skip_the_update_is_left_out_and_counted() -> None:
    told: list[str] = []
    found = _train(_of_bursts(training.Skip()), training.Session(tell=told.append))
    assert found is not None
    counts = _bad(found).sum(axis=1)
    assert np.all((counts > 0) & (counts < STEPS))
    assert found.training.left_out.tolist() == counts.tolist()
    assert not np.any(found.training.diverged)
    assert found.training.step.tolist() == [STEPS, STEPS]
    assert all(np.all(np.isfinite(leaf)) for leaf in _params(found))
    assert any(f"{counts[0]} in all" in sentence and "seed 0" in sentence for sentence in told)


def test_by_skip_a_bad_step_is_as_if_it_had_not_been() -> None:
    kind = _of_bursts(training.Skip())
    states = [kind.begin()]
    for _ in range(STEPS):
        states.append(kind.loop(jax.tree.map(jnp.copy, states[-1]), 1)[0])
    bad = np.array([state.left_out for state in states])
    steps, seed = np.argwhere(np.diff(bad, axis=0) > 0)[0]
    for before, after in zip(
        jax.tree.leaves(states[steps].params), jax.tree.leaves(states[steps + 1].params), strict=True
    ):
        np.testing.assert_array_equal(before[seed], after[seed])


def test_by_skip_a_stream_goes_on_with_the_state_from_before() -> None:
    ids = np.random.default_rng(0).integers(0, 5, 90)
    streams = Streams.of(ids, 3, 4)
    model = LanguageModel(OneHot(5), _Poisoned(5, 4)).network
    trainer = training.Trainer(model, 3, training.SGD(0.1), None, not_finite=training.Skip())
    state = training.begin_stream(trainer, streams, training.init(trainer, jax.random.split(jax.random.key(0), 1)))
    state, metrics = training.run_stream(trainer, streams, state, streams.segments - 1)
    bad = ~np.isfinite(np.asarray(metrics.loss[0]))
    assert 0 < bad.sum() < len(bad)
    numbers = [leaf for leaf in jax.tree.leaves(state.carry) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert numbers
    assert all(np.all(np.isfinite(leaf)) for leaf in numbers)


class _Poisoned(GRUResetBefore):
    """A GRU that breaks where its first unit is high."""

    def step(self, params: Any, state: Any, drive: Any) -> Any:
        new = super().step(params, state, drive)
        return jax.tree.map(lambda h: jnp.where(h[..., :1] > 0.12, jnp.nan, h), new)


def test_by_roll_back_a_seed_goes_back_at_a_smaller_rate() -> None:
    told: list[str] = []
    policy = training.RollBack(0.25, limit=2)
    found = _train(_of_bursts(policy), training.Session(tell=told.append))
    assert found is not None
    state = found.training
    np.testing.assert_allclose(state.rate, 0.25 ** np.asarray(state.rolled_back))
    assert np.any(np.asarray(state.rolled_back) > 0)
    assert any("back to where its loss was" in s and s.endswith("at 0.25 of the learning rate") for s in told)
    ended = np.asarray(state.diverged)
    assert np.all(np.asarray(state.rolled_back)[ended] == policy.limit)


def test_rolled_back_it_is_the_smaller_rate_that_saves_a_seed() -> None:
    """A rate at which it overflows: halved until it does not."""
    task = tasks.Adding(length=6)
    model = ReadoutModel(VanillaRNN(2, 4, activation=jax.nn.relu), 1)
    optimizer = training.SGD(5.0)
    keys = jax.random.split(jax.random.key(3), 2)
    ends = {}
    for policy in (training.Stop(), training.RollBack(0.1, limit=9)):
        trainer = training.Trainer(model, 4, optimizer, None, not_finite=policy)
        loop = functools.partial(training.run, trainer, task)
        ends[policy] = training.train(trainer, loop, training.init(trainer, keys), 100, log_every=10)
    stopped, saved = ends.values()
    assert np.all(stopped.training.diverged)
    assert not np.any(saved.training.diverged)
    assert np.all(np.asarray(saved.training.rolled_back) >= 1)
    assert np.all(saved.history.loss[:, -1] < 1)


def test_a_rolled_back_run_resumes_to_the_same_end(tmp_path: Path) -> None:
    kind = _of_bursts(training.RollBack(0.5))
    straight = _train(kind)
    assert straight is not None
    for until in (2, 6, 8):
        assert _train(kind, _session(tmp_path, until=until)) is None
    resumed = _train(kind, _session(tmp_path))
    assert resumed is not None
    _assert_same(resumed, straight)


@pytest.mark.parametrize(
    ("factor", "limit", "message"), [(1.0, 1, "factor must be between 0 and 1, got 1.0"), (0.5, 0, "limit")]
)
def test_a_roll_back_that_is_none_is_refused(factor: float, limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training.RollBack(factor, limit)


@contextlib.contextmanager
def _no_file_longer_than(size: int) -> Iterator[None]:
    """As on a disk that is full: what is written beyond fails."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_a_checkpoint_cannot_be_written_the_last_good_one_stays(tmp_path: Path) -> None:
    kind = _of_task()
    assert _train(kind, _session(tmp_path, until=4)) is None
    wanted = r"a checkpoint could not be written: File too large; the last good one is that of step 4$"
    with _no_file_longer_than(2500), pytest.raises(training.CheckpointError, match=wanted):
        _train(kind, _session(tmp_path))
    found = _train(kind, _session(tmp_path))
    assert found is not None
    _assert_same(found, _whole("task"))


@pytest.mark.parametrize("name", ["task", *(pytest.param(n, marks=pytest.mark.slow) for n in ("stream", "examples"))])
def test_between_log_points_nothing_is_compiled_and_nothing_comes_from_the_host(name: str, tmp_path: Path) -> None:
    """Nothing goes to it either, where that can be guarded: on a CPU it can't."""
    kind = KINDS[name]()
    assert _train(kind, _session(tmp_path / "first")) is not None  # all is compiled once it has run
    inner = kind.loop

    def guarded(state: Any, steps: int) -> Any:
        # A batch of examples is dispatched by its number, from the host.
        with jax.transfer_guard_host_to_device("disallow" if name == "examples" else "disallow_explicit"):
            return inner(state, steps)

    compiled: list[str] = []
    kind.loop = guarded
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    jax.jit(lambda: jnp.zeros(3) + len(compiled))()
    assert any("backend_compile" in event for event in compiled)  # so it would be seen
    compiled.clear()
    assert _train(kind, _session(tmp_path / "second")) is not None
    assert not [event for event in compiled if "backend_compile" in event]
