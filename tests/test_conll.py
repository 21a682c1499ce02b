"""Column files of tagged entities: read in every usual form, distinguished from CoNLL-U, refused with file and line."""

import re

import pytest

from rnn_jax.data import Sentence, read_conllu, read_tagged

SENTENCES = [
    Sentence(("Ada", "Lovelace", "met", "#babbage", "."), ("B-person", "I-person", "O", "B-creative-work", "O")),
    Sentence(("Zwölf\u2028Uhr", "New\u00a0York"), ("O", "B-location")),
]
LINES = ["Ada B-person", "Lovelace I-person", "met O", "#babbage B-creative-work", ". O", ""]
LINES += ["Zwölf\u2028Uhr O", "New\u00a0York B-location"]
FORM = "CoNLL, UTF-8, {} between {} columns: token 1, IOB2 tag {}"


def write(tmp_path, text, name="a.txt", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def columns(separator, *between):
    return "\n".join(
        separator.join([line.split(" ")[0], *between, line.split(" ")[1]]) if line else "" for line in LINES
    )


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n\t\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "   "])
@pytest.mark.parametrize("between", [(), ("NNP",), ("NNP", "I-NP"), ("_",) * 8])
def test_first_and_last_column_are_read(tmp_path, separator, between, end):
    read = read_tagged(write(tmp_path, columns(separator, *between) + end))
    width = 2 + len(between)
    assert read == (SENTENCES, FORM.format("tabs" if separator == "\t" else "blanks", width, width), True)


def test_the_forms_of_conll_2003_and_of_wnut17_are_read(tmp_path):
    docstart = "-DOCSTART- -X- -X- O\n\n" + columns(" ", "NNP", "B-NP") + "\n\n-DOCSTART- -X- O O\nEU NNP I-NP B-ORG\n"
    assert read_tagged(write(tmp_path, docstart)).sentences == [*SENTENCES, Sentence(("EU",), ("B-ORG",))]
    wnut17 = columns("\t").replace("\n\n", "\n\t\n").replace("\n", "\r\n") + "\r\n\t\r\n"
    assert read_tagged(write(tmp_path, wnut17, encoding="utf-8-sig")).sentences == SENTENCES


def test_a_token_may_be_a_blank_of_another_script(tmp_path):
    assert read_tagged(write(tmp_path, "\u3000\tI-ART\n")).sentences == [Sentence(("\u3000",), ("B-ART",))]


def test_entities_of_iob1_become_those_of_iob2(tmp_path):
    iob1 = ["O", "I-A", "I-A", "B-A", "I-A", "I-B", "O", "I-B"]
    text = "\n".join(f"w {tag}" for tag in iob1) + "\n\nw I-B\nw B-B\n"
    read = read_tagged(write(tmp_path, text))
    assert read.sentences[0].tags == ("O", "B-A", "I-A", "B-A", "I-A", "B-B", "O", "B-B")
    assert read.sentences[1].tags == ("B-B", "B-B")
    assert read.form.endswith("token 1, IOB2 tag 2 (entities that began with I, as in IOB1, and now begin with B: 4)")
    again = "\n\n".join("\n".join(f"w {tag}" for tag in s.tags) for s in read.sentences)
    assert read_tagged(write(tmp_path, again)) == (read.sentences, FORM.format("blanks", 2, 2), True)


@pytest.mark.parametrize("name", ["a.conllu", "a.txt"])
def test_conllu_is_told_apart_by_its_content(tmp_path, name):
    rows = [["1", "It", "it", "PRON"], ["2", "rains", "rain", "VERB"]]
    path = write(tmp_path, "# sent_id = 1\n" + "".join("\t".join(row + ["_"] * 6) + "\n" for row in rows), name)
    form = "CoNLL-U, UTF-8, tabs between 10 columns: form 2, universal part of speech 4"
    assert read_tagged(path) == (read_conllu(path), form, False)
    # Ten columns whose last is the tag of an entity; the token is a number.
    entities = write(tmp_path, "\t".join(["2005", *"_" * 8, "B-DAT"]))
    assert read_tagged(entities).sentences == [Sentence(("2005",), ("B-DAT",))]


TAG = "the tag must be O, B-TYPE or I-TYPE, got "
BAD = [
    ("a\tO\nb\nc\tO", "line 2: must have 2 columns with tabs between them, got 1: 'b'"),
    ("a\tO\nb O\n", "line 2: must have 2 columns with tabs between them, got 1: 'b O'"),
    ("a NN O\n\nb O\n", "line 3: must have 3 columns with blanks between them, got 2: 'b O'"),
    ("a b O\na b c O\n", "line 2: must have 3 columns with blanks between them, got 4: 'a b c O'"),
    ("word\n", "line 1: must have 2 columns with blanks between them, got 1: 'word'"),
    ("a\tO\n\tO\n", "line 2: must begin with a token, got '\\tO'"),
    ("a\tO\nb\t\n", f"line 2: {TAG}''"),
    ("a\tO\nb\tB\n", f"line 2: {TAG}'B'"),
    ("a\tO\nb\tB-\n", f"line 2: {TAG}'B-'"),
    ("a\tS-PER\n", f"line 1: {TAG}'S-PER'; convert other schemes (BIOES, BILOU) to BIO"),
    ("a\tNOUN\n", f"line 1: {TAG}'NOUN'"),
    ("a\to\n", f"line 1: {TAG}'o'"),
    ("1\tword\tX\n", f"line 1: {TAG}'X'"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_malformed_lines_are_named(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        read_tagged(path)


@pytest.mark.parametrize("text", ["", "\n\n", " \t\n", "-DOCSTART- -X- O O\n\n"])
def test_a_file_without_a_sentence_is_refused(tmp_path, text):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: must hold"):
        read_tagged(path)
