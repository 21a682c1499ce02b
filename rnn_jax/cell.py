"""The contract of a recurrent cell. Imports no engine, layer or task.

    d_t = project(params, x_t)          parallel over time: one large matrix product
    s_t = step(params, s_{t-1}, d_t)    sequential: the recurrence, and nothing else
    y_t = output(params, s_t, x_t)      parallel over time

A cell's base class is its kind:

    Cell          defines step
    SplitCell     defines recurrent and activate:   s_t = activate(s_{t-1}, d_t, recurrent(s_{t-1}))
    LinearCell    defines linear:                   s_t = transition_t(s_{t-1}) + b_t

A matrix that a step derives from parameters alone is made once, before all steps: `prepare`.

Whatever enters a step from outside (a mask, a reset, noise, a perturbation) travels in the drive `d_t`, so a step is a
pure function of its three arguments. A cell around a cell (`rnn_jax.wrapper`) puts it there.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.linear import Transition
from rnn_jax.static import Static, defining_class

# Any pytree of arrays. This library's parameters and states are NamedTuples; a user's may be any pytree.
Params = Any
State = Any
Drive = Any

# The methods that make a cell one of a kind, with the base class that has them.
KIND_METHODS = {"recurrent": "SplitCell", "activate": "SplitCell", "enter": "SplitCell", "linear": "LinearCell"}


def _check_kind(cls: type["Cell"]) -> None:
    """Refuses a class with methods of another kind of cell; a user-defined `step` may call what it likes."""
    stepping = defining_class(cls, "step")
    if stepping is cls or "_kind_methods" not in vars(stepping):
        return
    header = f"class {cls.__name__}({', '.join(base.__name__ for base in cls.__bases__)})"
    kinds = [base.__name__ for base in cls.__mro__ if vars(base).get("_kind_methods")]
    if len(kinds) > 1:
        raise TypeError(f"{header} derives from both {' and '.join(kinds)}: derive from one of them, or define step")
    for name, kind in KIND_METHODS.items():
        if name in vars(stepping)["_kind_methods"] or not callable(getattr(cls, name, None)):
            continue
        if Cell in cls.__bases__:
            bases = ", ".join(kind if base is Cell else base.__name__ for base in cls.__bases__)
            raise TypeError(f"{header} defines {name}: write class {cls.__name__}({bases})")
        raise TypeError(
            f"{header} defines {name}, which a {stepping.__name__} does not read: derive from {kind}, or define step"
        )


@dataclasses.dataclass(frozen=True)
class Cell(Static):
    """A recurrent cell: sizes as fields, behaviour as pure methods.

    A user-defined cell defines `init`, `initial_state` and `step`; the rest has defaults. Leading batch dimensions are
    free everywhere. Cells compare and hash by the value of their fields, so an equal cell is never compiled twice. An
    option is a field of a frozen dataclass: a number, a named function or a frozen dataclass (`rnn_jax.initializers`),
    not a new closure.

    >>> class Leaky(Cell):
    ...     def init(self, key):
    ...         return {"w": jax.random.normal(key, (self.input_size, self.hidden_size))}
    ...     def initial_state(self, params, batch_shape=()):
    ...         return jnp.zeros((*batch_shape, self.hidden_size))
    ...     def step(self, params, state, drive):
    ...         return 0.9 * state + 0.1 * jnp.tanh(drive @ params["w"])
    >>> cell = Leaky(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params), jnp.ones(2)).shape
    (3,)

    Args:
      input_size: features of one input x_t.
      hidden_size: units of the hidden state h_t.

    Raises:
      TypeError: when a class is defined, if it has a method of another kind of cell and no `step` of its own; as
        `rnn_jax.static.Static`, if an option is not hashable.
      ValueError: if a size is not a positive integer.
    """

    input_size: int
    hidden_size: int

    # Those of `KIND_METHODS` that a subclass may define; a base class that defines `step` by them lists them.
    _kind_methods: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_kind(cls)

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            checks.integer_at_least(1, getattr(self, name), f"{type(self).__name__}: {name}")

    def init(self, key: jax.Array) -> Params:
        """Draws the parameters, in JAX's default float type."""
        raise NotImplementedError(f"{type(self).__name__} must define init(key)")

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        """Returns the state before the first step; every leaf is [*batch_shape, ...]."""
        raise NotImplementedError(f"{type(self).__name__} must define initial_state(params, batch_shape)")

    def prepare(self, params: Params) -> Params:
        """Returns parameters with what a step derives from them alone, as the exponential of a matrix. Default: params.

        `unroll` calls it once, before all steps, so its gradient is computed once, too. The other methods take either
        form, so a cell with such a matrix reads it from `self.prepare(params)`, which returns prepared ones unchanged.
        """
        return params

    def project(self, params: Params, x: Any) -> Drive:
        """Returns the input's contribution to a step, from x [..., input_size] without the state. Default: x."""
        del params
        return x

    def step(self, params: Params, state: State, drive: Drive) -> State:
        """Returns s_t from s_{t-1} and the drive of step t."""
        raise NotImplementedError(
            f"{type(self).__name__} must define step(params, state, drive), or derive from SplitCell or LinearCell"
        )

    def output(self, params: Params, state: State, x: Any) -> Any:
        """Returns y_t, read from s_t. Default: the state."""
        del params, x
        return state

    @property
    def output_size(self) -> int:
        """Features of one output y_t. Default: `hidden_size`."""
        return self.hidden_size

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        """Draws the random numbers that the steps of inputs [*shape, input_size] need, every leaf [*shape, ...].

        If it is not None, `unroll(..., key=key)` gives `rnn_jax.noise.Noisy(x, noise)` to `project` and `output` in
        place of x. With `key=None` they get x itself, and the cell behaves as in evaluation. Default: None.
        """
        del params, key, shape

    @property
    def is_split(self) -> bool:
        """Whether the step is `recurrent` and `activate`: a `SplitCell`, or a wrapper around one."""
        return False

    @property
    def is_linear(self) -> bool:
        """Whether the step is `linear`: a `LinearCell`, or a wrapper that keeps one linear."""
        return False


@dataclasses.dataclass(frozen=True)
class SplitCell(Cell):
    """A cell whose step has one product with the state, so that engines can take its gradients out of the loop.

        r_t = recurrent(params, enter(params, s_{t-1}, d_t))       linear in prepared params: h_{t-1} W_h
        s_t = activate(params, s_{t-1}, d_t, r_t)                  pointwise

    A subclass defines `recurrent` and `activate` in place of `step`. If it does define `step`, that counts, and the
    cell is treated as a plain `Cell`.

    >>> class Elman(SplitCell):
    ...     def init(self, key):
    ...         return 0.1 * jax.random.normal(key, (self.hidden_size, self.hidden_size))
    ...     def initial_state(self, params, batch_shape=()):
    ...         return jnp.zeros((*batch_shape, self.hidden_size))
    ...     def recurrent(self, params, state):
    ...         return state @ params
    ...     def activate(self, params, state, drive, r):
    ...         return jnp.tanh(drive + r)
    >>> Elman(3, 3).is_split
    True
    """

    _kind_methods: ClassVar[tuple[str, ...]] = ("recurrent", "activate", "enter")

    def recurrent(self, params: Params, state: State) -> jax.Array:
        """Returns the step's only product, linear in prepared params: h_{t-1} W_h, plus its own bias, if any."""
        raise NotImplementedError(f"{type(self).__name__} must define recurrent(params, state)")

    def activate(self, params: Params, state: State, drive: Drive, r: jax.Array) -> State:
        """Returns s_t from s_{t-1}, the drive and r = `recurrent`; pointwise."""
        raise NotImplementedError(f"{type(self).__name__} must define activate(params, state, drive, r)")

    def enter(self, params: Params, state: State, drive: Drive) -> State:
        """Returns the state that `recurrent` reads, pointwise. Default: the state; resets and dropout change it."""
        del params, drive
        return state

    def step(self, params: Params, state: State, drive: Drive) -> State:
        return self.activate(params, state, drive, self.recurrent(params, self.enter(params, state, drive)))

    @property
    def is_split(self) -> bool:
        return type(self).step is SplitCell.step


@dataclasses.dataclass(frozen=True)
class LinearCell(Cell):
    """A cell that is linear in its state, s_t = transition_t(s_{t-1}) + b_t, so that steps can be solved in parallel.

    A subclass defines `linear` in place of `step`. If it does define `step`, that counts, and the cell is treated as a
    plain `Cell`.

    >>> from rnn_jax.linear import Diagonal
    >>> class Sum(LinearCell):
    ...     def init(self, key):
    ...         return ()
    ...     def initial_state(self, params, batch_shape=()):
    ...         return jnp.zeros((*batch_shape, self.hidden_size))
    ...     def linear(self, params, drive):
    ...         return Diagonal(jnp.ones_like(drive)), drive
    >>> Sum(1, 1).step((), jnp.array([2.0]), jnp.array([3.0]))
    Array([5.], dtype=float32)
    """

    _kind_methods: ClassVar[tuple[str, ...]] = ("linear",)

    def linear(self, params: Params, drive: Drive) -> tuple[Transition, State]:
        """Returns the transition, and b_t like the state. No state enters, so all steps are computed at once."""
        raise NotImplementedError(f"{type(self).__name__} must define linear(params, drive)")

    def step(self, params: Params, state: State, drive: Drive) -> State:
        transition, b = self.linear(params, drive)
        return jax.tree.map(jnp.add, transition.apply(state), b)

    @property
    def is_linear(self) -> bool:
        return type(self).step is LinearCell.step
