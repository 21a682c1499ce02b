"""Config, flags, and the data and networks that follow from them."""

import dataclasses

from experiments.common import flags, networks
from experiments.common.fitting import Network
from experiments.common.flags import FitConfig, UserError, setting, user_errors
from experiments.common.splits import MADE, SplitFiles
from experiments.question_answering import task_questions
from experiments.question_answering.measurement import loss
from experiments.question_answering.task_questions import TaskQuestions
from rnn_jax import Bidirectional, Cell, Dropout
from rnn_jax.applications import StoryAnswerer
from rnn_jax.data import Embedding, StoryCorpus, read_babi
from rnn_jax.models import General, LuongCell, QuestionAnswerer, WordEncoder
from rnn_jax.training import Trainer

LABELS = {"attention": "attention", "none": "no attention"}


@dataclasses.dataclass(frozen=True)
class Config(SplitFiles, FitConfig):
    """Config of a run; every field is a flag."""

    data: str | None = setting(
        None,
        "Folder with the files qaTASK_*train.txt and qaTASK_*test.txt of bAbI for every task, or NAME_*train.txt and "
        "NAME_*test.txt; *valid.txt, if there is one, is the validation set. By default stories are generated.",
    )
    tasks: tuple[str, ...] = setting(("1", "2", "3", "6", "15"), "Comma list of tasks; each has networks of its own.")
    questions: int = setting(10_000, "Generated questions of each task, a tenth for validation.", least=20, needs=MADE)
    tested: int = setting(1000, "Generated questions in the test set of each task.", needs=MADE)
    sentences: int = setting(50, "Most recent sentences of a story that are read.")
    models: tuple[str, ...] = setting(
        tuple(LABELS),
        "Comma list: attention (over the sentences of the story), none (the last outputs of the layer that reads it).",
        choices=tuple(LABELS),
    )
    cell: str = setting("gru", networks.CELL_HELP)
    direction: str = setting(
        "both", "Order in which the sentences of a story are read: both, or forward.", choices=("both", "forward")
    )
    hops: int = setting(3, "Times that the network reads the question; with attention, times that it attends.")
    hidden_size: int = setting(64, "Features of words, of sentences and of the answer; an even number.")
    dropout: float = setting(0.3, "Share of a sentence's features dropped in training.", share=True)
    buckets: int = setting(2, "Lengths that stories are padded to; each is compiled.")
    batch_size: int = setting(64)
    epochs: int = setting(10)
    learning_rate: float = setting(5e-3)
    seeds: int = setting(1)
    clip_norm: float = setting(5.0)

    @property
    def networks(self) -> int:
        return len(self.models) * len(self.tasks)


QUICK = Config(
    tasks=("1",), questions=2000, tested=200, hops=1, hidden_size=32, dropout=0.0, buckets=1, batch_size=32, epochs=4
)


def plan(config: Config) -> list[tuple[TaskQuestions, list[Network]]]:
    """Returns the questions of each task, and the networks that learn to answer them.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if config.hidden_size % 2:
        raise UserError(f"--hidden_size must be even, for two directions of one size, got {config.hidden_size}")
    plans = []
    for task in _tasks(config):
        training = task.corpus.splits["training"].buckets
        trainers = {name: config.trainer(_model(config, name, task.corpus), training) for name in config.models}
        plans.append((task, [_network(config, task, name, trainer) for name, trainer in trainers.items()]))
    return plans


def _network(config: Config, task: TaskQuestions, name: str, trainer: Trainer[QuestionAnswerer]) -> Network:
    application = StoryAnswerer(trainer.model, task.corpus.words, task.corpus.answers, config.sentences)
    return Network(f"{task.name}_{name}", trainer, LABELS[name], application)


def _tasks(config: Config) -> list[TaskQuestions]:
    sizes = config.sentences, config.buckets
    if (given := config.read_splits(read_babi)) is not None:
        return [task_questions.encode("files", str(config.test), given, *sizes)]
    tasks = []
    for name in config.tasks:
        with user_errors("--tasks" if config.data is None else "--data"):
            read = task_questions.read(name, config.data, config.questions, config.tested, config.data_seed)
        tasks.append(task_questions.encode(f"task_{name}", config.data or "generated stories", read, *sizes))
    return tasks


def _model(config: Config, name: str, corpus: StoryCorpus) -> QuestionAnswerer:
    units, steps = config.hidden_size, config.sentences
    both = config.direction == "both"

    def make(input_size: int, hidden_size: int) -> Cell:
        return networks.make_cell(config.cell, input_size, hidden_size, steps)

    sentence = WordEncoder(Embedding(len(corpus.words), units), make(units, units // 2))
    story = make(sentence.features, units // 2 if both else units)
    story = Bidirectional(story) if both else story
    story = Dropout(story, config.dropout) if config.dropout else story
    if name == "attention":
        cell = make(sentence.features + units, units)
        reader: Cell = LuongCell(cell, General(cell.output_size, story.output_size), units)
    else:
        reader = make(sentence.features + story.output_size, units)
    model = QuestionAnswerer(sentence, story, reader, len(corpus.answers), config.hops)
    networks.probe_loss(f"--cell={config.cell}", model, loss, corpus.splits["training"].buckets)
    return model
