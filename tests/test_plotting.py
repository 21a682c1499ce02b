"""Figures show a user's text as it is, whatever matplotlib would make of it."""

import io
import types

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text

from experiments.common.figures import confusion_figure, validation_figure
from rnn_jax import plotting

HOSTILE = ["a_$_b_$", "$5 to $9", r"$\frac$", "rate [/s]", "load [kwh]", "a\\_b%c", "Größe, м², 気温", "", " ", "$"]


def labelled(names):
    """A figure with names in every role that a text can have."""
    drawn = plotting.figure((6, 6))
    left, right = drawn.subplots(1, 2)
    for name in names:
        left.plot([0, 1], [1, 2], label=name)
        left.annotate(name, (0, 1))
    left.text(0.5, 1.5, names[0])
    left.set(title=names[0], xlabel=names[0], ylabel=names[0])
    left.set_xticks(range(len(names)), names)
    image = right.imshow(np.eye(len(names)))
    right.set_yticks(range(len(names)), names)
    drawn.colorbar(image, label=names[0])
    drawn.legend(title=names[0])
    drawn.suptitle(names[0])
    drawn.text(0, 0, names[0])
    return drawn


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_users_text_is_drawn_as_it_is(name):
    drawn = labelled([name, "other"])
    with matplotlib.rc_context({"text.parse_math": False}):
        expected = plotting.png(labelled([name, "other"]))
    assert plotting.png(drawn) == expected
    assert not any(text.get_parse_math() for text in drawn.findobj(Text) if name and text.get_text() == name)


def test_powers_of_ten_and_marked_formulas_are_typeset():
    def logarithmic(label):
        drawn = plotting.figure((4, 3))
        axis = drawn.subplots()
        axis.plot([1, 1e-8, 1e4])
        axis.set(yscale="log", title="a title")
        axis.set_ylabel(label, gid=plotting.FORMULA)
        return drawn

    typeset, buffer = logarithmic(r"$\lambda_1$"), io.BytesIO()
    typeset.savefig(buffer, format="png", dpi=110)
    assert plotting.png(logarithmic(r"$\lambda_1$")) == buffer.getvalue()
    with pytest.raises(ValueError, match="frac"):
        plotting.png(logarithmic(r"$\frac$"))


@pytest.mark.parametrize("draw", [validation_figure, confusion_figure])
def test_names_of_networks_and_classes_are_drawn_as_they_are(draw):
    names = ["a_$_b_$", "c"]
    if draw is validation_figure:
        fit = types.SimpleNamespace(scores=np.ones((1, 3)))
        rows = [types.SimpleNamespace(title=name, fit=fit, validation=np.ones(1)) for name in names]
        png = draw(rows, rows, names[0])
    else:
        png = draw(dict.fromkeys(names, np.eye(2)), names)
    assert png.startswith(b"\x89PNG")


def test_attention_is_drawn_beside_its_tokens_and_a_blank_is_visible():
    weights = np.full((2, 3), 1 / 3)
    assert plotting.attention_figure([(weights, ["a", " ", "$b$"], ["c", "END"])]).startswith(b"\x89PNG")
