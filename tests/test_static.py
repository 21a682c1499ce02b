"""Cells, layers, models, tasks, engines, estimators and optimizers are compared by all that their methods read."""

import copy
import dataclasses
import functools
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnn_jax
from rnn_jax import (
    CELLS,
    LSTM,
    Associative,
    Cell,
    Checkpointed,
    Fused,
    Hoisted,
    LinearCell,
    Newton,
    Scan,
    SplitCell,
    VanillaRNN,
    data,
    diagnostics,
    gradients,
    initializers,
    mesh,
    models,
    tasks,
    training,
)
from rnn_jax.layers import DelayLine
from rnn_jax.static import Static, check
from rnn_jax.wrapper import Wrapper

RNN = VanillaRNN(2, 3)
MODEL, ADAM, XS = models.ReadoutModel(RNN, 1), training.Adam(0.1), jnp.zeros((3, 2))
ADDING, TRAINER = tasks.Adding(5), training.Trainer(MODEL, 4, ADAM, None)
IDS, TOKENS = data.OneHot(5), data.Embedding(5, 2)
ATTENDING = models.BahdanauCell(LSTM(6, 3), models.Additive(3, 4, 2), 3)

OBJECTS = {
    **{name: make(2, 3) for name, make in CELLS.items()},
    "chrono": LSTM(2, 3, initializers.Chrono(10)),
    "stack": rnn_jax.Stack([LSTM(2, 3), RNN.__class__(3, 3)]),
    "bidirectional": rnn_jax.Bidirectional(RNN, merge="sum"),
    "residual": rnn_jax.Residual(VanillaRNN(3, 3)),
    "dropout": rnn_jax.Dropout(rnn_jax.RecurrentDropout(RNN, 0.1), 0.2),
    "zoneout": rnn_jax.Zoneout(LSTM(2, 3), rnn_jax.cells.lstm.LSTMState(0.1, 0.2)),
    "learned": rnn_jax.LearnedInitialState(rnn_jax.MixedPrecision(RNN)),
    "delay_line": DelayLine(RNN, 2),
    **{name: make(length=100) for name, make in tasks.SYNTHETIC.items()},
    **{f"engine_{type(e).__name__}": e for e in (Scan(2), Hoisted(), Checkpointed(2), Associative(), Fused())},
    "engine_Newton": Newton("full", chunk=3),
    **{f"estimator_{e.__name__}": e() for e in (gradients.BPTT, gradients.RTRL, gradients.UORO, gradients.EProp)},
    "estimator_SnAp": gradients.SnAp(2),
    "estimator_TBPTT": gradients.TBPTT(2, 4, Scan()),
    **{f"optimizer_{o.__name__}": o(0.1) for o in (training.Adam, training.AdamW, training.SGD, training.RMSProp)},
    "optax": training.Optax(optax.adamw, 0.1, weight_decay=0.2),
    "cosine": training.CosineDecay(ADAM, 3),
    **{f"clip_{c.__name__}": c(1.0) for c in (training.ClipByNorm, training.ClipByValue, training.ClipAdaptively)},
    "trainer": training.Trainer(MODEL, 4, ADAM, None, gradients.BPTT(Scan())),
    "roll_back": training.RollBack(0.3, 2),
    "readout": MODEL,
    "language_model": models.LanguageModel(IDS, LSTM(5, 3)),
    "classifier": models.Classifier(rnn_jax.GRU(2, 3), 2, TOKENS, models.MeanPool(), 0.1),
    "tagger": models.Tagger(TOKENS, rnn_jax.Bidirectional(LSTM(2, 3)), 4),
    "crf": models.CRF(4),
    "ctc": models.CTC(RNN, 4),
    "forecaster": models.Forecaster(LSTM(1, 3), models.Quantiles((0.1, 0.5, 0.9)), 2),
    "encoder_decoder": models.EncoderDecoder(TOKENS, LSTM(2, 4), models.Decoder(TOKENS, ATTENDING)),
    "strategy": models.Nucleus(0.9),
    "mesh": mesh.MeshShape(seeds=2),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_pickle_and_copy_to_equal_ones(name):
    value = OBJECTS[name]
    for copied in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
        assert copied == value
        assert hash(copied) == hash(value)
        assert repr(copied) == repr(value)


LAYERS = {name: value for name, value in OBJECTS.items() if isinstance(value, Cell)}


@pytest.mark.parametrize("name", [*LAYERS, "attending"])
def test_parameters_and_initial_states_can_be_donated(name):
    cell = LAYERS.get(name, ATTENDING)
    params = cell.init(jax.random.key(0))
    if name == "attending":
        params = ATTENDING.with_memory(params, jnp.ones((4, 4)))
    leaves = jax.tree.leaves((params, cell.initial_state(params)))
    assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


def local(x):
    return x


def test_a_function_that_no_import_finds_is_not_pickled():
    assert pickle.loads(pickle.dumps(VanillaRNN(2, 3, local))).activation is local
    with pytest.raises(Exception, match="lambda"):
        pickle.dumps(VanillaRNN(2, 3, lambda x: x))


def ordinary(base, *arguments):
    """Returns a subclass with an ordinary `__init__` that sets `alpha`, and a way to make one past the first check."""

    class Leaky(base):
        def __init__(self, alpha):
            super().__init__(*arguments)
            self.alpha = alpha

    def smuggle(alpha):
        value = object.__new__(Leaky)
        base.__init__(value, *arguments)
        object.__setattr__(value, "alpha", alpha)
        return value

    return Leaky, smuggle


BASES = [
    (Cell, 2, 3),
    (SplitCell, 2, 3),
    (LinearCell, 2, 3),
    (LSTM, 2, 3),
    (Wrapper, RNN),
    (rnn_jax.Stack, (RNN,)),
    (rnn_jax.Bidirectional, RNN),
    (rnn_jax.Zoneout, RNN, 0.1),
    (tasks.Adding, 10),
    (models.ReadoutModel, RNN, 1),
    (models.Classifier, RNN, 2),
    (models.LanguageModel, IDS, LSTM(5, 3)),
    (models.Temperature, 1.0),
    (Scan,),
    (Hoisted,),
    (gradients.BPTT,),
    (gradients.RTRL,),
    (training.Adam, 0.1),
    (training.ClipByNorm, 1.0),
    (training.Trainer, MODEL, 4, ADAM, None),
    (initializers.Orthogonal,),
]


@pytest.mark.parametrize("base", BASES, ids=lambda base: base[0].__name__)
def test_attributes_that_are_not_fields_are_refused(base):
    make, smuggle = ordinary(*base)
    line = f"dataclass(frozen=True)\nclass Leaky({base[0].__name__}):\n    alpha: float = 0.9\n"
    with pytest.raises(dataclasses.FrozenInstanceError, match=re.escape(line)):
        make(0.9)
    with pytest.raises(TypeError, match=re.escape(line)):
        check(smuggle(0.9), "an argument")


def test_a_task_that_is_no_dataclass_is_refused():
    class Wave(tasks.task.Regression):
        variant = length = input_size = output_size = sequence_length = dependency = baseline = sequence = solved = None

        def __init__(self, length):
            self.length = length

    with pytest.raises(
        dataclasses.FrozenInstanceError, match=re.escape("class Wave(Regression):\n    length: int = 9")
    ):
        Wave(9)


class Rates(Cell):
    """A user's cell, written as a frozen dataclass or not."""

    def init(self, key):
        return ()

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, drive):
        return self.alpha * state + 1


def test_unroll_and_trainers_refuse_them_however_they_are_set():
    cell = Rates(1, 2)
    object.__setattr__(cell, "alpha", 0.9)
    xs = jnp.zeros((3, 1))
    for call in (
        lambda: rnn_jax.unroll(cell, (), xs),
        lambda: rnn_jax.unroll(rnn_jax.Stack([cell]), ((),), xs),
        lambda: training.Trainer(models.ReadoutModel(cell, 1), 4, ADAM, None),
        lambda: rnn_jax.diagnostics.lyapunov_spectrum(cell, (), jnp.zeros((3, 1, 1)), 1),
        lambda: gradients.RTRL().init(cell, models.readout.ReadoutParams((), ()), jnp.zeros((3, 1, 1))),
    ):
        with pytest.raises(TypeError, match="alpha must be a field"):
            call()


def test_an_init_that_sets_no_attribute_is_allowed():
    class Square(LSTM):
        def __init__(self, size):
            super().__init__(size, size, forget_bias=2.0)

    assert initializers.without_initializers(Square(3)).forget_bias == 1.0
    assert copy.deepcopy(Square(3)) == Square(3) != Square(4)


def test_options_of_a_frozen_dataclass_count():
    @dataclasses.dataclass(frozen=True)
    class Leaky(Rates):
        alpha: float = 0.9

    results = [rnn_jax.unroll(Leaky(1, 2, alpha), (), jnp.zeros((3, 1)))[0][0] for alpha in (0.9, 0.1)]
    np.testing.assert_allclose(results, [2.71, 1.11], rtol=1e-6)
    assert Leaky(1, 2, 0.9) != Leaky(1, 2, 0.1)


def test_a_dataclass_that_compares_its_base_only_is_refused():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Leaky(Rates):
        alpha: float = 0.9

    with pytest.raises(TypeError, match="Leaky must compare all its fields, got eq=False"):
        Leaky(1, 2)


def test_what_a_property_keeps_is_no_attribute():
    @dataclasses.dataclass(frozen=True)
    class Halved(Rates):
        @functools.cached_property
        def alpha(self):
            return 0.5

    cell = Halved(1, 2)
    for _ in range(2):
        np.testing.assert_allclose(rnn_jax.unroll(cell, (), jnp.zeros((3, 1)))[0], 1.75)


@dataclasses.dataclass
class Mutable:
    rate: float = 1.0


@pytest.mark.parametrize(
    "value",
    [[0.1, 0.2], {"a": 0.1}, {1}, np.ones(2), jnp.ones(2), jax.random.key(0), Mutable(), (1, [2])],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    "make",
    [
        lambda value: LSTM(2, 3, forget_bias=value),
        lambda value: VanillaRNN(2, 3, recurrent_init=value),
        lambda value: gradients.BPTT(engine=value),
        lambda value: training.Trainer(MODEL, 4, value, None),
        lambda value: models.ReadoutModel(RNN, 1, activation=value),
    ],
    ids=["LSTM: forget_bias", "VanillaRNN: recurrent_init", "BPTT: engine", "Trainer: optimizer", "ReadoutModel: act"],
)  # fmt: skip
def test_values_that_are_not_hashable_are_refused_at_once(make, value, request):
    name = request.node.callspec.id.partition("-")[0]
    with pytest.raises(TypeError, match=f"^{name}.* must be hashable, got (.|\\n)*; give a number"):
        make(value)


def test_a_traced_option_is_refused():
    with pytest.raises(TypeError, match="LSTM: forget_bias must be hashable, got a traced value"):
        jax.jit(lambda bias: LSTM(2, 3, bias).init(jax.random.key(0)))(1.0)


@pytest.mark.parametrize(
    ("what", "kind", "call"),
    [
        ("unroll: engine", Scan, lambda kind: rnn_jax.unroll(RNN, (), XS, engine=kind)),
        ("unroll: cell", VanillaRNN, lambda kind: rnn_jax.unroll(kind, (), XS)),
        ("TBPTT: engine", Scan, lambda kind: gradients.TBPTT(3, engine=kind)),
        ("Trainer: optimizer", training.Adam, lambda kind: training.Trainer(MODEL, 4, kind, None)),
        ("Trainer: estimator", gradients.BPTT, lambda kind: training.Trainer(MODEL, 4, ADAM, None, kind)),
        ("training.init: trainer", training.Trainer, lambda kind: training.init(kind, XS)),
        ("training.start: trainer", training.Trainer, lambda kind: training.start(kind, ADDING, ())),
        ("training.run: trainer", training.Trainer, lambda kind: training.run(kind, ADDING, (), 1)),
        ("train: trainer", training.Trainer, lambda kind: training.train(kind, ADDING, (), 1, log_every=1)),
        ("fit: trainer", training.Trainer, lambda kind: training.fit(kind, len, (), (), 1, len)),
        ("source", tasks.Adding, lambda kind: training.start(TRAINER, kind, ())),
        ("evaluate: source", tasks.Adding, lambda kind: training.evaluate(MODEL, kind, ())),
        ("evaluate: model", models.ReadoutModel, lambda kind: training.evaluate(kind, ADDING, ())),
        ("predict: model", models.ReadoutModel, lambda kind: training.predict(kind, len, (), (), 1)),
        ("task_loss: task", tasks.Adding, lambda kind: gradients.task_loss(MODEL, kind, ())),
        ("gradient_reach: task", tasks.Adding, lambda kind: diagnostics.gradient_reach(MODEL, kind, (), ())),
        ("cell or model", LSTM, lambda kind: diagnostics.state_gradients(kind, (), XS, len)),
        ("cell or model", LSTM, lambda kind: diagnostics.spectral_radius(kind, ())),
    ],
)
def test_a_class_in_place_of_an_object_is_refused(what, kind, call):
    message = f"{what} must be an object, got the class {kind.__name__}; write {kind.__name__}(...)"
    with pytest.raises(TypeError, match=re.escape(message)):
        call(kind)


@pytest.mark.parametrize("engine", [None, "scan"])
def test_what_is_no_engine_is_refused(engine):
    with pytest.raises(TypeError, match=rf"unroll: engine must be an engine such as .*, got {engine!r}"):
        rnn_jax.unroll(RNN, (), XS, engine=engine)


def test_a_task_of_real_data_is_a_pytree_and_no_static_object():
    task = tasks.PixelSequences(*(jnp.ones((2, 4)), jnp.zeros(2, int)) * 2, classes=2, scale=1.0, source="x")
    assert jax.tree.map(jnp.sum, task).train_images.shape == ()
    assert isinstance(task, Static)
