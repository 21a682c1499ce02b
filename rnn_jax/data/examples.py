"""A finite set of examples as arrays; a batch is a few of its columns."""

from typing import Any, NamedTuple

import jax
import numpy as np

from rnn_jax import integers


class Examples(NamedTuple):
    """A set of N examples, or a batch of them: both have this type.

    Sequences of different lengths are padded to one static T; `Buckets.members` chooses which examples to pad together.
    Different leaves may have different T, such as the source and the target of a translation.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> examples = data.Examples(steps=np.zeros((7, 100, 2)), whole=np.arange(100))  # 100 sequences, 100 labels
    >>> batch = examples.take([3, 14, 15])
    >>> batch.steps.shape, batch.whole.tolist()
    ((7, 3, 2), [3, 14, 15])

    Attributes:
      steps: pytree of arrays [T, N, ...] with a time axis, such as ids, frames or tags.
      whole: pytree of arrays [N, ...] with one entry for each example, such as lengths, labels or images.
    """

    steps: Any
    whole: Any

    @property
    def size(self) -> int:
        """Number of examples, N."""
        leaves = jax.tree.leaves(self.whole)
        return len(leaves[0]) if leaves else jax.tree.leaves(self.steps)[0].shape[1]

    def take(self, indices: Any) -> "Examples":
        """Returns the examples at `indices`, integers [B]."""
        indices = integers.int32(indices, "Examples: indices")
        return Examples(
            jax.tree.map(lambda leaf: leaf[:, indices], self.steps),
            jax.tree.map(lambda leaf: leaf[indices], self.whole),
        )

    def checked(self) -> "Examples":
        """Returns self after checking the shapes.

        Raises:
          ValueError: if there is no array or no example, or arrays differ in the number of examples; if one is in
            another byte order than the machine's.
        """
        named = [(f"steps{jax.tree_util.keystr(p)}", leaf, 1) for p, leaf in jax.tree.leaves_with_path(self.steps)]
        named += [(f"whole{jax.tree_util.keystr(p)}", leaf, 0) for p, leaf in jax.tree.leaves_with_path(self.whole)]
        if not named:
            raise ValueError("Examples: steps and whole must hold at least one array, got none")
        for name, leaf, axis in named:
            if isinstance(leaf, np.ndarray) and not leaf.dtype.isnative:
                raise ValueError(f"Examples: {name} must be in the machine's byte order, got {leaf.dtype}")
            if leaf.ndim <= axis:
                expected = "[T, N, ...]" if axis else "[N, ...]"
                raise ValueError(f"Examples: {name} must be {expected}, got shape {list(leaf.shape)}")
            if leaf.shape[axis] != self.size:
                raise ValueError(
                    f"Examples: {name} must hold as many examples as the others, {self.size}, got {leaf.shape[axis]}"
                )
        if not self.size:
            raise ValueError("Examples: there must be at least one example, got none")
        return self
