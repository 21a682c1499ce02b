"""The contract that every recurrent cell fulfils. Knows no engine, layer or task.

    d_t = project(params, x_t)          parallel over time: one large product
    s_t = step(params, s_{t-1}, d_t)    sequential: the recurrence, and nothing else
    y_t = output(params, s_t, x_t)      parallel over time

Whatever enters a step from outside (a mask, a reset, noise, a perturbation) travels in the drive `d_t`, so a step is a
pure function of its three arguments. A cell around a cell (`rnn_jax.wrapper`) puts it there.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.linear import Transition

# Any pytree of arrays. A cell's own parameters and states are NamedTuples, a user's may be what they like.
Params = Any
State = Any
Drive = Any


@dataclasses.dataclass(frozen=True)
class Cell:
    """A recurrent cell: sizes as fields, behaviour as pure methods.

    A cell of your own defines `init`, `initial_state` and `step` (or, in place of `step`, the pair `recurrent` and
    `activate`, or `linear`); the rest has defaults. Leading batch dimensions are free everywhere. Cells compare and
    hash by the value of their fields, so an equal cell is never compiled twice: give an option as a number, a function
    with a name or a frozen dataclass (see `rnn_jax.initializers`), not as a fresh closure.

    Args:
      input_size: features of one input x_t.
      hidden_size: units of the hidden state h_t.

    Raises:
      ValueError: where a size is not a positive integer.
    """

    input_size: int
    hidden_size: int

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            checks.integer_at_least(1, getattr(self, name), f"{type(self).__name__}: {name}")

    def init(self, key: jax.Array) -> Params:
        """Draws the parameters, in JAX's default float type."""
        raise NotImplementedError(f"{type(self).__name__} must define init(key)")

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """The state before the first step; every leaf is [*batch_shape, ...]."""
        raise NotImplementedError(f"{type(self).__name__} must define initial_state(params, batch_shape)")

    def project(self, params: Params, x: Any) -> Drive:
        """What the input contributes, x [..., input_size]; no state enters. Default: x itself."""
        del params
        return x

    def step(self, params: Params, state: State, drive: Drive) -> State:
        """s_t from s_{t-1} and the drive of step t. Default: by `linear`, or `activate` of the product `recurrent`."""
        if defined_last(type(self), "activate", "linear") == "linear":
            transition, b = self.linear(params, drive)
            return jax.tree.map(jnp.add, transition.apply(state), b)
        return self.activate(params, state, drive, self.recurrent(params, self.enter(params, state, drive)))

    def enter(self, params: Params, state: State, drive: Drive) -> State:
        """The state that `recurrent` sees, pointwise. Default: the state; a reset or dropout puts another there."""
        del params, drive
        return state

    def recurrent(self, params: Params, state: State) -> jax.Array:
        """The step's only product, linear in params: h_{t-1} W_h, a bias of its own with it if there is one.

        With `activate` it takes the place of `step`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step, or recurrent and activate, or linear")

    def activate(self, params: Params, state: State, drive: Drive, r: jax.Array) -> State:
        """s_t from s_{t-1}, the drive and r = `recurrent`; pointwise."""
        raise NotImplementedError(f"{type(self).__name__} must define step, or recurrent and activate, or linear")

    def linear(self, params: Params, drive: Drive) -> tuple[Transition, State]:
        """Of a cell linear in its state, s_t = transition_t(s_{t-1}) + b_t: the transition, and b_t like the state.

        It takes the place of `step`. No state enters, so all steps can be had at once, and solved in parallel.
        """
        raise NotImplementedError(f"{type(self).__name__} is not linear in its state")

    def output(self, params: Params, state: State, x: Any) -> Any:
        """y_t read from s_t. Default: the state."""
        del params, x
        return state

    @property
    def output_size(self) -> int:
        """Features of one output y_t. Default: `hidden_size`."""
        return self.hidden_size

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        """The random numbers that the steps of inputs [*shape, input_size] need, every leaf [*shape, ...].

        Where it is not None, `unroll(..., key=key)` hands `rnn_jax.noise.Noisy(x, noise)` to `project` and `output` in
        place of x. Without a key they get x itself, and the cell does what it does in evaluation. Default: None.
        """
        del params, key, shape

    @property
    def has_recurrent(self) -> bool:
        """Whether the step is split into `recurrent` and `activate`; a `step` of its own comes before all else."""
        own = type(self).activate is not Cell.activate
        return own and type(self).step is Cell.step and defined_last(type(self), "activate", "linear") == "activate"

    @property
    def has_linear(self) -> bool:
        """Whether the step is given by `linear`; of this and `activate` the one defined last says what the step is."""
        own = type(self).linear is not Cell.linear
        return own and type(self).step is Cell.step and defined_last(type(self), "linear", "activate") == "linear"


def defined_last(kind: type, *names: str) -> str:
    """Which of some methods was defined last, from base to derived class; the first named, of two in one class."""
    return next(name for base in kind.__mro__ for name in names if name in vars(base))
