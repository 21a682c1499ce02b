"""Recipes by name: what the papers compare, at sizes that two cores manage, and as published for an accelerator."""

from experiments.long_dependency.recipe import Plateau, Published, Recipe
from rnn_jax.training import Adam, ClipByNorm, RMSProp

Recipes = tuple[Recipe, ...]

ADAM, CLIP = Adam(2e-3), ClipByNorm(1.0)

# Le, Jaitly & Hinton 2015 and Arjovsky et al. 2016 show curves; a tanh network is on the baseline at every T.
ADDING: Recipes = tuple(
    Recipe("adding", length, cell, 64, 20, 6000, 100, optimizer, CLIP, published=published)
    for length in (100, 200, 400, 750)
    for cell, optimizer, published in (
        ("rnn", ADAM, Plateau("Le et al. 2015", left=False)),
        ("irnn", Adam(5e-4), None),
        ("lstm", ADAM, None),
        ("lstm_chrono", ADAM, None),
        ("gru", ADAM, None),
    )
)

_HS = "Hochreiter & Schmidhuber 1997"


def _sequences(value: float) -> Published:
    return Published(_HS, "sequences", value)


# Their sequences come singly, here in batches: what is counted is sequences.
HOCHREITER_ADDING: Recipes = tuple(
    Recipe("adding_1997", length, cell, 32, 20, sequences // 20, 100, Adam(5e-3), CLIP, published=_sequences(sequences))
    for length, sequences in ((100, 74_000), (500, 209_000), (1000, 853_000))
    for cell in ("lstm_chrono", "gru_chrono")
)

TEMPORAL_ORDER: Recipes = tuple(
    Recipe(task, 100, cell, 32, 20, sequences // 20, 50, Adam(1e-2), CLIP, published=_sequences(sequences))
    for task, sequences in (("temporal_order_6a", 31_390), ("temporal_order_6b", 571_100))
    for cell in ("lstm_chrono", "gru_chrono")
)

MULTIPLICATION: Recipes = tuple(
    Recipe("multiplication", 100, cell, 32, 20, 24_100, 200, Adam(5e-3), CLIP, published=_sequences(1_273_000))
    for cell in ("lstm_chrono", "gru_chrono")
)

# Tallec & Ollivier 2018: 128 units, RMSprop 1e-3 with decay 0.9, no clipping.
COPYING: Recipes = tuple(
    Recipe("copying", length, cell, 64, 20, 3000, 100, RMSProp(1e-3), None)
    for length in (100, 200, 500)
    for cell in ("lstm_bias_1", "lstm_chrono")
)

_BAI = "Bai et al. 2018"

# Bai et al. 2018, table 1, with their settings: 70,000 parameters, RMSprop 1e-3, clipping at 1. For an accelerator.
BAI: Recipes = (
    *(
        Recipe(
            task,
            0,
            cell,
            130,
            64,
            18_760,
            938,
            RMSProp(1e-3, 0.99),
            CLIP,
            until_solved=False,
            published=Published(_BAI, "accuracy", accuracy),
        )
        for task, of_cells in (
            ("mnist", {"lstm_bias_1": 0.872, "gru": 0.962, "rnn": 0.215}),
            ("mnist_permuted", {"lstm_bias_10": 0.857, "gru": 0.873, "rnn": 0.253}),
        )
        for cell, accuracy in of_cells.items()
    ),
)

PRESETS: dict[str, Recipes] = {
    "adding": ADDING,
    "hochreiter_adding": HOCHREITER_ADDING,
    "temporal_order": TEMPORAL_ORDER,
    "multiplication": MULTIPLICATION,
    "copying": COPYING,
    "bai": BAI,
}
