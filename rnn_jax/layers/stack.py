"""Layers on top of each other."""

import dataclasses
from typing import Any

import jax

from rnn_jax import noise
from rnn_jax.cell import Cell, Params, State
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class Stack(Cell, Layer):
    """Each layer reads the outputs of the one below: y^l_t = layer_l(y^{l-1})_t, with y^0_t = x_t.

    `unroll` runs it layer by layer, each over the whole sequence, so that a layer's inputs are projected in one
    product. For generation it steps as any cell does, unless it contains a layer without a step (`Bidirectional`).
    Parameters and state are tuples, one entry per layer; the output is the top layer's.

    >>> import jax.numpy as jnp
    >>> from rnn_jax import GRU, LSTM
    >>> model = Stack([LSTM(2, 8), GRU(8, 3)])
    >>> params = model.init(jax.random.key(0))
    >>> final_state, ys = unroll(model, params, jnp.ones((10, 5, 2)))  # [T, batch, features]
    >>> ys.shape, final_state[0].c.shape
    ((10, 5, 3), (5, 8))

    Args:
      layers: cells and layers, from the bottom up.

    Raises:
      TypeError: if an entry is not a cell or layer.
      ValueError: if there is no entry, or one does not read as many features as the one below gives.
    """

    input_size: int = dataclasses.field(init=False, repr=False)
    hidden_size: int = dataclasses.field(init=False, repr=False)
    layers: tuple[Cell, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError("Stack: layers must hold at least one layer, got none")
        for number, layer in enumerate(self.layers):
            if not isinstance(layer, Cell):
                raise TypeError(f"Stack: layers[{number}] must be a cell or layer, got {layer!r}")
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if below.output_size != above.input_size:
                raise ValueError(
                    f"Stack: layers[{number + 1}] must read the {below.output_size} features that layers[{number}] "
                    f"gives, got input_size {above.input_size}"
                )
        object.__setattr__(self, "input_size", self.layers[0].input_size)
        object.__setattr__(self, "hidden_size", self.layers[-1].hidden_size)
        super().__post_init__()

    @property
    def output_size(self) -> int:
        return self.layers[-1].output_size

    def init(self, key: jax.Array) -> tuple[Params, ...]:
        keys = jax.random.split(key, len(self.layers))
        return tuple(layer.init(k) for layer, k in zip(self.layers, keys, strict=True))

    def initial_state(self, params: tuple[Params, ...], batch_shape: tuple[int, ...] = ()) -> tuple[State, ...]:
        return tuple(layer.initial_state(p, batch_shape) for layer, p in zip(self.layers, params, strict=True))

    def unroll(
        self, params: tuple[Params, ...], xs: Any, state: tuple[State, ...], options: UnrollOptions
    ) -> tuple[tuple[State, ...], Any]:
        final_state = []
        keys = noise.keys(options.key, len(self.layers))
        for layer, p, s, k in zip(self.layers, params, state, keys, strict=True):
            final, xs = unroll(layer, p, xs, s, **options.keywords(key=k))
            final_state.append(final)
        return tuple(final_state), xs

    # One step of all layers. The drive holds the input, the bottom layer's drive and the noise of the layers above,
    # whose inputs only the step computes.

    def project(self, params: tuple[Params, ...], x: Any) -> Any:
        x, noises = self._split(x)
        x = noise.join(x, noises[0])
        return x, self.layers[0].project(params[0], x), noises[1:]

    def step(self, params: tuple[Params, ...], state: tuple[State, ...], drive: Any) -> tuple[State, ...]:
        x, drive, noises = drive
        stepped = [self.layers[0].step(params[0], state[0], drive)]
        for layer, p, s, noise_of_layer in zip(self.layers[1:], params[1:], state[1:], noises, strict=True):
            below = len(stepped) - 1
            x = noise.join(self.layers[below].output(params[below], stepped[below], x), noise_of_layer)
            stepped.append(layer.step(p, s, layer.project(p, x)))
        return tuple(stepped)

    def output(self, params: tuple[Params, ...], state: tuple[State, ...], x: Any) -> Any:
        x, noises = self._split(x)
        for layer, p, s, noise_of_layer in zip(self.layers, params, state, noises, strict=True):
            x = layer.output(p, s, noise.join(x, noise_of_layer))
        return x

    def noise(self, params: tuple[Params, ...], key: jax.Array, shape: tuple[int, ...]) -> Any:
        keys = jax.random.split(key, len(self.layers))
        noises = tuple(layer.noise(p, k, shape) for layer, p, k in zip(self.layers, params, keys, strict=True))
        return None if all(n is None for n in noises) else noises

    def _split(self, x: Any) -> tuple[Any, tuple[Any, ...]]:
        x, noises = noise.split(x)
        return x, (None,) * len(self.layers) if noises is None else noises
