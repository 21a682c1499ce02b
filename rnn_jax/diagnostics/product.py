"""Logarithms of the singular values of a product of matrices, for values beyond the range of floating point.

    A_k = M_k ... M_2 M_1 Q_0^T,      log sigma_1(A_k) >= ... >= log sigma_n(A_k)

If many factors are multiplied, only the largest singular values survive; the others fall below rounding. Here the
product is kept as D U, with rows U of length one and the logarithms of their lengths D.

    M_k Q_{k-1} = Q_k R_k,      R_k ... R_1 = D_k U_k

The R_k are triangular, so a row of D_k U_k is added only to rows above it, which are rarely smaller. U_k stays well
conditioned while the range of D_k grows without bound; it is best conditioned if Q_0 lies along the singular vectors.
One-sided Jacobi rotations (Demmel & Veselic 1992) compute the singular values of D U to full relative accuracy; they
need only ratios of row lengths, and handle equal values as well as distinct ones. Repeated QR sweeps over the
transposed R_k (Stewart 1997) are as accurate for well separated values, but a sweep separates two values only by the
square of their ratio, so close values need hundreds of sweeps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Graded(NamedTuple):
    """The matrix diag(e^logs) rows, with rows of length one, or zero if the logarithm is -inf."""

    logs: jax.Array  # [n]
    rows: jax.Array  # [n, n]


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns A B in the full precision of their dtype; accelerators round the operands by default."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def multiply(r: jax.Array, product: Graded) -> Graded:
    """Returns R times the product."""
    logs = jnp.log(jnp.abs(r)) + product.logs[None]
    largest = jnp.max(logs, axis=1)
    weights = jnp.sign(r) * jnp.exp(logs - jnp.where(jnp.isfinite(largest), largest, 0)[:, None])
    return _normalise(largest, matmul(weights, product.rows))


def _normalise(logs: jax.Array, rows: jax.Array) -> Graded:
    """Returns diag(e^logs) rows, with the lengths of the rows moved into the logarithms."""
    lengths = jnp.sqrt(jnp.sum(rows**2, axis=1))
    return Graded(logs + jnp.log(lengths), rows / jnp.where(lengths > 0, lengths, 1)[:, None])


def rank_bound(m: jax.Array) -> jax.Array:
    """Returns an upper bound on the rank of M, and so of any product with M: its number of nonzero rows or columns.

    If the rank is lower than n, QR yields rounding errors in place of the zeros.
    """
    nonzero = m != 0
    return jnp.minimum(jnp.sum(jnp.any(nonzero, axis=0)), jnp.sum(jnp.any(nonzero, axis=1)))


def truncate_rank(logs: jax.Array, rank: jax.Array) -> jax.Array:
    """Replaces descending logarithms [n] beyond the rank by -inf."""
    return jnp.where(jnp.arange(len(logs)) < rank, logs, -jnp.inf)


def log_singular_values(product: Graded) -> jax.Array:
    """Returns ln sigma [n], descending; -inf for zero rows."""
    n = len(product.logs)
    columns = _precondition(product)
    if n % 2:  # rotations act on pairs of rows
        columns = Graded(
            jnp.pad(columns.logs, (0, 1), constant_values=-jnp.inf), jnp.pad(columns.rows, ((0, 1), (0, 0)))
        )
    # Rows i and n-1-i are a pair. Row 0 stays and the others move round: after n-1 rotations all pairs have met.
    size = len(columns.logs)
    next_order = jnp.asarray([0, size - 1, *range(1, size - 1)])
    tolerance = n * jnp.finfo(product.rows.dtype).eps

    def sweep(carry: tuple[Graded, jax.Array, jax.Array]) -> tuple[Graded, jax.Array, jax.Array]:
        def rotate_all(_: int, carry: tuple[Graded, jax.Array]) -> tuple[Graded, jax.Array]:
            rotated, cosine = _rotate(carry[0])
            return jax.tree.map(lambda leaf: leaf[next_order], rotated), jnp.maximum(carry[1], cosine)

        columns, sweeps, _ = carry
        columns, cosine = jax.lax.fori_loop(0, size - 1, rotate_all, (columns, jnp.zeros_like(tolerance)))
        return columns, sweeps + 1, cosine

    def unfinished(carry: tuple[Graded, jax.Array, jax.Array]) -> jax.Array:
        return (carry[2] > tolerance) & (carry[1] < 30)  # 3 to 8 sweeps suffice

    columns, *_ = jax.lax.while_loop(unfinished, sweep, (columns, jnp.asarray(0), jnp.ones_like(tolerance)))
    return -jnp.sort(-columns.logs)[:n]


def _precondition(product: Graded) -> Graded:
    """Returns the columns, as rows, of a matrix with the same singular values whose columns are closer to orthogonal.

        D U = D L Q^T = (D L D^-1) D Q^T,      L lower triangular, D descending

    The entries of D L D^-1 below the diagonal are those of L times d_i / d_j, small for well separated values (Drmac &
    Veselic 2008).
    """
    order = jnp.argsort(-product.logs)
    logs = product.logs[order]
    upper = jnp.linalg.qr(product.rows[order].T, mode="r")  # L^T
    ratio = jnp.where(jnp.isfinite(logs)[None], logs[None] - logs[:, None], -jnp.inf)
    return _normalise(logs, upper * jnp.exp(jnp.minimum(ratio, 0)))


def _rotate(vectors: Graded) -> tuple[Graded, jax.Array]:
    """Makes each pair of vectors orthogonal by a rotation; also returns the largest cosine of a pair before.

    For x = a u and y = b v, with r = b/a <= 1 and c = u v:

        x' = cos (u - r^2 tau v) a,    y' = cos (v + tau u) b,    tan = r tau,
        tau = -2c / (1 - r^2 + sqrt((1 - r^2)^2 + 4 c^2 r^2))

    For r -> 0 this is Gram-Schmidt, y' = (v - c u) b, so no ratio is too small.
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
    new_x = _normalise(x.logs + shrink, x.rows - (r**2 * tau)[:, None] * y.rows)
    new_y = _normalise(y.logs + shrink, y.rows + tau[:, None] * x.rows)
    first, second = choose(swap, new_y, new_x), choose(swap, new_x, new_y)
    rotated = jax.tree.map(lambda a, b: jnp.concatenate([a, b[::-1]]), first, second)
    return rotated, jnp.max(jnp.abs(cosine))
