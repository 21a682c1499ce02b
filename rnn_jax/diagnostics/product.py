"""Logarithms of the singular values of a product of matrices that no float could hold.

    A_k = M_k ... M_2 M_1 Q_0^T,      log sigma_1(A_k) >= ... >= log sigma_n(A_k)

Multiplied out, a product of many factors keeps its largest singular values and loses the others below rounding. Here it
is kept as D U: rows U of length one, and the logarithms of their lengths D.

    M_k Q_{k-1} = Q_k R_k,      R_k ... R_1 = D_k U_k

As the R_k are triangular, a row of D_k U_k is added to those above it alone, hardly ever to a smaller one, and U_k
stays well conditioned while D_k spreads without bound; best so where Q_0 lies along the singular vectors. The singular
values of such a D U are had to full relative accuracy by one-sided Jacobi rotations (Demmel & Veselic 1992), which need
the ratio of two rows' lengths only, and take equal values as well as distinct ones. Repeating the sweep on the
transposed R_k instead (Stewart 1997) is as accurate for values far apart, but each sweep parts two values only by the
square of their ratio: near ones take hundreds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Graded(NamedTuple):
    """The matrix diag(e^logs) rows, its rows of length one; or zero, where the logarithm is -inf."""

    logs: jax.Array  # [n]
    rows: jax.Array  # [n, n]


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """A b in all the precision of their type; an accelerator would round the operands."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def multiply(r: jax.Array, product: Graded) -> Graded:
    """R times the product."""
    logs = jnp.log(jnp.abs(r)) + product.logs[None]
    largest = jnp.max(logs, axis=1)
    weights = jnp.sign(r) * jnp.exp(logs - jnp.where(jnp.isfinite(largest), largest, 0)[:, None])
    return _lengthen(largest, matmul(weights, product.rows))


def _lengthen(logs: jax.Array, rows: jax.Array) -> Graded:
    """diag(e^logs) rows with the rows' own lengths taken out of them."""
    lengths = jnp.sqrt(jnp.sum(rows**2, axis=1))
    return Graded(logs + jnp.log(lengths), rows / jnp.where(lengths > 0, lengths, 1)[:, None])


def rank_bound(m: jax.Array) -> jax.Array:
    """The rows, or if they are fewer the columns, of M that are not zero: its rank and that of a product is no higher.

    Where a rank is lower than n, QR finds rounding errors in place of the zeros.
    """
    nonzero = m != 0
    return jnp.minimum(jnp.sum(jnp.any(nonzero, axis=0)), jnp.sum(jnp.any(nonzero, axis=1)))


def of_rank(logs: jax.Array, rank: jax.Array) -> jax.Array:
    """Descending logarithms [n], -inf in place of those beyond the rank."""
    return jnp.where(jnp.arange(len(logs)) < rank, logs, -jnp.inf)


def log_singular_values(product: Graded) -> jax.Array:
    """Ln sigma [n], descending; -inf where a row is zero."""
    n = len(product.logs)
    columns = _precondition(product)
    if n % 2:  # rotations take the rows in pairs
        columns = Graded(
            jnp.pad(columns.logs, (0, 1), constant_values=-jnp.inf), jnp.pad(columns.rows, ((0, 1), (0, 0)))
        )
    # Of the places 0..n-1, i and n-1-i make a pair. Column 0 stays, the others go round: n-1 times, and all have met.
    size = len(columns.logs)
    turn = jnp.asarray([0, size - 1, *range(1, size - 1)])
    tolerance = n * jnp.finfo(product.rows.dtype).eps

    def sweep(carry: tuple[Graded, jax.Array, jax.Array]) -> tuple[Graded, jax.Array, jax.Array]:
        def rotate_all(_: int, carry: tuple[Graded, jax.Array]) -> tuple[Graded, jax.Array]:
            rotated, cosine = _rotate(carry[0])
            return jax.tree.map(lambda leaf: leaf[turn], rotated), jnp.maximum(carry[1], cosine)

        columns, sweeps, _ = carry
        columns, cosine = jax.lax.fori_loop(0, size - 1, rotate_all, (columns, jnp.zeros_like(tolerance)))
        return columns, sweeps + 1, cosine

    def unfinished(carry: tuple[Graded, jax.Array, jax.Array]) -> jax.Array:
        return (carry[2] > tolerance) & (carry[1] < 30)  # it takes 3 to 8

    columns, *_ = jax.lax.while_loop(unfinished, sweep, (columns, jnp.asarray(0), jnp.ones_like(tolerance)))
    return -jnp.sort(-columns.logs)[:n]


def _precondition(product: Graded) -> Graded:
    """The columns, as rows, of a matrix with the same singular values; more orthogonal the farther these are apart.

        D U = D L Q^T = (D L D^-1) D Q^T,      L lower triangular, D descending

    The entries below the diagonal of D L D^-1 are scaled down by d_i / d_j (Drmac & Veselic 2008).
    """
    order = jnp.argsort(-product.logs)
    logs = product.logs[order]
    upper = jnp.linalg.qr(product.rows[order].T, mode="r")  # L^T
    ratio = jnp.where(jnp.isfinite(logs)[None], logs[None] - logs[:, None], -jnp.inf)
    return _lengthen(logs, upper * jnp.exp(jnp.minimum(ratio, 0)))


def _rotate(vectors: Graded) -> tuple[Graded, jax.Array]:
    """Each pair of vectors made orthogonal by a rotation, and the largest cosine that one of them had before.

    Of x = a u and y = b v, with r = b/a <= 1 and c = u v:

        x' = cos (u - r^2 tau v) a,    y' = cos (v + tau u) b,    tan = r tau,
        tau = -2c / (1 - r^2 + sqrt((1 - r^2)^2 + 4 c^2 r^2))

    As r falls to 0, this becomes Gram-Schmidt's y' = (v - c u) b: no ratio is ever too small.
    """
    half = len(vectors.logs) // 2
    first = jax.tree.map(lambda leaf: leaf[:half], vectors)
    second = jax.tree.map(lambda leaf: leaf[half:][::-1], vectors)
    swap = first.logs < second.logs

    def choose(flags: jax.Array, yes: Graded, no: Graded) -> Graded:
        return Graded(jnp.where(flags, yes.logs, no.logs), jnp.where(flags[:, None], yes.rows, no.rows))

    x, y = choose(swap, second, first), choose(swap, first, second)
    log_r = jnp.where(jnp.isfinite(y.logs), y.logs - x.logs, -jnp.inf)
    cosine, r, gap = jnp.sum(x.rows * y.rows, axis=1), jnp.exp(log_r), -jnp.expm1(2 * log_r)
    divisor = gap + jnp.sqrt(gap**2 + (2 * cosine * r) ** 2)
    tau = -2 * cosine / jnp.where(divisor > 0, divisor, 1)
    shrink = -jnp.log1p((r * tau) ** 2) / 2
    new_x = _lengthen(x.logs + shrink, x.rows - (r**2 * tau)[:, None] * y.rows)
    new_y = _lengthen(y.logs + shrink, y.rows + tau[:, None] * x.rows)
    first, second = choose(swap, new_y, new_x), choose(swap, new_x, new_y)
    rotated = jax.tree.map(lambda a, b: jnp.concatenate([a, b[::-1]]), first, second)
    return rotated, jnp.max(jnp.abs(cosine))
