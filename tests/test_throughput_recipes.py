"""The PyTorch loop trains as rnn_jax does: batches of the same layout and distribution, the same loss, and it falls."""

import itertools

import jax
import numpy as np
import optax
import pytest

from experiments.throughput.problem import TASKS
from experiments.throughput.trainings import jax_losses
from rnn_jax import GRU, LSTM, ReadoutModel, VanillaRNN, initializers, interop, tasks, training

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="torch is not installed")

from experiments.peers import torch_training  # noqa: E402
from experiments.peers.torch import network as made  # noqa: E402

BATCH = 1000


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads of torch wait for each other more than they work if other test processes run in parallel."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


NAMES = list(TASKS)


def drawn(task, batch):
    """Returns a batch of PyTorch's, and the same as one of rnn_jax: weight one at the steps that it reads."""
    sampler, _ = torch_training.TASKS[type(task)]
    theirs = next(sampler(task, batch, {"generator": torch.Generator().manual_seed(0), "device": "cpu"}))
    places = np.arange(task.sequence_length * batch).reshape(-1, batch)
    read = theirs.read(torch.tensor(places)[..., None])[:, 0].numpy()
    targets = np.zeros((places.size, *theirs.targets.shape[1:]), theirs.targets.numpy().dtype)
    targets[read] = theirs.targets.numpy()
    weights = np.isin(places, read).astype(np.float32)
    return theirs, tasks.Batch(theirs.inputs.numpy(), targets.reshape(*places.shape, *targets.shape[1:]), weights)


def expected_targets(name, task, inputs):
    """Returns the targets that follow from inputs [T, B, input_size]: [B], or [T, B]."""
    symbols = np.where(inputs.any(-1), inputs.argmax(-1), -1)
    if name == "adding":
        return np.sum(inputs[..., 0] * inputs[..., 1], axis=0)
    if name == "copying":
        return np.concatenate([np.full((len(inputs) - 10, inputs.shape[1]), 8), symbols[:10]])
    if name == "temporal_order_6a":
        first, second = np.where(symbols >= 6, symbols - 6, 0).T[(symbols >= 6).T].reshape(-1, 2).T
        return 2 * first + second
    labels = {bytes(image): label for image, label in zip(*map(np.asarray, training_set(task)), strict=True)}
    return np.array([labels[bytes(image)] for image in np.round(inputs[..., 0].T * 16).astype(np.uint8)])


def training_set(task):
    return task.train_images, task.train_labels


@pytest.mark.parametrize("name", NAMES)
def test_batches_have_the_layout_and_distribution_of_rnn_jax(name):
    task = tasks.find(name, 20)
    _, theirs = drawn(task, BATCH)
    ours = jax.tree.map(np.asarray, task.sample(jax.random.key(1), BATCH))
    for actual, expected in zip(theirs, ours, strict=True):
        assert actual.shape == expected.shape
    for batch in (theirs, ours):
        every = np.broadcast_to(expected_targets(name, task, batch.inputs), batch.weights.shape)
        targets = batch.targets.reshape(batch.weights.shape)
        np.testing.assert_allclose(targets[batch.weights > 0], every[batch.weights > 0], rtol=1e-6)
    for actual, expected in zip((theirs.inputs, theirs.weights), (ours.inputs, ours.weights), strict=True):
        # At every step the same mean, within 5 standard errors of a difference.
        error = np.sqrt((actual.var(axis=1) + expected.var(axis=1)) / BATCH)
        assert np.all(np.abs(actual.mean(axis=1) - expected.mean(axis=1)) <= 5 * error)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("adding", VanillaRNN),
        ("digits", LSTM),
        *(pytest.param(name, LSTM, marks=pytest.mark.slow) for name in NAMES if name != "digits"),
    ],
)
def test_the_same_weights_and_batch_give_the_same_loss(name, cell, monkeypatch):
    """After three steps: the steps that the readout reads, the loss, clipping and Adam are the same."""
    task, steps = tasks.find(name, 20), 3
    torch_batch, batch = drawn(task, 7)
    model = ReadoutModel(cell(task.input_size, 5), task.output_size)
    trainer = training.Trainer(model, 7, training.Adam(0.03), training.ClipByNorm(0.1))
    params = model.init(jax.random.key(0))

    def network(cell, output_size, device):
        core, readout = made(cell, output_size, device=device)
        weights = interop.to_pytorch(cell, params.cell)
        core.load_state_dict({n: torch.tensor(np.array(a)) for n, a in weights.items()})
        core.bias_hh_l0.requires_grad_(False)  # two trained biases move twice as far as the one of rnn_jax
        dense = params.readout["params"]
        readout.load_state_dict(
            {"weight": torch.tensor(np.array(dense["kernel"].T)), "bias": torch.zeros(len(readout.bias))}
        )
        return core, readout

    monkeypatch.setattr(torch_training, "network", network)
    _, loss_function = torch_training.TASKS[type(task)]
    monkeypatch.setitem(torch_training.TASKS, type(task), (lambda *_: itertools.repeat(torch_batch), loss_function))
    (theirs,) = next(torch_training.losses(task, trainer, 1, 0, steps))

    clip, optimizer = trainer.transformations
    value_and_grad = jax.jit(jax.value_and_grad(lambda p: task.loss(model.apply(p, batch.inputs)[1], batch)))
    moments = optimizer.init(params)
    losses = []
    for _ in range(steps):
        loss, grads = value_and_grad(params)
        losses.append(float(loss))
        grads, _ = clip.update(grads, clip.init(params), params)
        updates, moments = optimizer.update(grads, moments, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(theirs, losses[-1], rtol=1e-4)
    assert losses[-1] < losses[0] * 0.99


def test_both_learn_equally_fast():
    task, seeds, steps = tasks.Adding(10), 3, 150
    torch_init = {"input_init": initializers.Uniform(), "recurrent_init": initializers.Uniform()}
    model = ReadoutModel(GRU(task.input_size, 16, **torch_init), task.output_size)
    trainer = training.Trainer(model, 20, training.Adam(0.01), training.ClipByNorm(1.0))
    ours = np.mean(next(jax_losses(task, trainer, seeds, 0, steps)))
    theirs = np.mean(next(torch_training.losses(task, trainer, seeds, 0, steps)))
    assert max(ours, theirs) < task.baseline / 4
    assert 1 / 2 < ours / theirs < 2
