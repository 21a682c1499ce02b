"""WAV files, folders of spoken digits, log-mel frames, and their augmentation."""

import struct
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import wavfile

from rnn_jax.data import LogMel, read_spoken_digits, read_wav, spec_augment

RATE = 8000


def _tone(hertz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"),
    [(np.int16, 2**15, 1e-4), (np.int32, 2**31, 1e-6), (np.float32, 1, 1e-7)],
)
def test_samples_are_between_minus_one_and_one(tmp_path: Path, dtype: type, scale: float, tolerance: float) -> None:
    tone = 0.5 * _tone(440)
    wavfile.write(tmp_path / "a.wav", RATE, (tone * scale).astype(dtype))
    samples, rate = read_wav(tmp_path / "a.wav")
    assert rate == RATE
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, tone, atol=tolerance)


def test_eight_bit_samples_are_silent_at_128(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "a.wav", RATE, np.array([128, 0, 255], np.uint8))
    np.testing.assert_allclose(read_wav(tmp_path / "a.wav")[0], [0, -1, 127 / 128])


def test_an_unusable_wav_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with pytest.raises(ValueError, match=r"a\.wav: cannot be read: No such file"):
        read_wav(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.wav: must be a WAV file"):
        read_wav(path)
    path.write_bytes(b"RIFF" + struct.pack("<I", 40) + b"WAVEfmt ")
    with pytest.raises(ValueError, match=r"a\.wav: must be a WAV file"):
        read_wav(path)
    wavfile.write(path, RATE, np.zeros((5, 2), np.int16))
    with pytest.raises(ValueError, match=r"must be mono, got 2 channels .*-ac 1"):
        read_wav(path)
    wavfile.write(path, RATE, np.zeros(0, np.int16))
    with pytest.raises(ValueError, match="at least one sample"):
        read_wav(path)
    wavfile.write(path, RATE, np.array([0, np.nan], np.float32))
    with pytest.raises(ValueError, match="must be finite"):
        read_wav(path)
    wavfile.write(path, 16000, np.zeros(5, np.int16))
    with pytest.raises(ValueError, match=r"must have 8000 samples a second, got 16000 .*-ar 8000"):
        read_wav(path, 8000)


def test_the_number_of_frames_is_as_documented_and_silence_is_the_floor() -> None:
    frames = LogMel(RATE, bands=20, window=0.025, hop=0.01)
    for n, count in ((1, 1), (200, 1), (279, 1), (280, 2), (4000, 48)):
        assert frames(np.zeros(n)).shape == (count, 20)
    np.testing.assert_allclose(frames(np.zeros(400)), np.log(1e-6), rtol=1e-6)


def test_a_tone_is_loudest_in_its_band() -> None:
    frames = LogMel(RATE)
    mel = 2595 * np.log10(1 + np.array([20, RATE / 2]) / 700)
    centres = 700 * (10 ** (np.linspace(*mel, 42) / 2595) - 1)[1:-1]
    for hertz in (300.0, 1000.0, 3000.0):
        loudest = np.unique(np.argmax(frames(_tone(hertz)), axis=1))
        assert np.all(np.abs(np.log(centres[loudest] / hertz)) < np.log(1.15)), (hertz, centres[loudest])


def test_a_frame_equals_its_definition() -> None:
    samples = np.random.default_rng(0).normal(size=300)
    frames = LogMel(RATE, bands=8, window=0.025, hop=0.01)
    size, rate = 200, RATE
    second = samples[80:280] * np.hanning(size)
    power = [abs(sum(second[n] * np.exp(-2j * np.pi * k * n / size) for n in range(size))) ** 2 for k in range(101)]
    low, high = (2595 * np.log10(1 + f / 700) for f in (20, rate / 2))
    corners = [700 * (10 ** ((low + (high - low) * i / 9) / 2595) - 1) for i in range(10)]
    for band in range(8):
        energy = 0.0
        for k in range(101):
            f = k * rate / size
            if corners[band] < f <= corners[band + 1]:
                energy += power[k] * (f - corners[band]) / (corners[band + 1] - corners[band])
            elif corners[band + 1] < f < corners[band + 2]:
                energy += power[k] * (corners[band + 2] - f) / (corners[band + 2] - corners[band + 1])
        np.testing.assert_allclose(frames(samples)[1, band], np.log(energy + 1e-6), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate must be a positive integer"),
        ({"rate": RATE, "bands": 0}, "bands must be a positive integer"),
        ({"rate": RATE, "window": 1e-5}, "window must be at least a sample"),
        ({"rate": RATE, "hop": 1e-5}, "hop must be at least a sample"),
        ({"rate": RATE, "bands": 200}, "200 bands are too many"),
    ],
)
def test_settings_without_frames_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogMel(**arguments)


def test_samples_with_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"samples must be \[n\], got shape \[3, 2\]"):
        LogMel(RATE)(np.zeros((3, 2)))


def test_a_folder_of_spoken_digits_is_read_by_its_file_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder"):
        read_spoken_digits(tmp_path / "none")
    with pytest.raises(ValueError, match="must hold files"):
        read_spoken_digits(tmp_path)
    wavfile.write(tmp_path / "7_theo_12.wav", 8000, np.arange(5, dtype=np.int16))
    ((recording,), rate) = read_spoken_digits(tmp_path)
    assert (recording.digit, recording.speaker, recording.number, rate) == (7, "theo", 12, 8000)
    wavfile.write(tmp_path / "8_theo_1.wav", 16000, np.arange(5, dtype=np.int16))
    with pytest.raises(ValueError, match=r"8_theo_1\.wav: must have 8000 samples a second, got 16000"):
        read_spoken_digits(tmp_path)
    (tmp_path / "8_theo_1.wav").rename(tmp_path / "eight.wav")
    with pytest.raises(ValueError, match=r"eight\.wav: must be named \{digit\}_\{speaker\}_\{number\}\.wav"):
        read_spoken_digits(tmp_path)


def test_hidden_bands_and_steps_are_few_and_differ_between_recordings() -> None:
    frames, lengths = jnp.ones((30, 200, 20)), jnp.full(200, 30)
    augmented = np.asarray(spec_augment(frames, lengths, jax.random.key(0)))
    hidden = augmented == 0
    bands, steps = hidden.all(axis=0).sum(axis=1), hidden.all(axis=2).sum(axis=0)
    assert bands.max() == round(0.2 * 20)
    assert steps.max() == 8
    assert bands.min() == steps.min() == 0
    gains = augmented.max(axis=(0, 2)) - 1
    assert 0.4 < gains.std() < 0.6
    # What is not hidden is louder or softer as a whole.
    assert all(len(np.unique(augmented[:, i][augmented[:, i] != 0].round(5))) == 1 for i in range(200))
