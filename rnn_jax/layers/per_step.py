"""Layers without memory: a module of flax that sees each step alone."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks, noise, static
from rnn_jax.cell import Cell, Params
from rnn_jax.layer import Layer, UnrollOptions


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class PerStep(Cell, Layer):
    """y_t = module(x_t): normalisation, a dense layer or a whole network between the recurrent layers of a `Stack`.

    The module is given by the class (or function) that makes it and its arguments, as they name it in a config and make
    equal layers share a compiled program. It has no state, so its entry in a stack's state is ().

    >>> from rnn_jax import GRU, Residual, Stack
    >>> block = Residual(Stack([PerStep(8, nn.LayerNorm), GRU(8, 8), PerStep(8, nn.Dense, 8)]))
    >>> block.cell.layers[0]
    PerStep(8, LayerNorm)

    Args:
      input_size: features of x_t.
      make: subclass of `flax.linen.Module`, or a function that returns one.
      *arguments: its positional arguments, hashable.
      **keywords: its keyword arguments, hashable.

    Raises:
      ValueError: if input_size is not a positive integer.
      TypeError: if make is no class or function, an argument is not hashable, or the result is no module with
        parameters alone that maps [..., input_size] to [..., features].
    """

    hidden_size: int = dataclasses.field(init=False)
    make: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]

    def __init__(self, input_size: int, make: Callable[..., Any], *arguments: Any, **keywords: Any):
        checks.integer_at_least(1, input_size, "PerStep: input_size")
        if isinstance(make, nn.Module) or not callable(make):
            raise TypeError(
                "PerStep: make must be a subclass of flax.linen.Module or a function that returns a module, got an "
                f"object of class {type(make).__name__}; write PerStep(8, nn.Dense, 4) for nn.Dense(4) on 8 features"
            )
        values = {"input_size": input_size, "make": make, "arguments": arguments}
        values["keywords"] = tuple(sorted(keywords.items()))
        static.check_part((arguments, values["keywords"]), "PerStep: arguments")
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "hidden_size", self._features())
        self.__post_init__()

    def __repr__(self) -> str:
        arguments = [*map(repr, self.arguments), *(f"{name}={value!r}" for name, value in self.keywords)]
        return f"PerStep({', '.join([str(self.input_size), self.make.__qualname__, *arguments])})"

    def _features(self) -> int:
        """Returns the number of features that the module gives."""
        name = getattr(self.make, "__qualname__", repr(self.make))

        def both(xs: jax.Array) -> tuple[Any, Any]:  # one step as `init` has it, then several
            variables = self._module().init(jax.random.key(0), xs[0])
            return self._module().apply(variables, xs), variables

        try:
            ys, variables = jax.eval_shape(both, jnp.zeros((2, self.input_size)))
        except Exception as error:  # a user's module may raise anything
            raise TypeError(f"PerStep: {name} cannot be used on {self.input_size} features: {error}") from error
        if {*variables} - {"params"} or getattr(ys, "ndim", 0) != 2 or ys.shape[0] != 2:
            raise TypeError(
                f"PerStep: {name} must have parameters alone and map [2, {self.input_size}] to [2, features], got the "
                f"collections {sorted(variables)} and {jax.tree.map(jnp.shape, ys)}"
            )
        return ys.shape[1]

    def _module(self) -> nn.Module:
        return self.make(*self.arguments, **dict(self.keywords))

    def init(self, key: jax.Array) -> Params:
        variables = self._module().init(key, jnp.zeros(self.input_size))
        return jax.tree.map(lambda leaf: leaf.astype(jnp.result_type(float)), variables)  # flax draws float32

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> tuple[()]:
        return ()

    def unroll(self, params: Params, xs: Any, state: tuple[()], options: UnrollOptions) -> tuple[tuple[()], Any]:
        return state, self._module().apply(params, xs)

    def step(self, params: Params, state: tuple[()], drive: Any) -> tuple[()]:
        return state

    def output(self, params: Params, state: tuple[()], x: Any) -> Any:
        return self._module().apply(params, noise.split(x)[0])
