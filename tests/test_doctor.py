"""The doctor: each deliberately broken run gets its own cause, healthy runs get no finding."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import (
    GRU,
    LSTM,
    Adding,
    Cell,
    Copying,
    Dropout,
    Newton,
    ReadoutModel,
    Residual,
    Stack,
    VanillaRNN,
    diagnostics,
    initializers,
    training,
)
from rnn_jax.diagnostics import Severity
from rnn_jax.models.readout import identity

SHORT, LONG = Adding(10), Adding(50)
ADAM = training.Adam(0.01)
CLIP = training.ClipByNorm(1.0)


def model(cell, task=SHORT):
    return ReadoutModel(cell, task.output_size)


def tanh(**fields):
    return VanillaRNN(2, 8, **fields)


def lstm(forget_bias):
    return LSTM(2, 16, forget_bias, initializers.Uniform())  # compiles faster than orthogonal matrices


def relu(gain=1.0):
    return VanillaRNN(2, 8, jax.nn.relu, initializers.ScaledIdentity(gain), initializers.Normal(0.3))


def spoil(params, value, what="w_h"):
    """Sets the first entry of a parameter of the cell."""
    leaf = getattr(params.cell, what)
    return params._replace(cell=params.cell._replace(**{what: leaf.at[(0,) * leaf.ndim].set(value)}))


@functools.cache
def fresh(cell, task):
    return jax.jit(model(cell, task).init)(jax.random.key(0))


def live(cell, task=SHORT, change=lambda params: params, spoil_batch=lambda batch: batch):
    """Evidence of an untrained model."""
    plain = model(initializers.without_initializers(cell), task)
    return diagnostics.examine(plain, task, change(fresh(cell, task)), spoil_batch(sequences(task)))


@functools.cache
def sequences(task):
    return task.sample(jax.random.key(1), 128)


def trained(cell, task=SHORT, change=lambda params: params, steps=100, optimizer=ADAM, clip=CLIP):
    """Evidence of a run, measured before and after training."""
    params, key = change(fresh(cell, task)), jax.random.key(2)
    trainer = training.Trainer(model(cell, task), 16, optimizer, clip)
    opt_state = trainer.transformations[1].init(params)
    state = training.TrainState(params, opt_state, key, *map(jnp.array, (0, False, 1.0, 0, 0)))
    state = jax.tree.map(lambda leaf: leaf[None], state)
    trainer = initializers.without_initializers(trainer)
    before = diagnostics.examine(trainer.model, task, params, sequences(task))
    state, history = training.run(trainer, task, training.start(trainer, task, state), steps)
    history = jax.tree.map(lambda leaf: np.asarray(leaf[0]), history)
    now = diagnostics.examine(
        trainer.model, task, jax.tree.map(lambda leaf: leaf[0], state.training.params), sequences(task)
    )
    return dataclasses.replace(
        now,
        before=before.now,
        solved=task.solved({task.metric: now.now.loss, "accuracy": 0.0}),
        optimizer=repr(optimizer),
        clip=None if clip is None else repr(clip),
        **history._asdict(),
    )


def with_bias(value):
    return lambda params: params._replace(cell=params.cell._replace(b=jnp.full_like(params.cell.b, value)))


# Runs broken in one way each, and the cause that the doctor must name first.
BROKEN = {
    "exploding: gain 2, no clipping, to NaN": (
        lambda: trained(relu(2.0), LONG, optimizer=training.SGD(0.01), clip=None),
        "exploding gradient",
    ),
    "exploding at the start": (
        lambda: live(relu(1.5), LONG),
        "exploding gradient",
    ),
    "vanishing: a tanh network on a long task": (
        lambda: trained(tanh(recurrent_init=initializers.Uniform()), LONG, steps=200),
        "vanishing gradient",
    ),
    "vanishing at the start": (
        lambda: live(tanh(recurrent_init=initializers.Uniform()), LONG),
        "vanishing gradient",
    ),
    "closed gates: forget bias -3": (lambda: live(lstm(-3.0), Adding(20)), "saturation"),
    "saturated: huge input weights": (
        lambda: trained(tanh(input_init=initializers.Normal(30.0)), LONG, steps=200),
        "saturation",
    ),
    "dead ReLU: a very negative bias": (
        lambda: trained(relu(), LONG, change=with_bias(-5.0), optimizer=training.SGD(0.01), clip=None),
        "dead ReLU",
    ),
    "learning rate 200 times too high": (
        lambda: trained(tanh(), optimizer=training.Adam(2.0)),
        "learning rate too high",
    ),
    "learning rate that diverges": (
        lambda: trained(tanh(), optimizer=training.SGD(10.0), clip=None),
        "learning rate too high",
    ),
    "clipped at 1e-4": (
        lambda: trained(tanh(), optimizer=training.SGD(0.01), clip=training.ClipByNorm(1e-4)),
        "clipping always active",
    ),
    "plateau: copying with a sound gradient": (
        lambda: trained(VanillaRNN(10, 8, identity), Copying(20), steps=320, clip=None),
        "memoryless plateau",
    ),
    "NaN in a parameter": (lambda: trained(tanh(), change=lambda p: spoil(p, jnp.nan), steps=400), "bad numbers"),
    "NaN in the data": (
        lambda: live(tanh(), spoil_batch=lambda b: b._replace(inputs=b.inputs.at[3, 0, 0].set(jnp.nan))),
        "bad numbers",
    ),
}

HEALTHY = {
    "GRU, adding solved": lambda: trained(GRU(2, 16, recurrent_init=initializers.Uniform()), Adding(20), steps=1000),
    "LSTM, chrono": lambda: trained(lstm(initializers.Chrono(19)), Adding(20), steps=400),
    "RNN, orthogonal, short": lambda: trained(tanh(), steps=400),
    "fresh LSTM": lambda: live(lstm(1.0), Adding(20)),
    "fresh GRU": lambda: live(GRU(2, 16, recurrent_init=initializers.Uniform()), Adding(20)),
    "fresh RNN": lambda: live(tanh()),
    "fresh IRNN": lambda: live(relu(), LONG),
}

# Findings that must be reported as consequences of the cause, never as causes of their own.
CONSEQUENCES = {
    "exploding: gain 2, no clipping, to NaN": {"diverged"},
    "vanishing: a tanh network on a long task": {"memoryless plateau"},
    "closed gates: forget bias -3": {"vanishing gradient"},
    "saturated: huge input weights": {"vanishing gradient", "memoryless plateau"},
    "dead ReLU: a very negative bias": {"vanishing gradient"},
    "learning rate that diverges": {"diverged"},
    "NaN in a parameter": {"diverged"},
}


@functools.cache
def evidence_of(name):
    return BROKEN[name][0]()


def findings(name):
    return diagnostics.doctor(evidence_of(name))


# Those that take longest; another run or a test of curves alone has the same cause.
EXTENDED = [
    "plateau: copying with a sound gradient",
    "closed gates: forget bias -3",
    "learning rate 200 times too high",
    "learning rate that diverges",
]


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.extended if n in EXTENDED else ()) for n in BROKEN])
def test_a_broken_run_gets_its_own_cause(name):
    diagnosis = findings(name)
    assert [f.cause for f in diagnosis if f.follows is None] == [BROKEN[name][1]]
    assert {f.cause for f in diagnosis if f.follows == diagnosis[0].cause} >= CONSEQUENCES.get(name, set())
    assert all(f.remedy and f.evidence for f in diagnosis)


LONGER = {"GRU, adding solved": pytest.mark.slow} | dict.fromkeys(
    ["LSTM, chrono", "RNN, orthogonal, short", "fresh LSTM", "fresh GRU"], pytest.mark.extended
)


@pytest.mark.parametrize("name", [pytest.param(n, marks=LONGER.get(n, ())) for n in HEALTHY])
def test_a_healthy_run_gets_no_finding(name):
    evidence = HEALTHY[name]()
    assert evidence.has_measurements
    assert diagnostics.doctor(evidence) == []


@pytest.mark.parametrize(
    ("name", "numbers", "remedy"),
    [
        ("exploding: gain 2, no clipping, to NaN", "as large at lag 49 as at lag 0: e-fold every 1.4 steps", "ClipBy"),
        ("vanishing: a tanh network on a long task", "of the gradient at lag 0 is left at lag 49", "Chrono(49)"),
        pytest.param(
            "closed gates: forget bias -3",
            "closed (under 0.05)",
            "LSTM(forget_bias=initializers.Chrono(19))",
            marks=pytest.mark.extended,
        ),
        ("dead ReLU: a very negative bias", "100% of the units are active at no step", "a bias that is not negative"),
        pytest.param(
            "learning rate 200 times too high",
            "loss",
            "a tenth of the learning rate of Adam(learning_rate=2.0)",
            marks=pytest.mark.extended,
        ),
        ("clipped at 1e-4", "ClipByNorm(limit=0.0001) changed 100% of the gradients", "clip=training.ClipByNorm("),
        ("NaN in a parameter", "cell.w_h (1)", "jax_debug_nans"),
        ("NaN in the data", "inputs (1)", "jax_debug_nans"),
    ],
)
def test_findings_name_the_numbers_and_the_setting(name, numbers, remedy):
    first = findings(name)[0]
    assert numbers in first.evidence
    assert remedy in first.remedy


class Leaky(Cell):
    """A user-defined cell, which has none of the options of this package's cells."""

    def init(self, key):
        return jnp.full((self.input_size, self.hidden_size), 0.1)

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, h, x):
        return 0.1 * h + x @ params


@pytest.mark.extended
def test_the_remedy_for_a_user_defined_cell_names_no_option_that_it_lacks():
    layer = Stack([Dropout(Leaky(2, 8), 0.1), Residual(LSTM(8, 8))])
    assert live(Leaky(2, 8)).user_cell == live(layer).user_cell == "Leaky"
    assert live(tanh()).user_cell is None
    (finding,) = diagnostics.doctor(live(Leaky(2, 8), LONG))
    assert (finding.cause, finding.remedy.partition(":")[0]) == ("vanishing gradient", "in Leaky")


OWN_OPTIONS = ("_init=", "LayerNorm", "a higher gate bias")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.extended if n in EXTENDED else ()) for n in BROKEN])
def test_no_remedy_for_a_user_defined_cell_has_options_of_other_cells(name):
    e = dataclasses.replace(evidence_of(name), user_cell="IndRNN")
    for finding in diagnostics.doctor(e):
        assert not any(option in finding.remedy for option in OWN_OPTIONS), finding
        assert "LSTM" not in finding.remedy.partition("compare")[0]


def test_a_log_density_that_starts_about_zero_is_no_high_rate_but_one_that_rises_is():
    """The loss of a forecaster, -log p(y), may be negative: three times -0.03 is no limit for a rise."""
    noise = 0.05 * np.random.default_rng(0).normal(size=200)
    falling = np.interp(np.arange(200), [0, 20, 199], [-0.03, 0.05, -0.9]) + noise
    assert diagnostics.doctor(diagnostics.Evidence(loss=falling)) == []
    (finding,) = diagnostics.doctor(diagnostics.Evidence(loss=np.append(falling, np.full(60, 0.5))))
    assert (finding.cause, finding.since) == ("learning rate too high", 200)


def test_a_step_that_is_not_finite_is_reported_with_its_parameters():
    (diverged,) = (f for f in findings("NaN in a parameter") if f.cause == "diverged")
    assert diverged.evidence.startswith("at step 1: loss nan, gradient norm nan, not finite in cell.b, cell.w_h")


def test_a_run_that_has_not_learned_is_more_severe_than_one_that_may():
    assert findings("vanishing: a tanh network on a long task")[0].severity == Severity.BROKEN
    assert findings("vanishing at the start")[0].severity == Severity.WARNING
    # A cause is as severe as its effects.
    assert findings("NaN in a parameter")[0].severity == Severity.BROKEN


# Evidence of curves alone.


def curves(loss, grad_norm=None, **fields):
    loss = np.asarray(loss, float)
    return diagnostics.Evidence(
        baseline=1.0, loss=loss, grad_norm=np.ones_like(loss) if grad_norm is None else np.asarray(grad_norm), **fields
    )


def causes(evidence):
    return {f.cause: f.follows for f in diagnostics.doctor(evidence)}


def test_a_large_gradient_before_the_loss_rises_is_an_explosion_not_a_learning_rate():
    # The gradient is enormous while the loss has not changed: no large step has caused it.
    loss = [*[1.0] * 60, *[50.0] * 40]
    norms = [*[1.0] * 59, 1e5, *[50.0] * 40]
    names = {"cell.w_h": np.asarray(norms), "cell.b": np.ones(100)}
    (finding,) = diagnostics.doctor(curves(loss, norms, grad_norms=names))
    assert finding.cause == "exploding gradient"
    assert "gradient norm 1e+05 at step 60, 1 in the median before, largest in cell.w_h" in finding.evidence
    # Now the loss jumps first, and the gradient with it.
    norms = [*[1.0] * 60, *[1e5] * 40]
    assert causes(curves(loss, norms)) == {"learning rate too high": None}
    # The gradient is not finite while the loss has not changed.
    norms = [*[1.0] * 60, np.inf, *[np.nan] * 39]
    assert causes(curves([*[1.0] * 61, *[np.nan] * 39], norms)) == {
        "exploding gradient": None,
        "diverged": "exploding gradient",
    }
    # Leaving a plateau raises the gradient too, but the loss falls.
    assert causes(curves([*[1.0] * 60, *[0.95] * 30], [*[0.001] * 60, *[10.0] * 30])) == {"memoryless plateau": None}


def test_the_finding_that_holds_first_is_the_cause():
    # Units that were dead before training explain a vanished gradient; units that died later do not.
    dead, sound = (diagnostics.Saturation(share, 0.0, share) for share in (1.0, 0.4))
    snapshot = lambda relu: diagnostics.Snapshot(saturation={"max": relu}, reach=np.asarray([1.0, 1e-9]))  # noqa: E731
    flat = np.ones(100)
    always = curves(flat, before=snapshot(dead), now=snapshot(dead))
    died = curves(flat, before=snapshot(sound), now=snapshot(dead))
    assert causes(always) == {"dead ReLU": None, "vanishing gradient": "dead ReLU", "memoryless plateau": "dead ReLU"}
    assert causes(died)["vanishing gradient"] is None


def test_a_gradient_that_vanished_only_before_training_is_a_warning():
    snapshot = lambda share: diagnostics.Snapshot(reach=np.asarray([1.0, share]))  # noqa: E731
    evidence = curves([0.5] * 100, before=snapshot(1e-9), now=snapshot(0.5))
    (finding,) = diagnostics.doctor(evidence)
    assert (finding.cause, finding.severity) == ("vanishing before training", Severity.WARNING)
    assert diagnostics.doctor(dataclasses.replace(evidence, solved=True)) == []


@pytest.mark.parametrize(
    "evidence",
    [
        diagnostics.Evidence(),
        curves([3.0] * 10 + [0.1] * 90),
        curves([0.5] * 50 + [5.0] + [0.5] * 49),  # one unlucky batch
        curves([1.0] * 20),  # too few steps to be stuck
        curves([2.0] * 100),  # above the baseline, and never below: it may be slow
        curves([1.0] * 100, solved=True),
    ],
    ids=["nothing known", "learns", "a spike", "few steps", "slow", "solved"],
)
def test_unknown_or_uncertain_evidence_gives_no_finding(evidence):
    assert diagnostics.doctor(evidence) == []


def test_a_baseline_has_no_measurements():
    # Its record has a loss, and perhaps the task's criterion, but no curve and no measurement of a network.
    baseline = diagnostics.Evidence(baseline=1.0, dependency=9, solved=True, now=diagnostics.Snapshot(loss=0.5))
    empty = diagnostics.Snapshot(saturation={}, not_finite={}, loss=0.5)
    assert not baseline.has_measurements
    assert not dataclasses.replace(baseline, grad_norms={}, before=empty, now=empty).has_measurements
    assert diagnostics.doctor(baseline) == []
    measured = [
        {"loss": np.ones(3)},
        {"grad_norms": {"cell.w_h": np.ones(3)}},
        {"now": diagnostics.Snapshot(reach=np.ones(3))},
        {"before": diagnostics.Snapshot(not_finite={"cell.w_h": 0})},
    ]
    assert all(dataclasses.replace(baseline, **fields).has_measurements for fields in measured)


@pytest.mark.extended
def test_newton_is_mentioned_where_the_dynamics_do_not_suit_it():
    batch = SHORT.sample(jax.random.key(1), 2)
    network, params = model(tanh()), fresh(tanh(), SHORT)

    def findings(gain):
        scaled = params._replace(cell=params.cell._replace(w_h=gain * params.cell.w_h))
        evidence = diagnostics.examine(network, SHORT, scaled, batch, Newton(max_iterations=3))
        return [f for f in diagnostics.doctor(evidence) if f.cause == "sequential dynamics"]

    assert findings(0.5) == []
    (found,) = findings(8.0)
    assert re.search(r"Newton left 10 of 10 steps to the loop", found.evidence)
    assert "BPTT(Hoisted())" in found.remedy
