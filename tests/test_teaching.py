"""The two teaching programs: the same curve by every library, what is generated, what a run writes and refuses."""

import functools
import itertools
import json
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import teaching
from experiments.common.flags import UserError
from experiments.teaching import classifier, figures, peers, summary
from experiments.teaching import config as configs
from experiments.teaching.classifier import SequenceClassifier
from experiments.teaching.generator import TEXT, Generator
from experiments.teaching.measurement import Difference, Outcome, measure
from experiments.teaching.ours import Ours
from experiments.teaching.program import Lesson, orders
from rnn_jax import GRU, LRU, LSTM, GRUResetBefore, Stack, VanillaRNN, training
from rnn_jax.models import Classifier
from rnn_jax.models.classifier import ClassifierParams

pytestmark = pytest.mark.usefixtures("unoptimized")

ROOT = Path(__file__).parents[1]
SHORT = {"generator": 5, "classifier": 1}  # epochs


@functools.cache
def lesson(name, **fields):
    return configs.plan(teaching.Config(programs=(name,), **{"epochs": SHORT[name], **fields}))[0]


def curve(lesson, form, steps):
    learner = form.begin(lesson)
    found = [learner.step(*lesson.program.batch(places)) for places in itertools.chain(*lesson.batches[:steps])]
    return np.array(found[:steps]), learner


def installed(*names):
    """Skips where one is not. Keras is imported by way of what tells it to compute by JAX."""
    for name in names:
        pytest.importorskip(f"experiments.teaching.peers.{peers.LIBRARIES[name][0]}", exc_type=ImportError)


def forms(module):
    """A library's two forms: the same program, and as written."""
    installed(module)
    found, missing = peers.find()
    assert module not in missing
    same, written = (form for form in found if form.name.startswith(module))
    return same, written


@pytest.fixture
def ranks_promoted():
    """Keras promotes ranks, in the thread that it is run in as well."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def few(monkeypatch):
    """A classifier of few sequences."""
    monkeypatch.setattr(classifier, "EXAMPLES", 40)


def test_the_programs_are_the_originals():
    generator, sequences = configs.plan(teaching.Config())
    assert generator.program.sizes == (48, 3, 17, 17)
    assert generator.trainer.model.cell == VanillaRNN(17, 50, jax.nn.relu)
    assert (len(generator.batches), [len(batch) for batch in generator.batches[0]]) == (100, [32, 16])
    assert sequences.program.sizes == (1000, 5, 10, 2)
    assert sequences.trainer.model.cell == Stack((LSTM(10, 50), LSTM(50, 50)))
    assert (len(sequences.batches), [len(batch) for batch in sequences.batches[0]]) == (20, [32] * 31 + [8])
    assert generator.learning_rate == sequences.learning_rate == 1e-3


def test_every_window_has_the_character_after_it():
    program = Generator.of(TEXT)
    xs, classes = program.batch(np.arange(48))
    assert xs.dtype == np.float32
    np.testing.assert_array_equal(xs.sum(axis=-1), 1)
    for place in range(48):
        window = "".join(program.characters[n] for n in xs[:, place].argmax(axis=-1))
        assert window + program.characters[classes[place]] == TEXT[place : place + 4]


def test_every_example_comes_once_an_epoch_in_another_order():
    found = orders(70, 32, 3, seed=5)
    assert [[len(batch) for batch in epoch] for epoch in found] == [[32, 32, 6]] * 3
    flat = [np.concatenate(epoch) for epoch in found]
    for order in flat:
        assert sorted(order) == list(range(70))
    assert not np.array_equal(flat[0], flat[1])
    np.testing.assert_array_equal(flat[2], np.concatenate(orders(70, 32, 3, seed=5)[2]))
    assert not np.array_equal(flat[0], np.concatenate(orders(70, 32, 3, seed=6)[0]))


def test_generation_is_greedy_and_from_the_window():
    """Scores that name the character one further in the alphabet than the window's first, whatever else was written."""
    program = Generator.of("abcdefghijkl")
    read = []

    def scores(xs):
        window = xs.argmax(axis=-1)[:, 0]
        read.append("".join(program.characters[n] for n in window))
        found = np.full((1, 12), -1.0)
        found[0, (window[0] + 1) % 12] = 0.5
        found[0, 0] += 0.9  # the second best
        return found

    written = program.generate(scores)
    assert len(written) == 9 + 50
    assert written.startswith("abcdefghi")
    assert read == [written[place - 3 : place] for place in range(9, 59)]
    assert all(ord(new) == ord(first) + 1 for first, new in zip(written[6:], written[9:], strict=False) if new != "a")
    assert written[9] == "h"


def test_random_sequences_are_of_the_seed_and_the_fresh_ones_are_others():
    one, again, other = SequenceClassifier.drawn(3), SequenceClassifier.drawn(3), SequenceClassifier.drawn(4)
    np.testing.assert_array_equal(one.xs, again.xs)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert not np.array_equal(one.xs, other.xs)
    assert one.xs.dtype == np.float32
    assert np.mean(one.fresh_xs == one.xs) < 0.01
    for xs, labels in ((one.xs, one.labels), (one.fresh_xs, one.fresh_labels)):
        assert xs.shape == (5, 1000, 10)
        assert abs(xs.mean()) < 5 / np.sqrt(xs.size)
        assert abs(xs.var() - 1) < 5 * np.sqrt(2 / xs.size)
        assert abs(labels.mean() - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_accuracies_are_of_the_training_data_and_of_the_fresh():
    program = SequenceClassifier.drawn(0)
    known = {xs.tobytes(): label for xs, label in zip(np.swapaxes(program.xs, 0, 1), program.labels, strict=True)}

    def by_heart(xs):
        return np.eye(2)[[known.get(x.tobytes(), 1) for x in np.swapaxes(xs, 0, 1)]]

    assert program.findings(by_heart) == {
        "training/accuracy": 1.0,
        "fresh/accuracy": pytest.approx(program.fresh_labels.mean()),
    }


# Rounding: 1e-7 of a loss at every step, and up to 2e-5 of each of Adam's: 1 - 0.999^n has 32 bit here and in Keras, 64
# in PyTorch. In 64 bit (tests/float64/test_teaching.py) the same curves are equal to 1e-13.
SAME = 1.5e-6


@pytest.mark.usefixtures("ranks_promoted")
@pytest.mark.parametrize(
    ("name", "library"), [("generator", "PyTorch"), ("classifier", "PyTorch"), ("classifier", "Keras")]
)
def test_the_same_weights_give_the_same_curve(name, library):
    same, written = forms(library)
    steps = 10
    made = lesson(name)
    wanted, ours = curve(made, Ours(), steps)
    got, theirs = curve(made, same, steps)
    np.testing.assert_allclose(got, wanted, rtol=SAME)
    xs, _ = made.program.batch(np.arange(20))
    np.testing.assert_array_equal(ours.scores(xs).argmax(axis=-1), theirs.scores(xs).argmax(axis=-1))
    as_written, _ = curve(made, written, steps)
    np.testing.assert_allclose(as_written[0], wanted[0], rtol=SAME)
    assert np.max(np.abs(as_written / wanted - 1)) > 5 * SAME  # what the docstrings say of it is there


def test_ours_learns_the_sentence():
    made = lesson("generator", epochs=40)
    outcome = measure(made, Ours(), training.Session())
    assert len(outcome.losses) == 80
    assert outcome.losses[-2:].mean() < 0.7 * outcome.losses[:2].mean()
    assert outcome.findings["training/accuracy"] > 0.4
    assert outcome.findings["generated"].startswith("This is G")


def test_a_stopped_training_ends_without_an_outcome():
    stop = threading.Event()
    stop.set()
    assert measure(lesson("generator"), Ours(), training.Session(stop=stop)) is None


def test_of_a_gru_the_second_bias_is_free_at_the_candidate_alone():
    installed("PyTorch")
    import torch

    from experiments.teaching.peers import pytorch

    recurrent = torch.nn.GRU(2, 3, batch_first=True)
    pytorch._hold_second_biases(recurrent)
    recurrent(torch.ones(1, 4, 2))[0].square().sum().backward()
    gradient = recurrent.bias_hh_l0.grad
    assert bool((gradient[:6] == 0).all())
    assert bool((gradient[6:] != 0).all())
    assert bool((recurrent.bias_ih_l0.grad != 0).all())


def test_a_library_without_the_cell_is_left_out():
    installed("Keras", "PyTorch")
    found, _ = peers.find()

    def told(*cells):
        cell = cells[0] if len(cells) == 1 else Stack(cells)
        trainer = training.Trainer(Classifier(cell, 2), 1, training.Adam(1e-3), None)
        params = ClassifierParams((), cell.init(jax.random.key(0)), None)
        made = Lesson(None, trainer, training.TrainState(params, *[None] * 7), [])
        return summary.refusals([made, made], [Ours(), *found])

    assert told(VanillaRNN(2, 2)) == told(LSTM(2, 2), LSTM(2, 2)) == []
    assert told(GRU(2, 3)) == [
        "Keras; Keras, as written: left out: Keras's layers with one bias a gate are VanillaRNN, LSTM, "
        "GRUResetBefore here, not GRU"
    ]
    assert told(LSTM(2, 2), GRUResetBefore(2, 2)) == [
        "PyTorch; PyTorch, as written: left out: PyTorch's layers are VanillaRNN, LSTM, GRU here, not GRUResetBefore"
    ]
    both = told(LRU(2, 2))
    assert [line.split(": ")[0] for line in both] == ["Keras; Keras, as written", "PyTorch; PyTorch, as written"]
    (sine,) = told(VanillaRNN(2, 2, jnp.sin))
    assert "PyTorch's nn.RNN has jnp.tanh and jax.nn.relu for its activation" in sine


def test_differences_are_to_the_reference():
    difference = Difference.between(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.3, 0.0]))
    np.testing.assert_allclose(difference.absolute, [0, 0, 0.3, 4])
    assert difference.relative[2] == pytest.approx(1 / 11)
    assert difference.relative[3] > 1e30
    assert [difference.first_above(level) for level in (0.01, 0.1, 1e60)] == [3, 4, None]


def test_an_epoch_is_the_median_without_the_first_and_its_loss_the_mean_over_examples():
    outcome = Outcome(np.array([9.0, 9.0, 1.0, 4.0]), np.array([50.0, 1.0, 2.0, 9.0]), {})
    assert outcome.seconds_per_epoch == 2
    assert Outcome(np.zeros(1), np.array([50.0]), {}).seconds_per_epoch == 50
    made = types.SimpleNamespace(batches=[[np.arange(2), np.arange(1)]] * 2)
    assert summary.last_epoch(made, outcome) == pytest.approx(2)


def test_a_missing_library_is_told_and_ours_runs(tmp_path, monkeypatch, capsys, few):
    for module, distribution in peers.LIBRARIES.values():
        monkeypatch.setitem(sys.modules, distribution, None)
        monkeypatch.delitem(sys.modules, f"experiments.teaching.peers.{module}", raising=False)
    teaching.run(teaching.Config(epochs=1), str(tmp_path))
    shown = " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "results.json").read_text())
    assert [record["form"] for record in content["results"]] == ["rnn_jax", "rnn_jax"]
    assert len(content["left_out"]) == 2
    for name, distribution in (("Keras", "keras"), ("PyTorch", "torch")):
        (line,) = (line for line in content["left_out"] if line.startswith(f"{name} is missing"))
        assert f'to have it: pip install {distribution}, or both by pip install ".[peers]"' in line
        assert line in shown
        assert line.replace('"', "&quot;") in (tmp_path / "summary.html").read_text()


def test_a_form_that_refuses_does_not_begin(tmp_path, monkeypatch, capsys):
    refusing = types.SimpleNamespace(name="Other", refusal=lambda lesson: "no such cell")  # has no begin
    monkeypatch.setattr(peers, "find", lambda: ([refusing], {}))
    teaching.run(teaching.Config(programs=("generator",), epochs=1), str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["left_out"] == ["Other: left out: no such cell"]
    assert [record["form"] for record in content["results"]] == ["rnn_jax"]
    assert "Other: left out: no such cell" in capsys.readouterr().out


def test_keras_on_another_backend_is_told(monkeypatch):
    installed("Keras")
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    _, missing = peers.find()
    assert missing["Keras"] == "keras was imported with KERAS_BACKEND=torch before"


@pytest.mark.usefixtures("ranks_promoted")
def test_a_tiny_run_writes_its_files(tmp_path, monkeypatch, few):
    installed("Keras", "PyTorch")
    drawn = {}
    monkeypatch.setattr(
        figures,
        "loss_figure",
        lambda made, outcomes, real=figures.loss_figure: drawn.setdefault(made.program.name, real(made, outcomes)),
    )
    text = tmp_path / "text.txt"
    text.write_text("abc [bold]abd[/] abe\nabc", encoding="utf-8")
    folder = tmp_path / "run"
    teaching.run(teaching.Config(text=str(text), epochs=2), str(folder))
    names = {"config.json", "results.json", "arrays.npz", "generator.png", "classifier.png", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    assert all(drawn[name] == (folder / f"{name}.png").read_bytes() for name in ("generator", "classifier"))
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    content = json.loads((folder / "results.json").read_text())
    assert {"jax", "keras", "torch"} <= content["environment"].keys()
    assert content["left_out"] == []
    records = content["results"]
    order = ["rnn_jax", "Keras", "Keras, as written", "PyTorch", "PyTorch, as written"]
    assert [(r["run"], r["form"]) for r in records] == [
        (run, form) for run in ("generator", "classifier") for form in order
    ]
    arrays = np.load(folder / "arrays.npz")
    for record in records:
        losses = arrays[f"{record['run']}/{record['form']}"]
        assert (len(losses), losses[0]) == (record["steps"], record["loss/first_step"])
        assert np.isfinite(losses).all()
        assert 0 <= record["training/accuracy"] <= 1
        assert ("generated" in record, "fresh/accuracy" in record) == (
            (True, False) if record["run"] == "generator" else (False, True)
        )
        ours = arrays[f"{record['run']}/rnn_jax"]
        if record["form"] == "rnn_jax":
            assert not any(key.startswith("difference") for key in record)
        else:
            assert (record["difference/relative"] < SAME) == (record["form"] in ("Keras", "PyTorch"))
            assert record["difference/absolute"] == np.max(np.abs(losses - ours))
            assert record["difference/relative_at_step"] == 1 + np.argmax(np.abs(losses - ours) / ours)
            assert (record["difference/first_step_above_1e-05"] is None) == (record["difference/relative"] <= 1e-5)
    assert all(record["generated"].startswith("abc [bold") for record in records[:5])


BAD = [
    ({"programs": ("generator", "translator")}, "--programs: unknown program 'translator', known are generator, class"),
    ({"programs": ()}, "--programs must be names, each once, got ''"),
    ({"programs": ("generator", "generator")}, "--programs must be names, each once, got 'generator,generator'"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
    ({"seed": -1}, "--seed must not be negative, got -1"),
    ({"cell": "nope"}, "unknown cell 'nope'"),
    ({"cell": "nope:Cell"}, "cannot import module 'nope'"),
    ({"text": "nowhere.txt"}, "--text: nowhere.txt: cannot be read"),
    ({"text": "nowhere.txt", "programs": ("classifier",)}, "--text is read by the generator, which is not among"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        teaching.run(teaching.Config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold a text, got an empty file"),
        (b"\xff\xfe", "must be a UTF-8 text, got byte 0xff at 0"),
        (b"abc", "must have at least 4 characters, got 3"),
        (b"aaaaaa", "must have two different characters, got 'a' alone"),
    ],
)
def test_a_text_that_cannot_be_learnt_is_refused(content, message, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^--text: .*{re.escape(message)}"):
        configs.plan(teaching.Config(text=str(path)))


def test_a_bad_flag_ends_the_program_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.teaching", "--quick", "--cell=xyz", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2
    assert done.stderr.strip().startswith("error: unknown cell 'xyz'")
    assert not (tmp_path / "run").exists()
