"""Matrix products of bfloat16 operands with float32 sums, in a function that was written for float32.

    x W  becomes  bfloat16(x) bfloat16(W), summed and returned in float32

The products of its derivatives are replaced, too: cotangents (or tangents) are rounded as x and W are. This is the
meaning of `jax.default_matmul_precision("BF16_BF16_F32")`, which XLA ignores on a CPU (jaxlib 0.10.2).

Casting the weights, as other libraries do, is not the same. The cotangent of a bfloat16 array is bfloat16, so gradients
would be rounded in every step before they are summed; and JAX differentiates a product of bfloat16 operands with a
float32 result into products of float32 by bfloat16, for which no hardware has a unit. So the product is a primitive: of
float32 for every transformation (`jax.grad`, `jax.jvp`, `jax.vmap`, `lax.scan`), of bfloat16 inside.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.extend.core.primitives import cond_p, dot_general_p, jit_p, remat_p, scan_p, while_p
from jax.interpreters import ad, batching, mlir

product_p = core.Primitive("bfloat16_product")  # has the parameters of `dot_general_p`


def in_bfloat16(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with all its products of floating-point arrays (`@`, `jnp.einsum`, ...) replaced.

    The types of its results and gradients, and all other operations, stay the same. Products of complex numbers, and
    those in a function with a user-defined derivative (`jax.custom_jvp`, `jax.custom_vjp`), are not replaced.
    """

    @functools.wraps(function)
    def narrowed(*args: Any) -> Any:
        jaxpr, results = jax.make_jaxpr(function, return_shape=True)(*args)
        leaves = core.jaxpr_as_fun(_narrow(jaxpr))(*jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(results), leaves)

    return narrowed


def _narrow(part: Any) -> Any:
    """Returns a jaxpr, or a parameter of one of its equations, with its products replaced; itself if it has none."""
    if isinstance(part, core.Jaxpr):
        eqns = [_narrow_equation(eqn) for eqn in part.eqns]
        return part if _same(eqns, part.eqns) else part.replace(eqns=eqns)
    if isinstance(part, core.ClosedJaxpr):  # JAX 0.10; from 0.11 on it is a Jaxpr
        jaxpr = _narrow(part.jaxpr)
        return part if jaxpr is part.jaxpr else part.replace(jaxpr=jaxpr)
    if isinstance(part, tuple):  # the branches of a `lax.cond`
        parts = tuple(map(_narrow, part))
        return part if _same(parts, part) else parts
    return part


def _narrow_equation(eqn: Any) -> Any:
    if eqn.primitive is dot_general_p:
        if not all(jnp.issubdtype(operand.aval.dtype, jnp.floating) for operand in eqn.invars):
            return eqn
        params = eqn.params | {"precision": None, "preferred_element_type": eqn.outvars[0].aval.dtype}
        return eqn.replace(primitive=product_p, params=params)
    if eqn.primitive not in (jit_p, scan_p, while_p, cond_p, remat_p):
        return eqn
    params = {name: _narrow(value) for name, value in eqn.params.items()}
    return eqn if _same(params.values(), eqn.params.values()) else eqn.replace(params=params)


def _same(some: Any, others: Any) -> bool:
    return all(a is b for a, b in zip(some, others, strict=True))


def product(x: jax.Array, y: jax.Array, *, preferred_element_type: Any, **dot: Any) -> jax.Array:
    """Returns what `product_p` stands for, by JAX's own operations."""
    x, y = x.astype(jnp.bfloat16), y.astype(jnp.bfloat16)
    sums = dot_general_p.bind(x, y, preferred_element_type=jnp.dtype(jnp.float32), **dot)
    return sums.astype(preferred_element_type)


def _product_on_cpu(x: jax.Array, y: jax.Array, *, dimension_numbers: Any, **dot: Any) -> jax.Array:
    """Computes the product for XLA on a CPU, which has a fast one only if the summed axes of x are the last ones.

    Barriers keep XLA from moving a transpose into or out of the product: it has no bfloat16 product of that form, and
    the program would fail when it runs (jaxlib 0.10.2).
    """
    (x_sum, y_sum), (x_batch, y_batch) = dimension_numbers
    rest = [axis for axis in range(x.ndim) if axis not in x_sum]
    x = jax.lax.transpose(x.astype(jnp.bfloat16), (*rest, *x_sum))
    dimension_numbers = (tuple(range(len(rest), x.ndim)), y_sum), (tuple(map(rest.index, x_batch)), y_batch)
    x, y = jax.lax.optimization_barrier(x), jax.lax.optimization_barrier(y.astype(jnp.bfloat16))
    return jax.lax.optimization_barrier(product(x, y, dimension_numbers=dimension_numbers, **dot))


@functools.partial(jax.jit, static_argnums=2)
def _run(x: jax.Array, y: jax.Array, dot: Any) -> Any:
    return product_p.bind(x, y, **dict(dot))


# The transposes and the batched product are those of `dot_general_p`, with bfloat16 operands again.


def _transpose(multiply: Callable[..., Any], operand: Any, other: jax.Array, cotangent: jax.Array) -> Any:
    def transpose(other: jax.Array, cotangent: jax.Array) -> Any:
        return jax.linear_transpose(lambda operand: multiply(operand, other), operand.aval)(cotangent)[0]

    return in_bfloat16(transpose)(other, cotangent)


def _transpose_x(cotangent: jax.Array, x: Any, y: jax.Array, **dot: Any) -> Any:
    return _transpose(lambda x, y: dot_general_p.bind(x, y, **dot), x, y, cotangent)


def _transpose_y(cotangent: jax.Array, x: jax.Array, y: Any, **dot: Any) -> Any:
    return _transpose(lambda y, x: dot_general_p.bind(x, y, **dot), y, x, cotangent)


def _batch(operands: Any, axes: Any, **dot: Any) -> tuple[jax.Array, int]:
    return in_bfloat16(jax.vmap(functools.partial(dot_general_p.bind, **dot), axes))(*operands), 0


product_p.def_impl(lambda x, y, **dot: _run(x, y, tuple(dot.items())))
product_p.def_effectful_abstract_eval(dot_general_p.abstract_eval)
ad.defbilinear(product_p, _transpose_x, _transpose_y)
batching.primitive_batchers[product_p] = _batch
mlir.register_lowering(product_p, mlir.lower_fun(product, multiple_results=False))
mlir.register_lowering(product_p, mlir.lower_fun(_product_on_cpu, multiple_results=False), platform="cpu")
