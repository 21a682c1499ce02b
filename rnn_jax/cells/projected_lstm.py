"""LSTM with a recurrent projection (LSTMP): Sak, Senior & Beaufays 2014 (arXiv:1402.1128).

i_t, f_t, g_t, o_t    the gates of an LSTM, of x_t and the projected h_{t-1}
c_t = f_t * c_{t-1} + i_t * g_t
h_t = (o_t * tanh(c_t)) W_p
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cells.lstm import LSTMFamily, LSTMState


class ProjectedLSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 4H], gates i f g o
    w_h: jax.Array  # [P, 4H]
    b: jax.Array  # [4H]
    w_p: jax.Array  # [H, P]


@dataclasses.dataclass(frozen=True)
class ProjectedLSTM(LSTMFamily):
    """LSTM whose hidden state is projected: a large memory c [*batch, H] with a small recurrence h [*batch, P].

    The state is (h, c), the output h. PyTorch's `nn.LSTM(proj_size=P)`: no peepholes and no bias of the projection. A
    second product follows the gates, so it defines `step`. Gate order, arguments and errors are those of
    `LSTM`.

    >>> cell = ProjectedLSTM(input_size=2, hidden_size=6, proj_size=3)
    >>> state = cell.initial_state(cell.init(jax.random.key(0)))
    >>> state.h.shape, state.c.shape
    ((3,), (6,))

    Args:
      input_size: D.
      hidden_size: H, units of c and of each gate.
      proj_size: P, units of h; a keyword. None means half of H, rounded up.
      forget_bias: as in `LSTM`.
      recurrent_init: initialiser of each gate's block [P, H] of w_h.
      input_init: initialiser of each gate's block [D, H] of w_i, and of w_p [H, P].

    Raises:
      ValueError: if a size is not a positive integer.
    """

    proj_size: int | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.proj_size is not None:
            checks.integer_at_least(1, self.proj_size, "ProjectedLSTM: proj_size")

    @property
    def output_size(self) -> int:
        return (self.hidden_size + 1) // 2 if self.proj_size is None else self.proj_size

    def init(self, key: jax.Array) -> ProjectedLSTMParams:
        key_gates, key_projection = jax.random.split(key)
        w_i, w_h, b = self._init_gates(key_gates, self.output_size)
        return ProjectedLSTMParams(w_i, w_h, b, self.input_init(key_projection, (self.hidden_size, self.output_size)))

    def initial_state(self, params: ProjectedLSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        dtype = params.b.dtype
        return LSTMState(
            h=jnp.zeros((*batch_shape, self.output_size), dtype), c=jnp.zeros((*batch_shape, self.hidden_size), dtype)
        )

    def step(self, params: ProjectedLSTMParams, state: LSTMState, drive: jax.Array) -> LSTMState:
        i, f, g, o = jnp.split(drive + state.h @ params.w_h, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(h=(jax.nn.sigmoid(o) * jnp.tanh(c)) @ params.w_p, c=c)
