"""Gated cells in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {}
