"""The card games of POPGym as supervised tasks: a player who remembers gives the right answers."""

import numpy as np
import pytest

from rnn_jax.tasks import Autoencode, Concentration, RepeatPrevious
from tests.drawing import assert_mean, assert_uniform, drawn, symbols_of


@pytest.mark.parametrize(("k", "decks"), [(4, 1), (32, 2), (64, 3)])  # POPGym's easy, medium and hard games
def test_repeat_previous_answers_with_the_kth_last_card(k, decks):
    inputs, targets, weights = drawn(RepeatPrevious(k), 200)
    suits = symbols_of(inputs)
    assert suits.shape == (200, 52 * decks)
    np.testing.assert_array_equal([np.bincount(row) for row in suits], 13 * decks)
    np.testing.assert_array_equal(weights, np.broadcast_to(np.arange(52 * decks) >= k - 1, weights.shape))
    for row, answers in zip(suits, targets, strict=True):
        for t in range(k - 1, len(row)):
            assert answers[t] == row[: t + 1][-k]


@pytest.mark.parametrize("cards", [5, 52])
def test_autoencode_answers_in_reverse_order(cards):
    inputs, targets, weights = drawn(Autoencode(cards), 200)
    suits = symbols_of(inputs[..., :4])
    np.testing.assert_array_equal(suits[:, cards:], -1)
    np.testing.assert_array_equal(inputs[..., 4], suits >= 0)  # "watch"
    np.testing.assert_array_equal(weights, suits < 0)
    np.testing.assert_array_equal(targets[:, cards:], suits[:, :cards][:, ::-1])
    counts = np.bincount(np.arange(cards) % 4)
    assert all(np.array_equal(np.bincount(row[:cards]), counts) for row in suits)


def test_concentration_answers_with_the_place_of_the_first_card_of_the_pair():
    task = Concentration(26)
    inputs, targets, _ = drawn(task, 500)
    np.testing.assert_array_equal(inputs[..., :52], np.broadcast_to(np.eye(52), (500, 52, 52)))
    pictures = symbols_of(inputs[..., 52:])
    for row, answers in zip(pictures, targets, strict=True):
        seen = {}
        for place, picture in enumerate(row.tolist()):
            assert answers[place] == seen.get(picture, 52)
            seen.setdefault(picture, place)
        assert len(seen) == 26


def test_cards_are_shuffled():
    assert_uniform(symbols_of(drawn(RepeatPrevious(4))[0])[:, 0], 0, 3)
    targets = drawn(Concentration(3))[1]
    # A card at step t is the second of its pair with probability t / 5.
    for step in range(1, 5):
        assert_mean((targets[:, step] < 6).astype(float), step / 5)
