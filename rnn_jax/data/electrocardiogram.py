"""Synthetic heartbeats of five kinds in two leads, no recordings: sums of Gaussian waves, as by McSharry et al. 2003.

P. E. McSharry, G. D. Clifford, L. Tarassenko, L. A. Smith, "A dynamical model for generating synthetic
electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50.
"""

import numpy as np

from rnn_jax.data.labelled_series import LabelledSeries

RATE = 100  # samples per second
LEADS = ("II", "V1")
# Share of each kind.
KINDS = {"normal": 0.4, "atrial premature": 0.15, "ventricular premature": 0.15, "fusion": 0.15, "bundle branch": 0.15}
TAIL = 0.4  # seconds after the beat in question
# Waves P, Q, R, S, T: seconds after the R peak, width in seconds, and height in mV in each lead.
CENTER = np.array([-0.17, -0.04, 0.0, 0.04, 0.27])
WIDTH = np.array([0.025, 0.012, 0.015, 0.014, 0.05])
HEIGHT = np.array([[0.15, -0.12, 1.1, -0.25, 0.3], [0.08, 0.0, 0.25, -0.9, 0.1]])
# A beat that starts in a ventricle: no P, wide and early waves, T against R.
VENTRICULAR_WIDTH = np.array([0.025, 0.03, 0.045, 0.045, 0.07])
VENTRICULAR_HEIGHT = np.array([[0.0, -0.1, 1.5, -0.5, -0.45], [0.0, 0.0, -1.2, 0.5, 0.4]])
# One bundle conducts late: wide waves, a second peak in place of S, T against R.
BLOCK_WIDTH = np.array([0.025, 0.02, 0.025, 0.03, 0.055])
BLOCK_HEIGHT = np.array([[0.15, 0.0, 0.8, 0.6, -0.2], [0.08, 0.0, -0.4, -0.9, 0.25]])


def heartbeats(count: int, rng: np.random.Generator) -> LabelledSeries:
    """Returns beats in two leads, each from the R peak of the beat before it to 0.4 s after its own.

    Rate, heights and noise differ from series to series; a fast rhythm has the intervals of a premature beat, so the
    length alone does not show one. A fusion is a mixture of a normal and a ventricular beat.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> beats = data.heartbeats(100, np.random.default_rng(0))
    >>> len(beats.values), beats.channels, beats.values[0].shape[1], beats.names[0]
    (100, ('II', 'V1'), 2, 'normal')

    Args:
      count: number of series.
      rng: generator that draws them.
    """
    kinds = list(KINDS)
    numbers = np.repeat(np.arange(len(kinds)), np.diff(np.round(count * np.cumsum([0, *KINDS.values()])).astype(int)))
    values = [_series(kinds[number], rng) for number in numbers]
    return LabelledSeries.of(values, [kinds[number] for number in numbers], LEADS, classes=kinds)


def _series(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Returns a beat of a kind, and the last one before it [T, 2]."""
    interval = rng.uniform(0.6, 1.1)  # of this rhythm, in seconds
    early = {"atrial premature": (0.62, 0.82), "ventricular premature": (0.58, 0.8), "fusion": (0.85, 1.0)}
    peak = interval * rng.uniform(*early.get(kind, (0.93, 1.07)))
    time = np.arange(round(RATE * (peak + TAIL))) / RATE
    scale = rng.normal(1, 0.12, (2, 5))  # of a person's waves
    before = (BLOCK_WIDTH, BLOCK_HEIGHT * scale) if kind == "bundle branch" else (WIDTH, HEIGHT * scale)
    width, height = _waves(kind, scale, rng)
    leads = _beat(time, 0.0, *before) + _beat(time, peak, width, height)
    wander = rng.uniform(0, 0.15, 2) * np.sin(
        2 * np.pi * (rng.uniform(0.15, 0.4) * time[:, None] + rng.uniform(size=2))
    )
    return rng.uniform(0.7, 1.3) * leads + wander + 0.05 * rng.standard_normal(leads.shape)


def _waves(kind: str, scale: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns widths [5] and heights [2, 5] of the waves of a beat of a kind."""
    if kind == "bundle branch":
        return BLOCK_WIDTH, BLOCK_HEIGHT * scale
    share = {"ventricular premature": 1.0, "fusion": rng.uniform(0.3, 0.7)}.get(kind, 0.0)
    height = ((1 - share) * HEIGHT + share * VENTRICULAR_HEIGHT) * scale
    if kind == "atrial premature":
        height[:, 0] *= rng.uniform(-1.0, 0.3)  # P from another place in the atrium
    return (1 - share) * WIDTH + share * VENTRICULAR_WIDTH, height


def _beat(time: np.ndarray, peak: float, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Returns the sum of the waves around an R peak [T, 2]."""
    waves = np.exp(-0.5 * ((time[:, None] - peak - CENTER) / width) ** 2)
    return waves @ height.T
