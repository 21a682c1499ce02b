"""The contract of cells and layers: each property is a function of (cell, engine), named in `PROPERTIES`.

padding and row independence     NaN in the padding, or in other sequences of the batch, reaches no result
segments, loop, resets           a sequence in parts, step by step or in episodes gives the same results
batch dimensions, seeds, jit     reshaping, `jax.vmap` over parameters and compiling change nothing
engines                          every engine that takes the cell equals `Scan` in value and gradient
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Associative, Checkpointed, Engine, Hoisted, Newton, Scan
from rnn_jax.layer import Layer
from rnn_jax.testing.comparison import Check, require, require_close, require_like, require_value, run_all
from rnn_jax.unrolling import unroll

ENGINES: tuple[Engine, ...] = (Hoisted(), Hoisted(keep=False), Checkpointed(), Associative(), Newton())
STEPS, ROWS = 6, 6

Property = Callable[[Cell, Engine], None]


@functools.cache
def compiled(function: Callable[..., Any], static: tuple[int, ...] = (0,)) -> Callable[..., Any]:
    """Returns the function, compiled without optimisations: the checks compile much and run for microseconds."""
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(function, static_argnums=static, compiler_options=options)


def run(
    cell: Cell, engine: Engine, params: Params, xs: jax.Array | np.ndarray, state: State | None = None, **options: Any
) -> Any:
    """Returns the final state and the outputs of an unroll, compiled, as NumPy arrays: each slice is no program."""
    return jax.device_get(compiled(_run, (0, 1))(cell, engine, params, xs, state, options))


def _run(cell: Cell, engine: Engine, params: Params, xs: jax.Array, state: State | None, options: Any) -> Any:
    return unroll(cell, params, xs, state, engine=engine, key=None, **options)


@functools.cache
def moved_params(cell: Cell, seed: int = 0) -> Params:
    """Returns parameters off their initial values: biases of zero would hide mistakes."""
    rng = np.random.default_rng(seed)
    params = compiled(_init)(cell, jax.random.key(seed))
    return jax.tree.map(lambda p: jnp.asarray(np.asarray(p) + rng.normal(0, 0.3, p.shape).astype(p.dtype)), params)


def _init(cell: Cell, key: jax.Array) -> Params:
    return cell.init(key)


def inputs(cell: Cell, *shape: int) -> jax.Array:
    """Returns random inputs [*shape, input_size]."""
    return jnp.asarray(np.random.default_rng(1).normal(size=(*shape, cell.input_size)), jnp.result_type(float))


def moved_state(cell: Cell, *batch_shape: int) -> State:
    """Returns a state that is not the initial one, so that ignoring it is noticed; integers stay as they are."""
    rng = np.random.default_rng(2)

    def move(s: jax.Array) -> jax.Array:
        both = rng.normal(0, 0.5, s.shape) + 1j * rng.normal(0, 0.5, s.shape)
        change = both if jnp.iscomplexobj(s) else both.real
        return jnp.asarray(np.asarray(s) + change.astype(s.dtype)) if jnp.issubdtype(s.dtype, jnp.inexact) else s

    return jax.tree.map(move, cell.initial_state(moved_params(cell), batch_shape))


def arguments(cell: Cell, *batch_shape: int) -> tuple[Params, np.ndarray, State]:
    """Returns parameters, inputs of some steps, and a state; those two as NumPy arrays, to be changed and sliced."""
    return moved_params(cell), *jax.device_get((inputs(cell, STEPS, *batch_shape), moved_state(cell, *batch_shape)))


def value(cell: Cell, engine: Engine) -> None:
    """A cell is a hashable value, so that equal cells share compiled programs."""
    require_value(cell)


def init(cell: Cell, engine: Engine) -> None:
    """Parameters are arrays of JAX's default float type, and depend on the key alone."""
    name, key = type(cell).__name__, jax.random.key(0)
    params = cell.init(key)
    expected = np.dtype(jnp.result_type(float))
    for path, leaf in jax.tree.leaves_with_path(params):
        place = jax.tree_util.keystr(path)
        require(leaf.dtype == expected, f"{name}.init: parameter {place} must be {expected}, got {leaf.dtype}")
    require_close(f"{name}.init must depend on its key alone", cell.init(key), params, 0, 0)


def initial_state(cell: Cell, engine: Engine) -> None:
    """Every leaf of the initial state is [*batch, ...]."""
    params = jax.eval_shape(cell.init, jax.random.key(0))
    single = jax.eval_shape(cell.initial_state, params)
    batched = jax.eval_shape(lambda p: cell.initial_state(p, (2, 5)), params)
    expected = jax.tree.map(lambda s: jax.ShapeDtypeStruct((2, 5, *s.shape), s.dtype), single)
    require_like(f"{type(cell).__name__}.initial_state must put batch_shape first", batched, expected)


def shapes(cell: Cell, engine: Engine) -> None:
    """The final state is like the initial one, and outputs are floats [T, *batch, output_size]."""
    name, params = type(cell).__name__, moved_params(cell)
    for batch_shape in ((), (2,), (2, 3)):
        final_state, ys = jax.eval_shape(
            functools.partial(_run, cell, engine), params, inputs(cell, STEPS, *batch_shape), None, {}
        )
        expected = jax.eval_shape(lambda p, b=batch_shape: cell.initial_state(p, b), params)
        require_like(f"{name}: the final state must be like the initial one", final_state, expected)
        leaves = jax.tree.leaves(ys)
        shape = (STEPS, *batch_shape, cell.output_size)
        require(
            leaves and leaves[0].shape == shape and jnp.issubdtype(leaves[0].dtype, jnp.floating),
            f"{name}: outputs must be floats [T, *batch, output_size] = {list(shape)}, got {ys}",
        )
        require(
            all(y.shape[: 1 + len(batch_shape)] == shape[:-1] for y in leaves),
            f"{name}: every leaf of the outputs must begin with [T, *batch] = {list(shape[:-1])}, got {ys}",
        )


def batch_dimensions(cell: Cell, engine: Engine) -> None:
    """Batch dimensions are free: [2, 3], [6] and none give the same results."""
    message = f"{type(cell).__name__}: batch dimensions must be free: axes may be counted from the last one only"
    params, xs, state = arguments(cell, 2, ROWS // 2)
    nested_state, nested_ys = run(cell, engine, params, xs, state)
    rows = jax.tree.map(lambda s: s.reshape(ROWS, *s.shape[2:]), state)
    flat = run(cell, engine, params, xs.reshape(STEPS, ROWS, -1), rows)
    require_close(
        message,
        flat,
        (
            jax.tree.map(lambda s: s.reshape(ROWS, *s.shape[2:]), nested_state),
            jax.tree.map(lambda y: y.reshape(STEPS, ROWS, *y.shape[3:]), nested_ys),
        ),
    )
    row = run(cell, engine, params, xs[:, 1, 2], jax.tree.map(lambda s: s[1, 2], state))
    expected = jax.tree.map(lambda s: s[1, 2], nested_state), jax.tree.map(lambda y: y[:, 1, 2], nested_ys)
    require_close(message, row, expected)


def segments(cell: Cell, engine: Engine) -> None:
    """Two segments, the second from the final state of the first, equal one sequence."""
    params, xs, state = arguments(cell, ROWS)
    middle_state, first = run(cell, engine, params, xs[: STEPS // 2], state)
    final_state, second = run(cell, engine, params, xs[STEPS // 2 :], middle_state)
    joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
    message = f"{type(cell).__name__}: two segments must equal one sequence: the state must hold all that a step needs"
    require_close(message, (final_state, joined), run(cell, engine, params, xs, state))


def rows(cell: Cell, engine: Engine) -> None:
    """Sequences of a batch are independent, bit for bit, also of infinities and NaN in another one."""
    params, xs, state = arguments(cell, ROWS)
    others = np.arange(ROWS) != 1
    final_state, ys = run(cell, engine, params, xs, state)
    for disturbance in (100.0, np.nan):

        def disturb(s: np.ndarray, rows: Any = others, disturbance: float = disturbance) -> np.ndarray:
            changed = np.array(s)
            if jnp.issubdtype(s.dtype, jnp.inexact):
                changed[rows] = disturbance
            return changed

        disturbed_xs, disturbed_state = disturb(xs, (slice(None), others)), jax.tree.map(disturb, state)
        other_state, other_ys = run(cell, engine, params, disturbed_xs, disturbed_state)
        require_close(
            f"{type(cell).__name__}: sequences of a batch must be independent, but {disturbance:g} in the others "
            "reaches this one: no mean or product over batch dimensions",
            (jax.tree.map(lambda s: s[1], other_state), jax.tree.map(lambda y: y[:, 1], other_ys)),
            (jax.tree.map(lambda s: s[1], final_state), jax.tree.map(lambda y: y[:, 1], ys)),
            0,
            0,
        )


def padding(cell: Cell, engine: Engine) -> None:
    """A padded sequence gives the results of the sequence alone, whatever its padding holds; outputs there are zero."""
    params, xs, state = arguments(cell, 2)
    message = f"{type(cell).__name__}: padding must not change a sequence's results"
    for length in (0, 3):
        padded = xs.copy()
        padded[length:, 1] = np.nan
        final_state, ys = run(cell, engine, params, padded, state, lengths=jnp.array([STEPS, length]))
        row = jax.tree.map(lambda s: s[1], state)
        expected_state, expected_ys = run(cell, engine, params, xs[:length, 1], row) if length else (row, None)
        require_close(message, jax.tree.map(lambda s: s[1], final_state), expected_state)
        if length:
            require_close(message, jax.tree.map(lambda y, n=length: y[:n, 1], ys), expected_ys)
        zero = all(not np.any(y[length:, 1]) for y in jax.tree.leaves(ys))
        require(zero, f"{type(cell).__name__}: outputs in the padding must be zero")


def resets(cell: Cell, engine: Engine) -> None:
    """A reset before a step equals a sequence that begins there."""
    params, xs, state = arguments(cell, 2)
    stepping, start = can_step(cell), STEPS // 2
    flags = np.zeros((STEPS, 2), bool)
    flags[start, 1] = True
    # In reverse time, the given state is that of the last episode, and the final one that of the first.
    final_state, ys = run(cell, engine, params, xs, state if stepping else None, resets=flags)
    expected_state, expected_ys = run(cell, engine, params, xs[start:, 1])
    message = f"{type(cell).__name__}: an episode after a reset must equal a sequence that begins there"
    require_close(message, jax.tree.map(lambda y: y[start:, 1], ys), expected_ys)
    if stepping:
        require_close(message, jax.tree.map(lambda s: s[1], final_state), expected_state)


def loop(cell: Cell, engine: Engine) -> None:
    """The unroll equals a Python loop of `project`, `step` and `output`, each of one time step."""
    params, xs, state = arguments(cell, ROWS)
    effects = jax.make_jaxpr(cell.step)(params, state, jax.eval_shape(cell.project, params, xs[0])).effects
    require(not effects, f"{type(cell).__name__}.step must be pure, but has the effects {effects}")
    got, expected = run(cell, engine, params, xs, state), []
    for x in xs:
        state, y = compiled(_step)(cell, params, state, x)
        expected.append(jax.device_get(y))
    message = f"{type(cell).__name__}: an unroll must equal a loop of its steps: project and output see one step each"
    require_close(message, got, (state, jax.tree.map(lambda *y: np.stack(y), *expected)))


def _step(cell: Cell, params: Params, state: State, x: jax.Array) -> tuple[State, Any]:
    state = cell.step(params, state, cell.project(params, x))
    return state, cell.output(params, state, x)


def seeds(cell: Cell, engine: Engine) -> None:
    """`jax.vmap` over the parameters of two seeds equals each seed alone."""
    xs = inputs(cell, STEPS, 2)
    params = [moved_params(cell, seed) for seed in range(2)]
    both = jax.tree.map(lambda *leaves: np.stack(leaves), *params)
    together = jax.device_get(jax.vmap(lambda p: compiled(_run, (0, 1))(cell, engine, p, xs, None, {}))(both))
    for seed in range(2):
        message = f"{type(cell).__name__}: jax.vmap over parameters must equal each seed alone"
        alone = run(cell, engine, params[seed], xs)
        require_close(message, jax.tree.map(lambda leaf, seed=seed: leaf[seed], together), alone)


def compilation(cell: Cell, engine: Engine) -> None:
    """A compiled unroll equals one without `jax.jit`."""
    params, xs, state = moved_params(cell), inputs(cell, STEPS, ROWS), moved_state(cell, ROWS)
    eager = _run(cell, engine, params, xs, state, {})
    # Layer normalisation divides by a deviation that may be small, which magnifies rounding errors.
    message = f"{type(cell).__name__}: a compiled unroll must equal one without jax.jit"
    require_close(message, run(cell, engine, params, xs, state), eager, atol=5e-6)


def gradients(cell: Cell, engine: Engine) -> None:
    """Values and gradients by parameters, inputs and state equal those of `Scan`, with lengths and resets too."""
    params, xs, state = arguments(cell, ROWS)
    flags = np.zeros((STEPS, ROWS), bool)
    flags[2, ::2] = True
    for options in ({}, {"lengths": np.arange(1, ROWS + 1), "resets": flags}):
        got, expected = (
            compiled(_value_and_gradient, (0, 1))(cell, each, params, xs, state, options) for each in (engine, Scan())
        )
        message = f"{type(cell).__name__}: {engine} must equal Scan() in value and gradient"
        # In an entry near zero, terms cancel that are as large as the largest entries, and so is their rounding.
        largest = max(float(np.max(np.abs(leaf), initial=0)) for leaf in jax.tree.leaves(expected))
        require_close(message, got, expected, atol=max(1e-5, 1e-6 * largest))


def _value_and_gradient(cell: Cell, engine: Engine, params: Params, xs: jax.Array, state: State, options: Any) -> Any:
    def loss(params: Params, xs: jax.Array, state: State) -> jax.Array:
        # Each entry has a different weight, so that exchanging two of them is detected.
        leaves = jax.tree.leaves(_run(cell, engine, params, xs, state, options))
        real = jnp.result_type(float)
        leaves = [x if jnp.issubdtype(x.dtype, jnp.inexact) else x.astype(real) for x in leaves]  # counters
        parts = [part for x in leaves for part in ((x.real, x.imag) if jnp.iscomplexobj(x) else (x,))]
        return sum(
            (jnp.sum(jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) * x) for x in parts), jnp.zeros(())
        )

    value, grads = jax.value_and_grad(loss, argnums=(0, 1, 2), allow_int=True)(params, xs, state)
    return value, jax.tree.map(lambda grad: None if grad.dtype == jax.dtypes.float0 else grad, grads)


def differences(cell: Cell, engine: Engine) -> None:
    """The gradient by the parameters equals central differences, along a random direction."""
    params, xs, state = arguments(cell, ROWS)
    params, rng = jax.device_get(params), np.random.default_rng(3)
    direction = jax.tree.map(lambda p: rng.normal(size=p.shape).astype(p.dtype), params)

    def along(width: float) -> tuple[Any, Any]:
        there = jax.tree.map(lambda p, d: p + p.dtype.type(width) * d, params, direction)
        value, gradient = compiled(_value_and_gradient, (0, 1))(cell, engine, there, xs, state, {})
        return value, jax.device_get(gradient[0])

    products = jax.tree.leaves(jax.tree.map(lambda g, d: float(np.sum(g * d)), along(0.0)[1], direction))
    # The smaller width suits large curvature, the larger one large values, whose differences round.
    slopes = [float(along(w)[0] - along(-w)[0]) / (2 * w) for w in (1e-2, 1e-3)]
    scale = max(*map(abs, [sum(products), *products]), 1e-2)
    require(
        min(abs(sum(products) - slope) for slope in slopes) < 0.05 * scale,
        f"{type(cell).__name__}: the gradient along a direction must be that of finite differences, {slopes[1]:.4g}, "
        f"got {sum(products):.4g}",
    )


# Properties of the object alone; the engine is not used.
OBJECT = (value, init, initial_state)
# Properties of an unroll under an engine.
UNROLL = (shapes, batch_dimensions, rows, padding, resets, seeds, compilation)
# Properties that need a step from one state to the next, which a layer of both directions does not have.
STEPPING = (segments, loop)
GRADIENT = (gradients, differences)
PROPERTIES: dict[str, Property] = {each.__name__: each for each in (*OBJECT, *UNROLL, *STEPPING, *GRADIENT)}


def properties(cell: Cell) -> dict[str, Property]:
    """Returns the properties that are required of a cell or layer."""
    leave_out = () if can_step(cell) else STEPPING
    return {name: each for name, each in PROPERTIES.items() if each not in leave_out}


def can_step(cell: Cell) -> bool:
    """Returns whether a cell or layer goes from one state to the next."""
    if not isinstance(cell, Layer):
        return True
    params = jax.eval_shape(cell.init, jax.random.key(0))
    try:
        jax.eval_shape(lambda p, x: _step(cell, p, cell.initial_state(p, (1,)), x), params, inputs(cell, 1))
    except TypeError:
        return False
    return True


def takes(engine: Engine, cell: Cell) -> bool:
    """Returns whether an engine solves a cell; one that does not refuses it with a TypeError that names the engine."""
    xs = inputs(cell, STEPS, ROWS)
    try:
        jax.eval_shape(lambda p, xs: _run(cell, engine, p, xs, None, {}), moved_params(cell), xs)
    except TypeError as error:
        if str(error).startswith(type(engine).__name__):
            return False
        raise
    return True


def checks(cell: Cell, engines: Sequence[Engine] = ENGINES) -> Iterator[Check]:
    """Yields the checks of a cell or layer: its properties under `Scan`, then every engine that takes it."""
    name = type(cell).__name__
    for check in properties(cell).values():
        yield Check.of(name, check, cell, Scan())
    for engine in engines:
        if takes(engine, cell):
            yield Check.of(name, gradients, cell, engine, suffix=f": {engine}")


def check_cell(cell: Cell, engines: Sequence[Engine] = ENGINES) -> None:
    """Checks the contract of a cell: its properties under `Scan`, and equality to it under every engine that takes it.

    >>> from rnn_jax import VanillaRNN, testing
    >>> testing.check_cell(VanillaRNN(2, 3))

    Args:
      cell: cell with small sizes, which takes one array as its input.
      engines: engines to compare with `Scan`; those that refuse the kind of the cell are left out.

    Raises:
      ContractError: if a property does not hold; the message is one sentence.
      TypeError: if `cell` is not a cell.
    """
    if not isinstance(cell, Cell):
        raise TypeError(f"check_cell: cell must be a rnn_jax.Cell, got {cell!r}; write MyCell(2, 3)")
    run_all(checks(cell, engines))


def check_layer(layer: Cell, engines: Sequence[Engine] = ENGINES) -> None:
    """Checks the contract of a layer, such as a stack of cells; as `check_cell`.

    >>> from rnn_jax import Bidirectional, VanillaRNN, testing
    >>> testing.check_layer(Bidirectional(VanillaRNN(2, 3)))

    Args:
      layer: layer with small sizes.
      engines: engines to compare with `Scan`; those that refuse a cell of the layer are left out.

    Raises:
      ContractError: if a property does not hold; the message is one sentence.
      TypeError: if `layer` is not a layer.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer: layer must be a rnn_jax.Layer, got {layer!r}; check_cell checks a cell")
    check_cell(layer, engines)
