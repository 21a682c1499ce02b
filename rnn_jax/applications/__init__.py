"""Applications of trained models: a user's text, file or series in, an answer out. See `models.load`.

`Application` is the contract; each other name stands for one shape of input and answer.
"""

from rnn_jax.applications.anomaly_detector import Anomalies, AnomalyDetector
from rnn_jax.applications.application import Application, TextApplication
from rnn_jax.applications.classified import Classified
from rnn_jax.applications.clip_classifier import ClipClasses, ClipClassifier, FrameFolderClassifier
from rnn_jax.applications.image_captioner import ImageCaptioner
from rnn_jax.applications.improviser import Improviser
from rnn_jax.applications.row_detector import RowAnomalies, RowDetector, TableRows
from rnn_jax.applications.sentence_tagger import SentenceTagger
from rnn_jax.applications.series_classifier import SeriesClassifier
from rnn_jax.applications.series_forecaster import Forecasts, SeriesForecaster
from rnn_jax.applications.speech_recognizer import SpeechRecognizer
from rnn_jax.applications.story_answerer import StoryAnswerer
from rnn_jax.applications.text_classifier import TextClassifier
from rnn_jax.applications.text_generator import TextGenerator
from rnn_jax.applications.translator import Translator

__all__ = [
    "Anomalies",
    "AnomalyDetector",
    "Application",
    "Classified",
    "ClipClasses",
    "ClipClassifier",
    "Forecasts",
    "FrameFolderClassifier",
    "ImageCaptioner",
    "Improviser",
    "RowAnomalies",
    "RowDetector",
    "SentenceTagger",
    "SeriesClassifier",
    "SeriesForecaster",
    "SpeechRecognizer",
    "StoryAnswerer",
    "TableRows",
    "TextApplication",
    "TextClassifier",
    "TextGenerator",
    "Translator",
]
