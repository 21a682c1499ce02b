"""Integers of any dtype mean the same at every door, even if the dtype cannot hold the bound they are compared with.

Each door takes a function that casts its integers. Its number of steps, classes or ids is above 256: beside 8-bit
integers JAX would wrap it.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LinearRNN, VanillaRNN, data, diagnostics, integers, masking, models, tasks, unroll
from rnn_jax.models import labels

STEPS = SIZE = 300
LENGTHS, IDS = np.array([100, 0, 5]), np.array([[5, 100, 3], [3, 3, 7]])
Cast = Callable[[Any], Any]


@functools.cache
def _made(model: Any) -> Any:
    with jax.ensure_compile_time_eval():
        return jax.jit(model.init)(jax.random.key(0))


def _xs(steps: int = STEPS, features: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(steps, 3, features)).astype(np.float32)


def _unrolled(cast: Cast, steps: int = STEPS, **options: Any) -> Any:
    cell = LinearRNN(1, 1)
    params = _made(cell)._replace(w_h=jnp.full((1, 1), 0.9))
    return unroll(cell, params, _xs(steps), lengths=cast(LENGTHS), **options)


def _poolings(cast: Cast) -> Any:
    cell, ys = VanillaRNN(1, 1), jnp.asarray(_xs())
    poolings = (models.LastStep(), models.MeanPool(), models.MaxPool())
    return [pooling(cell, ys, cast(LENGTHS)) for pooling in poolings]


def _classifier(cast: Cast) -> Any:
    model = models.Classifier(VanillaRNN(4, 2), SIZE, data.Embedding(SIZE, 4))
    inputs = np.broadcast_to(IDS[:1], (STEPS, 3))
    return model.loss(_made(model), cast(inputs), cast(IDS[0]), cast(LENGTHS))


def _language_model(cast: Cast) -> Any:
    model = models.LanguageModel(data.Embedding(SIZE, 4), VanillaRNN(4, 2))
    return model.loss(_made(model), cast(IDS), cast(IDS), lengths=cast(np.array([2, 1, 0])))[1]


def _tagger(cast: Cast) -> Any:
    words = models.WordEncoder(data.Embedding(SIZE, 2), VanillaRNN(2, 1))
    model = models.Tagger(data.Embedding(SIZE, 2), VanillaRNN(4, 2), SIZE, words)
    params, lengths, characters = _made(model), cast(np.array([2, 1, 0])), cast(IDS[..., None])
    loss = model.loss(params, cast(IDS), cast(IDS), characters, lengths=lengths)
    return loss, model.predict(params, cast(IDS), characters, lengths=lengths)


def _ctc(cast: Cast) -> Any:
    model, steps = models.CTC(LinearRNN(1, 1), SIZE), 4
    targets, sizes, lengths = cast(IDS), cast(np.array([2, 0, 1])), cast(np.array([4, 2, 1]))
    params = _made(model)
    return model.loss(params, _xs(steps), lengths, targets, sizes), model.decode(params, _xs(steps), lengths)


def _best_path(cast: Cast) -> Any:
    return models.best_path(jnp.asarray(_xs(features=3)), cast(LENGTHS))


def _encoder_decoder(cast: Cast) -> Any:
    decoder = models.Decoder(data.Embedding(SIZE, 2), models.LuongCell(VanillaRNN(4, 2), models.Dot(2, 2), 2))
    model = models.EncoderDecoder(data.Embedding(SIZE, 2), VanillaRNN(2, 2), decoder)
    lengths = cast(np.array([2, 1, 0]))
    return model.loss(_made(model), cast(IDS), lengths, cast(IDS), lengths)


def _video(cast: Cast) -> Any:
    model = models.VideoClassifier(models.ImageEncoder((4, 4, 1), (1,), (1,)), 2, None, SIZE, (SIZE,))
    return model.loss(_made(model), np.ones((2, 3, 4, 4, 1), np.float32), cast(IDS), [cast(IDS[0])])


def _attention(cast: Cast) -> Any:
    form = models.Dot(2, 2)
    return form.prepare((), _xs(features=2), cast(LENGTHS)).valid


def _forecaster(cast: Cast) -> Any:
    model = models.Forecaster(LinearRNN(1, 1), models.Gaussian())
    return model.loss(_made(model), _xs(), _xs()[..., None, :], lengths=cast(LENGTHS))[1]


def _examples(cast: Cast) -> Any:
    examples = data.Examples(jnp.arange(2 * SIZE).reshape(2, SIZE), jnp.arange(SIZE))
    return examples.take(cast(IDS[0]))


def _task(cast: Cast) -> Any:
    task = tasks.TwoSymbol(SIZE)
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, task.output_size)).astype(np.float32))
    outputs = outputs.at[1, 2, 7].set(99.0)  # one right answer at the step that is scored
    return task.metrics(outputs, tasks.Batch(jnp.zeros(0), cast(IDS), jnp.ones((2, 3))))


DOORS: dict[str, Callable[[Cast], Any]] = {
    "unroll": _unrolled,
    "unroll in reverse": lambda cast: _unrolled(cast, reverse=True),
    "poolings": _poolings,
    "labels": lambda cast: labels.cross_entropy("labels", _xs(3, SIZE)[:, 0], cast(IDS[0])),
    "classifier": _classifier,
    "language model": _language_model,
    "tagger": _tagger,
    "CTC": _ctc,
    "best path": _best_path,
    "encoder and decoder": _encoder_decoder,
    "video": _video,
    "attention": _attention,
    "forecaster": _forecaster,
    "one-hot": lambda cast: data.OneHot(SIZE).apply((), cast(IDS)),
    "embedding": lambda cast: data.Embedding(SIZE, 2).apply(_made(data.Embedding(SIZE, 2)), cast(IDS)),
    "flags before the end": lambda cast: masking.before_end(cast(LENGTHS), STEPS),
    "flip": lambda cast: masking.flip(_xs(), cast(LENGTHS)),
    "examples": _examples,
    "task": _task,
    "masked sound": lambda cast: data.spec_augment(_xs(features=2), cast(LENGTHS), jax.random.key(0)),
}
PLAIN = ("unroll in reverse", "poolings", "labels", "one-hot", "task")
HOST_DOORS: dict[str, Callable[[Cast], Any]] = {  # of concrete integers only
    "unpad": lambda cast: data.unpad(_xs(), cast(LENGTHS)),
    "bucket lengths": lambda cast: data.bucket_lengths(cast(np.array([100, 120, 7, 120])), 2),
    "buckets": lambda cast: data.Buckets((6, 300)).members(cast(LENGTHS)),
    "streams": lambda cast: data.Streams.of(cast(IDS.ravel()), 2, 2).columns,
    "decode": lambda cast: data.Vocabulary(tuple(map(str, range(SIZE)))).decode(cast(IDS[0])),
    "lags": lambda cast: diagnostics.jacobian_singular_values(
        LinearRNN(1, 1), _made(LinearRNN(1, 1)), _xs(130), cast(np.array([0, 120]))
    ),
}
CASES = [pytest.param(name, marks=() if name in PLAIN else pytest.mark.extended) for name in DOORS]
every_door = pytest.mark.parametrize("door", CASES)


def _equal(got: Any, expected: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, got, expected)
    numbers = [leaf for leaf in jax.tree.leaves(got) if not isinstance(leaf, str)]
    assert all(np.all(np.isfinite(leaf)) for leaf in numbers)


@every_door
def test_traced_narrow_integers_mean_the_same(door: str) -> None:
    def run(dtype: str) -> Any:
        # The barrier makes constants traced.
        return jax.jit(lambda: DOORS[door](lambda x: jax.lax.optimization_barrier(jnp.asarray(x, dtype))))()

    expected = run("int32")
    for dtype in ("uint8", "int8"):
        _equal(run(dtype), expected)


@every_door
def test_concrete_integers_of_every_dtype_mean_the_same(door: str) -> None:
    expected = DOORS[door](lambda x: x.astype(np.int32))
    for dtype in ("uint8", "int8", ">i4", "uint64"):
        _equal(DOORS[door](lambda x, dtype=dtype: x.astype(dtype)), expected)


@pytest.mark.parametrize("door", HOST_DOORS)
def test_integers_of_every_dtype_mean_the_same_on_the_host(door: str) -> None:
    expected = HOST_DOORS[door](lambda x: x.astype(np.int32))
    for dtype in ("uint8", "int8", ">i4", "uint64"):
        _equal(HOST_DOORS[door](lambda x, dtype=dtype: x.astype(dtype)), expected)


@pytest.mark.parametrize("door", [*CASES, *(name for name in HOST_DOORS if name != "lags")])
def test_numbers_that_int32_does_not_hold_and_floats_are_refused(door: str) -> None:
    """Singular values are left out: the message for their lags has other words."""
    run = (DOORS | HOST_DOORS)[door]
    with pytest.raises(ValueError, match=r"must (fit int32|be in \[0, 300\)).*got 4294967[0-9]{3}"):
        run(lambda x: x.astype(np.uint32) - np.uint32(200))
    with pytest.raises(TypeError, match="must be integers, got float32"):
        run(lambda x: x.astype(np.float32))


@pytest.mark.parametrize(("dtype", "steps"), [("int8", 200), ("int16", 40_000), ("uint16", 70_000)])
def test_lengths_mean_the_same_beyond_the_largest_number_of_their_dtype(dtype: str, steps: int) -> None:
    run = jax.jit(lambda lengths: _unrolled(lambda _: lengths, steps))
    _equal(run(jnp.asarray(LENGTHS, dtype)), run(jnp.asarray(LENGTHS, jnp.int32)))


def test_unsigned_lengths_continue_a_sequence_as_documented() -> None:
    cell, xs, lengths = LinearRNN(1, 1), _xs(), np.array([200, 100, 0], np.uint8)
    params = _made(cell)
    whole, _ = unroll(cell, params, xs, lengths=lengths)
    state, _ = unroll(cell, params, xs[:150], lengths=np.minimum(lengths, 150))
    remaining = jnp.clip(jnp.asarray(lengths, jnp.int32) - 150, 0, 150)
    state, _ = unroll(cell, params, xs[150:], state, lengths=remaining)
    np.testing.assert_array_equal(state, whole)


def test_traced_integers_beyond_int32_stay_out_of_every_range() -> None:
    cast = jax.jit(lambda values: integers.int32(values, "ids"))
    assert cast(np.array([5, 2**32 - 1], np.uint32)).tolist() == [5, 2**31 - 1]
    with jax.enable_x64(True):
        assert cast(np.array([5, 2**32 + 1, -(2**40)])).tolist() == [5, 2**31 - 1, -(2**31)]
