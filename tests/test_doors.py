"""Random arguments at the doors of the library: any dtype, byte order and layout gives the plain result, or an error.

An error is a TypeError or ValueError whose message begins with the name of the door, never one of JAX's.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn_jax import GRU, Scan, unroll
from rnn_jax.data import Buckets, Embedding, OneHot, pad
from rnn_jax.models import Classifier

quick = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
many = settings(quick, max_examples=2500, derandomize=False)

CELL = GRU(2, 3)
CLASSIFIER = Classifier(CELL, 4)
EMBEDDING = Embedding(4, 2)

INTEGERS = [np.dtype(f"{order}{kind}{size}") for order in "<>" for kind in "iu" for size in (1, 2, 4, 8)]
FLOATS = [np.dtype(f"{order}f{size}") for order in "<>" for size in (2, 4, 8)]
HUGE = [-(2**40), -1, 2**7, 2**8 + 1, 2**16 + 1, 2**31, 2**32 + 1, 2**63 - 1]


@functools.cache  # and not at import, where every test process would compile it
def params_of(model):
    return jax.jit(model.init)(jax.random.key(0))


@st.composite
def layouts(draw, array):
    """Returns the array with the same values in another memory layout: Fortran order, a reversed or strided view."""
    kind = draw(st.sampled_from(["C", "F", "reversed", "strided", "read-only", "jax"]))
    if kind == "F":
        return np.asarray(array, order="F")
    if kind == "reversed" and array.ndim:
        return array[::-1].copy()[::-1]
    if kind == "strided":
        return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array
    if kind == "jax" and array.dtype.isnative and array.dtype.itemsize <= 4:
        return jnp.asarray(array)
    array = array.copy()
    array.flags.writeable = False
    return array


@st.composite
def integers(draw, shape, low, high):
    """Returns integers of any dtype that holds them; sometimes one is out of [low, high], and then valid is False."""
    values = draw(st.lists(st.integers(low, high), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    wrong = bool(values) and draw(st.integers(0, 5)) == 0
    if wrong:
        values[draw(st.integers(0, len(values) - 1))] = draw(st.sampled_from(HUGE))
    least, most = min(values, default=0), max(values, default=0)
    kinds = [kind for kind in INTEGERS if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max]
    array = np.array(values, np.int64).reshape(shape).astype(draw(st.sampled_from(kinds)))
    return draw(layouts(array)), np.array(values, np.int64).reshape(shape), not wrong


def result_or_error(door, call):
    """Returns the result, or None after an error of the door itself."""
    try:
        return call()
    except (TypeError, ValueError) as error:
        if not str(error).startswith(door):
            raise AssertionError(f"{door} must begin the message") from error
        return None


@st.composite
def sequences(draw):
    """Returns arguments of `unroll`, and the plain ones: float32 and int32 arrays in C order."""
    batch_shape = draw(st.sampled_from([(), (0,), (1,), (3,), (2, 2), (0, 2)]))
    shape = (draw(st.integers(0, 3)), *batch_shape)
    dtype = draw(st.sampled_from(FLOATS))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    xs = rng.normal(size=(*shape, 2)).astype(dtype)
    options, plain, valid = {}, {}, True
    if draw(st.booleans()):
        options["lengths"], lengths, valid = draw(integers(batch_shape, 0, shape[0]))
        plain["lengths"] = lengths.astype(np.int32) if valid else None
    if draw(st.booleans()):
        resets = rng.random(shape) < 0.3
        options["resets"], plain["resets"] = draw(layouts(resets)), jnp.asarray(resets)
    options["reverse"] = plain["reverse"] = draw(st.booleans())
    return draw(layouts(xs)), options, jnp.asarray(xs.astype(np.float32)), plain, valid


def check_unroll(case):
    xs, options, plain_xs, plain, valid = case
    # Nothing is compiled for a shape that comes once; without compiling, JAX cannot scan no steps.
    with jax.disable_jit(len(plain_xs) > 0):
        result = result_or_error(
            "unroll: ", lambda: unroll(CELL, params_of(CELL), xs, engine=Scan(), key=None, **options)
        )
        assert (result is not None) == valid
        if valid:
            expected = unroll(CELL, params_of(CELL), plain_xs, engine=Scan(), key=None, **plain)
            for got, like in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(got, like, rtol=1e-2 if xs.dtype.itemsize == 2 else 1e-5, atol=2e-3)


def check_labels(drawn):
    labels, plain, valid = drawn
    xs = jnp.ones((2, len(plain), 2))
    with jax.disable_jit():
        loss = result_or_error(
            "Classifier", lambda: CLASSIFIER.loss(params_of(CLASSIFIER), xs, labels, engine=Scan(), key=None)
        )
        assert (loss is not None) == valid
        if valid:
            expected = CLASSIFIER.loss(
                params_of(CLASSIFIER), xs, jnp.asarray(plain, jnp.int32), engine=Scan(), key=None
            )
            np.testing.assert_array_equal(loss, expected)


def check_ids(drawn):
    ids, plain, valid = drawn
    embedded = result_or_error("Embedding", lambda: EMBEDDING.apply(params_of(EMBEDDING), ids))
    encoded = result_or_error("OneHot", lambda: OneHot(4).apply((), ids))
    assert (embedded is not None) == (encoded is not None) == valid
    if valid:
        np.testing.assert_array_equal(np.asarray(encoded), np.eye(4)[plain])


def check_padding(drawn):
    ids, plain, valid = drawn
    lengths = np.arange(len(plain)) % 3
    sequences = [np.resize(plain[i], n).astype(plain.dtype) for i, n in enumerate(lengths)]
    if not valid or not len(plain):
        return
    typed = [np.resize(np.asarray(ids)[i], n) for i, n in enumerate(lengths)]
    padded, got = pad(typed)
    assert got.tolist() == lengths.tolist()
    for row, sequence in zip(np.asarray(padded).T, sequences, strict=True):
        assert row[: len(sequence)].tolist() == sequence.tolist()
        assert not row[len(sequence) :].any()
    buckets = Buckets.of(typed, 2)
    members = [int(i) for group in buckets.members([len(each) for each in typed]) for i in group]
    assert sorted(members) == list(range(len(typed)))


@pytest.mark.extended
@quick
@given(sequences())
def test_unroll_gives_the_plain_result_or_an_error_of_its_own(case):
    check_unroll(case)


@pytest.mark.extended
@quick
@given(st.integers(0, 4).flatmap(lambda n: integers((n,), 0, 3)))
def test_labels_of_any_integer_dtype(drawn):
    if len(drawn[1]):
        check_labels(drawn)


@quick
@given(st.sampled_from([(), (0,), (1,), (3,), (2, 3)]).flatmap(lambda shape: integers(shape, 0, 3)))
def test_ids_of_any_integer_dtype(drawn):
    check_ids(drawn)


@quick
@given(st.integers(0, 5).flatmap(lambda n: integers((n,), 0, 3)))
def test_padding_of_any_integer_dtype(drawn):
    check_padding(drawn)


@pytest.mark.slow
@many
@given(
    sequences(),
    st.integers(1, 4).flatmap(lambda n: integers((n,), 0, 3)),
    st.sampled_from([(), (0,), (1,), (3,), (2, 3)]).flatmap(lambda shape: integers(shape, 0, 3)),
    st.integers(0, 5).flatmap(lambda n: integers((n,), 0, 3)),
)
def test_ten_thousand_random_arguments(case, labels, ids, sequences):
    check_unroll(case)
    check_labels(labels)
    check_ids(ids)
    check_padding(sequences)
