"""Files of bAbI: stories of numbered sentences with questions, their answers and the sentences that support them."""

import glob
from pathlib import Path
from typing import NamedTuple

from rnn_jax import files
from rnn_jax.data.text import SPLITS, read_text


class StoryQuestion(NamedTuple):
    """A question about the sentences before it."""

    story: tuple[str, ...]
    question: str
    answer: str
    support: tuple[int, ...]  # indices of the sentences of `story` that the answer follows from


def read_babi(path: str | Path) -> list[list[StoryQuestion]]:
    r"""Reads the questions of a file in the format of bAbI (Weston et al. 2015, arXiv:1502.05698).

    Lines are numbered, and a story begins at 1. A question is followed by its answer and the numbers of the supporting
    lines, with tabs between them. An answer may be a list, as `apple,milk` in task 8: it is read as one string.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "qa1_train.txt"
    >>> _ = path.write_text("1 Mary went to the garden.\n2 Where is Mary?\tgarden\t1\n")
    >>> data.read_babi(path)[0][0].answer
    'garden'

    Args:
      path: file in UTF-8; blank lines are ignored.

    Returns:
      The questions of each story that has any, in the order of the file.

    Raises:
      ValueError: with the path, if the file cannot be read, is not UTF-8 or holds no question; with the line, if its
        number is neither 1 nor the next one, it has another number of columns, one is empty, a question has no sentence
        before it, or a supporting line is not one of those.
    """
    stories: list[list[StoryQuestion]] = []
    last, sentences, places = 0, list[str](), dict[str, int]()  # places: number of a line -> index of its sentence
    # Not `splitlines`, which also ends lines at characters that may be part of a sentence.
    for line_number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        location = f"{path}, line {line_number}"
        number, _, content = line.strip(" ").partition(" ")
        if number == "1":
            last, sentences, places = 0, [], {}
            stories.append([])
        elif number != str(last + 1) or not stories:
            expected = f"line {last + 1} of its story, or 1 for the next story" if stories else "line 1 of a story"
            raise ValueError(f"{location}: must be {expected}, got number {number[:40]!r}")
        last += 1
        columns = [column.strip() for column in content.split("\t")]
        if not all(columns[:2]):
            raise ValueError(f"{location}: a sentence, a question and its answer must not be empty, got {line[:60]!r}")
        if len(columns) == 1 and "?" not in content:
            places[number] = len(sentences)
            sentences.append(columns[0])
        else:
            stories[-1].append(_question(columns, sentences, places, location))
    if not any(stories):
        raise ValueError(f"{path}: must hold at least one question, got none")
    return [story for story in stories if story]


def read_babi_task(folder: str | Path, task: str) -> dict[str, list[list[StoryQuestion]]]:
    """Reads the files of a task, which are named `qa2_*train.txt`, or `mine_*train.txt` if the task is not a number.

    Args:
      folder: folder with one file each of *train.txt and *test.txt, and perhaps one of *valid.txt. Without that the
        last tenth of the training stories are the validation set.
      task: number of the task, or another first part of the names.

    Returns:
      The questions of the stories of "training", "validation" and "test", as from `read_babi`.

    Raises:
      ValueError: with the path, if there is no such folder, not one file of each name, or only one training story and
        no validation set; as `read_babi`.
    """
    path, stem = files.expanded(folder), f"qa{task}_" if task.isdecimal() else f"{task}_"
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder")
    stories: dict[str, list[list[StoryQuestion]]] = {}
    for name, end in zip(SPLITS, ("train", "valid", "test"), strict=True):
        paths = sorted(path.glob(f"{glob.escape(stem)}*{end}.txt"))
        if len(paths) > 1 or not (paths or end == "valid"):
            names = ", ".join(each.name for each in paths) or "none"
            raise ValueError(f"{path}: must hold one file {stem}*{end}.txt, got {names}")
        stories |= {name: read_babi(paths[0])} if paths else {}
    if "validation" in stories:
        return stories
    if len(stories["training"]) < 2:
        raise ValueError(f"{path}: {stem}*train.txt must hold two stories, one of them for validation, got one")
    return stories | split_off_validation(stories["training"])


def split_off_validation(stories: list[list[StoryQuestion]]) -> dict[str, list[list[StoryQuestion]]]:
    """Returns the last tenth of at least two stories as "validation", the others as "training"."""
    count = max(1, round(0.1 * len(stories)))
    return {"training": stories[:-count], "validation": stories[-count:]}


def _question(columns: list[str], sentences: list[str], places: dict[str, int], location: str) -> StoryQuestion:
    """Returns a question after checking its columns."""
    if len(columns) != 3:
        raise ValueError(
            f"{location}: a question must have 3 columns with tabs between them (question, answer, supporting lines), "
            f"got {len(columns)}: {columns[0][:40]!r}"
        )
    question, answer, support = columns
    if not sentences:
        raise ValueError(f"{location}: a question must follow a sentence of its story, got {question[:40]!r}")
    if not all(item.strip() for item in answer.split(",")):
        raise ValueError(
            f"{location}: an answer must be a word, or words with commas between them, got {answer[:40]!r}"
        )
    for number in support.split():
        if number not in places:
            raise ValueError(
                f"{location}: a supporting line must be the number of an earlier sentence of the story, got "
                f"{number[:40]!r}"
            )
    return StoryQuestion(tuple(sentences), question, answer, tuple(places[number] for number in support.split()))
