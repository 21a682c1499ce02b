"""Models of images: convolutions against XLA's, captioner and video classifier against NumPy; invalid input."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, LRU, LSTM, Bidirectional, VanillaRNN, training
from rnn_jax.data import Embedding, Examples, Vocabulary
from rnn_jax.models import (
    Captioner,
    Decoder,
    General,
    ImageEncoder,
    LuongCell,
    VideoClassifier,
    beam_search,
    bridge,
    greedy,
    image_encoder,
)
from rnn_jax.models.labels import cross_entropy

RNG = np.random.default_rng(0)
IMAGES = ImageEncoder((7, 9, 2), (3, 5, 4), (2, 1, 2))
PICTURES = RNG.uniform(size=(5, 7, 9, 2)).astype(np.float32)


def dense(variables, x):
    return x @ np.asarray(variables["params"]["kernel"]) + np.asarray(variables["params"]["bias"])


def with_biases(params):
    """Returns the parameters with biases that matter."""
    return jax.tree.map(lambda leaf: leaf + 0.05, params)


@pytest.mark.parametrize(
    "stride", [pytest.param(1, marks=pytest.mark.extended), 2, pytest.param(3, marks=pytest.mark.extended)]
)
@pytest.mark.parametrize("size", [(1, 1), pytest.param((2, 5), marks=pytest.mark.extended), (7, 9), (8, 8)])
def test_product_and_its_gradients_equal_the_convolution(size, stride):
    x = jnp.asarray(RNG.normal(size=(3, *size, 2)), jnp.float32)
    kernel = jnp.asarray(RNG.normal(size=(3, 3, 2, 4)), jnp.float32)

    def reference(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    ours, ours_back = jax.vjp(functools.partial(image_encoder._product, stride), x, kernel)
    expected, expected_back = jax.vjp(reference, x, kernel)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    cotangent = jnp.asarray(RNG.normal(size=expected.shape), jnp.float32)
    for one, other in zip(ours_back(cotangent), expected_back(cotangent), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def numpy_map(params, images):
    """Returns the map: 3 x 3 convolutions and ReLU, padded so that sizes are divided by the stride, rounded up."""
    maps = np.asarray(images, np.float64)
    for layer, stride in zip(sorted(params["params"]), IMAGES.strides, strict=True):
        kernel, bias = (np.asarray(params["params"][layer][name]) for name in ("kernel", "bias"))
        count, *sizes, _ = maps.shape
        halves = [-(-size // stride) for size in sizes]
        before = [max(stride * (half - 1) + 3 - size, 0) // 2 for half, size in zip(halves, sizes, strict=True)]
        padded = np.pad(maps, ((0, 0), (before[0], 3), (before[1], 3), (0, 0)))
        sums = np.zeros((count, *halves, kernel.shape[-1]))
        for i in range(halves[0]):
            for j in range(halves[1]):
                patch = padded[:, stride * i : stride * i + 3, stride * j : stride * j + 3]
                sums[:, i, j] = np.einsum("nabc,abcf->nf", patch, kernel)
        maps = np.maximum(sums + bias, 0)
    return maps


def test_maps_equal_numpys_for_any_batch():
    params = with_biases(IMAGES.init(jax.random.key(0)))
    expected = numpy_map(params, PICTURES)
    assert expected.shape == (5, *IMAGES.map_shape) == (5, 2, 3, 4)
    np.testing.assert_allclose(IMAGES.apply(params, PICTURES), expected, rtol=1e-4, atol=1e-5)
    many = jnp.asarray(PICTURES[:4]).reshape(2, 2, 7, 9, 2)
    np.testing.assert_allclose(IMAGES.apply(params, many), expected[:4].reshape(2, 2, 2, 3, 4), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(IMAGES.apply(params, PICTURES[0]), expected[0], rtol=1e-4, atol=1e-5)


def normalised(maps):
    return (maps - maps.mean(-1, keepdims=True)) / np.sqrt(maps.var(-1, keepdims=True) + 1e-6)


def captioner(attends, cell=GRU):
    if not attends:
        return Captioner(IMAGES, Decoder(Embedding(7, 3), cell(3, 5)))
    return Captioner(IMAGES, Decoder(Embedding(7, 3), LuongCell(cell(3 + 6, 5), General(5, 4), 6)))


def test_without_attention_the_first_state_depends_on_the_whole_map():
    model = captioner(attends=False)
    params = with_biases(model.init(jax.random.key(1)))
    maps = normalised(numpy_map(params.images, PICTURES))
    expected = np.tanh(dense(params.bridge, maps.reshape(5, -1)))
    np.testing.assert_allclose(model.encode(params, PICTURES).state, expected, rtol=1e-3, atol=1e-3)


def test_with_attention_the_first_state_depends_on_the_mean_and_the_memory_has_positions():
    model = captioner(attends=True)
    params = with_biases(model.init(jax.random.key(1)))
    start = model.encode(params, PICTURES)
    maps = numpy_map(params.images, PICTURES)
    np.testing.assert_allclose(
        start.state.cell, np.tanh(dense(params.bridge, maps.mean(axis=(1, 2)))), rtol=1e-4, atol=1e-5
    )
    memory = (normalised(maps) + np.asarray(params.places)).reshape(5, 6, 4)
    np.testing.assert_allclose(start.params.cell.memory.values, memory.swapaxes(0, 1), rtol=1e-3, atol=1e-3)
    assert np.asarray(start.params.cell.memory.valid).all()


@pytest.mark.parametrize("attends", [False, True])
def test_loss_equals_that_of_stepping_the_decoder(attends):
    model = captioner(attends)
    params = with_biases(model.init(jax.random.key(2)))
    targets, lengths = RNG.integers(4, 7, (4, 5)), np.array([4, 2, 3, 1, 4])
    start = model.encode(params, PICTURES)
    state, token, log_p = start.state, jnp.full(5, Vocabulary.BEGIN), np.zeros(5)
    step_once = jax.jit(model.decoder.step)
    for step in range(4):
        state, logits = step_once(start.params, state, token)
        chosen = np.asarray(jax.nn.log_softmax(logits))[np.arange(5), targets[step]]
        log_p += np.where(step < lengths, chosen, 0)
        token = jnp.asarray(targets[step])
    expected = -log_p.sum() / lengths.sum()
    assert float(model.loss(params, PICTURES, targets, lengths)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cell", [LSTM, pytest.param(LRU, marks=pytest.mark.extended)])
def test_bridge_makes_any_cell_state(cell):
    """States of several leaves, and of complex numbers."""
    model = captioner(attends=False, cell=cell)
    params = jax.jit(model.init)(jax.random.key(3))
    grads = jax.jit(jax.grad(lambda p: model.loss(p, PICTURES, np.full((2, 5), 4), np.full(5, 2))))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert all(np.any(np.asarray(leaf)) for leaf in jax.tree.leaves(grads.images))


def test_bridge_flattens_a_state_and_makes_another():
    state = {
        "a": jnp.ones((2, 3)),
        "b": jnp.full((2, 2), 1 + 2j),
        "c": jnp.full((2, 1, 2), 3.0),
        "t": jnp.array([[5], [6]]),
    }
    numbers = bridge.flatten(state, 1)
    np.testing.assert_array_equal(numbers[0], [1, 1, 1, 1, 1, 2, 2, 3, 3])
    shapes = {"x": jax.ShapeDtypeStruct((2,), jnp.float32), "y": jax.ShapeDtypeStruct((3,), jnp.complex64)}
    shapes |= {"m": jax.ShapeDtypeStruct((2, 2), jnp.float32), "t": jax.ShapeDtypeStruct((1,), jnp.int32)}
    params = bridge.init(jax.random.key(0), 9, shapes)
    flat = np.tanh(dense(params, np.asarray(numbers)))
    made = bridge.apply(params, numbers, shapes)
    np.testing.assert_allclose(made["m"], flat[:, :4].reshape(2, 2, 2), rtol=1e-6)
    np.testing.assert_array_equal(made["t"], jnp.zeros((2, 1), jnp.int32))
    np.testing.assert_allclose(made["x"], flat[:, 4:6], rtol=1e-6)
    np.testing.assert_allclose(made["y"], flat[:, 6:9] + 1j * flat[:, 9:12], rtol=1e-6)


@pytest.mark.extended
def test_captions_of_a_batch_are_independent():
    model = captioner(attends=True)
    params = model.init(jax.random.key(4))
    batched, alone = model.encode(params, PICTURES), model.encode(params, PICTURES[2:3])
    captions = greedy(model.decoder, batched.params, batched.state, max_length=6)
    one = greedy(model.decoder, alone.params, alone.state, max_length=6)
    np.testing.assert_array_equal(captions.tokens[2], one.tokens[0])
    np.testing.assert_allclose(captions.weights[2], one.weights[0], rtol=1e-5, atol=1e-6)
    searched = beam_search(model.decoder, batched.params, batched.state, width=3, max_length=6)
    assert np.all(
        np.asarray(searched.scores) >= np.asarray(captions.scores) / ((5 + captions.lengths) / 6) ** 0.6 - 1e-5
    )


def video(cell=None):
    return VideoClassifier(IMAGES, 6, cell, 3, (4, 2))


CLIPS = RNG.uniform(size=(3, 5, 7, 9, 2)).astype(np.float32)
FRAME_LABELS = np.array([[-1, 0, 1, 2, -1], [0, 1, 2, 0, -1], [2, 2, 2, 2, -1]])
CLIP_LABELS = (np.array([0, 3, 1, 2, 2]), np.array([0, 1, 1, 0, 1]))


@pytest.mark.extended
@pytest.mark.parametrize("cell", [None, VanillaRNN(6, 4)])
def test_logits_and_loss_of_a_video_equal_numpys(cell):
    model = video(cell)
    params = with_biases(model.init(jax.random.key(5)))
    maps = numpy_map(params.images, CLIPS.reshape(15, 7, 9, 2)).reshape(3, 5, 6, 4)
    both = np.concatenate([maps.reshape(3, 5, -1), maps.max(axis=2)], axis=-1)
    ys = np.maximum(dense(params.features, both), 0)
    if cell is not None:
        h, hs = np.zeros((5, 4)), []
        for x in ys:
            h = np.tanh(x @ np.asarray(params.cell.w_i) + h @ np.asarray(params.cell.w_h) + np.asarray(params.cell.b))
            hs.append(h)
        ys = np.array(hs)
    frames = dense(params.frames, ys)
    clip = [dense(each, ys.mean(axis=0)) for each in params.clip]
    logits = model.apply(params, CLIPS)
    np.testing.assert_allclose(logits.frames, frames, rtol=1e-4, atol=1e-5)
    for one, other in zip(logits.clip, clip, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

    def log_p(logits, labels):
        return np.take_along_axis(logits - np.log(np.exp(logits).sum(-1, keepdims=True)), labels[..., None], -1)[..., 0]

    labelled = FRAME_LABELS >= 0
    expected = -log_p(frames, np.where(labelled, FRAME_LABELS, 0))[labelled].mean()
    expected -= sum(log_p(logits, labels).mean() for logits, labels in zip(clip, CLIP_LABELS, strict=True))
    assert float(model.loss(params, CLIPS, FRAME_LABELS, CLIP_LABELS)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.extended
def test_only_a_cell_depends_on_the_order_of_frames():
    reverse = CLIPS[::-1]
    for cell, alike in ((None, True), (GRU(6, 4), False), (Bidirectional(GRU(6, 4)), False)):
        model = video(cell)
        params = model.init(jax.random.key(6))
        one, other = (np.asarray(model.apply(params, clips).clip[0]) for clips in (CLIPS, reverse))
        assert np.allclose(one, other, atol=1e-5) is alike, cell


def test_video_without_labelled_frames_has_a_finite_gradient():
    model = video(GRU(6, 4))
    params = jax.jit(model.init)(jax.random.key(0))
    grads = jax.jit(jax.grad(lambda p: model.loss(p, CLIPS, np.full((3, 5), -1), CLIP_LABELS)))(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert not np.any(np.asarray(grads.frames["params"]["kernel"]))


def _brightness_loss(model, params, batch, key):
    del key
    return model.loss(params, batch.whole["x"].swapaxes(0, 1), jnp.full((3, 4), -1), (batch.whole["y"],))


@pytest.mark.extended
def test_both_seeds_of_a_program_learn_the_brightness_of_clips():
    bright = RNG.uniform(size=(64, 3, 4, 4, 1)) * np.repeat([0.2, 1.0], 32)[:, None, None, None, None]
    data = Examples({}, {"x": jnp.asarray(bright, jnp.float32), "y": jnp.repeat(jnp.arange(2), 32)})
    model = VideoClassifier(ImageEncoder((4, 4, 1), (4,), (2,)), 4, VanillaRNN(4, 4), 2, (2,))
    trainer = training.Trainer(model, 4, training.Adam(0.02), training.ClipByNorm(1.0))
    source = training.ExampleSource([data], _brightness_loss)
    state = training.start(trainer, source, training.init(trainer, jax.random.split(jax.random.key(0), 2)))
    _, metrics = training.run(trainer, source, state, 32)
    assert np.all(np.asarray(metrics.loss)[:, -8:].mean(axis=1) < 0.1)


def test_traced_label_out_of_range_gives_nan():
    logits = jnp.zeros((3, 2))
    losses = jax.jit(lambda labels: cross_entropy("labels", logits, labels, ignored=-1))(jnp.array([1, -1, 2]))
    np.testing.assert_allclose(losses, [np.log(2), 0, np.nan], rtol=1e-6)


INVALID = [
    (lambda: ImageEncoder((7, 9)), ValueError, "ImageEncoder: shape must be (height, width, channels), got (7, 9)"),
    (lambda: ImageEncoder((7, 9, 0)), ValueError, "ImageEncoder: shape must be a positive integer, got 0"),
    (lambda: ImageEncoder((7, 9, 1), ()), ValueError, "widths must name at least one convolution, got none"),
    (lambda: ImageEncoder((7, 9, 1), (3, 0, 2)), ValueError, "ImageEncoder: widths must be a positive integer, got 0"),
    (lambda: ImageEncoder((7, 9, 1), (3, 2)), ValueError, "ImageEncoder: strides must be 2, as widths, got 3"),
    (
        lambda: ImageEncoder((7, 9, 1), (3,), (0,)),
        ValueError,
        "ImageEncoder: strides must be a positive integer, got 0",
    ),
    (
        lambda: IMAGES.apply(IMAGES.init(jax.random.key(0)), PICTURES[..., 0]),
        ValueError,
        "images must be [*batch, 7, 9, 2], got shape [5, 7, 9]",
    ),
    (
        lambda: IMAGES.apply(IMAGES.init(jax.random.key(0)), np.zeros((7, 9, 2), np.uint8)),
        TypeError,
        "images must be floating point, got uint8",
    ),
    (lambda: Captioner(GRU(2, 2), captioner(False).decoder), TypeError, "Captioner: images must be an ImageEncoder"),
    (lambda: Captioner(IMAGES, GRU(2, 2)), TypeError, "Captioner: decoder must be a Decoder"),
    (
        lambda: Captioner(IMAGES, Decoder(Embedding(7, 3), LuongCell(GRU(9, 5), General(5, 3), 6))),
        ValueError,
        "the decoder's attention must have the memory_size 4, the last of the images' widths, got 3",
    ),
    (
        lambda: captioner(False).encode(captioner(False).init(jax.random.key(0)), PICTURES[0]),
        ValueError,
        "Captioner: images must be [B, 7, 9, 2], got shape [7, 9, 2]",
    ),
    (lambda: VideoClassifier(None, 6, None, 3, (4,)), TypeError, "images must be an ImageEncoder, got None"),
    (lambda: VideoClassifier(IMAGES, 6, "gru", 3, (4,)), TypeError, "cell must be a cell, a layer or None, got 'gru'"),
    (lambda: VideoClassifier(IMAGES, 6, None, 3, 4), TypeError, "clip_classes must be a tuple of integers, got 4"),
    (lambda: VideoClassifier(IMAGES, 0, None, 3, (4,)), ValueError, "features must be a positive integer, got 0"),
    (
        lambda: video(GRU(5, 4)),
        ValueError,
        "cell must read the 6 features of a frame, got GRU of input_size 5",
    ),
    (
        lambda: video().apply(video().init(jax.random.key(0)), CLIPS[0]),
        ValueError,
        "frames must be [T, B, 7, 9, 2] with T of at least 1, got shape [5, 7, 9, 2]",
    ),
    (
        lambda: video().loss(video().init(jax.random.key(0)), CLIPS, FRAME_LABELS[:2], CLIP_LABELS),
        ValueError,
        "frame_labels must be [3, 5], got shape [2, 5]",
    ),
    (
        lambda: video().loss(video().init(jax.random.key(0)), CLIPS, FRAME_LABELS + 1, CLIP_LABELS),
        ValueError,
        "frame_labels must be in [0, 3), got 3",
    ),
    (
        lambda: video().loss(video().init(jax.random.key(0)), CLIPS, FRAME_LABELS, CLIP_LABELS[:1]),
        ValueError,
        "clip_labels must answer 2 questions, got 1",
    ),
    (
        lambda: video().loss(
            video().init(jax.random.key(0)), CLIPS, FRAME_LABELS, (CLIP_LABELS[0] - 1, CLIP_LABELS[1])
        ),
        ValueError,
        "clip_labels must be in [0, 4), got -1",
    ),
]


@pytest.mark.parametrize(("use", "error", "message"), INVALID, ids=[message for _, _, message in INVALID])
def test_invalid_input_is_rejected_by_name(use, error, message):
    with pytest.raises(error, match=re.escape(message)):
        use()
