"""The catalogue of the experiments; a new experiment is a folder and a line here."""

from typing import NamedTuple


class Entry(NamedTuple):
    """An experiment in the catalogue."""

    name: str  # of the folder: `python -m experiments.NAME`
    question: str
    minutes: int  # on two CPU cores


CATALOGUE = (
    Entry("gradient_norms", "How far back does the gradient reach, before and after training?", 4),
    Entry("dynamics", "What does training do to Lyapunov exponents, memory and reach?", 2),
    Entry("exploding", "At which recurrent gain does the gradient explode, and what does clipping repair?", 2),
    Entry("newton", "Which recurrences does Newton's method solve in parallel over time, and what decides?", 7),
    Entry("gradient_estimators", "How close are truncated and online gradients to the exact one, and at what cost?", 4),
    Entry("doctor", "Why does a run not learn?", 1),
    Entry("check", "Does a cell, layer, task, engine or estimator keep its contract?", 1),
    Entry("long_dependency", "Which network learns a dependency of length T, and after how many sequences?", 60),
    Entry("throughput", "How fast is it, and how do time and memory grow, beside other libraries?", 40),
    Entry("teaching", "Do two course programs compute the same here as in Keras and PyTorch?", 1),
    Entry("char_lm", "How well does a network predict the next character of a text?", 1),
    Entry("sentiment", "Sentiment of a sentence: recurrent networks against counting words", 11),
    Entry("names", "Which language does a surname belong to, and can a network invent some?", 15),
    Entry("tagging", "Parts of speech, named entities: what do neighbours contribute, what do characters?", 9),
    Entry("music", "How well does a network predict the next chord of a chorale?", 5),
    Entry("captioning", "Image captions: is attention needed, and what does it attend to?", 15),
    Entry("video", "What does a recurrence recognise in a clip that no single frame shows?", 28),
    Entry("translation", "Does attention translate better than a final state alone?", 15),
    Entry("question_answering", "Questions about stories: does attention find the facts that the answer needs?", 21),
    Entry("speech", "Which digit was spoken, who spoke, and which digits in a row, without alignment?", 5),
    Entry("series", "Which class is a time series of: a heartbeat, a movement, a speaker?", 5),
    Entry("forecasting", "Do networks forecast a series better than a linear autoregression?", 4),
    Entry("anomaly", "Do networks detect anomalies in a series better than simpler detectors?", 4),
    Entry("table_anomaly", "Which rows of a table are anomalies, as in network traffic or a log?", 1),
)
