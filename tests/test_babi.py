"""Questions about stories: files of bAbI, and generated stories whose answers a simulation of their text confirms."""

import itertools
import re

import numpy as np
import pytest

from rnn_jax import data
from rnn_jax.data import StoryQuestion, read_babi, read_babi_task, story_world
from rnn_jax.data.story_corpus import NO_ANSWER

GOOD = [
    "1 Mary moved to the bathroom.",
    "2 John went to the hallway.",
    "3 Where is Mary? \tbathroom\t1",
    "4 Mary got the milk.",
    "5 What is Mary carrying?\tmilk,football\t4 1",
    "1 Böen: John went to the hallway.",
    "2 Sandra sleeps.",
    "1 Gertrude is a mouse.",
    "2 Why?\tso it is\t",
]
READ = [
    [
        StoryQuestion(("Mary moved to the bathroom.", "John went to the hallway."), "Where is Mary?", "bathroom", (0,)),
        StoryQuestion(
            ("Mary moved to the bathroom.", "John went to the hallway.", "Mary got the milk."),
            "What is Mary carrying?",
            "milk,football",
            (2, 0),
        ),
    ],
    [StoryQuestion(("Gertrude is a mouse.",), "Why?", "so it is", ())],
]


def write(folder, *lines, name="qa1_train.txt"):
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("end", [[], ["", " "]])
def test_questions_have_the_sentences_before_them_and_their_support(end, tmp_path):
    assert read_babi(write(tmp_path, *GOOD, *end)) == READ


START = "1 Mary slept."
BAD = [
    (["2 Mary slept."], "1: must be line 1 of a story, got number '2'"),
    (["Mary slept."], "1: must be line 1 of a story, got number 'Mary'"),
    ([START, "3 John slept."], "2: must be line 2 of its story, or 1 for the next story, got number '3'"),
    ([START, "", "2 John slept.", "2 He slept."], "4: must be line 3 of its story, or 1 for the next story, got"),
    ([START, "2John slept."], "2: must be line 2 of its story, or 1 for the next story, got number '2John'"),
    (["1"], "1: a sentence, a question and its answer must not be empty, got '1'"),
    ([START, "2 \tbed\t1"], "2: a sentence, a question and its answer must not be empty, got '2 \\tbed\\t1'"),
    ([START, "2 Who?\t \t1"], "2: a sentence, a question and its answer must not be empty, got"),
    (
        [START, "2 Who slept? Mary 1"],
        "2: a question must have 3 columns with tabs between them (question, answer,",
    ),
    ([START, "2 Who slept?"], "2: a question must have 3 columns with tabs between them"),
    ([START, "2 Who slept?\tMary"], "supporting lines), got 2: 'Who slept?'"),
    ([START, "2 Who?\tMary\t1\tx"], "supporting lines), got 4: 'Who?'"),
    (["1 Who slept?\tMary\t1"], "1: a question must follow a sentence of its story, got 'Who slept?'"),
    ([START, "2 Who?\tMary,,John\t1"], "2: an answer must be a word, or words with commas between them, got"),
    ([START, "2 Who?\tMary,\t1"], "2: an answer must be a word, or words with commas between them, got 'Mary,'"),
    (
        [START, "2 Who?\tMary\t2"],
        "2: a supporting line must be the number of an earlier sentence of the story, got",
    ),
    ([START, "2 Who?\tMary\t1", "3 Who?\tMary\t1 2"], "3: a supporting line must be the number of an earlier"),
    ([START, "1 John slept.", "2 Who?\tJohn\tone"], "3: a supporting line must be the number of an earlier"),
]


@pytest.mark.parametrize(("lines", "message"), BAD, ids=range(len(BAD)))
def test_malformed_lines_are_named(lines, message, tmp_path):
    path = write(tmp_path, *lines)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}, line')}.*{re.escape(message)}"):
        read_babi(path)


@pytest.mark.parametrize("text", [START, " \n"])
def test_a_file_without_a_question_is_refused(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: must hold at least one question, got none")):
        read_babi(path)


def test_an_official_validation_set_is_kept_and_otherwise_a_tenth_of_the_stories_is_split_off(tmp_path):
    story = ["1 Mary slept.", "2 Who slept?\tMary\t1"]
    write(tmp_path, *story * 20, name="qa2_two-supporting-facts_train.txt")
    write(tmp_path, *story, name="qa2_two-supporting-facts_test.txt")
    write(tmp_path, *story * 3, name="qa20_train.txt")
    write(tmp_path, *story, name="qa20_test.txt")
    write(tmp_path, *story * 3, name="mine_train.txt")
    write(tmp_path, *story * 2, name="mine_valid.txt")
    write(tmp_path, *story, name="mine_test.txt")
    sizes = {
        task: {name: len(stories) for name, stories in read_babi_task(str(tmp_path), task).items()}
        for task in ("2", "20", "mine")
    }
    assert sizes == {
        "2": {"training": 18, "validation": 2, "test": 1},
        "20": {"training": 2, "validation": 1, "test": 1},
        "mine": {"training": 3, "validation": 2, "test": 1},
    }
    with pytest.raises(ValueError, match=r"must hold one file qa1_\*train\.txt, got none"):
        read_babi_task(tmp_path, "1")
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read_babi_task(tmp_path / "nowhere", "1")
    write(tmp_path, *story, name="qa20_train.txt")
    with pytest.raises(
        ValueError, match=r"qa20_\*train\.txt must hold two stories, one of them for validation, got one"
    ):
        read_babi_task(tmp_path, "20")
    write(tmp_path, *story, name="qa20_other_train.txt")
    with pytest.raises(
        ValueError, match=r"must hold one file qa20_\*train\.txt, got qa20_other_train\.txt, qa20_train"
    ):
        read_babi_task(tmp_path, "20")


class Simulation:
    """Reads the text of a story, and answers from what it says alone."""

    def __init__(self, story):
        self.place, self.holder, self.kinds, self.fears = {}, {}, {}, {}  # each value with its sentence
        self.history = {}  # thing -> [(place, sentences)]
        for index, sentence in enumerate(story):
            self.read(index, sentence.rstrip(".").split())

    def read(self, index, words):
        if words[1] == "are":
            self.fears[words[0].lower()] = (words[-1], index)
        elif words[1] == "is":
            self.kinds[words[0]] = (words[-1], index)
        elif words[-1] in story_world.PLACES:
            assert self.place.get(words[0], ("", 0))[0] != words[-1]
            self.place[words[0]] = (words[-1], index)
        elif words[1] in ("grabbed", "took", "got"):
            assert words[-1] not in self.holder
            self.check_present(words[0], words[-1])
            self.holder[words[-1]] = (words[0], index)
        else:
            assert self.holder.pop(words[-1])[0] == words[0]
        for thing, (actor, taken) in self.holder.items():
            if actor in self.place:
                place, gone = self.place[actor]
                stays = self.history.setdefault(thing, [])
                if not stays or stays[-1][0] != place:
                    stays.append((place, {taken, gone}))

    def check_present(self, actor, thing):
        """A thing is taken only at the place of its last drop, as far as that is known."""
        if actor in self.place and thing in self.history:
            assert self.place[actor][0] == self.history[thing][-1][0]

    def answer(self, question):
        words = question.rstrip("?").split()
        if words[0] == "What":
            animal, kind = self.kinds[words[2]]
            plural, fear = self.fears[story_world.ANIMALS[animal]]
            return next(a for a, many in story_world.ANIMALS.items() if many == plural), {kind, fear}
        if words[0] == "Is":
            place, index = self.place[words[1]]
            return "yes" if place == words[-1] else "no", {index}
        if "before" in words:
            (place, first), (last, second) = self.history[words[3]][-2:]
            assert last == words[-1]
            return place, first | second
        if words[-1] in self.place:
            place, index = self.place[words[-1]]
            return place, {index}
        actor, taken = self.holder[words[-1]]
        place, gone = self.place[actor]
        return place, {taken, gone}


@pytest.mark.parametrize("task", story_world.TASKS)
def test_generated_answers_and_facts_follow_from_the_text(task):
    stories = data.babi_stories(task, 303, np.random.default_rng(task))
    assert sum(map(len, stories)) == 303
    for question in (question for story in stories for question in story):
        answer, support = Simulation(question.story).answer(question.question)
        assert (question.answer, set(question.support)) == (answer, support)
        assert list(question.support) == sorted(set(question.support))


@pytest.mark.parametrize("task", story_world.TASKS)
def test_every_answer_occurs_and_all_questions_of_a_story_extend_it(task):
    stories = data.babi_stories(task, 1000, np.random.default_rng(0))
    answers = {question.answer for story in stories for question in story}
    assert answers == {1: {*story_world.PLACES}, 6: {"yes", "no"}, 15: {*story_world.ANIMALS}}.get(
        task, {*story_world.PLACES}
    )
    for story in stories:
        assert len(story) == (4 if task == 15 else 5)
        for first, second in itertools.pairwise(story):
            assert second.story[: len(first.story)] == first.story
            assert task == 15 or len(second.story) - len(first.story) >= (2 if task in (1, 6) else 3)


# Of the first story: number of sentences, its last question, the answer, and the supporting facts.
GOLDEN = {
    1: (10, "Where is Sandra?", "bathroom", {9: "Sandra went to the bathroom."}),
    2: (21, "Where is the milk?", "bedroom", {12: "John went to the bedroom.", 20: "John got the milk."}),
    3: (
        88,
        "Where was the milk before the kitchen?",
        "garden",
        {
            70: "Sandra took the milk.",
            71: "Sandra went to the garden.",
            84: "Mary got the milk.",
            85: "Mary moved to the kitchen.",
        },
    ),
    6: (10, "Is John in the kitchen?", "no", {2: "John went to the bedroom."}),
    15: (8, "What is Gertrude afraid of?", "mouse", {0: "Wolves are afraid of mice.", 6: "Gertrude is a wolf."}),
}


@pytest.mark.parametrize("task", story_world.TASKS)
def test_a_seed_gives_these_stories(task):
    """Data of a run are those of its seed, on every machine."""
    question = data.babi_stories(task, 5, np.random.default_rng(0))[0][-1]
    facts = {index: question.story[index] for index in question.support}
    assert (len(question.story), question.question, question.answer, facts) == GOLDEN[task]


def test_other_tasks_and_numbers_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="babi_stories: task must be one of 1, 2, 3, 6, 15, got 4"):
        data.babi_stories(4, 10, rng)
    with pytest.raises(ValueError, match="babi_stories: questions must be a positive integer, got 0"):
        data.babi_stories(1, 0, rng)


def test_the_corpus_knows_the_training_set_only_and_keeps_recent_sentences(tmp_path):
    new = StoryQuestion(("Böen went home.",), "Where is Mary?", "home", ())
    stories = {"training": READ[:1], "validation": [[new]], "test": READ}
    corpus = data.StoryCorpus.of(stories, sentences=2, buckets=2)
    assert corpus.answers == ("bathroom", "milk,football")
    assert set(corpus.words.tokens) == {
        *("mary", "moved", "to", "the", "bathroom", "john", "went", "hallway", "where", "is", "got", "milk", "what"),
        "carrying",
    }
    validation, test = corpus.splits["validation"], corpus.splits["test"]
    assert validation.labels.tolist() == [NO_ANSWER]
    assert [q.support for q in test.questions] == [(0,), (1,), ()]  # the first of three sentences is not read
    assert [len(q.story) for q in test.questions] == [2, 2, 1]
    assert test.order.tolist() == [2, 0, 1]
    assert [bucket.steps.shape for bucket in test.buckets] == [(1, 1, 5), (2, 2, 5)]
    (_, long) = test.buckets
    assert np.asarray(long.steps)[1, 0].tolist() == [*corpus.words.encode(["john", "went", "to", "the", "hallway"])]
    assert np.asarray(long.whole["question"])[0].tolist() == [*corpus.words.encode(["where", "is", "mary"]), 0, 0]
    assert long.whole["answer"].tolist() == [0, 1]
    assert validation.buckets[0].steps[0, 0, 0] == data.Vocabulary.UNKNOWN
