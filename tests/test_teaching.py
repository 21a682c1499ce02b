"""The two teaching programs: the same curve in every library, the generated text, what a run writes."""

import dataclasses
import functools
import itertools
import json
import sys
import threading
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import peers, teaching
from experiments.peers import Network, Unsupported
from experiments.teaching import config as configs
from experiments.teaching import measurement, programs, summary
from experiments.teaching.measurement import LIBRARIES, measure
from experiments.teaching.programs import TEXT, classifier, epoch_batches, generator
from rnn_jax import GRU, LRU, LSTM, GRUResetBefore, Stack, VanillaRNN, training
from rnn_jax.models import Classifier

ROOT = Path(__file__).parents[1]
SHORT = {"generator": 5, "classifier": 1}  # epochs


@functools.cache
def plan(name, **fields):
    return configs.plan(teaching.Config(programs=(name,), **{"epochs": SHORT[name], **fields}))[0]


def curve(setup, create, steps):
    network = create(setup.trainer, setup.state)
    batches = itertools.islice(itertools.chain(*setup.batches), steps)
    return np.array([network.step(setup.program.xs[:, n], setup.program.labels[n]) for n in batches]), network


def train(setup, network, **session):
    return measure(setup, "rnn_jax", network, {}, training.Session(**session))


def find_forms(*names):
    """Returns the forms by name; skips the test if a library is missing."""
    for name in names:
        pytest.importorskip(f"experiments.peers.{LIBRARIES[name]}", exc_type=ImportError)
    forms, _, missing = measurement.find()
    assert not missing.keys() & set(names)
    return forms


@pytest.fixture
def rank_promotion():
    """Allows rank promotion, which Keras needs, in every thread."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    yield
    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def few_examples(monkeypatch):
    monkeypatch.setattr(programs, "EXAMPLES", 40)


def test_programs_are_the_originals():
    text, sequences = configs.plan(teaching.Config())
    assert text.program.xs.shape == (3, 48, 17)
    assert text.program.classes == 17
    assert text.trainer.model.cell == VanillaRNN(17, 50, jax.nn.relu)
    assert (len(text.batches), [len(batch) for batch in text.batches[0]]) == (100, [32, 16])
    assert sequences.program.xs.shape == (5, 1000, 10)
    assert sequences.program.classes == 2
    assert sequences.trainer.model.cell == Stack((LSTM(10, 50), LSTM(50, 50)))
    assert (len(sequences.batches), [len(batch) for batch in sequences.batches[0]]) == (20, [32] * 31 + [8])
    assert text.trainer.optimizer == sequences.trainer.optimizer == training.Adam(1e-3)


def test_label_of_a_window_is_the_next_character():
    program = generator(TEXT)
    characters = sorted(set(TEXT))
    assert program.xs.dtype == np.float32
    np.testing.assert_array_equal(program.xs.sum(axis=-1), 1)
    for place in range(48):
        window = "".join(characters[n] for n in program.xs[:, place].argmax(axis=-1))
        assert window + characters[program.labels[place]] == TEXT[place : place + 4]


def test_every_epoch_has_each_example_once_in_another_order():
    batches = epoch_batches(70, 32, 3, seed=5)
    assert [[len(batch) for batch in epoch] for epoch in batches] == [[32, 32, 6]] * 3
    flat = [np.concatenate(epoch) for epoch in batches]
    for order in flat:
        assert sorted(order) == list(range(70))
    assert not np.array_equal(flat[0], flat[1])
    np.testing.assert_array_equal(flat[2], np.concatenate(epoch_batches(70, 32, 3, seed=5)[2]))
    assert not np.array_equal(flat[0], np.concatenate(epoch_batches(70, 32, 3, seed=6)[0]))


def test_generation_is_greedy_and_reads_the_last_window():
    """The scores name the character one further in the alphabet than the window's first one."""
    characters = "abcdefghijkl"
    read = []

    def scores(xs):
        window = xs.argmax(axis=-1)[:, 0]
        read.append("".join(characters[n] for n in window))
        values = np.full((1, 12), -1.0)
        values[0, (window[0] + 1) % 12] = 0.5
        values[0, 0] += 0.9  # the second best
        return values

    text = generator(characters).evaluate(scores)["generated"]
    assert len(text) == 9 + 50
    assert text.startswith("abcdefghi")
    assert read == [text[place - 3 : place] for place in range(9, 59)]
    assert all(ord(new) == ord(first) + 1 for first, new in zip(text[6:], text[9:], strict=False) if new != "a")
    assert text[9] == "h"


def test_random_sequences_follow_from_the_seed():
    one, again, other = classifier(3), classifier(3), classifier(4)
    np.testing.assert_array_equal(one.xs, again.xs)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert not np.array_equal(one.xs, other.xs)
    assert one.xs.dtype == np.float32


def test_fresh_sequences_have_the_same_distribution_and_are_others():
    program, fresh = classifier(3), []
    program.evaluate(lambda xs: fresh.append(xs) or np.zeros((1000, 2)))
    (fresh_xs,) = fresh
    share_of_zeros = program.evaluate(lambda xs: np.tile([1.0, 0.0], (1000, 1)))["fresh/accuracy"]
    assert np.mean(fresh_xs == program.xs) < 0.01
    for xs, mean in ((program.xs, program.labels.mean()), (fresh_xs, 1 - share_of_zeros)):
        assert xs.shape == (5, 1000, 10)
        assert abs(xs.mean()) < 5 / np.sqrt(xs.size)
        assert abs(xs.var() - 1) < 5 * np.sqrt(2 / xs.size)
        assert abs(mean - 0.5) < 5 * 0.5 / np.sqrt(1000)


def test_accuracies_are_those_of_the_training_data_and_of_fresh_data():
    setup = plan("classifier")
    sequences = np.swapaxes(setup.program.xs, 0, 1)
    known = {xs.tobytes(): label for xs, label in zip(sequences, setup.program.labels, strict=True)}
    fresh_known = []

    def memorised(xs):
        fresh_known.extend(x.tobytes() in known for x in np.swapaxes(xs, 0, 1))
        return np.eye(2)[[known.get(x.tobytes(), 1) for x in np.swapaxes(xs, 0, 1)]]

    record = train(setup, Network(lambda xs, labels: 1.0, memorised))
    ones = setup.program.evaluate(lambda xs: np.tile([0.0, 1.0], (1000, 1)))["fresh/accuracy"]
    assert record["training/accuracy"] == 1.0
    assert record["fresh/accuracy"] == pytest.approx(ones)
    assert fresh_known == [True] * 1000 + [False] * 1000


# Rounding: 1e-7 of a loss at every step, and up to 2e-5 of each of Adam's: 1 - 0.999^n has 32 bit here and in Keras, 64
# in PyTorch. In 64 bit (tests/float64/test_teaching.py) the same curves are equal to 1e-13.
TOLERANCE = 1.5e-6


@pytest.mark.peers
@pytest.mark.usefixtures("rank_promotion")
@pytest.mark.parametrize(
    ("name", "library"), [("generator", "PyTorch"), ("classifier", "PyTorch"), ("classifier", "Keras")]
)
def test_same_weights_give_the_same_curve(name, library):
    forms, steps, setup = find_forms(library), 10, plan(name)
    expected, ours = curve(setup, measurement.create, steps)
    losses, theirs = curve(setup, forms[library], steps)
    np.testing.assert_allclose(losses, expected, rtol=TOLERANCE)
    xs = setup.program.xs[:, :20]
    np.testing.assert_array_equal(ours.scores(xs).argmax(axis=-1), theirs.scores(xs).argmax(axis=-1))
    as_written, _ = curve(setup, forms[f"{library}, as written"], steps)
    np.testing.assert_allclose(as_written[0], expected[0], rtol=TOLERANCE)
    assert np.max(np.abs(as_written / expected - 1)) > 5 * TOLERANCE  # the difference that its docstring documents


def test_rnn_jax_learns_the_sentence():
    setup, curves = plan("generator", epochs=40), {}
    record = measure(setup, "rnn_jax", measurement.create(setup.trainer, setup.state), curves, training.Session())
    losses = curves["rnn_jax"]
    assert len(losses) == 80
    assert losses[-2:].mean() < 0.7 * losses[:2].mean()
    assert record["training/accuracy"] > 0.4
    assert record["generated"].startswith("This is G")
    assert (record["diverged"], record["diverged_at"]) == (False, None)


def test_a_stopped_training_has_no_record():
    stop = threading.Event()
    stop.set()
    setup = plan("generator")
    assert train(setup, measurement.create(setup.trainer, setup.state), stop=stop) is None


@pytest.mark.peers
def test_second_bias_of_a_gru_is_trained_at_the_candidate_alone():
    find_forms("PyTorch")
    import torch

    from experiments.peers.torch import hold_second_biases

    recurrent = torch.nn.GRU(2, 3, batch_first=True)
    hold_second_biases(recurrent)
    recurrent(torch.ones(1, 4, 2))[0].square().sum().backward()
    gradient = recurrent.bias_hh_l0.grad
    assert bool((gradient[:6] == 0).all())
    assert bool((gradient[6:] != 0).all())
    assert bool((recurrent.bias_ih_l0.grad != 0).all())


@pytest.mark.peers
@pytest.mark.usefixtures("rank_promotion")
def test_libraries_refuse_cells_that_they_lack():
    forms = find_forms("Keras", "PyTorch")

    def refusals(*cells):
        model = Classifier(cells[0] if len(cells) == 1 else Stack(cells), 2)
        trainer = training.Trainer(model, 1, training.Adam(1e-3), None)
        states = training.init(trainer, jax.random.key(0)[None])
        messages = {}
        for form, create in forms.items():
            try:
                create(trainer, jax.tree.map(lambda leaf: leaf[0], states))
            except Unsupported as error:
                messages[form] = str(error)
        return messages

    assert refusals(VanillaRNN(10, 2)) == refusals(LSTM(10, 2), LSTM(2, 2)) == {}
    assert refusals(GRU(10, 3)) == dict.fromkeys(
        ("Keras", "Keras, as written"),
        "Keras's layers with one bias a gate are VanillaRNN, LSTM, GRUResetBefore here, not GRU",
    )
    assert refusals(LSTM(10, 2), GRUResetBefore(2, 2)) == dict.fromkeys(
        ("PyTorch", "PyTorch, as written"), "PyTorch's layers are VanillaRNN, LSTM, GRU here, not GRUResetBefore"
    )
    assert list(refusals(LRU(10, 2))) == ["Keras", "Keras, as written", "PyTorch", "PyTorch, as written"]
    sine = refusals(VanillaRNN(10, 2, jnp.sin))
    assert list(sine) == ["PyTorch", "PyTorch, as written"]
    assert all("PyTorch's nn.RNN must be jnp.tanh or jax.nn.relu" in message for message in sine.values())


def test_differences_are_relative_to_the_reference():
    absolute, relative = measurement.differences(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 3.3, 0.0]))
    np.testing.assert_allclose(absolute, [0, 0, 0.3, 4])
    assert relative[2] == pytest.approx(1 / 11)
    assert relative[3] > 1e30
    assert [measurement.first_step(relative > level) for level in (0.01, 0.1, 1e60)] == [3, 4, None]


@pytest.mark.parametrize(("epochs", "median"), [(4, 2), (1, 50)])
def test_epoch_time_is_the_median_without_the_first_and_loss_counts_each_example_once(epochs, median, monkeypatch):
    times = iter([0, 50, 50, 51, 51, 53, 53, 62])
    monkeypatch.setattr(measurement, "time", types.SimpleNamespace(perf_counter=lambda: next(times)))
    setup = dataclasses.replace(plan("generator"), batches=[[np.arange(2), np.arange(1)]] * epochs)
    losses = iter([9.0, 9.0] * (epochs - 1) + [1.0, 4.0])
    record = train(setup, Network(lambda xs, labels: next(losses), lambda xs: np.zeros((xs.shape[1], 17))))
    assert record["seconds_per_epoch"] == median
    assert record["loss/last_epoch"] == pytest.approx(2)


def test_a_loss_that_is_not_finite_is_recorded_as_divergence():
    setup = plan("generator")
    losses = iter([1.0, 1.0, np.nan, *[1.0] * 7])
    record = train(setup, Network(lambda xs, labels: next(losses), lambda xs: np.zeros((xs.shape[1], 17))))
    assert (record["diverged"], record["diverged_at"]) == (True, 3)
    assert summary.findings([record])[-1] == "Diverged: generator, rnn_jax at step 3."


@pytest.mark.extended
def test_a_missing_library_is_reported_and_rnn_jax_runs(tmp_path, monkeypatch, capsys, few_examples):
    for module in LIBRARIES.values():
        monkeypatch.setitem(sys.modules, peers.DISTRIBUTIONS[module], None)
        monkeypatch.delitem(sys.modules, f"experiments.peers.{module}", raising=False)
    teaching.run(teaching.Config(epochs=1), str(tmp_path))
    output = " ".join(capsys.readouterr().out.split())
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [record["form"] for record in content["results"]] == ["rnn_jax", "rnn_jax"]
    assert len(content["left_out"]) == 2
    for name, distribution in (("Keras", "keras"), ("PyTorch", "torch")):
        (line,) = (line for line in content["left_out"] if line.startswith(f"{name} is missing"))
        assert f'pip install {distribution}, or all libraries: pip install ".[peers]"' in line
        assert line in output
        assert line.replace('"', "&quot;") in (tmp_path / "summary.html").read_text(encoding="utf-8")


def test_a_form_that_refuses_is_left_out(tmp_path, monkeypatch, capsys):
    def refuse(trainer, state):
        raise Unsupported("no such cell")

    monkeypatch.setattr(measurement, "find", lambda: ({"rnn_jax": measurement.create, "Other": refuse}, {}, {}))
    teaching.run(teaching.Config(programs=("generator",), epochs=1), str(tmp_path))
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert content["left_out"] == ["Other is left out: no such cell"]
    assert [record["form"] for record in content["results"]] == ["rnn_jax"]
    assert "Other is left out: no such cell" in capsys.readouterr().out


@pytest.mark.peers
def test_keras_on_another_backend_is_reported(monkeypatch):
    find_forms("Keras")
    monkeypatch.delitem(sys.modules, "experiments.peers.keras")
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    _, _, missing = measurement.find()
    assert missing["Keras"] == "keras was imported with KERAS_BACKEND=torch before"


@pytest.mark.peers
@pytest.mark.usefixtures("rank_promotion")
def test_a_tiny_run_writes_its_files(tmp_path, monkeypatch, few_examples):
    find_forms("Keras", "PyTorch")
    drawn = {}
    monkeypatch.setattr(
        summary,
        "loss_figure",
        lambda setup, curves, real=summary.loss_figure: drawn.setdefault(setup.program.name, real(setup, curves)),
    )
    text = tmp_path / "text.txt"
    text.write_text("abc [bold]abd[/] abe\nabc", encoding="utf-8")
    folder = tmp_path / "run"
    teaching.run(teaching.Config(text=str(text), epochs=2), str(folder))
    names = {"config.json", "results.json", "arrays.npz", "generator.png", "classifier.png", "summary.html"}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    assert all(drawn[name] == (folder / f"{name}.png").read_bytes() for name in ("generator", "classifier"))
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    content = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert {"jax", "keras", "torch"} <= content["environment"].keys()
    assert content["left_out"] == []
    records = content["results"]
    order = ["rnn_jax", "Keras", "Keras, as written", "PyTorch", "PyTorch, as written"]
    assert [(r["run"], r["form"]) for r in records] == [
        (run, form) for run in ("generator", "classifier") for form in order
    ]
    with np.load(folder / "arrays.npz") as content:
        arrays = dict(content)
    for record in records:
        losses = arrays[f"{record['run']}/{record['form']}"]
        assert (len(losses), losses[0]) == (record["steps"], record["loss/first_step"])
        assert np.isfinite(losses).all()
        assert 0 <= record["training/accuracy"] <= 1
        assert ("generated" in record, "fresh/accuracy" in record) == (
            (True, False) if record["run"] == "generator" else (False, True)
        )
        reference = arrays[f"{record['run']}/rnn_jax"]
        if record["form"] == "rnn_jax":
            assert not any(key.startswith("difference") for key in record)
        else:
            assert (record["difference/relative"] < TOLERANCE) == (record["form"] in ("Keras", "PyTorch"))
            assert record["difference/absolute"] == np.max(np.abs(losses - reference))
            assert record["difference/relative_at_step"] == 1 + np.argmax(np.abs(losses - reference) / reference)
            assert (record["difference/first_step_above_1e-05"] is None) == (record["difference/relative"] <= 1e-5)
    assert all(record["generated"].startswith("abc [bold") for record in records[:5])
