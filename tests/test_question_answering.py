"""The question answering experiment: baselines, scores, the files of a run, rejected flags and files."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import question_answering
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from experiments.question_answering import measurement, task_questions
from rnn_jax import Bidirectional, Dropout, models
from rnn_jax.data import StoryQuestion

ROOT = Path(__file__).parents[1]
TINY = question_answering.Config(
    tasks=("6",), questions=40, tested=12, hidden_size=4, hops=1, buckets=1, batch_size=16, epochs=2, seeds=2
)
STORY = ["1 Mary went to the bed.", "2 John got the milk.", "3 Where is Mary?\tbed\t1", "4 Who?\tJohn,Mary\t2 1"]
FACTS = ("Mary is in the garden.", "Mary is in the office.", "John is in the garden.")


def config(**fields):
    return dataclasses.replace(TINY, **fields)


def write(folder, *names, lines=STORY):
    for name in names:
        (folder / name).write_text("\n".join(lines * 2), encoding="utf-8")
    return str(folder)


def questions(*answers, story=FACTS, support=(0, 1)):
    return [[StoryQuestion(story, "Where?", answer, support) for answer in answers]]


@pytest.fixture(scope="module")
def task():
    stories = {
        "training": questions("garden", "office", "garden", "yes"),
        "validation": questions("garden", "garden", "kitchen", "office"),
        "test": questions("garden", "office", story=FACTS[:2]) + questions("office", story=("He left.",), support=(0,)),
    }
    return task_questions.encode("task", "here", stories, 50, 2)


def test_baselines_by_hand(task):
    most_frequent, last_mentioned = measurement.baselines(task.corpus)
    assert task.corpus.answers == ("garden", "office", "yes")
    assert (most_frequent.validation.tolist(), last_mentioned.validation.tolist()) == ([1 / 2], [1 / 2])
    assert most_frequent.test.predicted.tolist() == [0, 0, 0]
    # The last answer that is mentioned; the most frequent one if there is none.
    assert last_mentioned.test.predicted.tolist() == [1, 1, 0]
    np.testing.assert_allclose(last_mentioned.test.accuracy, [1 / 3])
    assert last_mentioned.test.scored.items == 2  # stories
    np.testing.assert_allclose(last_mentioned.test.scored.score(np.array([0, 0, 1])), [2 / 5])
    assert np.isnan(last_mentioned.test.facts)
    assert task.repeated == {"training": 4, "validation": 0}


def test_attended_facts_are_counted_over_hops_and_questions(task):
    split = task.corpus.splits["test"]  # supporting facts 0 and 1, 0 and 1, 0
    weights = np.zeros((2, 3, 2, 2))
    weights[0, :, 0, 0] = weights[0, :, 1, 1] = 1  # both sentences, one at each hop
    weights[1, :, :, 1] = 1  # the second sentence at both hops
    np.testing.assert_allclose(measurement.attended_facts(split, weights), [1, 2 / 5])
    without = split._replace(questions=[q._replace(support=()) for q in split.questions])
    assert np.isnan(measurement.attended_facts(without, weights)).all()


def _story_length(model, params, batch):
    del model, params
    return batch.whole["length"], np.ones((len(batch.whole["length"]), 1, len(batch.steps)))


@pytest.mark.extended
def test_answers_are_in_the_order_of_the_questions(task, monkeypatch):
    split = task.corpus.splits["test"]
    assert [len(bucket.steps) for bucket in split.buckets] == [1, 2]
    monkeypatch.setattr(measurement, "_answer", _story_length)
    network = question_answering.plan(TINY)[0][1][0].trainer.model
    lengths, weights = measurement.answers(network, np.zeros((2, 1)), split)
    assert lengths.tolist() == [[2, 2, 1]] * 2
    assert weights[0, :, 0].tolist() == [[1, 1], [1, 1], [1, 0]]


@pytest.mark.extended
def test_networks_differ_in_their_attention_only():
    ((task, (attention, none)),) = question_answering.plan(config(hops=2, dropout=0.5))
    assert (task.name, attention.name, none.name) == ("task_6", "task_6_attention", "task_6_none")
    attending, without = attention.trainer.model, none.trainer.model
    assert attending.sentences == without.sentences
    assert attending.story == without.story
    assert isinstance(attending.story, Dropout)
    assert isinstance(attending.story.cell, Bidirectional)
    assert (attending.attends, without.attends, attending.hops, without.hops) == (True, False, 2, 2)
    ((_, (forward, _)),) = question_answering.plan(config(direction="forward", cell="lstm"))
    assert type(forward.trainer.model.story.cell).__name__ == "LSTM"
    assert forward.trainer.model.story.output_size == attending.story.output_size == 4


def test_tasks_with_short_stories_are_trained_first():
    plans = question_answering.plan(config(tasks=("3", "1"), models=("none",)))
    ranks = [measurement.job(task.corpus, TINY, networks[0], list).rank for task, networks in plans]
    assert ranks[0] > ranks[1] > 0


def test_generated_splits_have_the_flags_sizes_and_differ_by_seed_and_task():
    task, _ = question_answering.plan(TINY)[0]
    assert {name: len(split.questions) for name, split in task.corpus.splits.items()} == {
        "training": 35,
        "validation": 5,
        "test": 12,
    }
    first = [task_questions.read("1", None, 40, 12, seed)["training"] for seed in (0, 0, 1)]
    assert first[0] == first[1] != first[2]
    assert task_questions.read("6", None, 40, 12, 0)["training"][0][0].story != first[0][0][0].story


def test_files_of_a_folder_and_of_single_splits_are_read(tmp_path):
    data = write(tmp_path, "qa8_lists-sets_train.txt", "qa8_lists-sets_test.txt", "own_train.txt", "own_test.txt")
    plans = question_answering.plan(config(data=data, tasks=("8", "own"), models=("none",)))
    assert [task.name for task, _ in plans] == ["task_8", "task_own"]
    assert plans[0][0].corpus.answers == ("John,Mary", "bed")  # a list is one class
    assert plans[0][0].repeated == {"training": 2, "validation": 2}
    files = {name: str(tmp_path / "own_test.txt") for name in ("train", "validation", "test")}
    ((task, _),) = question_answering.plan(config(**files, models=("none",)))
    assert (task.name, len(task.corpus.splits["training"].questions)) == ("files", 4)


BAD = [
    ({"tasks": ("4",)}, "--tasks: babi_stories: task must be one of 1, 2, 3, 6, 15, got 4"),
    ({"tasks": ("mine",)}, "--tasks: a task must be a number unless its files are given by --data, got 'mine'"),
    ({"tasks": ()}, "--tasks must name at least one and none twice, got ''"),
    ({"data": "nowhere"}, "--data: nowhere: no such folder"),
    ({"models": ("attend",)}, "--models: unknown 'attend': known are attention, none"),
    ({"direction": "backward"}, "--direction must be one of both, forward, got 'backward'"),
    ({"cell": "gruu"}, "unknown cell 'gruu'"),
    ({"questions": 10}, "--questions must be at least 20, got 10"),
    ({"hops": 0}, "--hops must be positive, got 0"),
    ({"sentences": 0}, "--sentences must be positive, got 0"),
    ({"hidden_size": 5}, "--hidden_size must be even, for two directions of one size, got 5"),
    ({"dropout": 1.0}, "--dropout must be from 0 to below 1, got 1.0"),
    ({"train": "a.txt"}, "--train, --validation and --test must be three files, got no --validation"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_flags_are_rejected_before_anything_is_written(fields, message, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        question_answering.run(config(**fields), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    question_answering.run(TINY, str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
@pytest.mark.parametrize("name", ["attention", "none"])
def test_the_saved_model_is_the_trained_one(name, finished, tmp_path):
    folder, records = finished
    loaded = models.load(folder / "models" / f"task_6_{name}")
    record = next(r for r in records if (r["run"], r["seed"]) == (f"task_6_{name}", loaded.notes["seed"]))
    ((task, _),) = question_answering.plan(TINY)
    split = task.corpus.splits["test"]
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    (predicted,), _ = measurement.answers(loaded.model, params, split)
    assert float(np.mean(predicted == split.labels)) == record["test/accuracy"]
    assert loaded.predict(split.questions) == [task.corpus.answers[index] for index in predicted]
    application, text = loaded.definition, "Mary went to bed. / Is Mary in bed? / John left. / Is John in bed?"
    (tmp_path / "story.txt").write_text(text.replace(" / ", "\n"), encoding="utf-8")
    read = application.read(tmp_path / "story.txt")
    assert read == application.from_text(text)
    assert [len(question.story) for question in read] == [1, 2]
    first, _ = application.lines(read, loaded.predict(read))
    assert first in ("Is Mary in bed?\tyes", "Is Mary in bed?\tno")
    for wrong, message in (("Who?", "text, line 1: a question must follow a sentence, got 'Who?'"), ("a", "got none")):
        with pytest.raises(ValueError, match=re.escape(message)):
            application.from_text(wrong)


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "accuracy.png", "attention.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("accuracy.png", "attention.png"))
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert "last mentioned answer" in page
    assert re.search(r"Points that attention gains, with 95 % intervals: task_6 [+-]\d", page)


@pytest.mark.extended
def test_records_hold_each_seed_and_agree_with_the_curves(finished):
    folder, records = finished
    assert [(r["run"], r["seed"]) for r in records] == [
        ("task_6: most frequent answer", 0),
        ("task_6: last mentioned answer", 0),
        *((f"task_6_{name}", seed) for name in ("attention", "none") for seed in (0, 1)),
    ]
    arrays = np.load(folder / "arrays.npz")
    for record in records:
        assert (record["task"], record["test/questions"], record["answers"]) == ("task_6", 12, 2)
        assert 12 * record["test/accuracy"] == pytest.approx(round(12 * record["test/accuracy"]))
        if "epochs" in record:
            curve = arrays[f"{record['run']}/validation/accuracy"][record["seed"]]
            assert curve.shape == (2,)
            assert record["validation/accuracy"] == pytest.approx(curve.max())
    assert arrays["task_6_none/training/loss"].shape == (2, 2 * 3)
    attending = [r["test/attended_facts"] for r in records if r["run"] == "task_6_attention"]
    assert all(0 <= share <= 1 for share in attending)
    assert sum("test/attended_facts" in record for record in records) == len(attending) == 2


@pytest.mark.extended
def test_a_malformed_file_ends_the_program_without_a_traceback(tmp_path):
    data = write(tmp_path, "qa1_train.txt")
    write(tmp_path, "qa1_test.txt", lines=["1 Mary slept.", "3 Who slept?\tMary\t1"])
    flags = ["--tasks=1", f"--data={data}", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "experiments.question_answering", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    path = tmp_path / "qa1_test.txt"
    expected = f"error: --data: {path}, line 2: must be line 2 of its story, or 1 for the next story, got number '3'"
    assert done.stderr.strip() == expected
