"""The programs besides unrolls that must compile for every platform, with the shapes of their arguments.

Parameters are drawn within a program, so that initialisers are compiled, too. A training step goes from keys to the
updated parameters of two seeds at once, as on a GPU or TPU.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import (
    GRU,
    LRU,
    LSTM,
    Adding,
    Bidirectional,
    Dropout,
    MixedPrecision,
    ReadoutModel,
    Stack,
    data,
    diagnostics,
    gradients,
    initializers,
    models,
    tasks,
    training,
)
from rnn_jax.diagnostics import reach, spectral
from rnn_jax.training import step

STEPS, BATCH, WIDTH = 6, 4, 8
ADAM, TASK = training.Adam(0.01), Adding(STEPS)
SIZE = 7  # features, classes and ids

# A function and its arguments, pytrees of `jax.ShapeDtypeStruct`.
Program = tuple[Callable[..., Any], tuple[Any, ...]]


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _integers(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


KEY = jax.eval_shape(lambda: jax.random.key(0))
KEYS = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
XS, IDS, LENGTHS = _floats(STEPS, BATCH, SIZE), _integers(STEPS, BATCH), _integers(BATCH)
IMAGES, SERIES = _floats(BATCH, 8, 8, 1), _floats(STEPS, BATCH, 1)

# Training steps.


def _training(model: Any, loss: Callable[..., Any], *shapes: Any, optimizer: Any = ADAM) -> Program:
    """Returns a training step of a model by `loss(params, key, *batch)`."""
    trainer = training.Trainer(model, BATCH, optimizer, training.ClipByNorm(1.0), not_finite=training.RollBack())

    def train(keys: jax.Array, *batch: Any) -> Any:
        return jax.vmap(lambda key: _update(trainer, key, lambda p, k: jax.value_and_grad(loss)(p, k, *batch)))(keys)

    return train, (KEYS, *shapes)


def _update(trainer: training.Trainer, key: jax.Array, value_and_grad: Callable[..., Any]) -> Any:
    params = trainer.model.init(key)
    zero = jnp.array(0)
    opt_state = trainer.transformations[1].init(params)
    state = training.TrainState(params, opt_state, key, zero, jnp.array(False), jnp.array(1.0), zero, zero)
    return step.descend(trainer, state, key, *value_and_grad(params, key))


def _estimated(estimator: Any, cell: Any) -> Program:
    """Returns a training step on a task by an estimator of the gradient."""
    model = ReadoutModel(cell, TASK.output_size)
    trainer = training.Trainer(model, BATCH, training.RMSProp(0.01), training.ClipAdaptively(0.1), estimator)

    def estimate(params: Any, key: jax.Array) -> Any:
        batch = TASK.sample(key, BATCH)
        loss = gradients.task_loss(model, TASK, batch)
        carry = estimator.init(cell, params, batch.inputs, key=key)
        value, gradient, _ = estimator(cell, loss, params, carry, batch.inputs, batch)
        return value, gradient

    return lambda keys: jax.vmap(lambda key: _update(trainer, key, estimate))(keys), (KEYS,)


EMBEDDING = data.Embedding(SIZE, SIZE)
CONVOLUTIONS = models.ImageEncoder((8, 8, 1), widths=(4,), strides=(2,))
LANGUAGE = models.LanguageModel(EMBEDDING, Stack((LSTM(SIZE, WIDTH), Dropout(GRU(WIDTH, WIDTH), 0.1))))
CLASSIFIER = models.Classifier(Bidirectional(GRU(SIZE, WIDTH)), SIZE, EMBEDDING, models.MaxPool(), dropout=0.1)
TAGGER = models.Tagger(
    EMBEDDING, Bidirectional(LSTM(SIZE + 2 * WIDTH, WIDTH)), SIZE, models.WordEncoder(EMBEDDING, LSTM(SIZE, WIDTH)), 0.1
)
FORECASTER = models.Forecaster(GRU(1, WIDTH), models.Gaussian())
DIRECT = models.Forecaster(GRU(1, WIDTH), models.Quantiles((0.1, 0.5, 0.9)), horizon=2)
CTC = models.CTC(Bidirectional(LSTM(SIZE, WIDTH)), SIZE)
VIDEO = models.VideoClassifier(CONVOLUTIONS, WIDTH, GRU(WIDTH, WIDTH), SIZE, (SIZE, 2))
TRANSLATORS = {
    "plain": models.EncoderDecoder(EMBEDDING, GRU(SIZE, WIDTH), models.Decoder(EMBEDDING, LSTM(SIZE, WIDTH))),
    "Bahdanau": models.EncoderDecoder(
        EMBEDDING,
        Bidirectional(GRU(SIZE, WIDTH)),
        models.Decoder(
            EMBEDDING,
            models.BahdanauCell(GRU(SIZE + 2 * WIDTH, WIDTH), models.Additive(WIDTH, 2 * WIDTH, WIDTH), WIDTH),
        ),
    ),
    "Luong": models.EncoderDecoder(
        EMBEDDING,
        LSTM(SIZE, WIDTH),
        models.Decoder(EMBEDDING, models.LuongCell(LSTM(SIZE + WIDTH, WIDTH), models.General(WIDTH, WIDTH), WIDTH)),
    ),
}
READER = models.LuongCell(GRU(2 * WIDTH + WIDTH, WIDTH), models.General(WIDTH, 2 * WIDTH), WIDTH)
ANSWERER = models.QuestionAnswerer(
    models.WordEncoder(EMBEDDING, GRU(SIZE, WIDTH)), Bidirectional(GRU(2 * WIDTH, WIDTH)), READER, SIZE, hops=2
)
CAPTIONER = models.Captioner(
    CONVOLUTIONS,
    models.Decoder(EMBEDDING, models.BahdanauCell(LSTM(SIZE + 4, WIDTH), models.Additive(WIDTH, 4, WIDTH), WIDTH)),
)


def _translation(model: models.EncoderDecoder) -> Program:
    def loss(params: Any, key: jax.Array, source: Any, lengths: Any, targets: Any) -> jax.Array:
        return model.loss(params, source, lengths, targets, lengths, key, sampling_probability=0.2)

    return _training(model, loss, IDS, LENGTHS, IDS)


TRAINING: dict[str, Program] = {
    "train LanguageModel": _training(
        LANGUAGE, lambda p, k, ids, n: LANGUAGE.loss(p, ids, ids, lengths=n, key=k)[1], IDS, LENGTHS
    ),
    "train Classifier": _training(
        CLASSIFIER,
        lambda p, k, ids, n: CLASSIFIER.loss(p, ids, ids[0], n, key=k),
        IDS,
        LENGTHS,
        optimizer=training.CosineDecay(training.AdamW(0.01), 100),
    ),
    "train Tagger": _training(
        TAGGER,
        lambda p, k, ids, characters, n: TAGGER.loss(p, ids, ids, characters, lengths=n, key=k),
        IDS,
        _integers(STEPS, BATCH, 3),
        LENGTHS,
    ),
    "train Forecaster": _training(
        FORECASTER,
        lambda p, k, xs: FORECASTER.loss(p, xs[:-1], models.forecast_targets(xs, 1), key=k)[1],
        SERIES,
        optimizer=training.SGD(0.01),
    ),
    "train Forecaster, direct": _training(
        DIRECT, lambda p, k, xs: DIRECT.loss(p, xs[:-2], models.forecast_targets(xs, 2), key=k)[1], SERIES
    ),
    "train CTC": _training(
        CTC,
        lambda p, k, xs, n, labels: CTC.loss(p, data.spec_augment(xs, n, k), n, labels, n // 3, key=k),
        XS,
        LENGTHS,
        _integers(2, BATCH),
    ),
    "train VideoClassifier": _training(
        VIDEO,
        lambda p, k, frames, ids: VIDEO.loss(p, frames, ids, [ids[0], ids[1]], key=k),
        _floats(STEPS, BATCH, 8, 8, 1),
        IDS,
    ),
    "train QuestionAnswerer": _training(
        ANSWERER,
        lambda p, k, story, ids, n: ANSWERER.loss(p, story, ids, ids[:, 0], n, key=k),
        _integers(STEPS, BATCH, 3),
        _integers(BATCH, 3),
        LENGTHS,
    ),
    "train Captioner": _training(
        CAPTIONER, lambda p, k, images, ids, n: CAPTIONER.loss(p, images, ids, n, key=k), IMAGES, IDS, LENGTHS
    ),
    **{f"train EncoderDecoder, {name}": _translation(model) for name, model in TRANSLATORS.items()},
    "train MixedPrecision": _estimated(gradients.BPTT(), MixedPrecision(GRU(2, WIDTH))),
    "train LRU": _estimated(gradients.BPTT(), LRU(2, WIDTH)),
    **{
        f"train by {estimator}": _estimated(estimator, LSTM(2, WIDTH))
        for estimator in (
            gradients.BPTT(),
            gradients.TBPTT(2, 4),
            gradients.RTRL(),
            gradients.SnAp(1),
            gradients.SnAp(2),
            gradients.UORO(),
            gradients.EProp(),
        )
    },
    "train LRU by RTRL": _estimated(gradients.RTRL(), LRU(2, WIDTH)),
}

# Inference.


def _drawn(model: Any, function: Callable[..., Any], *shapes: Any) -> Program:
    """Returns a function of (parameters, key, *arguments) as a program that draws the parameters."""
    return lambda key, *args: function(model.init(key), key, *args), (KEY, *shapes)


def _searched(model: models.EncoderDecoder, search: Callable[..., Any], **options: Any) -> Program:
    def decode(params: Any, key: jax.Array, source: Any, lengths: Any) -> Any:
        del key
        start = model.encode(params, source, lengths, key=None)
        return search(model.decoder, start.params, start.state, max_length=STEPS, **options)

    return _drawn(model, decode, IDS, LENGTHS)


def _generated(strategy: models.Strategy) -> Program:
    def write(params: Any, key: jax.Array, prompts: Any, lengths: Any) -> Any:
        return models.generate(LANGUAGE, params, strategy, key, prompts, lengths, count=2, end=0, max_length=STEPS)

    return _drawn(LANGUAGE, write, IDS, LENGTHS)


INFERENCE: dict[str, Program] = {
    **{
        f"generate by {strategy}": _generated(strategy)
        for strategy in (models.Greedy(), models.Temperature(0.7), models.TopK(3), models.Nucleus(0.9))
    },
    **{f"greedy, {name}": _searched(model, models.greedy) for name, model in TRANSLATORS.items()},
    **{f"beam_search, {name}": _searched(model, models.beam_search, width=3) for name, model in TRANSLATORS.items()},
    "CTC.decode": _drawn(CTC, lambda p, k, xs, n: CTC.decode(p, xs, n), XS, LENGTHS),
    "CRF": _drawn(
        models.CRF(SIZE),
        lambda p, k, xs, ids, n: (
            jax.grad(lambda p: jnp.sum(models.CRF(SIZE).log_likelihood(p, xs, ids, n)))(p),
            models.CRF(SIZE).decode(p, xs, n),
        ),
        XS,
        IDS,
        LENGTHS,
    ),
    "Tagger.predict": _drawn(
        TAGGER,
        lambda p, k, ids, characters, n: TAGGER.predict(p, ids, characters, lengths=n),
        IDS,
        _integers(STEPS, BATCH, 3),
        LENGTHS,
    ),
    "Forecaster.forecast": _drawn(FORECASTER, lambda p, k, xs: FORECASTER.forecast(p, xs, 3, k, paths=5), SERIES),
    "Forecaster.forecast, direct": _drawn(DIRECT, lambda p, k, xs: DIRECT.forecast(p, xs, 2, None), SERIES),
}

# Diagnostics of a real cell with two components and of a complex one.


def _mean_square(ys: jax.Array) -> jax.Array:
    return jnp.mean(ys[-1] ** 2)


def _norms(cell: Any, params: Any, xs: jax.Array) -> Any:
    return diagnostics.gradient_norms(diagnostics.state_gradients(cell, params, xs, _mean_square))


DIAGNOSTICS: dict[str, Program] = {
    f"{name}, {type(cell).__name__}": _drawn(cell, lambda p, k, xs, run=run, cell=cell: run(cell, p, xs), XS)
    for cell in (LSTM(SIZE, WIDTH), LRU(SIZE, WIDTH))
    for name, run in {
        "lyapunov_spectrum": lambda cell, p, xs: diagnostics.lyapunov_spectrum(cell, p, xs, 2),
        "jacobian_singular_values": lambda cell, p, xs: diagnostics.jacobian_singular_values(cell, p, xs, [0, 2, 5]),
        "jacobian_norm_bound": diagnostics.jacobian_norm_bound,
        "step_jacobians": diagnostics.step_jacobians,
        "state_gradients": _norms,
        "saturation": diagnostics.saturation,
        "omega": lambda cell, p, xs: jax.grad(lambda p: diagnostics.omega(cell, p, xs, _mean_square))(p),
        "linearised_reach": lambda cell, p, xs: reach._linearise(cell, p),  # its powers are taken by NumPy
        "spectral_radius": lambda cell, p, xs: spectral._jacobians(cell, p),  # its eigenvalues are computed by NumPy
    }.items()
}

# Every task is sampled and scored on the device, and every initialiser draws there.


def _scored(task: tasks.Task) -> Callable[[jax.Array], Any]:
    def score(key: jax.Array) -> Any:
        batch = task.sample(key, BATCH)
        return task.metrics(jnp.zeros((*batch.weights.shape, task.output_size)), batch)

    return score


def _initialised(key: jax.Array) -> Any:
    each = (
        initializers.Orthogonal(),
        initializers.ScaledIdentity(),
        initializers.Uniform(),
        initializers.Normal(0.1),
        initializers.LecunNormal(),
    )
    return [init(key, (WIDTH, WIDTH)) for init in each], initializers.Chrono(10)(key, (WIDTH,))


SAMPLED: dict[str, Program] = {f"task {name}": (_scored(make(20)), (KEY,)) for name, make in tasks.SYNTHETIC.items()}

PROGRAMS: dict[str, Program] = TRAINING | INFERENCE | DIAGNOSTICS | SAMPLED | {"initializers": (_initialised, (KEY,))}
