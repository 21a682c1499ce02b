"""Every reader with every hostile file: a message of one line that names the file, or the right content."""

import contextlib
import dataclasses
import io
import re
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from scipy.io import wavfile

from rnn_jax import data
from rnn_jax.data import idx


def conllu(*rows: tuple[str, str]) -> str:
    return "".join("\t".join([str(i), word, "_", tag] + ["_"] * 6) + "\n" for i, (word, tag) in enumerate(rows, 1))


def wav(*samples: float, dtype: type = np.int16) -> bytes:
    file = io.BytesIO()
    wavfile.write(file, 8000, np.array(samples, dtype))
    return file.getvalue()


def mat(**variables: Any) -> bytes:
    piece = np.empty((1, 1), object)
    piece[0, 0] = np.eye(2, 88)
    file = io.BytesIO()
    scipy.io.savemat(file, dict.fromkeys(("traindata", "validdata", "testdata"), piece) | variables)
    return file.getvalue()


def labelled(path: Path) -> Any:
    read = data.read_labelled(path)
    return read.texts, [read.classes[label] for label in read.labels]


def write_other(path: Path, name: str) -> None:
    """Writes the file of the second class beside that of the first."""
    with contextlib.suppress(RuntimeError):  # no such home folder
        (path.expanduser().parent / name).write_text("other\n", encoding="utf-8")


def classes(path: Path) -> Any:
    write_other(path, "B.txt")
    return labelled(path.parent)


def polarity(path: Path) -> Any:
    write_other(path, "rt-polarity.pos")
    return labelled(path.parent)


def series(path: Path) -> Any:
    read = data.read_series(path, longest_gap=1)
    return read.name, read.labels, read.values.tolist()


def labelled_series(path: Path) -> Any:
    read = data.read_labelled_series(path)
    return read.names, read.channels, [values.tolist() for values in read.values]


def listed(path: Path) -> Any:
    with contextlib.suppress(RuntimeError):
        (path.expanduser().parent / "1.csv").write_text("x,z\n1,2\n3,4\n", encoding="utf-8")
    return labelled_series(path)


def one_listed(path: Path) -> Any:
    with contextlib.suppress(RuntimeError):
        (path.expanduser().parent / "labels.csv").write_text(f"file,label\n{path.name},A\n", encoding="utf-8")
    return labelled_series(path.parent)


def pieces(path: Path) -> Any:
    return {split: [roll.tolist() for roll in rolls] for split, rolls in data.read_piano_rolls(path).items()}


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader, the name of its file, and a file that it reads; `text` if that is a text in lines."""

    read: Callable[[Path], Any]
    name: str
    good: bytes
    text: bool = True


READERS = {
    "text": Reader(data.read_text, "a.txt", "Zwölf\nBöen\n".encode()),
    "labelled table": Reader(labelled, "a.csv", "text,label\nZwölf,A\nBöen,B\n".encode()),
    "labelled folder": Reader(classes, "A.txt", "Zwölf\nBöen\n".encode()),
    "polarity": Reader(polarity, "rt-polarity.neg", "Zwölf\nBöen\n".encode()),
    "conllu": Reader(data.read_conllu, "a.conllu", conllu(("Zwölf", "NUM"), ("Böen", "NOUN")).encode()),
    "conll": Reader(data.read_tagged, "a.txt", "Zwölf\tO\nBöen\tB-wind\n".encode()),
    "pairs": Reader(data.read_pairs, "a.txt", "Zwölf\ttwelve\nBöen\tgusts\n".encode()),
    "babi": Reader(data.read_babi, "qa1_train.txt", "1 Zwölf slept.\n2 Who slept?\tBöen\t1\n".encode()),
    "series": Reader(series, "a.csv", "Tag;Böe\n1;0,5\n2;1,25\n".encode()),
    "ts": Reader(labelled_series, "a.ts", "@classLabel true Böe A\n@data\n1,2:3,4:Böe\n5:6:A\n".encode()),
    "list of series": Reader(listed, "labels.csv", "file,label\n1.csv,Böe\n".encode()),
    "listed series": Reader(one_listed, "a.csv", "time;Böe;x\n1;0,5;1\n2;1,25;2\n".encode()),
    "wav": Reader(lambda path: data.read_wav(path)[0].tolist(), "a.wav", wav(1, 2, 3), False),
    "8-bit wav": Reader(lambda path: data.read_wav(path)[0].tolist(), "a.wav", wav(1, 2, 3, 4, dtype=np.uint8), False),
    "float wav": Reader(lambda path: data.read_wav(path)[0].tolist(), "a.wav", wav(0, 0.5, dtype=np.float32), False),
    "idx": Reader(
        lambda path: idx.read(path).tolist(), "a", bytes([0, 0, 8, 1]) + struct.pack(">I", 3) + b"abc", False
    ),
    "piano roll": Reader(pieces, "a.mat", mat(), False),
}
TEXTS = [name for name, reader in READERS.items() if reader.text]


def refusal(name: str, folder: Path, content: bytes | None) -> str:
    """Returns the message, without the path, with which a reader refuses a file, or a folder in its place."""
    path = folder / READERS[name].name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        READERS[name].read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    assert len(message) < len(str(path)) + 400
    return message.removeprefix(str(path))


def content_of(name: str, folder: Path, content: bytes) -> Any:
    path = folder / READERS[name].name
    path.write_bytes(content)
    return READERS[name].read(path)


# Files that every reader refuses, made from one that it reads.
REFUSED = {
    "empty": lambda good: b"",
    "directory": lambda good: None,
    "binary": lambda good: bytes(range(256)) * 8,
    "picture": lambda good: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20),
    "utf-16": lambda good: good.decode("latin-1").encode("utf-16"),
    "utf-16, big end first": lambda good: b"\xfe\xff" + good.decode("latin-1").encode("utf-16-be"),
    "utf-16 without a mark": lambda good: good.decode("latin-1").encode("utf-16-le"),
    "zero byte": lambda good: b"\0" + good,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_hostile_file_is_refused_by_name(name, kind, tmp_path):
    message = refusal(name, tmp_path, REFUSED[kind](READERS[name].good))
    if READERS[name].text and kind.startswith("utf-16"):
        assert "iconv -f utf-16" in message
        assert "latin1" not in message


# Texts that every reader of texts reads as if they were its good one.
SAME = {
    "byte order mark": lambda text: "\ufeff" + text,
    "carriage returns and newlines": lambda text: text.replace("\n", "\r\n"),
    "carriage returns": lambda text: text.replace("\n", "\r"),
    "decomposed letters": lambda text: unicodedata.normalize("NFD", text),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("kind", SAME)
def test_another_form_of_a_text_is_read_as_the_same(name, kind, tmp_path):
    good = READERS[name].good
    changed = SAME[kind](good.decode()).encode()
    assert changed != good
    assert content_of(name, tmp_path, changed) == content_of(name, tmp_path, good)


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "polarity"])  # which may be latin-1
def test_another_encoding_is_refused_with_its_line(name, tmp_path):
    lines = READERS[name].good.decode().splitlines(keepends=True)
    bad = next(i for i, line in enumerate(lines) if not line.isascii())
    message = refusal(name, tmp_path, "".join(lines).encode("latin-1"))
    assert message.startswith(f", line {bad + 1}: must be a UTF-8 text, got byte 0xf6 at ")
    assert "iconv -f latin1" in message


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_is_cut_off_is_refused_or_read_as_far_as_it_goes(name, tmp_path):
    """Lines may end anywhere, but not samples, pixels or matrices."""
    reader = READERS[name]
    path = tmp_path / reader.name
    for size in range(0, len(reader.good), 1 + len(reader.good) // 200):
        path.write_bytes(reader.good[:size])
        try:
            reader.read(path)
        except ValueError as error:
            assert str(error).startswith(str(tmp_path))  # noqa: PT017  # lines may end anywhere
        else:
            assert reader.text, f"{size} of {len(reader.good)} bytes are read"


@pytest.mark.filterwarnings("ignore::scipy.io.wavfile.WavFileWarning")
@pytest.mark.parametrize("name", READERS)
def test_a_file_with_a_wrong_byte_is_refused_or_read(name, tmp_path):
    """No error but a ValueError that begins with the path."""
    reader, rng = READERS[name], np.random.default_rng(0)
    path = tmp_path / reader.name
    for _ in range(60):
        content = bytearray(reader.good)
        content[rng.integers(len(content))] = rng.integers(256)
        path.write_bytes(content)
        try:
            reader.read(path)
        except ValueError as error:
            assert str(error).startswith(str(tmp_path))  # noqa: PT017  # not every byte is refused


@pytest.mark.parametrize("name", READERS)
def test_a_tilde_is_the_home_folder(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    expected = content_of(name, tmp_path, READERS[name].good)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert READERS[name].read(Path("~") / READERS[name].name) == expected
    with pytest.raises(ValueError, match=r"^~nobody-at-all.*: cannot be read: no such home folder"):
        READERS[name].read(Path("~nobody-at-all") / READERS[name].name)


LONG = "x" * 300_000
# Of single readers, in text or bytes: the message without the path, or the content.
ONE = [
    ("text", LONG, LONG),
    ("text", " \n", " \n"),
    ("labelled table", f"text,label\n{LONG},A\nb,B\n", ", line 2: field larger than field limit (131072)"),
    ("labelled table", f"{LONG},label\nb,B\n", ", line 1: field larger than field limit"),
    ("labelled table", f"{LONG[:99_999]},label\nb,B\n", ", line 1: must name the columns label and text once each"),
    ("labelled table", 'text,label\n"a, ""b""\nc",A\nd,B\n', (('a, "b" c', "d"), ["A", "B"])),
    ("labelled table", 'text,label\n"a,A\nb,B\n', ", line 3: unexpected end of data"),
    ("labelled table", "text;label\na;A\nb;B\n", ", line 1: must name the columns label and text once each"),
    ("labelled table", "name,label\na,A\nb,B\n", ", line 1: must name the columns label and text once each"),
    ("labelled table", "text,label\na,A\nb\n", ", line 3: must have 2 fields, as line 1, got 1"),
    ("labelled folder", f"{LONG}\n", ((LONG, "other"), ["A", "B"])),
    ("labelled folder", " \n\n", ": must hold one text per line, got blank lines only"),
    ("polarity", b"caf\xe9\n", (("café", "other"), ["negative", "positive"])),
    ("conllu", LONG, ", line 1: must have 10 columns with tabs between them, got 1: "),
    ("conllu", conllu(("a", "X")) + "2\tb\tb", ", line 2: must have 10 columns with tabs between them, got 3"),
    ("conllu", "ID\tFORM\tLEMMA\tUPOS\tXPOS\tFEATS\tHEAD\tDEPREL\tDEPS\tMISC\n", ", line 1: must be word 1 of its"),
    ("conllu", conllu(('"', "PUNCT"), ("NaN", "X")), [data.Sentence(('"', "NaN"), ("PUNCT", "X"))]),
    ("conll", LONG, ", line 1: must have 2 columns with blanks between them, got 1: "),
    ("conll", "a O\n" * 2 + "b", ", line 3: must have 2 columns with blanks between them, got 1: 'b'"),
    ("pairs", LONG, ", line 1: must have 2 tab-separated columns, got 1: "),
    ("pairs", 'a "b\tc\nd\te', [('a "b', "c"), ("d", "e")]),
    ("pairs", "a\tb\nc", ", line 2: must have 2 tab-separated columns, got 1: 'c'"),
    ("babi", LONG, ", line 1: must be line 1 of a story, got number 'xxx"),
    ("babi", f"1 {LONG}\n2 {LONG}?\tA\t1\n", [[data.StoryQuestion((LONG,), f"{LONG}?", "A", (0,))]]),
    ("babi", f"1 a\n2 b?\tA\t{LONG}\n", ", line 2: a supporting line must be the number of an earlier sentence"),
    ("babi", f"1 a\n{'9' * 9999} b?\tA\t1\n", ", line 2: must be line 2 of its story, or 1 for the next story"),
    ("series", LONG, ", line 1: not CSV: field larger than field limit (131072)"),
    ("series", "x\n", ": must hold a row of numbers below its header, got the header only"),
    ("series", f"{LONG[:99_999]},d\nb,c\n", ": must have a column of numbers, got none among 'xxx"),
    ("series", "d,x\na,1\nb,NaN\nc,2\n", ("x", ("a", "b", "c"), [1, 1.5, 2])),
    ("series", "d,x\na,1\nb,-Infinity\nc,2\n", ", line 3: 'x' must be a finite number, got '-Infinity'"),
    ("series", "d,x\na,1\nb,1e999\nc,2\n", ", line 3: 'x' must be a finite number, got '1e999'"),
    ("series", 'd,x\na,1\nb,"1,234"\nc,2\n', ", line 3: 'x' must be a finite number, got '1,234'"),
    ("series", "d;x\na;1.234,5\nb;1,5\nc;2,5\n", ", line 2: 'x' must be a finite number, got '1.234,5'"),
    ("series", "d;x\na;1'234\nb;1\nc;2\n", ", line 2: 'x' must be a finite number, got \"1'234\""),
    ("series", "d;x\na;1 234\nb;1\nc;2\n", ", line 2: 'x' must be a finite number, got '1 234'"),
    ("series", "d;x\na;1,234\nb;12,500\n", ": commas as in '1,234' could separate thousands; remove them, or choose"),
    ("series", '"d","x"\n"a","1"\n"b","2"\n', ("x", ("a", "b"), [1, 2])),
    ("series", 'd,x\na,"1\nb,2\n', ", line 3: not CSV: unexpected end of data"),
    ("ts", "@classLabel true A B\n@data\n1,?:A\n", ", line 3: channel '1' is missing in 1 step; gaps of up to 0 steps"),
    ("ts", "@classLabel true A B\n@data\n1,NaN:A\n", ", line 3: channel 1 must hold finite numbers, or ? if one"),
    ("ts", "@classLabel true A B\n@data\n1,1_0:A\n", ", line 3: channel 1 must hold finite numbers"),
    (
        "ts",
        "@classLabel true A B\n@data\n1,:A\n",
        ", line 3: channel 1 must hold finite numbers, or ? if one is missing",
    ),
    ("ts", "@classLabel true A B\n@data\n1,1e999:A\n", ", line 3: channel 1 must hold finite numbers"),
    ("ts", "@classLabel true A B\n@data\n1,2:3:A\n", ", line 3: channel 2 must have 2 values as channel 1, got 1"),
    ("ts", "@classLabel true A B\n@data\n1:2:A\n1:A\n", ", line 4: must have 2 channels and a class with colons"),
    ("ts", "@dimensions 3\n@classLabel true A B\n@data\n1:A\n", ", line 4: must have 3 channels and a class"),
    ("ts", "@classLabel true A B\n@data\n1:C\n", ", line 3: class must be one of the header's, A, B, got 'C'"),
    ("ts", "@classLabel true A B\n@data\n1,2\n", ", line 3: must have some channels and a class with colons"),
    ("ts", f"@classLabel true A B\n@data\n{LONG}:A\n", ", line 3: channel 1 must hold finite numbers"),
    ("ts", "@timeStamps true\n@data\n", ", line 1: @timeStamps must be false, got 'true': write one value a step"),
    ("ts", "@classLabel true A B\n@data\n(0,1),(1,2):A\n", ", line 3: channel 1 must hold finite numbers"),
    ("ts", "@targetLabel true\n@data\n1:2\n", ", line 1: must have classes, @classLabel, got numbers to predict"),
    ("ts", "@classLabel false\n@data\n1\n", ", line 1: @classLabel must be true and different classes, got 'false'"),
    ("ts", "@classLabel true A A\n@data\n1:A\n", ", line 1: @classLabel must be true and different classes"),
    ("ts", "@problemName x\n@data\n1:A\n", ", line 2: header must have a line '@classLabel true' with the classes"),
    ("ts", "@dimensions x\n@data\n", ", line 1: @dimensions must be a number of channels, got 'x'"),
    ("ts", "@classLabel true A B\n1:A\n", ", line 2: must begin with @ or # before the line @data, got '1:A'"),
    ("ts", "@classLabel true A B\n", ": must have a line @data before the series, got none"),
    ("ts", "@classLabel true A B\n@data\n", ": must have a series below @data, got none"),
    ("ts", "#x\n\n@CLASSLABEL true a B\n@Data\n#y\n 1 , 2 : A \n", (["a"], ("1",), [[[1.0], [2.0]]])),
    ("list of series", "file,class\n1.csv,A\n", ", line 1: must name the columns file and label once each"),
    ("list of series", "file,label\n2.csv,A\n", ", line 2: must name a file in "),
    ("list of series", "file,label\n1.csv,A\n1.csv,B\n", ", line 3: must name a file in "),
    ("list of series", "file,label\n1.csv,\n", ", line 2: must name a class, got an empty label"),
    ("list of series", "file,label\n", ": must name a file below its header, got the header only"),
    ("listed series", "x,z\n1,2\n3,a\n4,5\n", ", line 3: 'z' must be a finite number, got 'a'"),
    ("listed series", "x,z\n1,2\n3,\n4,5\n", ", line 3: channel 'z' is missing in 1 step; gaps of up to 0 steps are"),
    ("listed series", "x,z\n1,\n3,\n4,\n", ", line 2: channel 'z' must have a value, got missing ones only"),
    ("listed series", "time,\n1,2\n", ": must have a column beside 'time, ', got none"),
    ("listed series", "1,2\n3,4\n", ": can be read as 1.2, 3.4, ... (delimiter=semicolon, decimal=comma) or as 2, 4, "),
    ("listed series", "x;y\n1,234;5\n", ": commas as in '1,234' could separate thousands"),
    ("listed series", "1,2,0.5\n3,4,1\n", (["A"], ("1", "2", "3"), [[[1.0, 2.0, 0.5], [3.0, 4.0, 1.0]]])),
    ("listed series", ",x,Time\n0,5,1\n1,6,2\n", (["A"], ("x",), [[[5.0], [6.0]]])),
    ("wav", wav(dtype=np.int16), ": must hold at least one sample"),
    ("wav", wav(1, 2, 3)[:-1] + b"\1LIST\4\0\0\0abcd", [1 / 2**15, 2 / 2**15, 259 / 2**15]),
    ("float wav", wav(0, np.nan, dtype=np.float32), ": samples must be finite, got NaN or infinity"),
    ("float wav", wav(0, np.inf, dtype=np.float32), ": samples must be finite, got NaN or infinity"),
    ("float wav", wav(0, -9.16, dtype=np.float32), ": samples must be in [-1, 1], got a magnitude of 9.16"),
    (
        "idx",
        bytes([0, 0, 8, 1]) + b"\xff" * 4 + b"abc",
        ": truncated or corrupt, an array of shape (4294967295",
    ),
    (
        "idx",
        bytes([0, 0, 13, 1]) + struct.pack(">I", 1) + b"abcd",
        ": elements must be unsigned bytes",
    ),
    ("piano roll", mat(testdata=np.full((2, 88), np.nan)), ": testdata must be a cell array of pieces, got float64"),
]


@pytest.mark.parametrize(("name", "content", "expected"), ONE, ids=[f"{i}-{case[0]}" for i, case in enumerate(ONE)])
def test_a_hostile_file_of_one_format_is_refused_with_its_line_or_read_right(name, content, expected, tmp_path):
    content = content.encode() if isinstance(content, str) else content
    if isinstance(expected, str) and expected.startswith((":", ",")):
        assert refusal(name, tmp_path, content).startswith(expected)
    else:
        assert content_of(name, tmp_path, content) == expected
