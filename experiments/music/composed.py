"""Default data: pieces composed by a rule, in which four voices move by small steps through the chords of a key.

A piece has one of twelve keys, and phrases of eight chords. A phrase starts on I and ends on V I; in between, each
chord is followed by one that usually follows it in major keys. Each voice takes the note of the new chord that is
nearest to its last one, the bass the root. A chord lasts two steps; so the next chord depends on the position in the
phrase and on the key, not only on the last chord.
"""

import numpy as np

from rnn_jax.data.piano_roll import KEYS, LOWEST_NOTE

COUNTS = {"training": 80, "validation": 20, "test": 20}
PHRASE = 8  # chords
HELD = 2  # steps of a chord
FOLLOWS = {0: (3, 4, 5, 1), 1: (4,), 3: (4, 1, 0), 4: (0, 5), 5: (3, 1)}  # degrees of the scale, with I as 0
SCALE = np.array([0, 2, 4, 5, 7, 9, 11])  # semitones
VOICES = (67, 62, 55)  # MIDI notes near which soprano, alto and tenor start
BASS = 43


def pieces(seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Returns pieces by split, each uint8 [T, 88]."""
    rng = np.random.default_rng(seed)
    return {name: [_piece(rng) for _ in range(count)] for name, count in COUNTS.items()}


def _piece(rng: np.random.Generator) -> np.ndarray:
    tonic, phrases = rng.integers(12), rng.integers(2, 6)
    voices = np.array(VOICES)
    roll = np.zeros((phrases * PHRASE * HELD, KEYS), np.uint8)
    for place, degree in enumerate(chord for _ in range(phrases) for chord in _phrase(rng)):
        classes = (tonic + SCALE[(degree + np.array([0, 2, 4])) % 7]) % 12
        voices = np.array([_nearest(voice, classes, start) for voice, start in zip(voices, VOICES, strict=True)])
        notes = [*voices, _nearest(BASS, classes[:1], BASS)]
        roll[HELD * place : HELD * (place + 1), np.array(notes) - LOWEST_NOTE] = 1
    return roll


def _phrase(rng: np.random.Generator) -> list[int]:
    chords = [0]
    while len(chords) < PHRASE - 2:
        chords.append(int(rng.choice(FOLLOWS[chords[-1]])))
    return [*chords, 4, 0]


def _nearest(voice: int, classes: np.ndarray, middle: int) -> int:
    """Returns the note of these pitch classes that is nearest to the voice, within the voice's range."""
    notes = np.arange(middle - 9, middle + 10)
    allowed = notes[np.isin(notes % 12, classes)]
    return int(allowed[np.argmin(np.abs(allowed - voice))])
