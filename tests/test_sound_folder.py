"""Folders of labelled WAV files: what is read, what is refused, and splits without a recording in two of them."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from experiments.common import splits
from experiments.common.flags import UserError
from rnn_jax.data import LabelledSounds, read_labelled_sounds
from rnn_jax.data.sound_folder import has_class_folders


def write(folder: Path, name: str, size: int = 20, rate: int = 8000, channels: int | None = None) -> Path:
    """Writes noise to folder/name, where name is CLASS/FILE."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    shape = size if channels is None else (size, channels)
    rng = np.random.default_rng(sum(name.encode()))
    wavfile.write(path, rate, rng.integers(-9000, 9000, shape).astype(np.int16))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, size in (("glad/a.wav", 20), ("glad/b.WAV", 30), ("angry/a.wav", 7)):
        write(tmp_path, name, size)
    return tmp_path


def test_the_class_of_a_recording_is_the_name_of_its_folder(folder: Path) -> None:
    (folder / "README.txt").write_text("licence", encoding="utf-8")
    (folder / ".git").mkdir()
    (folder / "glad" / ".DS_Store").write_bytes(b"x")
    assert has_class_folders(folder)
    sounds = read_labelled_sounds(folder)
    assert sounds.classes == ("angry", "glad")
    assert sounds.labels.tolist() == [0, 1, 1]
    assert [len(samples) for samples in sounds.samples] == [7, 20, 30]
    assert sounds.rate == 8000
    np.testing.assert_array_equal(sounds.samples[0] * 2**15, wavfile.read(folder / "angry" / "a.wav")[1])


def test_files_beside_folders_are_no_classes(folder: Path) -> None:
    write(folder, "7_theo_1.wav")
    assert not has_class_folders(folder)
    assert not has_class_folders(folder / "glad")
    assert not has_class_folders(folder / "none")


def test_a_file_that_cannot_be_used_is_refused_by_name(folder: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            read_labelled_sounds(folder)
        assert str(caught.value).startswith(str(folder))

    path = write(folder, "glad/c.wav", channels=2)
    refused(r"c\.wav: must be mono, got 2 channels .*ffmpeg")
    write(folder, "glad/c.wav", rate=16000)
    refused(r"c\.wav: must have 8000 samples a second, got 16000 .*ffmpeg")
    path.write_bytes((folder / "glad" / "a.wav").read_bytes()[:-3])
    refused(r"c\.wav: is cut off")
    path.write_bytes(b"no sound")
    refused(r"c\.wav: must be a WAV file")
    path.rename(folder / "glad" / "c.mp3")
    refused(r"c\.mp3: a folder of class 'glad' must hold WAV files only")
    (folder / "glad" / "c.mp3").unlink()
    (folder / "glad" / "session.wav").mkdir()
    refused(r"session\.wav: a folder of class 'glad' must hold WAV files only")
    (folder / "glad" / "session.wav").rmdir()
    (folder / "sad").mkdir()
    refused("sad: must hold WAV files of class 'sad', got none")


def test_a_folder_without_two_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read_labelled_sounds(tmp_path / "nowhere")
    write(tmp_path, "glad/a.wav")
    with pytest.raises(ValueError, match="must hold a folder of WAV files for each class, got glad"):
        read_labelled_sounds(tmp_path)


def split(sounds: LabelledSounds) -> dict[str, LabelledSounds]:
    return splits.read_folder(splits.SplitFiles(), "sounds", lambda _: sounds, "recordings", seed=0)[0]


def test_equal_recordings_are_in_one_split_and_classes_in_all() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=rng.integers(5, 9)).astype(np.float32) for _ in range(40)]
    samples += samples[:10]  # copies
    labels = np.array([i % 2 for i in range(40)] + [i % 2 for i in range(10)], np.int32)
    sounds = LabelledSounds(tuple(samples), labels, ("a", "b"), 8000, ("",) * 50)
    parts = split(sounds)
    keys = [{samples.tobytes() for samples in part.samples} for part in parts.values()]
    assert not keys[0] & keys[1]
    assert not (keys[0] | keys[1]) & keys[2]
    assert sum(map(len, keys)) == 40
    assert sum(len(part.samples) for part in parts.values()) == 50
    assert all(set(part.labels.tolist()) == {0, 1} for part in parts.values())
    again = split(sounds)
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(parts.values(), again.values(), strict=True))


def test_a_class_with_fewer_than_three_recordings_is_refused(folder: Path) -> None:
    for name in ("angry/b.wav", "angry/c.wav"):
        (folder / name).write_bytes((folder / "angry" / "a.wav").read_bytes())  # copies
    with pytest.raises(UserError, match="class 'angry' must have at least 3 different recordings, got 1"):
        split(read_labelled_sounds(folder))
