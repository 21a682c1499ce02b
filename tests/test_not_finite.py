"""Policies for a seed whose loss or gradient is NaN or infinite."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LSTM, GRUResetBefore, VanillaRNN, diagnostics, tasks, training
from rnn_jax.data import OneHot, Streams
from rnn_jax.diagnostics import findings, training_causes
from rnn_jax.models import LanguageModel, ReadoutModel
from rnn_jax.training import step
from tests import trainings

STOP = training.Stop()


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Bursting(tasks.Adding):
    """Adding, whose targets are infinite in one batch of three."""

    def sample(self, key: jax.Array, batch_size: int) -> tasks.Batch:
        batch = super().sample(key, batch_size)
        bad = jax.random.uniform(jax.random.fold_in(key, 1)) < 0.34
        return batch._replace(targets=jnp.where(bad, jnp.inf, batch.targets))


def _on_bursts(not_finite: Any) -> trainings.Kind:
    task = _Bursting(length=6)
    model = ReadoutModel(LSTM(2, 4), 1)
    trainer = training.Trainer(model, 4, training.SGD(0.01), None, not_finite=not_finite)
    return trainings.Kind(trainer, task)


def _bad(progress: training.Progress) -> np.ndarray:
    return ~np.isfinite(progress.history.grad_norm)


def test_stop_keeps_a_seeds_last_finite_parameters() -> None:
    messages: list[str] = []
    progress = trainings.train(_on_bursts(training.Stop()), training.Session(report=messages.append))
    assert progress is not None
    first = np.argmax(_bad(progress), axis=1)
    assert np.all(_bad(progress)[np.arange(2), -1])
    assert progress.training.step.tolist() == first.tolist()
    assert progress.training.skipped.tolist() == [1, 1]
    assert sorted(messages) == sorted(
        f"{training.divergence(progress.history, seed)}; seeds that continue: {left}"
        for seed, left in (
            (seed, int(np.sum(first // trainings.LOG_EVERY > first[seed] // trainings.LOG_EVERY))) for seed in range(2)
        )
    )


@pytest.mark.extended
def test_skip_skips_and_counts_the_update() -> None:
    messages: list[str] = []
    progress = trainings.train(_on_bursts(training.Skip()), training.Session(report=messages.append))
    assert progress is not None
    counts = _bad(progress).sum(axis=1)
    assert np.all((counts > 0) & (counts < trainings.STEPS))
    assert progress.training.skipped.tolist() == counts.tolist()
    assert not np.any(progress.training.diverged)
    assert progress.training.step.tolist() == [trainings.STEPS, trainings.STEPS]
    assert all(np.all(np.isfinite(leaf)) for leaf in trainings.leaves(progress))
    assert any(f"{counts[0]} in total" in message and "seed 0" in message for message in messages)


@pytest.mark.extended
def test_a_skipped_step_leaves_the_parameters_unchanged() -> None:
    kind = _on_bursts(training.Skip())
    states = [training.start(kind.trainer, kind.source, kind.initial())]
    for _ in range(trainings.STEPS):
        states.append(training.run(kind.trainer, kind.source, jax.tree.map(jnp.copy, states[-1]), 1)[0])
    bad = np.array([state.training.skipped for state in states])
    steps, seed = np.argwhere(np.diff(bad, axis=0) > 0)[0]
    for before, after in zip(
        jax.tree.leaves(states[steps].training.params), jax.tree.leaves(states[steps + 1].training.params), strict=True
    ):
        np.testing.assert_array_equal(before[seed], after[seed])


@pytest.mark.extended
def test_with_skip_a_stream_continues_from_the_state_before() -> None:
    ids = np.random.default_rng(0).integers(0, 5, 90)
    streams = Streams.of(ids, 3, 4)
    model = LanguageModel(OneHot(5), _Poisoned(5, 4)).network
    trainer = training.Trainer(model, 3, training.SGD(0.1), None, not_finite=training.Skip())
    state = training.start(trainer, streams, training.init(trainer, jax.random.split(jax.random.key(0), 1)))
    state, metrics = training.run(trainer, streams, state, streams.segments - 1)
    bad = ~np.isfinite(np.asarray(metrics.loss[0]))
    assert 0 < bad.sum() < len(bad)
    numbers = [leaf for leaf in jax.tree.leaves(state.cursor) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert numbers
    assert all(np.all(np.isfinite(leaf)) for leaf in numbers)


class _Poisoned(GRUResetBefore):
    """A GRU that breaks where its first unit is high."""

    def step(self, params: Any, state: Any, drive: Any) -> Any:
        new = super().step(params, state, drive)
        return jax.tree.map(lambda h: jnp.where(h[..., :1] > 0.12, jnp.nan, h), new)


def test_roll_back_restores_a_seed_at_a_smaller_rate() -> None:
    messages: list[str] = []
    policy = training.RollBack(0.25, limit=2)
    progress = trainings.train(_on_bursts(policy), training.Session(report=messages.append))
    assert progress is not None
    state = progress.training
    np.testing.assert_allclose(state.rate, 0.25 ** np.asarray(state.rolled_back))
    assert np.any(np.asarray(state.rolled_back) > 0)
    assert any("rolled back to a loss of" in s and s.endswith("at 0.25 of the learning rate") for s in messages)
    ended = np.asarray(state.diverged)
    assert np.all(np.asarray(state.rolled_back)[ended] == policy.limit)


@pytest.mark.extended
def test_the_smaller_rate_saves_a_rolled_back_seed() -> None:
    """At this rate training overflows, until roll backs have reduced it."""
    task = tasks.Adding(length=6)
    model = ReadoutModel(VanillaRNN(2, 4, activation=jax.nn.relu), 1)
    optimizer = training.SGD(5.0)
    keys = jax.random.split(jax.random.key(3), 2)
    ends = {}
    for policy in (training.Stop(), training.RollBack(0.1, limit=9)):
        trainer = training.Trainer(model, 4, optimizer, None, not_finite=policy)
        ends[policy] = training.train(trainer, task, training.init(trainer, keys), 100, log_every=10)
    stopped, saved = ends.values()
    assert np.all(stopped.training.diverged)
    assert not np.any(saved.training.diverged)
    assert np.all(np.asarray(saved.training.rolled_back) >= 1)
    assert np.all(saved.history.loss[:, -1] < 1)


@pytest.mark.extended
def test_a_rolled_back_run_resumes_to_the_same_end(tmp_path: Path) -> None:
    kind = _on_bursts(training.RollBack(0.5))
    straight = trainings.train(kind)
    assert straight is not None
    for until in (2, 6, 8):
        assert trainings.train(kind, trainings.session(tmp_path, until=until)) is None
    resumed = trainings.train(kind, trainings.session(tmp_path))
    assert resumed is not None
    trainings.assert_same(resumed, straight)


def _step(
    gradient: float, optimizer: training.Adam | training.SGD, clip: Any = None, not_finite: Any = STOP
) -> tuple[training.TrainState, training.TrainState, training.StepMetrics]:
    """Returns the state before and after a step with this gradient in every parameter, and its metrics."""
    trainer = training.Trainer(ReadoutModel(LSTM(2, 4), 1), 4, optimizer, clip, not_finite=not_finite)
    before = jax.tree.map(lambda leaf: leaf[0], training.init(trainer, jax.random.split(jax.random.key(0), 1)))
    grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, gradient), before.params)
    after, metrics = jax.jit(step.descend, static_argnums=0)(trainer, before, before.key, jnp.array(0.5), grads)
    return before, after, metrics


def _assert_rejected(before: training.TrainState, after: training.TrainState) -> None:
    old, new = ((state.params, state.opt_state) for state in (before, after))
    jax.tree.map(np.testing.assert_array_equal, old, new)
    assert after.skipped == 1


@pytest.mark.parametrize("size", [1e20, *(pytest.param(n, marks=pytest.mark.extended) for n in (1e25, 1e35))])
def test_a_large_finite_gradient_is_clipped_and_applied(size: float) -> None:
    before, after, metrics = _step(size, training.SGD(0.1), training.ClipByNorm(1.0))
    number = sum(leaf.size for leaf in jax.tree.leaves(before.params))
    assert not after.diverged
    assert metrics.clipped
    np.testing.assert_allclose(metrics.grad_norm, size * number**0.5, rtol=1e-5)
    jax.tree.map(
        lambda new, old: np.testing.assert_allclose(new - old, -0.1 / number**0.5, rtol=1e-4),
        after.params,
        before.params,
    )


@pytest.mark.parametrize(
    ("gradient", "optimizer"), [(3.0, training.SGD(3e38)), (-1e37, training.SGD(100.0)), (1e25, training.Adam(0.01))]
)
@pytest.mark.parametrize("policy", [training.Stop(), pytest.param(training.Skip(), marks=pytest.mark.extended)])
def test_an_update_that_is_not_finite_is_rejected(
    gradient: float, optimizer: training.Adam | training.SGD, policy: Any
) -> None:
    """Adam's second moment would overflow, and every later update would be zero."""
    before, after, metrics = _step(gradient, optimizer, not_finite=policy)
    _assert_rejected(before, after)
    assert after.diverged == policy.ends
    assert np.isnan(metrics.grad_norm)
    assert all(np.isfinite(norm) for norm in metrics.grad_norms.values())


def test_the_message_names_an_update_that_is_not_finite() -> None:
    messages: list[str] = []
    kind = trainings.on_task()
    kind.trainer = dataclasses.replace(kind.trainer, optimizer=training.SGD(3e38))
    initial = jax.tree.map(jnp.copy, kind.initial().params)
    progress = trainings.train(kind, training.Session(report=messages.append))
    assert progress is not None
    jax.tree.map(np.testing.assert_array_equal, progress.training.params, initial)
    loss = progress.history.loss[0, 0]
    assert f"seed 0 diverged at step 1: loss {loss:.3g}, gradient finite, but not the updated parameters" in messages[0]


@pytest.mark.parametrize("clip", [None, training.ClipByNorm(1.0), training.ClipByValue(1.0)])
@pytest.mark.parametrize("gradient", [np.nan, pytest.param(np.inf, marks=pytest.mark.extended)])
def test_a_skipped_gradient_does_not_count_as_clipped(clip: Any, gradient: float) -> None:
    before, after, metrics = _step(gradient, training.SGD(0.1), clip, training.Skip())
    _assert_rejected(before, after)
    assert not metrics.clipped


def test_the_doctor_does_not_find_clipping_in_skipped_steps() -> None:
    history = _step(np.nan, training.SGD(0.1), not_finite=training.Skip())[2]
    steps = 2 * findings.ENOUGH_STEPS
    clipped = np.full(steps, history.clipped)
    evidence = diagnostics.Evidence(loss=np.full(steps, 0.5), grad_norm=np.full(steps, 1.0), clipped=clipped)
    assert training_causes.clipping(evidence) is None


@pytest.mark.parametrize(
    ("size", "names"), [(1.0, ["diverged"]), (1e30, ["exploding gradient", "diverged"])], ids=["usual", "exploding"]
)
def test_the_doctor_names_an_update_that_is_not_finite(size: float, names: list[str]) -> None:
    loss, norm = np.full(40, 0.5, np.float32), np.full(40, 1.0, np.float32)  # as records hold them
    norm[30] = size
    by_name, loss[31:], norm[31:] = {"cell.w_h": norm.copy()}, np.nan, np.nan
    norm[30] = np.nan
    evidence = diagnostics.Evidence(loss=loss, grad_norm=norm, grad_norms=by_name)
    checks = (training_causes.exploding, training_causes.diverged)
    found = {finding.cause: finding.evidence for check in checks if (finding := check(evidence)) is not None}
    assert list(found) == names
    assert "gradient finite, but not the updated parameters" in found["diverged"]
    assert f"gradient norm {size:.2g} at step 31" in found.get(
        "exploding gradient", f"gradient norm {size:.2g} at step 31"
    )


@pytest.mark.parametrize(
    ("factor", "limit", "message"),
    [
        (1.0, 1, "factor must be between 0 and 1, got 1.0"),
        ("0.5", 1, "factor must be a finite number, got '0.5'"),
        (0.5, 0, "limit"),
    ],
)
def test_an_invalid_roll_back_is_rejected(factor: Any, limit: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training.RollBack(factor, limit)


def test_the_message_about_a_diverged_seed_names_a_few_of_many_parameters() -> None:
    bad = np.array([[1.0, np.nan]])
    history = training.StepMetrics(bad, bad, {f"layer_{n}.w_h": bad for n in range(30)}, np.zeros((1, 2), bool))
    message = training.divergence(history, 0)
    assert message is not None
    assert message.endswith("not finite in layer_0.w_h, layer_1.w_h, layer_2.w_h, layer_3.w_h, 26 others")
