"""Training split over a mesh of eight devices: the numbers of one device, and what the paper analysis says it costs."""

import dataclasses
import functools
import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import rnn_jax
from rnn_jax import data, engines, gradients, initializers, machine, mesh, models, seeds, training
from rnn_jax.training import stream_source
from tests.many_devices import costs

TASK, TRAINER, STEPS, BATCH, HIDDEN, LENGTH = (
    costs.TASK,
    costs.TRAINER,
    costs.STEPS,
    costs.BATCH,
    costs.HIDDEN,
    costs.LENGTH,
)
PARAMETERS = TRAINER.parameters
WIDE = TRAINER.parameters - HIDDEN - 1  # all but the readout's, which has one column


def on(shape):
    return jax.set_mesh(mesh.MeshShape.parse(shape).build())


@functools.cache
def trained(shape, seeds=1):
    """The program's costs, and what it gave."""
    program, state = costs.compiled(shape, seeds)
    state, metrics = program(TASK, state)
    return costs.costs(program), (state, metrics)


def assert_close(got, expected):
    arrays = [jax.tree.leaves((state.params, metrics._replace(clipped=()))) for state, metrics in (got, expected)]
    for g, w in zip(*arrays, strict=True):
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=1e-6, atol=1e-6)


def assert_equal(got, expected):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        if jnp.issubdtype(g.dtype, jax.dtypes.prng_key):
            g, w = jax.random.key_data(g), jax.random.key_data(w)
        np.testing.assert_array_equal(np.asarray(g), np.asarray(w))


def shared_by(tree, devices):
    """Whether every leaf lies on that many devices."""
    return {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(tree)} == {devices}


def device_counts(*counts):
    """Returns the counts: 8 is marked as extended, those other than 2 and 8 as slow."""
    marks = {2: (), 8: pytest.mark.extended}
    return [pytest.param(n, marks=marks.get(n, pytest.mark.slow)) for n in counts]


@pytest.mark.parametrize(
    "shape",
    [
        *("data:2", "model:2"),
        *(pytest.param(shape, marks=pytest.mark.extended) for shape in ("data:8", "model:8")),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in ("data:4", "model:4")),
    ],
)
def test_one_seed_over_many_devices_is_one_device(shape):
    _, (state, metrics) = trained(shape)
    assert_close((state, metrics), trained("data:1")[1])
    axis, devices = shape.split(":")
    assert shared_by(state.params, int(devices))
    parts = {leaf.shape[-1] // leaf.addressable_shards[0].data.shape[-1] for leaf in state.params.cell}
    assert parts == {int(devices) if axis == "model" else 1}


@pytest.mark.parametrize(
    "shape",
    [pytest.param("seeds:2", marks=pytest.mark.slow), pytest.param("seeds:8", marks=pytest.mark.extended)],
)
def test_seeds_over_devices_are_one_device_bit_for_bit(shape):
    on_mesh, on_one = trained(shape, seeds=8), trained("seeds:1", seeds=8)
    assert_equal(on_mesh[1], on_one[1])
    assert not on_mesh[0].collectives
    assert shared_by(on_mesh[1], int(shape[-1]))


def test_without_a_mesh_nothing_changes():
    fresh = jax.tree.map(jnp.copy, costs.fresh())
    state, metrics = training.run(TRAINER, TASK, training.start(TRAINER, TASK, fresh), STEPS)
    expected_state, expected = trained("data:1")[1]
    # Norms of single parameters, which are only reported: XLA fuses their sums in another order on a mesh.
    for name, each in metrics.grad_norms.items():
        np.testing.assert_allclose(each, expected.grad_norms[name], rtol=3e-7)
    alike = metrics._replace(grad_norms=()), expected._replace(grad_norms=())
    assert_equal((state.training, alike[0]), (expected_state, alike[1]))


@pytest.mark.extended
def test_all_axes_together_by_the_public_door():
    trainer = dataclasses.replace(TRAINER, optimizer=training.Adam(1e-3))

    def losses():
        state = training.start(trainer, TASK, training.init(trainer, jax.random.split(jax.random.key(0), 2)))
        state, first = training.run(trainer, TASK, state, 2)
        state, second = training.run(trainer, TASK, state, 2)
        tested = training.evaluate(trainer.model, TASK, state.training.params, jax.random.key(1), 20, batches=2)
        return training.join([first, second]).loss, tested["mse"], state.training

    expected = losses()
    with on("data:2,seeds:2,model:2"):
        got = losses()
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-5)
    # Both moments are split as the parameters are: a device holds half of one seed's, and a bit.
    held = sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(got[2].opt_state))
    assert held < 2 * 4 * PARAMETERS / 2 * 1.02


# The formulas of experiments/results/devices/README.md: numbers of 4 bytes, counts of one optimization step.


@pytest.mark.parametrize("devices", device_counts(1, 2, 4, 8))
def test_data_costs_one_sum_of_the_gradients_whatever_the_length(devices):
    split, one = trained(f"data:{devices}")[0], trained("data:1")[0]
    # The loss comes with the gradient. Before it three scalars, of the loss's weights: once, where XLA sees that they
    # are the same at every step.
    expected = {} if devices == 1 else {("all-reduce", 4 * (PARAMETERS + 1)): STEPS}
    weights = split.collectives.pop(("all-reduce", 12), 0)
    assert split.collectives == expected
    assert weights <= STEPS
    repeated = 17 * PARAMETERS * STEPS  # operations of norms, clipping and update, which every device does in full
    assert split.flops == pytest.approx((one.flops - repeated) / devices + repeated, rel=0.1)
    assert split.arguments == one.arguments
    assert devices == 1 or split.temporary < 0.6 * one.temporary


@pytest.mark.parametrize("devices", device_counts(1, 2, 4, 8))
def test_model_costs_three_exchanges_a_time_step_and_divides_the_state(devices):
    split, one = trained(f"model:{devices}")[0], trained("data:1")[0]
    loops = STEPS * LENGTH
    expected = {
        ("all-gather", 4 * BATCH * 4 * HIDDEN): 2 * loops,  # the gates' arguments, forward and again backward
        ("all-reduce", 4 * BATCH * HIDDEN): loops,  # the adjoint of h
    }
    small = {key: times for key, times in split.collectives.items() if key[1] < 100}
    assert split.collectives - Counter(small) == ({} if devices == 1 else expected)
    assert devices == 1 or list(small.values()) == [STEPS, STEPS]  # norms; whether anything was clipped
    assert split.flops == pytest.approx(one.flops / devices, rel=0.2)
    assert split.arguments == one.arguments - 4 * WIDE * (devices - 1) // devices


def test_another_engine_sums_gradients_at_every_step():
    # The reason why `Hoisted` is the engine for a data axis.
    estimator = gradients.BPTT(engines.Scan())
    program, _ = costs.compiled("data:2", trainer=dataclasses.replace(TRAINER, estimator=estimator))
    assert costs.collectives(program.as_text())["all-reduce", 4 * 4 * HIDDEN * HIDDEN] == STEPS * LENGTH


IDS = np.random.default_rng(0).integers(0, 8, 16 * 12 * 2 + 1)


def read_streams():
    model = models.ReadoutModel(rnn_jax.VanillaRNN(8, 16, recurrent_init=initializers.Uniform()), 8)
    trainer = training.Trainer(model, 16, training.SGD(0.1), None)
    streams = data.Streams.of(IDS, 16, 12)
    state = training.init(trainer, jax.random.split(jax.random.key(0), 2))
    state, metrics = training.run(trainer, streams, training.start(trainer, streams, state), 3)
    return streams, (state.training, metrics), training.evaluate(model, streams, state.training.params)["loss"]


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("data:8", marks=pytest.mark.extended),
        pytest.param("data:2,seeds:2,model:2", marks=pytest.mark.slow),
    ],
)
def test_streams_are_split_and_read_as_by_one_device(shape):
    _, expected, expected_loss = _streams_alone()
    with on(shape):
        streams, got, loss = read_streams()
    assert streams.columns.addressable_shards[0].data.shape[1] == (2 if shape == "data:8" else 8)
    assert_close(got, expected)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)


_streams_alone = functools.cache(read_streams)


@pytest.mark.extended
def test_streams_cost_one_sum_a_segment():
    # A GRU, of which an engine on one device would keep nothing and sum by parts.
    model = models.ReadoutModel(rnn_jax.GRU(8, 16, recurrent_init=initializers.Uniform()), 8)
    trainer = training.Trainer(model, 16, training.SGD(0.1), None)
    with on("data:4"):
        streams = data.Streams.of(np.zeros(16 * 60 + 1, int), 16, 60)
        state = training.start(trainer, streams, training.init(trainer, jax.random.key(0)[None]))
        program = stream_source._run.lower(trainer, streams, state, STEPS).compile()
    no_bias = 2 * 16  # beside b_hn, of the gates that have none
    expected = {("all-reduce", 12): STEPS, ("all-reduce", 4 * (trainer.parameters + no_bias + 1)): STEPS}
    assert costs.collectives(program.as_text()) == expected


def loss_of_batch(model, params, batch, key):
    return model.loss(params, batch.steps, batch.whole["labels"], batch.whole["lengths"], key=key)


def answers(model, params, batch):
    return jax.nn.softmax(model.apply(params, batch.steps, batch.whole["lengths"], key=None))


def read_examples():
    rng = np.random.default_rng(0)
    xs = jnp.asarray(rng.normal(size=(7, 20, 3)), jnp.float32)
    whole = {"lengths": jnp.asarray(rng.integers(1, 8, 20)), "labels": jnp.asarray(rng.integers(0, 4, 20))}
    # Dropout draws for the whole batch, however it is split.
    model = models.Classifier(
        rnn_jax.Bidirectional(rnn_jax.VanillaRNN(3, 16, recurrent_init=initializers.Uniform())), 4, dropout=0.5
    )
    trainer = training.Trainer(model, 8, training.SGD(0.1), training.ClipByNorm(1.0))
    source = training.ExampleSource([data.Examples(xs, whole)], loss_of_batch)
    state = training.start(trainer, source, training.init(trainer, jax.random.split(jax.random.key(0), 2)))
    state, metrics = training.run(trainer, source, state, 3)
    trained = state.training, metrics
    # 6 of the 20 at a time: not even parts, so every device has them all.
    return trained, training.predict(model, answers, trained[0].params, data.Examples(xs, whole), 6)


_examples_alone = functools.cache(read_examples)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("data:4", marks=pytest.mark.extended),
        pytest.param("data:2,seeds:2,model:2", marks=pytest.mark.slow),
    ],
)
def test_examples_are_read_as_by_one_device(shape):
    expected, expected_answers = _examples_alone()
    with on(shape):
        got, predicted = read_examples()
    assert_close(got, expected)
    np.testing.assert_allclose(predicted, expected_answers, rtol=1e-5, atol=1e-6)


def _run(trainer=TRAINER, count=1):
    state = training.init(trainer, jax.random.split(jax.random.key(0), count))
    return training.run(trainer, TASK, training.start(trainer, TASK, state), 1)


def _narrow():
    inner = rnn_jax.Stack((rnn_jax.VanillaRNN(TASK.input_size, 16), rnn_jax.VanillaRNN(16, 30)))
    return dataclasses.replace(TRAINER, model=rnn_jax.ReadoutModel(inner, TASK.output_size))


@pytest.mark.parametrize(
    ("shape", "refused", "message"),
    [
        ("seeds:2", lambda: _run(count=3), "seeds 3 does not divide over seeds:2"),
        ("model:4", lambda: _run(_narrow()), "hidden_size 30 does not divide over model:4"),
    ],
)
def test_what_cannot_be_split_evenly_is_refused(shape, refused, message):
    with on(shape), pytest.raises(ValueError, match=message):
        refused()


@pytest.mark.parametrize(
    "shape", ["data:2", *(pytest.param(s, marks=pytest.mark.extended) for s in ("data:8", "data:2,seeds:2,model:2"))]
)
def test_a_batch_that_does_not_divide_is_split_into_unequal_parts(shape):
    def run():
        trainer = dataclasses.replace(TRAINER, batch_size=11)  # 8 devices: 2 each, the last ones 1 and 0
        state, metrics = _run(trainer, 2)
        return state.training, metrics

    expected = run()
    with on(shape):
        assert_close(run(), expected)


@pytest.mark.parametrize(("size", "part"), [(1, 1), (3, 2), (4, 2), (7, 4)])
def test_a_device_computes_its_part_only(size, part):
    with on("data:2"):
        program = jax.jit(lambda x: jnp.sin(mesh.split_batch(x, 0))).lower(jnp.ones((size, 3))).compile().as_text()
    assert re.findall(r"f32\[(\d+),3\]\S* sine\(", program) == [str(part)]


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"mesh: data:4,model:4 takes 16 devices, there are 8$"):
        mesh.MeshShape.parse("data:4,model:4").build()


def test_groups_keep_out_of_the_way(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 11)
    calls = []
    with on("data:2"):
        seeds.in_groups(calls.append, seeds.place(jnp.arange(11.0)))
    assert [call.shape for call in calls] == [(11,)]


@pytest.mark.parametrize("shape", ["seeds:4", "data:8", "data:2,seeds:2,model:2"])
def test_what_is_fetched_is_whole(shape):
    tree = {"x": np.arange(32.0).reshape(4, 8), "key": np.arange(4)}
    with on(shape):
        placed = seeds.place(tree)
        assert_equal(seeds.fetch(placed), tree)
        assert jax.tree.leaves(seeds.place(placed))[0].sharding == jax.tree.leaves(placed)[0].sharding


@pytest.mark.extended
def test_a_checkpoint_is_read_on_another_number_of_devices(tmp_path):
    state = jax.tree.map(lambda leaf: np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), costs.fresh(4).params)
    with ocp.StandardCheckpointer() as checkpointer:
        with on("data:2,seeds:2,model:2"):
            checkpointer.save(tmp_path / "state", seeds.place(state))
        checkpointer.wait_until_finished()
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
        for shape, devices in (("seeds:4", 4), ("model:8", 8)):
            with on(shape):
                expected = jax.tree.map(
                    lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
                    like,
                    seeds.shardings(like),
                )
                restored = checkpointer.restore(tmp_path / "state", expected)
            assert_equal(restored, state)
            assert shared_by(restored, devices)


def train_in(folder, steps):
    """Trains two seeds on the mesh that is set, resuming from the folder."""
    state = training.init(TRAINER, jax.random.split(jax.random.key(0), 2))
    session = training.Session(folder, {"seeds": 2})
    return training.train(TRAINER, TASK, state, steps, log_every=2, session=session)


@pytest.mark.slow
def test_a_training_goes_on_on_other_devices(tmp_path):
    expected = train_in(tmp_path / "alone", 6)
    with on("data:2,seeds:2"):
        train_in(tmp_path / "moved", 2)
    with on("data:4"):
        moved = train_in(tmp_path / "moved", 4)
        assert shared_by(moved.training.params, 4)
    back = train_in(tmp_path / "moved", 6)
    assert back.history.loss.shape == (2, 6)
    np.testing.assert_allclose(back.history.loss, expected.history.loss, rtol=1e-6, atol=1e-6)
    for g, w in zip(jax.tree.leaves(back.training.params), jax.tree.leaves(expected.training.params), strict=True):
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=1e-5, atol=1e-6)
