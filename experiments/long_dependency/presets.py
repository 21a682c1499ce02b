"""Presets: the papers' comparisons at sizes for two cores, and as published for accelerators."""

from experiments.common import networks
from experiments.long_dependency import claims
from experiments.long_dependency.recipe import EqualTerms, Plateau, Published, Recipe, Recipes
from rnn_jax import cells
from rnn_jax.training import Adam, ClipByNorm, CosineDecay, RMSProp

ADAM, CLIP = Adam(2e-3), ClipByNorm(1.0)

# Le, Jaitly & Hinton 2015 and Arjovsky et al. 2016 show curves; a tanh network is on the baseline at every T.
ADDING: Recipes = tuple(
    recipe
    for length in (100, 200, 400, 750)
    for recipe in (
        Recipe("adding", length, "rnn", 64, 20, 6000, 100, ADAM, CLIP, published=Plateau("Le et al. 2015", left=False)),
        # 128 units, larger batches and a small rate: it oscillates otherwise. Long sequences get part of the budget.
        Recipe("adding", length, "irnn", 128, 50, 10_000 if length < 400 else 1500, 200, Adam(3e-4), CLIP),
        *(Recipe("adding", length, cell, 64, 20, 6000, 100, ADAM, CLIP) for cell in ("lstm", "lstm_chrono", "gru")),
    )
)

_HS = "Hochreiter & Schmidhuber 1997"


def _chrono(task: str, length: int, sequences: int, steps: int, every: int, rate: float) -> Recipes:
    """Returns networks with chrono biases; the paper trains on single sequences, we on batches: both are counted."""
    sizes, published = (32, 20, steps, every), Published(_HS, "sequences", sequences)
    cells = ("lstm_chrono", "gru_chrono")
    return tuple(Recipe(task, length, cell, *sizes, Adam(rate), CLIP, published=published) for cell in cells)


HOCHREITER_ADDING: Recipes = sum(
    (_chrono("adding_1997", t, n, n // 20, 100, 5e-3) for t, n in ((100, 74_000), (500, 209_000), (1000, 853_000))), ()
)
TEMPORAL_ORDER = _chrono("temporal_order_6a", 100, 31_390, 31_390 // 20, 50, 1e-2)
TEMPORAL_ORDER += _chrono("temporal_order_6b", 100, 571_100, 571_100 // 20, 50, 1e-2)
MULTIPLICATION = _chrono("multiplication", 100, 1_273_000, 24_100, 200, 5e-3)

_TALLEC = "Tallec & Ollivier 2018"

# Which initialisation leaves the plateau, one optimizer for all. RMSprop 1e-3, as in the paper, leaves it later.
COPYING: Recipes = tuple(
    Recipe("copying", length, cell, 64, 20, steps, 200, Adam(5e-3), CLIP, published=published)
    for length, steps in ((100, 6000), (200, 6000), (500, 12_000))
    for cell, published in (
        ("lstm_bias_1", Plateau(_TALLEC, left=False)),
        ("lstm_chrono", Plateau(_TALLEC, left=True)),
        ("gru_chrono", None),
    )
)

_BAI, _COOIJMANS = "Bai et al. 2018", "Cooijmans et al. 2016"

# Bai et al. 2018, table 1: the two longest synthetic tasks; our networks have a fifth of the size and chrono biases.
_DECAY = CosineDecay(Adam(3e-3), 10_000)
BAI: Recipes = (
    *(
        Recipe("adding", 600, cell, 64, 20, 10_000, 200, _DECAY, CLIP, 1, False, Published(_BAI, "mse", mse))
        for cell, mse in (("lstm_chrono", 0.164), ("gru_chrono", 5.3e-5))
    ),
    *(
        Recipe("copying", 1000, cell, 50, 20, steps, 200, Adam(5e-3), CLIP, published=Published(_BAI, "loss", loss))
        for cell, steps, loss in (("lstm_chrono", 12_000, 0.0204), ("gru_chrono", 3000, 0.0197))
    ),
)

# Units for which one layer that reads pixels has 70,000 parameters.
_UNITS_70K = {"rnn": 256, "lstm_bias_1": 130, "lstm_bias_10": 130, "lstm_chrono": 130, "gru": 150}


def _pixels(task: str, cell: str, steps: int, evaluate_every: int, published: Published | None = None) -> Recipe:
    """Returns Bai et al.'s recipe: 70,000 parameters, RMSprop 1e-3, clipping at 1, batches of 64.

    The IRNN has 100 units as in Le et al. 2015 and a small rate: RMSprop's first steps destroy an identity matrix.
    """
    optimizer = Adam(1e-4) if cell == "irnn" else RMSProp(1e-3, 0.99)
    sizes = 100 if cell == "irnn" else _UNITS_70K[cell], 64, steps, evaluate_every
    return Recipe(task, 0, cell, *sizes, optimizer, CLIP, until_solved=False, published=published)


DIGITS: Recipes = tuple(
    _pixels(task, cell, 2000, 100)
    for task in ("digits", "digits_permuted")
    for cell in ("rnn", "irnn", "lstm_bias_1", "lstm_chrono", "gru")
)

# Accuracies of networks in rows; chrono biases stand beside an LSTM of 100 units without them.
_ROWS = {"rnn": (_BAI, 0.215), "irnn": (_COOIJMANS, 0.97), "lstm_bias_1": (_BAI, 0.872)}
_ROWS |= {"lstm_chrono": (_COOIJMANS, 0.989), "gru": (_BAI, 0.962)}
_PERMUTED = {"rnn": (_BAI, 0.253), "irnn": (_COOIJMANS, 0.82), "lstm_bias_10": (_BAI, 0.857)}
_PERMUTED |= {"lstm_chrono": (_COOIJMANS, 0.902), "gru": (_BAI, 0.873)}

# The whole training, 20 epochs of 60,000 images: for an accelerator; `--share` shortens it.
MNIST: Recipes = tuple(
    _pixels(task, cell, 18_760, 938, Published(source, "accuracy", accuracy))
    for task, published in (("mnist", _ROWS), ("mnist_permuted", _PERMUTED))
    for cell, (source, accuracy) in published.items()
)

_TERMS = EqualTerms(10_000, (1e-2, 3e-3, 1e-3))


def zoo() -> Recipes:
    """Returns every registered cell on six tasks on equal terms, two layers each, 40,000 sequences at most.

    Matrix memories have 4 heads, as in the papers of GLA and xLSTM, for their time.
    """
    return tuple(
        Recipe(
            task,
            length,
            HEADS.get(cell, cell),
            None,
            20,
            2000,
            100,
            Adam(_TERMS.rates[0]),
            CLIP,
            layers=2,
            terms=_TERMS,
        )
        for task, length in ZOO_TASKS
        for cell in cells.CELLS
    )


HEADS = {name: f"{name}_4_heads" for name in networks.MATRIX_MEMORIES}
ZOO_TASKS = (
    ("adding", 200),
    ("copying", 100),
    ("temporal_order_6b", 100),
    ("parity_longer", 40),
    ("digits_permuted", 0),
    ("copying_selective_2023", 100),
)

PRESETS: dict[str, Recipes] = {
    "adding": ADDING,
    "hochreiter_adding": HOCHREITER_ADDING,
    "temporal_order": TEMPORAL_ORDER,
    "multiplication": MULTIPLICATION,
    "copying": COPYING,
    "bai": BAI,
    "digits": DIGITS,
    "mnist": MNIST,
    "zoo": zoo(),
    "lem": claims.LEM,
    "co_rnn": claims.CO_RNN,
    "ind_rnn": claims.IND_RNN,
    "exp_rnn": claims.EXP_RNN,
    "min_gru": claims.MIN_GRU,
    "parity": claims.PARITY,
    "janet": claims.JANET,
}

# Presets and recipes that need no files and take two cores 90 minutes in total.
_QUICK = ("adding", "hochreiter_adding", "temporal_order", "multiplication", "copying", "bai", "digits")
_LONG = {
    *(("adding", length, "irnn") for length in (200, 400, 750)),
    ("adding", 750, "lstm"),
    *(("copying", 500, recipe.cell) for recipe in COPYING),
}
PRESETS["all_cpu"] = tuple(
    recipe for name in _QUICK for recipe in PRESETS[name] if (recipe.task, recipe.length, recipe.cell) not in _LONG
)
