"""Trained models as folders: definitions as JSON, what is written, what is refused at load and by the flags."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import char_lm, sentiment
from experiments.common import networks, saved_models, user_code
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import (
    GRU,
    LSTM,
    Bidirectional,
    Cell,
    Dropout,
    ReadoutModel,
    Stack,
    cells,
    data,
    definitions,
    interop,
    models,
    trees,
)
from rnn_jax.applications import TextClassifier, TextGenerator
from rnn_jax.data import Embedding, Vocabulary, folded_words
from rnn_jax.models import Classifier, LanguageModel, Nucleus

ROOT = Path(__file__).parents[1]
TEXTS = ["a good film", "bad", "A BAD film, unseen words"]


class Leaky(Cell):
    """A user-defined cell whose initialisation is in NumPy, which JAX cannot trace."""

    def init(self, key):
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return jnp.asarray(rng.normal(size=(self.input_size + self.hidden_size, self.hidden_size)), jnp.float32)

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, h, x):
        return 0.9 * h + 0.1 * jnp.tanh(jnp.concatenate([x, h], axis=-1) @ params)


@pytest.mark.parametrize("name", [*cells.CELLS, *networks.VARIANTS])
def test_every_cell_is_rebuilt_from_its_definition(name):
    cell = networks.make_cell(name, 3, 8, 20)
    written = json.dumps(definitions.to_json(cell))
    assert definitions.from_json(json.loads(written)) == cell
    assert '"jax._src' not in written  # such names change


def test_layers_of_user_defined_cells_are_rebuilt():
    layer = Stack([Bidirectional(Leaky(3, 4)), Dropout(LSTM(8, 2), 0.5)])
    assert definitions.from_json(definitions.to_json(layer)) == layer


def test_a_user_defined_cell_comes_back(tmp_path):
    model = ReadoutModel(Leaky(3, 4), 2)
    params = model.init(jax.random.key(1))
    models.save(tmp_path / "leaky", models.Trained(model, params))
    loaded = models.load(tmp_path / "leaky")
    np.testing.assert_array_equal(loaded.params.cell, params.cell)
    np.testing.assert_array_equal(loaded.apply(jnp.ones((2, 1, 3)))[1], model.apply(params, jnp.ones((2, 1, 3)))[1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            cells.VanillaRNN(2, 3, activation=lambda x: x),
            "VanillaRNN.activation must be a class or function that an im",
        ),
        (ReadoutModel(cells.VanillaRNN(2, 3, activation=lambda x: x), 1), "ReadoutModel.cell.activation must be"),
        ((1, {2}), "tuple[1] must be a number, a string, a tuple, a function or a dataclass, got {2}"),
    ],
)
def test_what_an_import_does_not_find_is_refused(value, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        definitions.to_json(value)


@pytest.fixture(scope="module")
def classifier():
    vocabulary = Vocabulary.of([folded_words(text) for text in TEXTS[:2]])
    model = Classifier(Bidirectional(GRU(4, 3)), 2, Embedding(len(vocabulary), 4))
    application = TextClassifier(model, vocabulary, ("bad", "good"), folded_words)
    config = {"type": "experiments.sentiment.config:Config"}
    return models.Trained(application, model.init(jax.random.key(3)), {"config": config, "matmul_precision": "highest"})


@pytest.fixture
def folder(classifier, tmp_path):
    models.save(tmp_path / "gru", classifier)
    return tmp_path / "gru"


def test_a_loaded_model_predicts_the_same_bits(classifier, folder):
    loaded = models.load(folder)
    assert (loaded.definition, loaded.notes) == (classifier.definition, classifier.notes)
    jax.tree.map(np.testing.assert_array_equal, loaded.params, classifier.params)
    assert jax.tree.structure(loaded.params) == jax.tree.structure(classifier.params)
    assert loaded.predict(TEXTS) == classifier.predict(TEXTS)
    assert {label for label, _ in loaded.predict(TEXTS)} <= {"bad", "good"}
    ids = jnp.array([[4], [5]])
    np.testing.assert_array_equal(loaded.apply(ids), classifier.model.apply(classifier.params, ids))


def test_orbax_restores_the_same_parameters(classifier, folder):
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        arrays = checkpointer.restore(folder / "orbax")
    np.testing.assert_array_equal(arrays["cell.forward.w_h"], classifier.params.cell.forward.w_h)
    assert len(arrays) == len(jax.tree.leaves(classifier.params))


@pytest.mark.extended
def test_loading_imports_no_experiment(folder):
    code = f"import sys; from rnn_jax import models; models.load({str(folder)!r}).predict(['good'])"
    code += "; print([name for name in sys.modules if name.startswith('experiments')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_saving_replaces_a_model_and_nothing_else(classifier, folder, tmp_path):
    other = dataclasses.replace(classifier, notes={"seed": 7})
    models.save(folder, other)
    assert models.load(folder).notes == {"seed": 7}
    assert [path.name for path in tmp_path.iterdir()] == ["gru"]
    with pytest.raises(
        ValueError, match=r"must be a new folder, or that of a saved model, got one without model\.json"
    ):
        models.save(tmp_path, classifier)
    assert folder.exists()


def edited(change):
    def edit(folder):
        content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        change(content)
        (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")

    return edit


def cell_of(content):
    return content["definition"]["fields"]["model"]["fields"]["cell"]["fields"]


def other_parameters(folder):
    wider = Classifier(Bidirectional(GRU(4, 3)), 5, Embedding(8, 4))
    leaves = trees.named_leaves(wider.init(jax.random.key(0)))
    interop.write_safetensors(folder / "parameters.safetensors", leaves)


def float64_parameters(folder):
    arrays = interop.read_safetensors(folder / "parameters.safetensors")
    wide = {name: array.astype(np.float64) for name, array in arrays.items()}
    interop.write_safetensors(folder / "parameters.safetensors", wide)


DAMAGES = {
    "no file": (
        lambda folder: (folder / "model.json").unlink(),
        "gru: must be the folder of a saved model, which has a model.json, got other files",
    ),
    "not JSON": (
        lambda folder: (folder / "model.json").write_text("{", encoding="utf-8"),
        "model.json: must be as a model was saved, is damaged",
    ),
    "format": (edited(lambda content: content.update(format=2)), "must have format 1, got 2; load it with {'jax"),
    "class": (
        edited(lambda content: content["definition"].update(type="rnn_jax:Absent")),
        "model.json: class or function 'rnn_jax:Absent': module 'rnn_jax' has no 'Absent'",
    ),
    "module": (
        edited(lambda content: content["definition"].update(type="my_module:Mine")),
        "cannot import module 'my_module': ModuleNotFoundError",
    ),
    "field": (
        edited(lambda content: cell_of(content).update(rate=0.5)),
        "rnn_jax:Bidirectional must have the fields input_size, hidden_size, forward, backward, merge, rate, as when",
    ),
    "architecture": (
        edited(lambda content: cell_of(content)["forward"]["fields"].update(hidden_size=2)),
        "parameters.safetensors: must hold the parameters of Classifier: cell.forward.w_i must be float32[4, 6], is fl",
    ),
    "parameters": (other_parameters, "readout.params.kernel must be float32[6, 2], is float32[6, 5]"),
    "no parameters": (
        lambda folder: (folder / "parameters.safetensors").unlink(),
        "parameters.safetensors: must hold the model's parameters, is missing; copy or save the folder again",
    ),
    "float type": (
        float64_parameters,
        "embedding must be float32[8, 4], is float64[8, 4]",
    ),
    "cut off": (
        lambda folder: (folder / "parameters.safetensors").write_bytes(b"\x08"),
        "cannot read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_by_one_message(damage, folder):
    spoil, message = DAMAGES[damage]
    spoil(folder)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        models.load(folder)
    assert str(folder) in str(caught.value)


def test_other_versions_are_told(folder):
    edited(lambda content: content["versions"].update(jax="0.1"))(folder)
    with pytest.warns(UserWarning, match="saved with .*'jax': '0.1'.*last bits may differ"):
        models.load(folder)


@pytest.fixture(scope="module")
def generator():
    vocabulary = Vocabulary((*"abc", "<Ab>"))
    model = LanguageModel(Embedding(len(vocabulary), 3), GRU(3, 4))
    application = TextGenerator(model, vocabulary, Nucleus(0.9), 40)
    return application, model.init(jax.random.key(0))


def test_a_generator_continues_a_text_by_its_seed(generator):
    application, params = generator
    written = [application.predict(params, ["ab"], seed=seed)[0] for seed in (*range(6), 0)]
    assert all(text.startswith("ab") for text in written)
    assert written[0] == written[-1]
    assert len(set(written)) > 1
    for text, message in (
        ("abz", "characters of the training set, got 'z'"),
        ("", "at least one character, got an em"),
    ):
        with pytest.raises(ValueError, match=message):
            application.predict(params, [text])
    with pytest.raises(TypeError, match=r"texts must be a list of strings, got 'ab'; write predict\(\[text\]\)"):
        application.predict(params, "ab")


def test_a_generator_of_classes_takes_their_names(generator):
    application, params = generator
    application = dataclasses.replace(application, classes=("Ab",))
    (name,) = application.predict(params, ["Ab"])
    assert set(name) <= set("abc")
    with pytest.raises(ValueError, match="an input must be one of Ab, got 'Cd'"):
        application.predict(params, ["Cd"])


def test_the_flags_print_an_answer_a_line(classifier, folder, tmp_path, capsys):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(["a good film", "", "bad"]), encoding="utf-8")
    saved_models.apply(sentiment, sentiment.Config(), ModelSettings(load=str(folder), predict=str(file)))
    lines = capsys.readouterr().out.splitlines()
    expected = classifier.predict(["a good film", "bad"])
    assert [line.split("\t")[0] for line in lines] == [answer.label for answer in expected]
    assert [line.split("\t")[2] for line in lines] == ["a good film", "bad"]
    saved_models.apply(sentiment, sentiment.Config(seed=5), ModelSettings(load=str(folder), predict_text="bad"))
    assert capsys.readouterr().out.splitlines() == [lines[1]]


def test_changed_code_of_a_cell_is_told(classifier, tmp_path, monkeypatch, capsys):
    module = tmp_path / "leaky_module.py"
    lines = inspect.getsource(Leaky).replace("0.9 * h", "{} * h").replace("{self", "{{self")
    head = "import jax, jax.numpy as jnp, numpy as np\nfrom rnn_jax import Cell\n\n\n"
    module.write_text(head + lines.format(0.9), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    cell = networks.make_cell("leaky_module:Leaky", 4, 3, 5)
    model = dataclasses.replace(classifier.model, cell=cell)
    config = {**classifier.notes["config"], "cells": ["leaky_module:Leaky"]}
    notes = {"config": {**config, **user_code.digests(config)}}
    application = dataclasses.replace(classifier.definition, model=model)
    models.save(tmp_path / "leaky", models.Trained(application, model.init(jax.random.key(0)), notes))
    settings = ModelSettings(load=str(tmp_path / "leaky"), predict_text="bad")
    saved_models.apply(sentiment, sentiment.Config(), settings)
    assert capsys.readouterr().err == ""
    module.write_text(head + lines.format(0.8), encoding="utf-8")
    saved_models.apply(sentiment, sentiment.Config(), settings)
    assert "leaky: code of leaky_module has changed since the training" in capsys.readouterr().err


BAD = [
    (sentiment, {"predict": "x"}, "--load=FOLDER needs --predict=FILE or --predict_text=TEXT"),
    (sentiment, {"load": "."}, "--load=FOLDER needs --predict=FILE or --predict_text=TEXT"),
    (sentiment, {"load": ".", "predict": "x", "predict_text": "y"}, "--load=FOLDER needs"),
    (
        sentiment,
        {"load": "nowhere", "predict": "x"},
        "--load: nowhere: must be the folder of a saved model, which has a",
    ),
    (sentiment, {"load": "gru", "predict": "nowhere.txt"}, "--predict: nowhere.txt: cannot be read"),
    (sentiment, {"load": "gru", "predict_text": " "}, "--predict_text: text: must hold a line that is not blank"),
    (
        char_lm,
        {"load": "gru", "predict": "x"},
        "must be a model of experiments.char_lm, got one of experiments.sentime",
    ),
]


@pytest.mark.parametrize(("experiment", "flags", "message"), BAD, ids=[message[:40] for *_, message in BAD])
def test_flags_that_do_not_fit_are_refused(experiment, flags, message, folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match=re.escape(message)):
        saved_models.apply(experiment, experiment.Config(), ModelSettings(**flags))


def test_a_config_beside_load_is_refused(folder):
    settings = ModelSettings(load=str(folder), predict_text="bad")
    with pytest.raises(UserError, match="of its flags give none but --seed"):
        saved_models.apply(sentiment, sentiment.Config(hidden_size=3), settings)


@pytest.mark.extended
def test_the_command_line_applies_a_model(folder):
    command = [sys.executable, "-m", "experiments.sentiment", f"--load={folder}", "--predict_text=a good film"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"(bad|good)\t0\.\d{3}\ta good film\n", done.stdout)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"no image", "must be a PNG image or a .npy file of numbers"),
        ("a.npy", b"", "must be a PNG image or a .npy file of numbers"),
        ("a.npy", np.array([["x"]]), "must be floats or uint8 [..., height, width], got <U1[1, 1]"),
        ("a.npy", np.zeros(3), "must be floats or uint8 [..., height, width], got float64[3]"),
        ("a.npy", np.full((2, 2), 7.0), "grey values must be in [0, 1], or 0 to 255 as uint8"),
        ("a.npy", np.full((2, 2), np.nan), "grey values must be in [0, 1], or 0 to 255 as uint8"),
        ("a.npy", np.zeros((0, 2)), "grey values must be in [0, 1], or 0 to 255 as uint8"),
    ],
)
def test_files_without_grey_values_are_refused(name, content, message, tmp_path):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        data.read_pixels(path)


def test_colours_are_averaged(tmp_path):
    from matplotlib import image

    pixels = np.zeros((2, 3, 4))
    pixels[..., 0], pixels[..., 3] = 0.6, 1.0
    image.imsave(tmp_path / "red.png", pixels)
    np.testing.assert_allclose(data.read_pixels(tmp_path / "red.png"), np.full((2, 3), 0.2), atol=1e-3)
