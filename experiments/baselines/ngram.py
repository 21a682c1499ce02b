"""N-gram model: interpolated Kneser-Ney smoothing over all orders up to n; it remembers n - 1 ids.

With h a history of n - 1 ids, h' the same without its oldest one, and N_1+ numbers of different continuations seen:

    p_n(w | h) = max(c(hw) - D_n, 0) / c(h.) + D_n N_1+(h.) / c(h.) p_{n-1}(w | h')
    p_n(w | h) = p_{n-1}(w | h')                           if h was not seen
    p_0(w)     = 1 / V

c(hw) counts an n-gram of the highest order, and for a lower order the different ids seen before it, N_1+(.hw).
c(h.) = sum_w c(hw), and D_n = n_1 / (n_1 + 2 n_2), with n_1 and n_2 the numbers of n-grams of count one and two; 1/2 if
none has count one. The probabilities after any history sum to one and none is zero.

Kneser & Ney 1995, "Improved backing-off for m-gram language modeling"; Chen & Goodman 1999, "An empirical study of
smoothing techniques for language modeling".
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np


class _Table(NamedTuple):
    """Counts by key; zero for a missing key."""

    keys: np.ndarray  # sorted
    values: np.ndarray

    def get(self, keys: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.values[places], 0)


class _Order(NamedTuple):
    """Counts of the n-grams of one order n. An n-gram's key is the number whose digits in base V are its ids."""

    counts: _Table  # c(hw) by hw
    totals: _Table  # c(h.) by h
    distinct: _Table  # N_1+(h.) by h
    discount: float


@dataclasses.dataclass(frozen=True, eq=False)
class NGram:
    """p(id | the n - 1 ids before it), from `fit`."""

    orders: tuple[_Order, ...]  # of n = 1, 2, ...
    size: int

    @classmethod
    def fit(cls, ids: np.ndarray, size: int, n: int) -> "NGram":
        """Fits the model to ids [N] of a vocabulary of `size`.

        Raises:
          ValueError: if there are fewer than n ids, or the keys of the n-grams do not fit in 64 bits.
        """
        if len(ids) < n:
            raise ValueError(f"NGram: {n}-grams need at least {n} ids, got {len(ids)}")
        if size**n >= 2**63:
            raise ValueError(f"NGram: a vocabulary of {size} has too many {n}-grams to be numbered in 64 bits")
        orders = []
        keys, counts = np.unique(_keys(ids, size, n), return_counts=True)
        for order in range(n, 0, -1):
            histories, place = np.unique(keys // size, return_inverse=True)
            ones, twos = np.sum(counts == 1), np.sum(counts == 2)
            orders.append(
                _Order(
                    _Table(keys, counts),
                    _Table(histories, np.bincount(place, counts)),
                    _Table(histories, np.bincount(place)),
                    float(ones / (ones + 2 * twos)) if ones else 0.5,
                )
            )
            # Each distinct n-gram is one distinct id before its last n - 1.
            keys, counts = np.unique(keys % size ** (order - 1), return_counts=True)
        return cls(tuple(reversed(orders)), size)

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Returns p(ids[i] | up to n - 1 ids before it) for i = 1 .. N - 1, [N - 1]."""
        result = np.full(len(ids), 1 / self.size)
        for n, order in enumerate(self.orders, 1):
            keys = _keys(ids, self.size, n)
            totals, distinct = (table.get(keys // self.size) for table in (order.totals, order.distinct))
            kept = np.maximum(order.counts.get(keys) - order.discount, 0)
            lower = result[n - 1 :]  # earlier ids have too short a history
            seen = np.maximum(totals, 1)
            result[n - 1 :] = np.where(totals > 0, (kept + order.discount * distinct * lower) / seen, lower)
        return result[1:]

    def losses(self, ids: np.ndarray) -> np.ndarray:
        """Returns -log p of ids[1:], in nats, [N - 1]."""
        return -np.log(self.probabilities(ids))

    def loss(self, ids: np.ndarray) -> float:
        """Returns their mean."""
        return float(np.mean(self.losses(ids)))


def _keys(ids: Any, size: int, n: int) -> np.ndarray:
    """Returns the key of the n-gram that ends at each id from the n-th on, int64 [N - n + 1]."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(ids, np.int64), n)
    return windows @ (size ** np.arange(n - 1, -1, -1, dtype=np.int64))
