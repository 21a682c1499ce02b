"""A finite set of examples as arrays, of which a batch is a few columns."""

from typing import Any, NamedTuple

import jax


class Examples(NamedTuple):
    """Examples, or a batch of them: the same type.

    What differs in length is padded to one static T; `Buckets.members` tells which examples to pad together. Leaves of
    one set may have several T, as source and target of a translation do.
    """

    steps: Any  # pytree of [T, N, ...]: what has a time axis, such as ids, frames, tags
    whole: Any  # pytree of [N, ...]: what belongs to a whole example, such as lengths, a label, an image

    @property
    def size(self) -> int:
        """N."""
        leaves = jax.tree.leaves(self.whole)
        return len(leaves[0]) if leaves else jax.tree.leaves(self.steps)[0].shape[1]

    def take(self, places: Any) -> "Examples":
        """The examples at `places`, integers [B]."""
        return Examples(
            jax.tree.map(lambda leaf: leaf[:, places], self.steps), jax.tree.map(lambda leaf: leaf[places], self.whole)
        )

    def checked(self) -> "Examples":
        """Itself.

        Raises:
          ValueError: where there is no array or no example, or arrays differ in the number of examples.
        """
        named = [(f"steps{jax.tree_util.keystr(p)}", leaf, 1) for p, leaf in jax.tree.leaves_with_path(self.steps)]
        named += [(f"whole{jax.tree_util.keystr(p)}", leaf, 0) for p, leaf in jax.tree.leaves_with_path(self.whole)]
        if not named:
            raise ValueError("Examples: steps and whole must hold at least one array, got none")
        for name, leaf, axis in named:
            if leaf.ndim <= axis:
                wanted = "[T, N, ...]" if axis else "[N, ...]"
                raise ValueError(f"Examples: {name} must be {wanted}, got shape {list(leaf.shape)}")
            if leaf.shape[axis] != self.size:
                raise ValueError(
                    f"Examples: {name} must hold as many examples as the others, {self.size}, got {leaf.shape[axis]}"
                )
        if not self.size:
            raise ValueError("Examples: there must be at least one example, got none")
        return self
