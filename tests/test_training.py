"""The compiled steps on a task: seeds, chunks, clipping, divergence, and how often they are compiled."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import initializers, machine, training
from rnn_jax.training import task_source

pytestmark = pytest.mark.usefixtures("optimized")

SEEDS, STEPS = 3, 5
TASK = rnn_jax.Adding(10)
CELL = rnn_jax.VanillaRNN(2, 4, recurrent_init=initializers.Uniform())  # compiles faster than an orthogonal matrix
MODEL = rnn_jax.ReadoutModel(CELL, 1)
# The norm lies between those of the first steps, so that some are clipped and some are not.
TRAINER = training.Trainer(MODEL, 8, training.Adam(1e-2), training.ClipByNorm(2.0))

start = jax.jit(functools.partial(training.init, TRAINER))


def fresh(seeds=SEEDS):
    """Returns new states at every call, as `run` donates its argument's buffers."""
    return start(jax.random.split(jax.random.key(0), seeds))


def run(state, steps=STEPS, trainer=TRAINER, task=TASK):
    run_state, metrics = training.run(trainer, task, training.start(trainer, task, copy(state)), steps)
    return run_state.training, metrics


def copy(state):
    return jax.tree.map(jnp.copy, state)


def one_seed(tree, seed):
    return jax.tree.map(lambda leaf: leaf[seed], tree)


def assert_equal(got, expected):
    """Bit for bit; NaN equals NaN. Keys are compared by their data."""
    as_array = lambda x: np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)  # noqa: E731
    jax.tree.map(lambda g, w: np.testing.assert_array_equal(as_array(g), as_array(w)), got, expected)


@functools.cache
def first_chunk():
    """The first steps of a healthy run, which several tests use."""
    return run(fresh())


def test_a_chunk_has_a_metric_for_every_seed_and_step():
    state, metrics = first_chunk()
    assert {leaf.shape for leaf in jax.tree.leaves(metrics)} == {(SEEDS, STEPS)}
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(metrics))
    names = {"cell.w_i", "cell.w_h", "cell.b", "readout.params.kernel", "readout.params.bias"}
    assert set(metrics.grad_norms) == names
    total = np.sqrt(sum(np.square(norm) for norm in metrics.grad_norms.values()))
    np.testing.assert_allclose(total, metrics.grad_norm, rtol=1e-5)
    assert state.step.tolist() == [STEPS] * SEEDS
    assert not np.any(state.diverged)
    assert len(np.unique(metrics.loss)) == SEEDS * STEPS


@pytest.mark.parametrize("seeds", [pytest.param(SEEDS, marks=pytest.mark.extended), 4])
def test_seeds_in_one_program_equal_seeds_run_alone(seeds):
    # Bit for bit on a CPU, of which one device runs its seeds one after the other; 4 are spread over two.
    state, metrics = run(fresh(seeds))
    assert len(state.step.sharding.device_set) == (2 if seeds == 4 else 1)
    for seed in range(seeds):
        state_alone, metrics_alone = run(jax.tree.map(lambda leaf, seed=seed: leaf[seed : seed + 1], fresh(seeds)))
        assert_equal(
            (one_seed(state_alone, 0), one_seed(metrics_alone, 0)), (one_seed(state, seed), one_seed(metrics, seed))
        )


def test_two_chunks_equal_one_of_twice_the_length_bit_for_bit():
    middle, metrics_1 = first_chunk()
    end, metrics_2 = run(middle)
    whole, metrics = run(fresh(), 2 * STEPS)
    assert_equal(end, whole)
    assert_equal(jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), metrics_1, metrics_2), metrics)


def test_the_same_seed_runs_the_same_twice():
    assert_equal(run(fresh()), first_chunk())


def test_equal_chunks_and_equal_trainers_are_compiled_once():
    state, _ = first_chunk()
    compiled = task_source._run._cache_size()
    twin = training.Trainer(
        rnn_jax.ReadoutModel(dataclasses.replace(CELL), 1), 8, training.Adam(1e-2), training.ClipByNorm(2.0)
    )
    assert twin is not TRAINER
    assert twin == TRAINER
    for trainer, task in ((TRAINER, TASK), (twin, TASK), (TRAINER, rnn_jax.Adding(10))):
        state, _ = run(state, STEPS, trainer, task)
    assert task_source._run._cache_size() == compiled


@functools.partial(jax.jit, static_argnums=2)
def gradient(params, key_batch, batch_size):
    batch = TASK.sample(key_batch, batch_size)

    def loss(params):
        _, outputs = MODEL.apply(params, batch.inputs)
        return jnp.mean((outputs[-1, :, 0] - batch.targets[-1, :, 0]) ** 2)

    return jax.value_and_grad(loss)(params)


def test_every_step_is_adam_behind_clipping_by_the_global_norm():
    # Kingma & Ba 2015, algorithm 1, in NumPy, on gradients of the same batches.
    state, metrics = first_chunk()
    for seed in range(SEEDS):
        params, key = one_seed(fresh().params, seed), fresh().key[seed]
        leaves, tree = jax.tree.flatten(params)
        m, v = ([np.zeros(leaf.shape) for leaf in leaves] for _ in range(2))
        for step in range(STEPS):
            key, key_batch = jax.random.split(key)
            loss, grads = gradient(jax.tree.unflatten(tree, leaves), key_batch, TRAINER.batch_size)
            grads = [np.asarray(g, np.float64) for g in jax.tree.leaves(grads)]
            norm = np.sqrt(sum(np.sum(g**2) for g in grads))
            np.testing.assert_allclose(metrics.loss[seed, step], loss, rtol=1e-4)
            np.testing.assert_allclose(metrics.grad_norm[seed, step], norm, rtol=1e-4)
            assert metrics.clipped[seed, step] == (norm > TRAINER.clip.limit)
            grads = [g * min(1, TRAINER.clip.limit / norm) for g in grads]
            m = [0.9 * old + 0.1 * g for old, g in zip(m, grads, strict=True)]
            v = [0.999 * old + 0.001 * g**2 for old, g in zip(v, grads, strict=True)]
            moves = [
                (a / (1 - 0.9 ** (step + 1))) / (np.sqrt(b / (1 - 0.999 ** (step + 1))) + 1e-8)
                for a, b in zip(m, v, strict=True)
            ]
            leaves = [
                jnp.asarray(leaf - TRAINER.optimizer.learning_rate * move, leaf.dtype)
                for leaf, move in zip(leaves, moves, strict=True)
            ]
        for got, leaf in zip(jax.tree.leaves(one_seed(state.params, seed)), leaves, strict=True):
            np.testing.assert_allclose(got, leaf, rtol=1e-4, atol=1e-6)
    assert set(np.unique(metrics.clipped)) == {False, True}


def spoil(state, part, value):
    """Sets a part of the state to `value` in seed 1 alone."""
    leaves = {id(leaf) for leaf in jax.tree.leaves(part(state))}
    return jax.tree.map(lambda leaf: leaf.at[1].set(value) if id(leaf) in leaves else leaf, state)


def assert_others_are_untouched(state, metrics):
    for seed in (0, 2):
        assert_equal(one_seed(state, seed), one_seed(first_chunk()[0], seed))
        assert_equal(one_seed(metrics, seed), one_seed(first_chunk()[1], seed))


@pytest.mark.parametrize("value", [np.nan, 1e30], ids=["NaN parameters", "loss overflows"])
def test_a_seed_that_diverges_stops_and_leaves_the_others_alone(value):
    before = spoil(fresh(), lambda state: state.params.readout, value)
    state, metrics = run(before)
    assert state.diverged.tolist() == [False, True, False]
    assert state.step.tolist() == [STEPS, 0, STEPS]
    assert_equal(one_seed(state.params, 1), one_seed(before.params, 1))
    assert_equal(one_seed(state.opt_state, 1), one_seed(before.opt_state, 1))
    # The step that diverges says how; after it there is nothing to record.
    np.testing.assert_array_equal(metrics.loss[1], [np.nan if np.isnan(value) else np.inf] + [np.nan] * (STEPS - 1))
    assert not np.isfinite(metrics.grad_norm[1, 0])
    np.testing.assert_array_equal(metrics.grad_norm[1, 1:], np.nan)
    assert not np.any(metrics.clipped[1])
    assert_others_are_untouched(state, metrics)


def test_a_run_that_diverges_on_its_way_keeps_what_it_had_before():
    # An enormous momentum: the first step is sound, and moves the parameters so far that the second overflows.
    state, metrics = run(spoil(fresh(), lambda state: state.opt_state[0].mu, 1e25))
    assert state.diverged.tolist() == [False, True, False]
    assert state.step.tolist() == [STEPS, 1, STEPS]
    assert_equal(metrics.loss[1, 0], first_chunk()[1].loss[1, 0])
    assert metrics.loss[1, 1] == np.inf
    np.testing.assert_array_equal(metrics.loss[1, 2:], np.nan)
    sizes = [float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(one_seed(state.params, 1))]
    assert all(1e20 < size < np.inf for size in sizes)
    assert_others_are_untouched(state, metrics)

    later, metrics = run(state)
    assert later.step.tolist() == [2 * STEPS, 1, 2 * STEPS]
    assert later.diverged.tolist() == [False, True, False]
    assert_equal(one_seed(later.params, 1), one_seed(state.params, 1))
    np.testing.assert_array_equal(metrics.loss[1], np.nan)
    np.testing.assert_array_equal(metrics.grad_norm[1], np.nan)


def test_a_run_that_has_diverged_stays_stopped():
    # Even if the next batch would have a finite loss again.
    before = spoil(fresh(), lambda state: state.diverged, True)
    state, metrics = run(before)
    assert state.diverged.tolist() == [False, True, False]
    assert state.step.tolist() == [STEPS, 0, STEPS]
    assert_equal(one_seed(state.params, 1), one_seed(before.params, 1))
    np.testing.assert_array_equal(metrics.loss[1], np.nan)
    assert not np.any(metrics.clipped[1])
    assert_others_are_untouched(state, metrics)


def test_a_gradient_that_is_not_finite_is_a_divergence_even_if_the_loss_is_finite():
    # Outputs near 1e19: the loss is near 4e37, and the norm of the gradient overflows.
    state, metrics = run(spoil(fresh(), lambda state: state.params.readout["params"]["kernel"], 1.25e19))
    assert np.isfinite(metrics.loss[1, 0])
    assert metrics.grad_norm[1, 0] == np.inf
    assert state.diverged.tolist() == [False, True, False]
    assert state.step[1] == 0


def test_a_gradient_whose_square_overflows_is_no_divergence():
    # Outputs and readout near 1e15: the loss is near 1e30, and the cell's gradient too.
    state, metrics = run(spoil(fresh(), lambda state: state.params.readout["params"]["kernel"], 1e15))
    assert 1e20 < metrics.grad_norm[1, 0] < np.inf
    assert not np.any(state.diverged)
    assert state.step.tolist() == [STEPS] * SEEDS


def test_training_lowers_the_loss():
    state, first = first_chunk()
    for _ in range(60):
        state, last = run(state)
    assert np.mean(last.loss) < 0.5 * np.mean(first.loss)
    assert np.mean(last.loss) < TASK.baseline
    scores = training.evaluate(MODEL, TASK, state.params, jax.random.key(1), TASK.test_size)
    assert np.all(scores["mse"] < TASK.baseline)


def test_groups_of_seeds_in_parallel_equal_seeds_one_after_the_other(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: SEEDS)
    assert_equal(run(fresh()), first_chunk())


def test_a_chunk_does_not_communicate_with_the_host():
    state, _ = run(first_chunk()[0])
    run_state = training.start(TRAINER, TASK, state)
    with jax.transfer_guard("disallow"):
        run_state, metrics = training.run(TRAINER, TASK, run_state, STEPS)
        jax.block_until_ready(metrics)
    program = task_source._run.lower(TRAINER, TASK, run_state.training, STEPS).as_text()
    assert not [word for word in ("callback", "infeed", "outfeed") if word in program]


@pytest.mark.parametrize(
    ("clip", "expected"),
    [
        pytest.param(None, lambda g, w: g, marks=pytest.mark.extended),
        pytest.param(
            training.ClipByNorm(0.5),
            lambda g, w: g * min(1, 0.5 / np.sqrt(sum(np.sum(x**2) for x in g))),
            marks=pytest.mark.extended,
        ),
        pytest.param(
            training.ClipByValue(0.05),
            lambda g, w: [np.clip(x, -0.05, 0.05) for x in g],
            marks=pytest.mark.extended,
        ),
        (training.ClipAdaptively(0.1), lambda g, w: [_by_unit(x, y) for x, y in zip(g, w, strict=True)]),
    ],
)
def test_a_step_of_sgd_behind_each_clipping(clip, expected):
    trainer = dataclasses.replace(TRAINER, optimizer=training.SGD(0.1), clip=clip)
    before = training.init(trainer, jax.random.split(jax.random.key(5), 1))
    params = one_seed(before.params, 0)
    _, key_batch, _ = jax.random.split(before.key[0], 3)
    _, grads = gradient(params, key_batch, TRAINER.batch_size)
    state, metrics = run(before, 1, trainer)
    weights, updated, raw = (
        list(map(np.asarray, jax.tree.leaves(t))) for t in (params, one_seed(state.params, 0), grads)
    )
    clipped = expected(np.array(raw, dtype=object), weights)
    for w, u, g in zip(weights, updated, clipped, strict=True):
        np.testing.assert_allclose(u, w - 0.1 * g, rtol=1e-4, atol=1e-6)
    assert metrics.clipped[0, 0] == (clip is not None)


def _by_unit(g, w):
    """Brock et al. 2021, equation 3: a unit's gradient to a tenth of its weights' norm, at least a tenth of 0.001."""
    axis = 0 if g.ndim == 2 and min(g.shape) > 1 else None
    g_norm, w_norm = (np.sqrt(np.sum(x**2, axis=axis, keepdims=True)) for x in (g, w))
    return g * np.minimum(1, 0.1 * np.maximum(w_norm, 1e-3) / g_norm)


def test_a_trainer_is_compared_by_value():
    assert hash(dataclasses.replace(TRAINER)) == hash(TRAINER)
    for field, value in (
        ("batch_size", 9),
        ("optimizer", training.Adam(1e-3)),
        ("clip", training.ClipByNorm(1.0)),
        ("clip", None),
    ):
        assert dataclasses.replace(TRAINER, **{field: value}) != TRAINER
    assert dataclasses.replace(TRAINER, model=dataclasses.replace(MODEL, output_size=2)) != TRAINER
