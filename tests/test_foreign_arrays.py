"""Arrays in another byte order, and arrays and cells of another library: converted, or refused by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import rnn_jax
from rnn_jax import data, diagnostics, gradients
from rnn_jax.models.readout import ReadoutParams
from tests.refusals import refuses

T, B, D, H = 4, 2, 3, 5
RNN, LSTM = rnn_jax.VanillaRNN(D, H), rnn_jax.LSTM(D, H)


def unroll(cell, xs, state=None, **options):
    return rnn_jax.unroll(cell, cell.init(jax.random.key(0)), xs, state, **options)


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">f2", ">f8"])
def test_inputs_in_another_byte_order_are_converted(dtype):
    xs = np.arange(T * B * D).reshape(T, B, D) / 10
    np.testing.assert_array_equal(unroll(RNN, xs.astype(dtype))[1], unroll(RNN, xs.astype(dtype[1:]))[1])


def estimate(estimator, params, xs):
    params = ReadoutParams(params, ())
    carry = estimator.init(RNN, params, xs)
    return estimator(RNN, lambda _, ys, targets: jnp.sum(ys**2), params, carry, xs, jnp.zeros((T, B)))


DOORS = {
    "singular_values": lambda p, xs: diagnostics.jacobian_singular_values(RNN, p, xs, [1]),
    "norm_bound": lambda p, xs: diagnostics.jacobian_norm_bound(RNN, p, xs),
    "step_jacobians": lambda p, xs: diagnostics.step_jacobians(RNN, p, xs),
    "lyapunov_spectrum": lambda p, xs: diagnostics.lyapunov_spectrum(RNN, p, xs, 1),
    "saturation": lambda p, xs: diagnostics.saturation(RNN, p, xs),
    "omega": lambda p, xs: diagnostics.omega(RNN, p, xs, jnp.sum),
    "BPTT": lambda p, xs: estimate(gradients.BPTT(), p, xs),
    "TBPTT": lambda p, xs: estimate(gradients.TBPTT(2, 4), p, xs),
    "RTRL": lambda p, xs: estimate(gradients.RTRL(), p, xs),
    "spec_augment": lambda p, xs: data.spec_augment(xs, np.array([T, T]), jax.random.key(0)),
    "state": lambda p, xs: rnn_jax.unroll(RNN, p, xs, np.zeros((B, H), xs.dtype)),
}


CHEAP = ("BPTT", "state", "step_jacobians")


@pytest.mark.parametrize("name", [n if n in CHEAP else pytest.param(n, marks=pytest.mark.extended) for n in DOORS])
def test_other_doors_convert_the_byte_order_too(name):
    params, xs = RNN.init(jax.random.key(0)), np.arange(T * B * D, dtype=np.float32).reshape(T, B, D) / 10
    got, expected = (jax.tree.leaves(DOORS[name](params, xs.astype(dtype))) for dtype in (">f4", "<f4"))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_and_examples_in_another_byte_order_are_refused():
    params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(">f4"), RNN.init(jax.random.key(0)))
    words = ["VanillaRNN: params.w_i must be float32[3, 5], got >f4[3, 5]"]
    refuses(lambda: rnn_jax.unroll(RNN, params, jnp.zeros((T, B, D))), ValueError, *words)
    examples = data.Examples((np.zeros((T, B, D), ">f4"),), ())
    refuses(examples.checked, ValueError, "Examples: steps[0] must be in the machine's byte order, got >f4")


class Tensor:
    """An array of another library."""

    dtype, shape, __module__ = "torch.float32", (T, B, D), "torch.storage"


def test_arrays_of_another_library_are_named():
    words = "must be a JAX or NumPy array, got torch.Tensor; convert it by numpy.asarray"
    refuses(lambda: unroll(RNN, Tensor()), TypeError, f"unroll: xs {words}(xs)")
    refuses(lambda: unroll(RNN, jnp.zeros((T, B, D)), Tensor()), TypeError, f"unroll: state {words}(state)")
    refuses(lambda: unroll(RNN, jnp.zeros((T, B, D)), resets=Tensor()), TypeError, f"unroll: resets {words}(resets)")


def test_a_cell_of_another_library_is_named():
    cell = nn.GRUCell(H)
    refuses(lambda: rnn_jax.unroll(cell, {}, jnp.zeros((T, B, D))), TypeError, "unroll: cell must be a rnn_jax.Cell, g")
