"""Networks by name for a task's sizes: registered cells, variants with other initial biases, and user-defined cells."""

import bisect
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.flags import Need, UserError
from rnn_jax import Cell, Dropout, ReadoutModel, Stack, cells, diagnostics, initializers, tasks
from rnn_jax.data import Examples
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.layers import PerStep, convolution_block
from rnn_jax.training.example_source import ExampleLoss

MATRIX_MEMORIES = ("gla", "hgrn2", "m_lstm", "delta_net", "gated_delta_net")


def _of_4_heads(make: Callable[..., Cell], input_size: int, hidden_size: int, lag: int) -> Cell:
    del lag
    return make(input_size, 4 * -(-hidden_size // 4), heads=4)


def _ind_rnn(input_size: int, hidden_size: int, lag: int, u_min: float) -> Cell:
    """Returns an IndRNN whose memories of lag + 1 steps at most double."""
    u_max, small = 2 ** (1 / (lag + 1)), initializers.Normal(0.001)
    return cells.IndRNN(input_size, hidden_size, u_min=u_min, u_max=u_max, input_init=small)


# Variants of registered cells, as functions of (input size, units, longest lag of the task).
VARIANTS: dict[str, Callable[[int, int, int], Cell]] = {
    "lstm_bias_0": lambda d, h, _: cells.LSTM(d, h, forget_bias=0.0),
    "lstm_bias_1": lambda d, h, _: cells.LSTM(d, h, forget_bias=1.0),
    "lstm_bias_5": lambda d, h, _: cells.LSTM(d, h, forget_bias=5.0),
    "lstm_bias_10": lambda d, h, _: cells.LSTM(d, h, forget_bias=10.0),
    "lstm_chrono": lambda d, h, lag: cells.LSTM(d, h, forget_bias=initializers.Chrono(lag)),
    "gru_chrono": lambda d, h, lag: cells.GRU(d, h, update_bias=initializers.Chrono(lag)),
    # A memory of one head takes four times the time. Sizes are multiples of 4.
    **{f"{name}_4_heads": functools.partial(_of_4_heads, cells.CELLS[name]) for name in MATRIX_MEMORIES},
    "janet_chrono": lambda d, h, lag: cells.JANET(d, h, forget_bias=initializers.Chrono(lag + 1)),
    # The options of the authors' code for the adding problem; two layers of the IndRNN.
    "lem_adding": lambda d, h, _: cells.LEM(d, h, dt=0.0242),
    "co_rnn_adding": lambda d, h, _: cells.CoRNN(d, h, dt=0.06, gamma=66.0, epsilon=15.0),
    "ind_rnn_adding": lambda d, h, lag: Stack((_ind_rnn(d, h, lag, 0.0), _ind_rnn(h, h, lag, 2 ** (-1 / (lag + 1))))),
    "delta_net_negative": lambda d, h, _: cells.DeltaNet(d, h, negative_eigenvalues=True),
    # The network of the minGRU's selective copying.
    "min_gru_blocks": lambda d, h, _: Stack((PerStep(d, nn.Dense, h), *[convolution_block(h)] * 3)),
}
NAMES = ", ".join([*cells.CELLS, *VARIANTS])
CELL_HELP = f"One of {NAMES}, or a user-defined cell as module:Class or module:Class(option=value)."
CELLS_HELP = f"Comma list of {NAMES}, or user-defined cells as module:Class or module:Class(option=value)."

TASK_HELP = (
    f"One of {', '.join(tasks.SYNTHETIC)}, or a user-defined task as module:Class or module:Class(option=value)."
)
TASKS_HELP = (
    f"Comma list of {', '.join([*tasks.SYNTHETIC, *tasks.IMAGES, *tasks.NOISE_PADDED])}, or user-defined tasks as "
    "module:Class or module:Class(option=value)"
)

MNIST_HELP = "Folder with MNIST's four IDX files, gzip or not, for the MNIST tasks."
_SIZES = (8, 16, 32)  # units from which `hidden_size_for` starts

CIFAR_HELP = "Folder with the six .bin files of CIFAR-10's binary version, for cifar_noise_padded."


def _task_chosen(*names: str) -> Need:
    def met(config: Any) -> bool:
        return getattr(config, "preset", None) is not None or bool({*names} & {*(config.tasks or ())})

    return Need(met, f"without --tasks={' or '.join(names)}")


MNIST, CIFAR = _task_chosen("mnist", "mnist_permuted"), _task_chosen("cifar_noise_padded")
SYNTHETIC = Need(
    lambda config: config.tasks is None or not {*config.tasks} <= {*tasks.IMAGES},
    "with --tasks whose lengths are those of images",
)


def make_model(name: str, task: tasks.Task, hidden_size: int, layers: int = 1) -> ReadoutModel:
    """Returns the network called `name`, with a readout for the task.

    Args:
      name: key of `cells.CELLS` or `VARIANTS`, or `module:Class`, called as (input_size, hidden_size), or with
        options `module:Class(option=value)`.
      task: task that gives the sizes and the longest lag.
      hidden_size: units of each layer.
      layers: number of layers.

    Raises:
      UserError: if there is no such network, it cannot be made, or it is not a hashable `rnn_jax.Cell`.
    """
    cell = make_stack(name, task.input_size, hidden_size, task.dependency, layers)
    return ReadoutModel(cell, task.output_size)


def hidden_size_for(parameters: int, name: str, task: tasks.Task, layers: int = 1) -> int:
    """Returns the units of each layer with which the network called `name` is nearest to a number of parameters.

    Args:
      parameters: number of parameters of the whole network, readout included.
      name: as for `make_model`, like the two below.
      task: task that gives the sizes and the longest lag.
      layers: number of layers.

    Raises:
      UserError: as `make_model`, or if no size is within a half of that number.
    """

    @functools.cache
    def excess(hidden_size: int) -> int:
        shapes = jax.eval_shape(make_model(name, task, hidden_size, layers).init, jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) - parameters

    # Nearly every cell's number is quadratic in its units, so that three sizes, not a dozen, give the answer.
    roots = np.roots(np.polyfit(_SIZES, [excess(hidden_size) for hidden_size in _SIZES], 2))
    below = int(min((root.real for root in roots if not root.imag and root.real >= 1), default=1))
    while below > 1 and excess(below) > 0:
        below //= 2
    above = below + 1
    while excess(above) < 0:
        below, above = above, 2 * above
    above = bisect.bisect_left(range(above), 0, lo=below + 1, key=excess)
    nearest = min(above - 1, above, key=lambda hidden_size: abs(excess(hidden_size)))
    if abs(excess(nearest)) > parameters / 2:
        raise UserError(
            f"cell {name!r} must have a size of about {parameters:,} parameters, has {parameters + excess(nearest):,} "
            f"with {nearest} units"
        )
    return nearest


def make_stack(
    name: str,
    input_size: int,
    hidden_size: int,
    lag: int,
    layers: int = 1,
    wrap: Callable[[Cell], Cell] = lambda cell: cell,
    dropout: float = 0.0,
) -> Cell:
    """Returns the cell called `name`, or a `Stack` if there are several layers.

    Args:
      name: as for `make_model`.
      input_size: features of an input.
      hidden_size: units of each layer.
      lag: longest lag of the task.
      layers: number of layers.
      wrap: function applied to the cell of each layer, such as one that adds dropout.
      dropout: share dropped of the inputs of each layer except the first.

    Raises:
      UserError: as `make_model`.
    """
    stack: list[Cell] = []
    for _ in range(layers):
        layer = wrap(make_cell(name, stack[-1].output_size if stack else input_size, hidden_size, lag))
        stack.append(Dropout(layer, dropout) if stack and dropout else layer)
    return stack[0] if layers == 1 else Stack(tuple(stack))


def make_cell(name: str, input_size: int, hidden_size: int, lag: int) -> Cell:
    """Returns the cell called `name`; arguments and errors as `make_model`."""
    if ":" not in name and name not in cells.CELLS and name not in VARIANTS:
        raise UserError(f"unknown cell {name!r}: known are {NAMES}, and user-defined cells as module:Class")
    try:
        if name in VARIANTS:
            return VARIANTS[name](input_size, hidden_size, lag)
        factory = cells.find(name)
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        cell = factory(input_size, hidden_size)
    except Exception as error:  # user code may raise anything
        raise UserError(f"cell {name!r} cannot be made as (input_size, hidden_size): {error}") from error
    if not isinstance(cell, Cell):
        raise UserError(f"cell {name!r} must make a rnn_jax.Cell, got {type(cell).__name__}")
    try:
        hash(cell)
    except TypeError as error:
        raise UserError(f"cell {name!r} must be hashable, as cells are compared by value: {error}") from error
    return cell


def short_name(name: str) -> str:
    """Returns a network's name for tables: of `module:Class` the class, with its options."""
    return name.partition(":")[2] or name


def probe(description: str, use: Callable[[jax.Array], Any]) -> None:
    """Traces what an experiment does with a network, so that errors of user code show before anything is written.

    Args:
      description: flag and network, the beginning of the message.
      use: function of a key that makes the network and differentiates it; it is traced, not run.

    Raises:
      UserError: if `use` raises anything.
    """
    try:
        jax.eval_shape(use, jax.random.key(0))
    except UserError:
        raise
    except Exception as error:  # user code may raise anything
        raise UserError(f"{description} cannot be used: {type(error).__name__}: {error}") from error


def probe_loss(description: str, model: Any, loss: ExampleLoss, buckets: Sequence[Examples]) -> None:
    """Traces the gradient of a loss on the first training example; see `probe`."""
    example = buckets[0].take(np.arange(1))

    def use(key: jax.Array) -> Any:
        return jax.grad(lambda params: loss(model, params, example, key))(model.init(key))

    probe(description, use)


def probe_on_task(name: str, model: ReadoutModel, task: tasks.Task, engine: Engine = Hoisted()) -> None:
    """Traces a network's forward pass by an engine, and gradients of its states on a task's shapes; see `probe`."""

    def use(key: jax.Array) -> Any:
        xs = jnp.zeros((task.sequence_length, 1, task.input_size))
        params = model.init(key)
        model.apply(params, xs, engine=engine, key=None)  # first, as its messages are the plainer ones
        return diagnostics.state_gradients(model.cell, params.cell, xs, lambda hs: jnp.sum(model.read(params, hs)))

    probe(f"cell {name!r}", use)
