"""CoNLL-U files: words and tags are read, other rows are skipped, bad rows are refused with file and line."""

import re
from pathlib import Path

import pytest

from rnn_jax.data import Sentence, read_conllu, read_treebank, spell
from rnn_jax.data.vocabulary import Vocabulary

EWT = Path(__file__).parents[2] / "shared" / "data" / "ud_english_ewt"


def row(number, form, tag):
    return "\t".join([str(number), form, "lemma", tag, *"_" * 6])


def write(tmp_path, *lines, encoding="utf-8"):
    path = tmp_path / "some-train.conllu"
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


GOOD = [
    "# sent_id = 1",
    "# text = Can't go\u2028far",
    row("1-2", "Can't", "_"),
    row(1, "Ca", "AUX"),
    row(2, "n't", "PART"),
    row(3, "go", "VERB"),
    row("3.1", "elided", "_"),
    row(4, "_", "SYM"),
    row(5, "#", "SYM"),
    "",
    "# nothing but a comment",
    "",
    row(1, "Zwölf\u2028Uhr", "NUM"),
]
READ = [
    Sentence(("Ca", "n't", "go", "_", "#"), ("AUX", "PART", "VERB", "SYM", "SYM")),
    Sentence(("Zwölf\u2028Uhr",), ("NUM",)),
]


@pytest.mark.parametrize("end", [[], [""], ["", ""], ["", " ", ""]])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_words_and_tags_are_read(tmp_path, end, encoding):
    assert read_conllu(write(tmp_path, *GOOD, *end, encoding=encoding)) == READ


def test_windows_line_ends_are_read(tmp_path):
    assert read_conllu(write(tmp_path, "\r\n".join([*GOOD, "", ""]))) == READ


BAD = [
    ([row(1, "a", "X"), "2\tb\tb\tX"], "line 2: must have 10 columns with tabs between them, got 4: '2\\tb\\tb\\tX'"),
    ([row(1, "a", "X") + "\textra"], "line 1: must have 10 columns with tabs between them, got 11"),
    ([row(1, "a", "X").replace("\t", " ")], "line 1: must have 10 columns with tabs between them, got 1"),
    (["# one", row(1, "a", "X"), row(3, "b", "X")], "line 3: must be word 2 of its sentence, got number '3'"),
    ([row(2, "a", "X")], "line 1: must be word 1 of its sentence, got number '2'"),
    ([row("one", "a", "X")], "line 1: must be word 1 of its sentence, got number 'one'"),
    ([row("1-", "a", "X")], "line 1: must be word 1 of its sentence, got number '1-'"),
    ([row(1, "", "X")], "line 1: word 1 has no form (column 2)"),
    ([row(1, "a", "_")], "line 1: word 'a' has no tag (column 4, UPOS)"),
    ([row(1, "a", "")], "line 1: word 'a' has no tag (column 4, UPOS)"),
]


@pytest.mark.parametrize(("lines", "message"), BAD, ids=[message for _, message in BAD])
def test_malformed_lines_are_named(tmp_path, lines, message):
    path = write(tmp_path, *lines)
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        read_conllu(path)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n\n"])
def test_a_file_without_a_sentence_is_refused(tmp_path, text):
    path = tmp_path / "empty.conllu"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))}: must hold"):
        read_conllu(path)


def test_another_encoding_and_a_missing_file_are_refused(tmp_path):
    path = write(tmp_path, row(1, "zwölf", "NUM"), encoding="latin-1")
    with pytest.raises(ValueError, match=re.escape(f"{path}, line 1: must be a UTF-8 text, got byte 0xf6 at 4")):
        read_conllu(path)
    with pytest.raises(ValueError, match=r"nowhere\.conllu: cannot be read: No such file"):
        read_conllu(tmp_path / "nowhere.conllu")


@pytest.mark.skipif(not EWT.is_dir(), reason="the treebank is not in ../shared/data/ud_english_ewt")
def test_the_english_treebank():
    sentences = read_conllu(EWT / "en_ewt-ud-test.conllu")
    assert len(sentences) == 2_077
    assert len({tag for s in sentences for tag in s.tags}) == 17
    assert sentences[0].words[:6] == ("What", "if", "Google", "Morphed", "Into", "GoogleOS")


def test_spelling_keeps_the_start_and_the_end_of_a_long_word():
    characters = Vocabulary(tuple("abcdefg"))
    ids = spell(["abc", "", "abcdefg", "az"], characters, 5)
    assert ids.dtype == "int32"
    unknown = Vocabulary.UNKNOWN
    assert ids.tolist() == [[4, 5, 6, 0, 0], [0] * 5, [4, 5, 6, 9, 10], [4, unknown, 0, 0, 0]]
    with pytest.raises(ValueError, match="spell: width must be an integer of at least 2"):
        spell(["a"], characters, 1)


def test_a_treebank_is_one_file_for_each_split(tmp_path):
    for end in ("train", "dev", "test"):
        (tmp_path / f"en-{end}.conllu").write_text(f"1\t{end}\t_\tX" + "\t_" * 6, encoding="utf-8")
    words = {name: [s.words for s in sentences] for name, sentences in read_treebank(str(tmp_path)).items()}
    assert words == {"training": [("train",)], "validation": [("dev",)], "test": [("test",)]}
    (tmp_path / "en-dev.conllu").unlink()
    with pytest.raises(ValueError, match=r"must hold one file \*-dev\.conllu, got none"):
        read_treebank(tmp_path)
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read_treebank(tmp_path / "nowhere")
