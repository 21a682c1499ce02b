"""Models: the input-output shapes around a recurrent core.

Many-to-many  `ReadoutModel`, `LanguageModel` (`generate`), `Tagger` (`CRF`), `Forecaster`, `CTC`
many-to-one   `Classifier` (`LastStep`, `MeanPool`, `MaxPool`), `VideoClassifier`, `QuestionAnswerer`
sequences     `EncoderDecoder`, `Captioner`: a `Decoder`, `greedy` and `beam_search`, attention by `BahdanauCell` and
              `LuongCell`

`save` and `load` keep a trained one as a folder.
"""

from rnn_jax.models.attending import AttendingCell, AttendingParams, BahdanauCell, BahdanauState, LuongCell, LuongState
from rnn_jax.models.attention import Additive, Attention, Dot, General, Memory
from rnn_jax.models.beam import SearchResult, beam_search, greedy
from rnn_jax.models.captioner import Captioner, CaptionerParams
from rnn_jax.models.classifier import Classifier, ClassifierParams
from rnn_jax.models.crf import CRF, CRFParams
from rnn_jax.models.ctc import CTC, Labelling, best_path, edit_distance, has_path, label_error_rate
from rnn_jax.models.decoder import Decoder, DecoderParams, DecoderStart
from rnn_jax.models.encoded import Encoded, EncodedParams
from rnn_jax.models.encoder_decoder import EncoderDecoder, EncoderDecoderParams, sequence_to_sequence
from rnn_jax.models.forecaster import Forecast, Forecaster, forecast_targets
from rnn_jax.models.generation import Generated, generate
from rnn_jax.models.heads import Gaussian, Head, Quantiles
from rnn_jax.models.image_encoder import ImageEncoder
from rnn_jax.models.language import LanguageModel, nats_per_token
from rnn_jax.models.pooling import LastStep, MaxPool, MeanPool, Pooling
from rnn_jax.models.question_answerer import Answers, QuestionAnswerer, QuestionAnswererParams
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.models.sampling import Greedy, Nucleus, Strategy, Temperature, TopK
from rnn_jax.models.saved import Trained, load, save
from rnn_jax.models.tagger import Tagger, TaggerParams
from rnn_jax.models.video import VideoClassifier, VideoClassifierParams, VideoLogits
from rnn_jax.models.word_encoder import WordEncoder, WordEncoderParams

__all__ = [
    "CRF",
    "CTC",
    "Additive",
    "Answers",
    "AttendingCell",
    "AttendingParams",
    "Attention",
    "BahdanauCell",
    "BahdanauState",
    "CRFParams",
    "Captioner",
    "CaptionerParams",
    "Classifier",
    "ClassifierParams",
    "Decoder",
    "DecoderParams",
    "DecoderStart",
    "Dot",
    "Encoded",
    "EncodedParams",
    "EncoderDecoder",
    "EncoderDecoderParams",
    "Forecast",
    "Forecaster",
    "Gaussian",
    "General",
    "Generated",
    "Greedy",
    "Head",
    "ImageEncoder",
    "Labelling",
    "LanguageModel",
    "LastStep",
    "LuongCell",
    "LuongState",
    "MaxPool",
    "MeanPool",
    "Memory",
    "Nucleus",
    "Pooling",
    "Quantiles",
    "QuestionAnswerer",
    "QuestionAnswererParams",
    "ReadoutModel",
    "ReadoutParams",
    "SearchResult",
    "Strategy",
    "Tagger",
    "TaggerParams",
    "Temperature",
    "TopK",
    "Trained",
    "VideoClassifier",
    "VideoClassifierParams",
    "VideoLogits",
    "WordEncoder",
    "WordEncoderParams",
    "beam_search",
    "best_path",
    "edit_distance",
    "forecast_targets",
    "generate",
    "greedy",
    "has_path",
    "label_error_rate",
    "load",
    "nats_per_token",
    "save",
    "sequence_to_sequence",
]
