"""Every synthetic task of the registry fulfils one contract; a new task is tested here without a new test."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax
from rnn_jax import tasks, training
from rnn_jax.tasks.task import Classification, Regression
from rnn_jax.testing import tasks as task_checks

T = 20  # valid for every task
TASKS = {name: make(T) for name, make in tasks.SYNTHETIC.items()}
MINIMA = {
    "adding": 2,
    "adding_1997": 20,
    "associative_recall": 18,
    "autoencode": 2,
    "concentration": 2,
    "copying": 1,
    "copying_selective": 10,
    "copying_selective_2023": 16,
    "copying_variable": 1,
    "memorization": 1,
    "modular_counting": 2,
    "multiplication": 20,
    "n_back": 1,
    "parity": 2,
    "parity_longer": 2,
    "permutation": 2,
    "repeat_previous": 2,
    "state_tracking": 2,
    "temporal_order_6a": 10,
    "temporal_order_6b": 10,
    "two_symbol_2a": 2,
    "two_symbol_2b": 2,
    "two_symbol_2c": 1,
}

every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
# Variants of another task, which are extended in the tests that compile most.
VARIANTS = [
    "adding_1997",
    "copying_selective",
    "copying_selective_2023",
    "copying_variable",
    "memorization",
    "modular_counting",
    "parity_longer",
    "permutation",
    "temporal_order_6b",
    "two_symbol_2b",
    "two_symbol_2c",
]
each_kind_of_task = pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=name, marks=pytest.mark.extended if name in VARIANTS else ())
        for name, task in TASKS.items()
    ],
)
# Unoptimised: compiling the random generator takes seconds, running it milliseconds.
fast = {"xla_backend_optimization_level": 0}
SIZE = 10_000
sample = jax.jit(lambda task, key: task.sample(key, SIZE), compiler_options=fast)
draw_test = jax.jit(lambda task, key, index: task.test_batch(key, index, 1000), compiler_options=fast)

# Hochreiter & Schmidhuber 1997, sections 5.4 and 5.6, and 5.2 for the two-symbol tasks. The nearest base class applies.
TOLERANCES = {Regression: 0.04, Classification: 0.3, tasks.TwoSymbol: 0.25, tasks.TwoSymbolTriggered: 0.2}


@functools.cache
def large_batch(task):
    return sample(task, jax.random.key(5))


def perfect(task, batch):
    """Returns outputs that are right at every step, with a probability close to 1."""
    return batch.targets if isinstance(task, Regression) else 30 * jax.nn.one_hot(batch.targets, task.output_size)


def memoryless(task, batch):
    """Returns the best prediction at each step that ignores the inputs: the mean target or the class frequencies.

    Frequencies are those among the sequences scored at the step, or among the others: the baseline knows which applies.
    """
    if isinstance(task, Regression):
        answer = jnp.mean(batch.targets, axis=1, keepdims=True)
    else:
        classes = jax.nn.one_hot(batch.targets, task.output_size)
        scored = task.scored(batch)[..., None] > 0
        means = (jnp.mean(classes, axis=1, keepdims=True, where=kind) for kind in (scored, ~scored))
        # A floor under the logarithm, for classes that never occur.
        answer = jnp.log(jnp.where(scored, *means) + 1e-9)
    return jnp.broadcast_to(answer, (*batch.weights.shape, task.output_size))


score = jax.jit(lambda task, outputs, batch: task.metrics(outputs, batch), compiler_options=fast)


def metrics(task, outputs, batch):
    return {name: float(value) for name, value in score(task, outputs, batch).items()}


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(task, id=name, marks=() if name in ("adding", "copying") else pytest.mark.extended)
        for name, task in TASKS.items()
    ],
)
@pytest.mark.parametrize("check", task_checks.PROPERTIES.values(), ids=task_checks.PROPERTIES)
def test_a_task_fulfils_its_contract(task, check):
    check(task)


@every_task
def test_batches_have_the_documented_shapes_and_dtypes(task):
    batch = jax.eval_shape(lambda key: task.sample(key, 7), jax.random.key(0))
    steps = task.sequence_length
    assert (batch.inputs.shape, batch.inputs.dtype) == ((steps, 7, task.input_size), jnp.float32)
    assert (batch.weights.shape, batch.weights.dtype) == ((steps, 7), jnp.float32)
    if isinstance(task, Regression):
        assert (batch.targets.shape, batch.targets.dtype) == ((steps, 7, task.output_size), jnp.float32)
    else:
        assert (batch.targets.shape, batch.targets.dtype) == ((steps, 7), jnp.int32)


@each_kind_of_task
def test_a_batch_depends_on_its_key_and_its_sequences_differ(task):
    batch = large_batch(task)
    jax.tree.map(np.testing.assert_array_equal, batch, sample(task, jax.random.key(5)))
    assert np.any(batch.inputs != sample(task, jax.random.key(4)).inputs)
    rows = np.asarray(batch.inputs)[:, :100].transpose(1, 0, 2).reshape(100, -1)
    # Task 2a has two sequences in all, and there are few short strings.
    distinct = 2 if task == tasks.TwoSymbol(T) else {tasks.Parity: 80, tasks.WordProblem: 95}.get(type(task), 100)
    assert len(np.unique(rows, axis=0)) >= distinct


@each_kind_of_task
def test_a_batch_is_well_formed(task):
    batch = jax.tree.map(np.asarray, large_batch(task))
    assert np.all(np.isfinite(batch.inputs))
    assert np.all((batch.weights == 0) | (batch.weights == 1))
    assert np.all(batch.weights.sum(axis=0) >= 1)
    # After the last step with a weight there is only padding, which is zero.
    last = np.max(np.where(batch.weights > 0, np.arange(task.sequence_length)[:, None], -1), axis=0)
    assert not np.any(batch.inputs[np.arange(task.sequence_length)[:, None] > last])
    if isinstance(task, Classification):
        assert 0 <= batch.targets.min() <= batch.targets.max() < task.output_size


@every_task
def test_a_task_is_an_argument_without_arrays_and_equal_tasks_share_a_trace(task):
    traces = []

    @jax.jit
    def traced(task):
        traces.append(task)
        return jnp.zeros(task.sequence_length)

    assert jax.tree.leaves(task) == []
    traced(task)
    traced(dataclasses.replace(task))
    assert len(traces) == 1
    assert dataclasses.replace(task, length=T + 1) != task


@each_kind_of_task
def test_a_memoryless_prediction_has_the_loss_of_the_baseline_and_solves_no_task(task):
    batch = large_batch(task)
    scores = metrics(task, memoryless(task, batch), batch)
    assert scores["loss"] == pytest.approx(task.baseline, rel=0.04)  # 3 standard errors
    assert not task.solved(scores)


@each_kind_of_task
def test_perfect_predictions_solve_every_task(task):
    batch = large_batch(task)
    scores = metrics(task, perfect(task, batch), batch)
    assert scores["loss"] < 1e-6
    assert scores["wrong"] == 0
    assert scores[task.metric] == (0 if isinstance(task, Regression) else 1)
    assert task.solved(scores)


@each_kind_of_task
def test_a_prediction_is_wrong_from_the_tolerance_on(task):
    batch, tolerance = large_batch(task), next(TOLERANCES[kind] for kind in type(task).mro() if kind in TOLERANCES)

    def off_by(error):
        if isinstance(task, Regression):
            return batch.targets - error
        right = jax.nn.one_hot(batch.targets, task.output_size)
        return jnp.log(jnp.where(right > 0, 1 - error, error / (task.output_size - 1)))

    within, beyond = (metrics(task, off_by(tolerance + move), batch) for move in (-1e-3, 1e-3))
    assert within["wrong"] == 0
    assert beyond["wrong"] == pytest.approx(1)
    if isinstance(task, Regression):
        assert beyond["error"] == pytest.approx(tolerance + 1e-3, rel=1e-3)


@each_kind_of_task
def test_steps_of_weight_zero_do_not_affect_metrics(task):
    batch = large_batch(task)
    outputs = perfect(task, batch)
    outputs = jnp.where(batch.weights[..., None] > 0, outputs, jnp.nan)
    scores = metrics(task, outputs, batch)
    assert task.solved(scores)
    assert all(np.isfinite(value) for value in scores.values())


@each_kind_of_task
def test_the_test_set_ends_at_its_size(task):
    key = jax.random.key(9)
    batches = [draw_test(task, key, index) for index in range(4)]
    counts = [int(np.sum(np.any(batch.weights > 0, axis=0))) for batch in batches]
    assert counts == [1000, 1000, task.test_size - 2000, 0]
    assert not np.any(batches[2].weights[:, task.test_size - 2000 :])
    assert np.any(batches[0].inputs != batches[1].inputs)
    jax.tree.map(np.testing.assert_array_equal, batches[0], draw_test(task, key, 0))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class FewSequences(tasks.VariableCopying):
    """Sequences of 22 to 21 + T steps, ten of which are answers."""

    @property
    def test_size(self) -> int:
        return 12


@pytest.mark.extended
def test_evaluate_in_batches_equals_one_batch_for_sequences_of_different_lengths():
    """Batches differ in their number of steps, by which the loss is weighted, but not in their number of answers."""
    task, key = FewSequences(60), jax.random.key(0)
    model = rnn_jax.ReadoutModel(rnn_jax.VanillaRNN(task.input_size, 3), task.output_size)
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(1), 2))
    whole, in_batches = (training.evaluate(model, task, params, key, size) for size in (12, 2))
    assert np.all(whole["accuracy"] > 0)
    for name, values in whole.items():
        np.testing.assert_allclose(in_batches[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", [pytest.param("adding_1997", marks=pytest.mark.extended), "copying"])
def test_evaluate_is_the_mean_over_the_whole_test_set(name):
    # 2,560 sequences in batches of 1,000: the last batch is partly padding, which must not count.
    task, key = TASKS[name], jax.random.key(9)
    model = rnn_jax.ReadoutModel(rnn_jax.VanillaRNN(task.input_size, 3), task.output_size)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(1))
    params = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=(2, *p.shape)), p.dtype), shapes)
    scores = training.evaluate(model, task, params, key, 1000)

    batches = [draw_test(task, key, index) for index in range(3)]
    inputs, targets, _ = (np.concatenate(field, axis=1)[:, : task.test_size] for field in zip(*batches, strict=True))
    weights = np.concatenate([batch.weights for batch in batches], axis=1)[:, : task.test_size]
    for seed in range(2):
        _, outputs = jax.jit(model.apply)(jax.tree.map(lambda p, seed=seed: p[seed], params), jnp.asarray(inputs))
        outputs = np.asarray(outputs, np.float64)
        if isinstance(task, Regression):
            losses = (outputs - targets)[..., 0] ** 2
            expected = {"error": np.sum(np.abs(outputs - targets)[..., 0] * weights) / task.test_size}
        else:
            logs = outputs - np.log(np.sum(np.exp(outputs), axis=-1, keepdims=True))
            losses = -np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
            expected = {"accuracy": np.mean((np.argmax(outputs, axis=-1) == targets)[-10:])}
        expected["loss"] = np.sum(losses * weights) / np.sum(weights)
        for metric, value in expected.items():
            assert float(scores[metric][seed]) == pytest.approx(value, rel=1e-4), metric


@pytest.mark.parametrize("name", TASKS)
def test_a_length_that_is_too_short_is_refused_by_name(name):
    minimum = MINIMA[name]
    assert tasks.SYNTHETIC[name](minimum).sequence_length >= minimum
    expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum} steps"
    for length in (minimum - 1, 0, -5):
        with pytest.raises(ValueError, match=rf"length must be {expected}.*, got {length}$"):
            tasks.SYNTHETIC[name](length)
        with pytest.raises(ValueError, match=rf"length must be {expected}.*, got {length}$"):
            tasks.find(name, length)


@pytest.mark.parametrize("name", TASKS)
def test_a_length_that_is_not_an_integer_is_refused_by_name(name):
    for length in (50.5, 50.0, True, "50", None):
        with pytest.raises(ValueError, match=rf"length must be .*integer.*got {length!r}$"):
            tasks.SYNTHETIC[name](length)


def test_find_returns_a_task_by_name():
    assert tasks.find("copying", 30) == rnn_jax.Copying(30)
    assert tasks.find("digits", 30).sequence_length == 64
    with pytest.raises(ValueError, match=r"'coping'.*known are adding.*mnist"):
        tasks.find("coping", 30)
    with pytest.raises(ValueError, match="mnist: requires the folder"):
        tasks.find("mnist", 30)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(20, 3000))
def test_sizes_are_consistent_at_every_length(length):
    for make in tasks.SYNTHETIC.values():
        task = make(length)
        assert length <= task.sequence_length <= 2 * length + 103  # two_symbol_2c and n_back have the most
        assert 0 < task.dependency < task.sequence_length
        assert task.baseline > 0
