"""Back-propagation through time as in textbooks, with every Jacobian built and multiplied.

    dL_t/dtheta = dL_t/ds_t · sum_{k=0..t} (ds_t/ds_k) (∂⁺s_k/∂theta),      ds_t/ds_k = prod_{j=k+1..t} ds_j/ds_{j-1}

with ∂⁺ the immediate derivative, s_{k-1} held fixed (Werbos 1990; Pascanu et al. 2013, eq. 3-5). The state is
flattened, complex numbers as two real ones; k = 0 is an initial state that depends on parameters.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from rnn_jax import unroll


def ravel_state(state):
    """Returns the state as one real vector, and the inverse function."""
    kinds = jax.tree.map(jnp.iscomplexobj, state)
    s, unravel = ravel_pytree(jax.tree.map(lambda k, leaf: (leaf.real, leaf.imag) if k else leaf, kinds, state))
    return s, lambda s: jax.tree.map(lambda k, own: jax.lax.complex(*own) if k else own, kinds, unravel(s))


def test_gradient_is_the_textbook_sum(problem, weigh):
    cell, params, _, xs = problem
    xs = xs[:, 0]
    theta, unravel_params = ravel_pytree(params)
    s_0, unravel_state = ravel_state(cell.initial_state(params))

    @jax.jit
    def step(theta, s, x):
        params = unravel_params(theta)
        return ravel_state(cell.step(params, unravel_state(s), cell.project(params, x)))[0]

    @jax.jit
    def loss_at(theta, s, x):
        return weigh(cell.output(unravel_params(theta), unravel_state(s), x))

    def initial(theta):
        return ravel_state(cell.initial_state(unravel_params(theta)))[0]

    jacobians = jax.jit(jax.jacobian(step, argnums=(0, 1)))
    loss_gradients = jax.jit(jax.grad(loss_at, argnums=(0, 1)))

    states = [s_0]
    immediate = [np.asarray(jax.jacobian(initial)(theta))]  # immediate[k] is ∂⁺s_k/∂theta, [n, params]
    across = [None]  # across[j] is ds_j/ds_{j-1}, [n, n]
    for x in xs:
        by_theta, by_state = jacobians(theta, states[-1], x)
        immediate.append(np.asarray(by_theta))
        across.append(np.asarray(by_state))
        states.append(step(theta, states[-1], x))

    textbook = np.zeros(theta.shape)
    for t, x in enumerate(xs, start=1):
        by_theta, by_state = (np.asarray(gradient) for gradient in loss_gradients(theta, states[t], x))
        textbook += by_theta  # the output's own dependence on the parameters
        for k in range(t + 1):
            # ds_t/ds_k: the latest factor is the leftmost.
            product = functools.reduce(np.matmul, across[t:k:-1], np.eye(len(s_0)))
            textbook += by_state @ product @ immediate[k]

    def loss(params):
        _, ys = unroll(cell, params, xs)
        return sum(weigh(jax.tree.map(lambda y, t=t: y[t], ys)) for t in range(len(xs)))

    gradient = np.asarray(ravel_pytree(jax.jit(jax.grad(loss))(params))[0])
    np.testing.assert_allclose(gradient, textbook, rtol=0, atol=1e-12 * np.max(np.abs(textbook)))
