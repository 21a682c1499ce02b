"""Parameters of another cell or model are refused in our words, with what was expected and what came."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnn_jax
from rnn_jax import CELLS, GRU, LSTM, Cell, PeepholeLSTM, VanillaRNN, data, diagnostics, gradients, models, unroll
from rnn_jax.layers import DelayLine
from rnn_jax.models.readout import ReadoutParams
from tests.registry import NAMES

T, B, D, H = 4, 2, 3, 5
KEY, XS = jax.random.key(0), jnp.ones((T, B, D))


def params_of(cell, *seeds):
    """Returns parameters of a cell, without compiling its initialisation: only their shapes matter here."""
    shapes = jax.eval_shape(cell.init, KEY)
    return jax.tree.map(lambda leaf: jax.device_put(np.ones((*seeds, *leaf.shape), leaf.dtype)), shapes)


def refuses(call, *words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        call()


EXPECTED = "LSTM: params must be LSTMParams of w_i float32[3, 20], w_h float32[5, 20], b float32[20], got "


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (params_of(LSTM(D, H + 1)), ["LSTM: params.w_i must be float32[3, 20], got float32[3, 24]"]),
        (params_of(GRU(D, H)), [EXPECTED, "GRUParams of w_i float32[3, 15]"]),
        (params_of(PeepholeLSTM(D, H)), [EXPECTED, "PeepholeLSTMParams of", "p"]),
        (params_of(LSTM(D, H))._asdict(), [EXPECTED, "dict of b float32[20]", "as the target when they are restored"]),
        (tuple(params_of(LSTM(D, H))), [EXPECTED, "tuple of 0 float32[3, 20]"]),
        (None, [EXPECTED, "NoneType of"]),
        (LSTM(D, H), ["got LSTM"]),
        (params_of(LSTM(D, H))._replace(b=None), ["LSTM: params.b must be float32[20], got NoneType"]),
        (params_of(LSTM(D, H))._replace(b="b"), ["params.b must be float32[20], got str"]),
        (params_of(LSTM(D, H))._replace(b=np.zeros(20, np.int32)), ["params.b must be float32[20], got int32[20]"]),
        (params_of(LSTM(D, H), 2), ["got float32[2, 3, 20]; for the parameters of m"]),
    ],
    ids=["size", "cell", "peepholes", "dict", "tuple", "nothing", "itself", "none", "string", "integers", "seeds"],
)  # fmt: skip
def test_unroll_and_estimators_name_what_was_expected(params, words):
    refuses(lambda: unroll(LSTM(D, H), params, XS), *words)
    refuses(lambda: jax.jit(lambda xs: unroll(LSTM(D, H), params, xs))(XS), *words)
    refuses(lambda: gradients.BPTT().init(LSTM(D, H), ReadoutParams(params, ()), XS), *words)
    refuses(lambda: diagnostics.state_gradients(LSTM(D, H), params, XS, jnp.sum), *words)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_of_every_other_cell_are_refused(name):
    cell = CELLS[name](D, H)
    for other in ("rnn", "lstm", "gru", "lstm_peephole", "linear"):
        params = jax.eval_shape(CELLS[other](D, H).init, KEY)
        if jax.tree.structure(params) != jax.tree.structure(jax.eval_shape(cell.init, KEY)):
            with pytest.raises(ValueError, match=f"^{type(cell).__name__}: params must be"):
                jax.eval_shape(lambda p: unroll(cell, p, XS), params)


def test_a_layer_names_the_part_that_is_wrong():
    stack = rnn_jax.Stack([LSTM(D, H), GRU(H, 2)])
    low, high = stack.init(KEY)
    refuses(lambda: unroll(stack, (low, high._replace(b=jnp.zeros(7))), XS), "Stack: params[1].b must be float32[6]")
    refuses(lambda: unroll(stack, [low, high], XS), "Stack: params must be tuple of 0.w_i float32[3, 20]", "got list")
    refuses(lambda: unroll(stack, (high, low), XS), "Stack: params must be tuple of")


@dataclasses.dataclass(frozen=True)
class Hosted(Cell):
    """A user's cell whose parameters are drawn by NumPy, or by nothing."""

    drawn: bool = True

    def init(self, key):
        if not self.drawn:
            raise NotImplementedError
        return np.random.default_rng(np.asarray(jax.random.key_data(key))).normal(size=())

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, drive):
        return params * state + 1


@pytest.mark.parametrize("drawn", [False, True])
def test_an_init_that_cannot_be_traced_is_no_obstacle(drawn):
    np.testing.assert_allclose(unroll(Hosted(D, H, drawn), 0.5, XS)[0], 1.875)


def used(cell, params, xs=XS, **options):
    return unroll(cell, params, xs, key=None, **options)[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_parameters_of_another_float_type_are_accepted(dtype):
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), GRU(D, H).init(KEY))
    assert used(GRU(D, H), params, XS.astype(dtype)).dtype == dtype
    assert used(GRU(D, H), jax.tree.map(np.asarray, params), XS.astype(dtype)).shape == (T, B, H)


@pytest.mark.extended
def test_parameters_are_accepted_under_vmap_grad_and_jit():
    cell = rnn_jax.Stack([GRU(D, H), rnn_jax.Zoneout(LSTM(H, 2), 0.1)])
    seeds = jax.vmap(cell.init)(jax.random.split(KEY, 3))
    assert jax.vmap(lambda p: used(cell, p))(seeds).shape == (3, T, B, 2)
    one = jax.tree.map(lambda leaf: leaf[0], seeds)
    slopes = jax.jit(jax.grad(lambda p: used(cell, p).sum()))(one)
    assert jax.tree.structure(slopes) == jax.tree.structure(one)
    assert used(cell, jax.tree.map(lambda leaf: leaf * 0, slopes)).shape == (T, B, 2)  # gradients are like parameters


@pytest.mark.parametrize(
    "cell",
    [
        rnn_jax.LearnedInitialState(rnn_jax.LRU(D, H)),
        rnn_jax.Bidirectional(DelayLine(GRU(D, H), 2)),
        rnn_jax.Encoded(rnn_jax.Residual(GRU(2, 2)), data.Embedding(D, 2)),
        rnn_jax.MixedPrecision(rnn_jax.RecurrentDropout(GRU(D, H), 0.1)),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_parameters_of_layers_are_accepted(cell):
    assert jax.eval_shape(lambda p: used(cell, p), jax.eval_shape(cell.init, KEY)).shape[:2] == (T, B)


TOKENS = data.Embedding(6, D)
IDS, LENGTHS = jnp.full((T, B), 4), jnp.array([4, 3])
ATTENDING = models.LuongCell(GRU(D + H, H), models.Dot(H, H), H)
TRANSLATOR = models.EncoderDecoder(TOKENS, GRU(D, H), models.Decoder(TOKENS, ATTENDING))
MODELS = {
    "readout": (models.ReadoutModel(GRU(D, H), 2), lambda m, p: m.apply(p, XS)),
    "language": (models.LanguageModel(TOKENS, GRU(D, H)), lambda m, p: m.loss(p, IDS, IDS)),
    "generate": (
        models.LanguageModel(TOKENS, GRU(D, H)),
        lambda m, p: models.generate(m, p, models.Greedy(), KEY, np.asarray(IDS), count=2, max_length=6),
    ),
    "classifier": (models.Classifier(GRU(D, H), 2), lambda m, p: m.apply(p, XS)),
    "tagger": (models.Tagger(TOKENS, GRU(D, H), 2), lambda m, p: m.predict(p, IDS)),
    "crf": (models.CRF(D), lambda m, p: m.decode(p, XS)),
    "ctc": (models.CTC(GRU(D, H), 2), lambda m, p: m.apply(p, XS)),
    "forecaster": (models.Forecaster(GRU(D, H), models.Gaussian()), lambda m, p: m.forecast(p, XS, 2, None)),
    "translator": (TRANSLATOR, lambda m, p: m.loss(p, IDS, LENGTHS, IDS, LENGTHS, KEY, 0.5)),
    "decoder": (models.Decoder(TOKENS, GRU(D, H)), lambda m, p: m.loss(p, IDS, jnp.zeros((B, H)))),
    "words": (models.WordEncoder(TOKENS, VanillaRNN(D, 2)), lambda m, p: m.apply(p, IDS)),
    "questions": (
        models.QuestionAnswerer(models.WordEncoder(TOKENS, GRU(D, H)), GRU(2 * H, H), GRU(3 * H, H), 2),
        lambda m, p: m.apply(p, jnp.full((T, B, 3), 4), jnp.full((B, 3), 4), LENGTHS),
    ),
    "captioner": (
        models.Captioner(models.ImageEncoder((4, 4, 1), (2,), (2,)), models.Decoder(TOKENS, GRU(D, H))),
        lambda m, p: m.encode(p, jnp.zeros((B, 4, 4, 1))),
    ),
    "video": (
        models.VideoClassifier(models.ImageEncoder((4, 4, 1), (2,), (2,)), D, GRU(D, H), 2, (2,)),
        lambda m, p: m.apply(p, jnp.zeros((T, B, 4, 4, 1))),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_check_their_parameters(name):
    model, call = MODELS[name]
    params = jax.eval_shape(model.init, KEY)
    jax.eval_shape(lambda p: call(model, p), params)
    narrow = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*leaf.shape[:-1], leaf.shape[-1] + 1), leaf.dtype), params)
    for wrong in (narrow, {"params": params}, jax.eval_shape(VanillaRNN(D, H).init, KEY)):
        with pytest.raises(ValueError, match=r"^\w+: params.* must be .*, got "):
            jax.eval_shape(lambda p: call(model, p), wrong)


DIAGNOSTICS = {
    "spectral_radius": lambda c, p: diagnostics.spectral_radius(c, p),
    "linearised_reach": lambda c, p: diagnostics.linearised_reach(c, p, 2),
    "lyapunov_spectrum": lambda c, p: diagnostics.lyapunov_spectrum(c, p, XS, 0),
    "step_jacobians": lambda c, p: diagnostics.step_jacobians(c, p, XS),
    "singular_values": lambda c, p: diagnostics.jacobian_singular_values(c, p, XS, [1]),
    "norm_bound": lambda c, p: diagnostics.jacobian_norm_bound(c, p, XS),
    "omega": lambda c, p: diagnostics.omega(c, p, XS, jnp.sum),
    "saturation": lambda c, p: diagnostics.saturation(c, p, XS),
}


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_diagnostics_check_their_parameters(name):
    refuses(lambda: DIAGNOSTICS[name](LSTM(D, H), GRU(D, H).init(KEY)), EXPECTED, "GRUParams of w_i")


def test_searches_check_their_parameters():
    decoder = models.Decoder(TOKENS, GRU(D, H))
    params, state = decoder.init(KEY), jnp.zeros((B, H))
    for search in (models.greedy, lambda *a, **k: models.beam_search(*a, width=2, **k)):
        jax.eval_shape(lambda p, search=search: search(decoder, p, state, max_length=3).tokens, params)
        refuses(lambda search=search: search(decoder, params.cell, state, max_length=3), "Decoder: params must be")
