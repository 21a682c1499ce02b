"""Linear-chain conditional random field: the tags of a sentence are scored as a whole, so that neighbours agree.

Lafferty et al. 2001, "Conditional random fields: probabilistic models for segmenting and labeling sequence data"; on
top of a recurrent network Huang et al. 2015 (arXiv:1508.01991) and Lample et al. 2016 (arXiv:1603.01360).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from rnn_jax import checks, masking, parameters
from rnn_jax.models import labels
from rnn_jax.static import Static

NO_TAG = -1  # decoded beyond a sequence's end
NO_PATH = -1e9  # log of 0 in the log semiring; finite, as -inf - -inf is NaN in a gradient


class CRFParams(NamedTuple):
    """Scores of the first tag [K], of a tag after another [K from, K to], and of the last tag [K]."""

    start: jax.Array
    transitions: jax.Array
    end: jax.Array


@dataclasses.dataclass(frozen=True)
class CRF(Static):
    """p(y | x) = exp(s(y)) / Z,  s(y) = a_{y_1} + sum_t l_t[y_t] + sum_{t > 1} A[y_{t-1}, y_t] + b_{y_T}.

    l_t are the logits of a network, and Z sums exp(s) over all K^T sequences of tags. That sum is a product of matrices
    in the log semiring (logsumexp for the sum, + for the product), M_t[i, j] = A[i, j] + l_t[j]. The product is
    associative: on hardware with many cores it is taken in pairs, log2(T) rounds in place of T steps, with K^3 work for
    each pair; on a CPU step by step, with K^2. The gradient of log Z by the logits has the marginals p(y_t = k | x).

    Parameters start at 0, where the tags are independent and p is a product of softmaxes.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax.models import CRF
    >>> crf = CRF(tags=3)
    >>> params = crf.init(jax.random.key(0))
    >>> params = params._replace(transitions=jnp.array([[0.0, 0, -9], [0, 0, 9], [0, 0, 9]]))  # never 2 after 0
    >>> logits = jnp.array([[[2.0, 0, 0]], [[0, 0.1, 3]]])  # [T, batch, tags]
    >>> crf.decode(params, logits)[:, 0].tolist(), crf.log_likelihood(params, logits, jnp.array([[1], [2]])).shape
    ([1, 2], (1,))

    Args:
      tags: number of tags, K.

    Raises:
      ValueError: if it is not a positive integer.
    """

    tags: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.tags, "CRF: tags")

    def init(self, key: jax.Array) -> CRFParams:
        del key
        return CRFParams(jnp.zeros(self.tags), jnp.zeros((self.tags, self.tags)), jnp.zeros(self.tags))

    def log_likelihood(self, params: CRFParams, logits: Any, tags: Any, lengths: Any = None) -> jax.Array:
        """Returns log p(tags | x) of each sequence, [*batch]; 0 of an empty one.

        Args:
          params: parameters from `init`.
          logits: logits [T, *batch, K].
          tags: integers [T, *batch] in [0, K); any value beyond a sequence's end.
          lengths: number of steps of each sequence, integers [*batch]; None means T.

        Raises:
          TypeError, ValueError: as `log_partition`; if tags are not integers, have not the shape [T, *batch], or are
            not in [0, K). A traced tag out of range makes its sequence NaN.
        """
        params, logits, valid = self._checked(params, logits, lengths)
        tags = jnp.asarray(labels.checked("CRF: tags", tags, valid.shape, self.tags, like="logits", valid=valid))
        return _each(functools.partial(_score, params), logits, valid, tags) - _log_partition(params, logits, valid)

    def log_partition(self, params: CRFParams, logits: Any, lengths: Any = None) -> jax.Array:
        """Returns log Z of each sequence, [*batch]; 0 of an empty one. Arguments as `log_likelihood`.

        Raises:
          TypeError: if lengths are not integers.
          ValueError: if logits are not [T, *batch, K] with T of at least 1, lengths have not the shape [*batch], or
            (unless they are traced) are not in [0, T].
        """
        params, logits, valid = self._checked(params, logits, lengths)
        return _log_partition(params, logits, valid)

    def decode(self, params: CRFParams, logits: Any, lengths: Any = None) -> jax.Array:
        """Returns the most probable tags of each sequence, int32 [T, *batch], by the algorithm of Viterbi (1967).

        Tags are -1 beyond a sequence's end. Arguments and errors as `log_partition`.
        """
        params, logits, valid = self._checked(params, logits, lengths)
        return _each(functools.partial(_decoded, params), logits, valid, out_axis=1)

    def _checked(self, params: CRFParams, logits: Any, lengths: Any) -> tuple[CRFParams, jax.Array, jax.Array]:
        """Returns params, logits, 0 beyond each sequence's end, and which steps are before it [T, *batch]."""
        parameters.check(self, params)
        params = jax.tree.map(jnp.asarray, params)
        logits = jnp.asarray(logits)
        if logits.ndim < 2 or logits.shape[-1] != self.tags or not len(logits):
            raise ValueError(f"CRF: logits must be [T, *batch, {self.tags}] with T > 0, got shape {list(logits.shape)}")
        lengths = masking.checked_lengths("CRF", lengths, len(logits), logits.shape[1:-1], "logits")
        if lengths is None:
            return params, logits, jnp.ones(logits.shape[:-1], bool)
        valid = masking.before_end(lengths, len(logits))
        return params, masking.blank(logits, valid), valid


def _each(function: Callable[..., jax.Array], *steps: jax.Array, out_axis: int = 0) -> jax.Array:
    """Applies a function of one sequence, [T, K], [T], .., to each of a batch, [T, *batch, K], [T, *batch], .."""
    for _ in steps[1].shape[1:]:
        function = jax.vmap(function, in_axes=1, out_axes=out_axis)
    return function(*steps)


def _score(params: CRFParams, logits: jax.Array, valid: jax.Array, tags: jax.Array) -> jax.Array:
    """Returns s(tags) of one sequence; NaN if a tag is out of range."""
    unknown = valid & ((tags < 0) | (tags >= logits.shape[1]))
    tags = jnp.where(valid & ~unknown, tags, 0)
    entered = jnp.concatenate([params.start[tags[:1]], params.transitions[tags[:-1], tags[1:]]])
    left = jnp.where(valid & ~jnp.append(valid[1:], False), params.end[tags], 0)
    scores = logits[jnp.arange(len(tags)), tags] + entered + left
    return jnp.where(jnp.any(unknown), jnp.nan, jnp.sum(jnp.where(valid, scores, 0)))


def _log_partition(params: CRFParams, logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns log Z of each sequence, [*batch]."""

    def by(solve: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
        return lambda params, *steps: _each(functools.partial(solve, params), *steps)

    # On two cores K^3 work a step takes 5 to 25 times as long as K^2, gradient included (K 3 to 17, jaxlib 0.10.2).
    return jax.lax.platform_dependent(params, logits, valid, cpu=by(_forward), default=by(_in_pairs))


def _forward(params: CRFParams, logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns log Z of one sequence, step by step."""

    def step(scores: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        row, inside = x
        return jnp.where(inside, logsumexp(scores[:, None] + params.transitions, axis=0) + row, scores), None

    scores, _ = jax.lax.scan(step, params.start + logits[0], (logits[1:], valid[1:]))
    return jnp.where(valid[0], logsumexp(scores + params.end), 0)


def _in_pairs(params: CRFParams, logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns log Z of one sequence, by a product of matrices."""
    entered = jnp.concatenate([params.start[None], jnp.zeros_like(logits[1:])]) + logits
    steps = jnp.where(jnp.arange(len(logits))[:, None, None] > 0, params.transitions[None], 0) + entered[:, None]
    # The unit of the product stands for the steps beyond the end.
    unit = jnp.where(jnp.eye(logits.shape[1], dtype=bool), 0, NO_PATH)[None]
    product = _product(jnp.where(valid[:, None, None], steps, unit))
    return jnp.where(valid[0], logsumexp(product[0] + params.end), 0)


def _decoded(params: CRFParams, logits: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the best tags of one sequence."""

    def forward(best: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row, inside = step
        scores = best[:, None] + params.transitions
        before = jnp.where(inside, jnp.argmax(scores, axis=0), jnp.arange(len(row)))
        return jnp.where(inside, jnp.max(scores, axis=0) + row, best), before

    def backward(tag: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        return before[tag], before[tag]

    best, before = jax.lax.scan(forward, params.start + logits[0], (logits[1:], valid[1:]))
    last = jnp.argmax(best + params.end)
    _, earlier = jax.lax.scan(backward, last, before, reverse=True)
    return jnp.where(valid, jnp.append(earlier, last), NO_TAG).astype(jnp.int32)


def _product(matrices: jax.Array) -> jax.Array:
    """Returns M_1 M_2 .. M_T [K, K] of matrices [T, K, K] in the log semiring, joined in pairs.

    This is the first half of `jax.lax.associative_scan`, without the products of all prefixes, which nobody reads.
    """
    while (count := len(matrices)) > 1:
        left, right = matrices[0 : count - count % 2 : 2], matrices[1::2]
        joined = logsumexp(left[:, :, :, None] + right[:, None, :, :], axis=2)
        matrices = jnp.concatenate([joined, matrices[count - count % 2 :]])
    return matrices[0]
