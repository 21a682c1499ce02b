"""Published claims on cells, each a preset: the authors' recipe, shortened if that takes hours of two cores.

Sources are papers and the authors' repositories; a rate or size that neither has is marked as ours. Results:
experiments/results/long_dependency/README.md, section "Claims".
"""

import jax
import jax.numpy as jnp
import optax

from experiments.long_dependency.recipe import Plateau, Published, Recipe, Recipes
from rnn_jax.training import Adam, ByName, ClipByNorm, CosineDecay, Optax, RMSProp

# tk-rusch/LEM, `adding`: 128 units, 28,000 steps. Its logs are below 1e-3, our criterion, after 3,100 steps of 50
# sequences at both T, and end at 5e-5. Here 64 units, and steps for that criterion only.
_LEM = Published("Rusch et al. 2022", "sequences", 155_000)
LEM: Recipes = tuple(
    Recipe("adding", length, "lem_adding", 64, 50, 4000, 100, Adam(2.6e-3), None, published=_LEM)
    for length in (2000, 5000)
)

# tk-rusch/coRNN, `adding`: 60,000 steps at most; no log, a figure in the paper. The options of the cell are those
# of the file, whose T is 100. Here a twentieth of the steps.
_CO_RNN = Plateau("Rusch & Mishra 2021", left=True)
CO_RNN: Recipes = (Recipe("adding", 2000, "co_rnn_adding", 128, 50, 3000, 100, Adam(2e-2), None, published=_CO_RNN),)


def adam_within(learning_rate: float, limit: float) -> optax.GradientTransformation:
    """Returns Adam whose updates keep parameters in [-limit, limit]."""

    def project(updates: optax.Updates, params: optax.Params) -> optax.Updates:
        return jax.tree.map(lambda u, p: jnp.clip(p + u, -limit, limit) - p, updates, params)

    return optax.chain(optax.adam(learning_rate), optax.stateless(project))


# Sunnydreamrain/IndRNN_Theano_Lasagne, `adding`: |u| <= 2^(1/T) before each step. There the rate falls to a tenth after
# 20,100 steps, and gradients are clipped at 10 from step to step of the recurrence; here neither, and 4,000 steps.
_WITHIN = ByName(Adam(2e-4), (("cell*.u", Optax(adam_within, 2e-4, 2 ** (1 / 1000))),))
_IND_RNN = Plateau("Li et al. 2018", left=True)
IND_RNN: Recipes = (Recipe("adding", 1000, "ind_rnn_adding", 128, 32, 4000, 100, _WITHIN, None, published=_IND_RNN),)

# lezcano/expRNN, `1_copying.py`, as published: A at a tenth of the rate.
_SLOW_A = ByName(RMSProp(2e-4, 0.99), (("cell.a", RMSProp(2e-5, 0.99)),))
_EXP_RNN = Plateau("Lezcano-Casado & Martinez-Rubio 2019", left=True)
EXP_RNN: Recipes = (Recipe("copying", 1000, "exp_rnn", 190, 128, 4000, 100, _SLOW_A, None, published=_EXP_RNN),)

# Three blocks, as published, but T = 256 in place of 4,096, not 400,000 steps, and no expansion factor of 6 inside a
# block; width, batch size, rate and clipping are ours, and there is no dropout.
_MIN_GRU = Published("Feng et al. 2024", "accuracy", 0.995)
MIN_GRU: Recipes = (
    Recipe(
        "copying_selective_2023",
        256,
        "min_gru_blocks",
        64,
        32,
        4000,
        100,
        Adam(1e-3),
        ClipByNorm(1.0),
        1,
        True,
        _MIN_GRU,
    ),
)

# adankow/unlocking_state_tracking, `xlstm/experiments/parity_*_single_layer.yaml`: words of at most 40 bits, tested on
# 40 to 256; one layer of 16 units. There are a linear warm-up of 2,000 steps, a weight decay of 0.1 (sLSTM), and 4
# heads; here none. The pairs of positive and negative eigenvalues are ours: the paper has Mamba and DeltaNet.
_GRAZZI = "Grazzi et al. 2025"
_POSITIVE = Plateau(f"{_GRAZZI}, theorem 1", left=False)
_PARITY = {
    "min_gru_negative": None,
    "slstm": Plateau(_GRAZZI, left=True),
    "gru": None,
    "min_gru": _POSITIVE,
    "rg_lru_negative": None,
    "rg_lru": _POSITIVE,
    "lru": Plateau("Khavari et al. 2025", left=False),  # its eigenvalues do not depend on the input
    "m_lstm": Plateau(_GRAZZI, left=False),
    "delta_net_negative": Plateau(_GRAZZI, left=True),
    "delta_net": Plateau(_GRAZZI, left=False),
}
PARITY: Recipes = tuple(
    Recipe("parity_longer", 40, cell, 16, 256, 20_000, 200, CosineDecay(Adam(1e-3), 20_000), None, published=published)
    for cell, published in _PARITY.items()
)

# JosvanderWesthuizen/janet: permuted MNIST, 92.5 % against the LSTM's 91.0 %, after 100 epochs, as here. Here are the
# digits of 64 pixels, and neither its dropout of 0.1 on outputs nor its L2 of 1e-5.
JANET: Recipes = tuple(
    Recipe("digits_permuted", 0, cell, 128, 200, 720, 90, Adam(1e-3), ClipByNorm(5.0), until_solved=False)
    for cell in ("janet_chrono", "lstm_bias_1")
)
