"""WAV files to augmented log-mel frames, the usual input of recurrent speech recognisers."""

import dataclasses
import functools
import io
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import arrays, checks, files, integers
from rnn_jax.static import Static

FLOOR = 1e-6  # added to the energy of a band before the logarithm; silence is log(FLOOR)


def read_wav(path: str | Path, rate: int | None = None) -> tuple[np.ndarray, int]:
    """Reads a mono WAV file.

    >>> import pathlib, tempfile
    >>> import numpy as np, scipy.io.wavfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "click.wav"
    >>> scipy.io.wavfile.write(path, 8000, np.array([0, 16384, -32768], np.int16))
    >>> samples, rate = data.read_wav(path)
    >>> samples.tolist(), rate
    ([0.0, 0.5, -1.0], 8000)

    Args:
      path: WAV file of integer PCM (8 to 32 bits) or floating point.
      rate: required sampling rate in hertz; None accepts any.

    Returns:
      The samples, float32 [n] in [-1, 1], and the sampling rate in hertz.

    Raises:
      ValueError: with the path, if the file cannot be read, is not a WAV file, is cut off, or has several channels, no
        samples, samples that are not in [-1, 1], or another rate.
    """
    from scipy.io import wavfile  # imported here to keep `import rnn_jax` fast

    content = files.read_bytes(path)
    _check_whole(path, content)
    try:
        file_rate, samples = wavfile.read(io.BytesIO(content))
    except Exception as error:  # scipy lets the errors of its struct and array calls through on corrupt headers
        raise ValueError(f"{path}: must be a WAV file of PCM or floats: {error}") from error
    if samples.ndim != 1:
        raise ValueError(
            f"{path}: must be mono, got {samples.shape[1]} channels (`ffmpeg -i IN.wav -ac 1 OUT.wav` mixes them)"
        )
    if not samples.size:
        raise ValueError(f"{path}: must hold at least one sample, got none")
    if rate is not None and file_rate != rate:
        raise ValueError(
            f"{path}: must have {rate} samples a second, got {file_rate} "
            f"(`ffmpeg -i IN.wav -ar {rate} OUT.wav` converts)"
        )
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128), file_rate
    if np.issubdtype(samples.dtype, np.integer):
        return (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32), file_rate
    if not np.all(np.isfinite(samples)):
        raise ValueError(f"{path}: samples must be finite, got NaN or infinity")
    if (loudest := np.abs(samples).max()) > 1:
        raise ValueError(
            f"{path}: samples must be in [-1, 1], got a magnitude of {loudest:.3g} (`sox --norm IN.wav OUT.wav` scales)"
        )
    return samples.astype(np.float32), file_rate


def _check_whole(path: str | Path, content: bytes) -> None:
    """Raises a ValueError if the samples end before the header says; scipy returns what there is."""
    order: Literal["big", "little"] = "big" if content.startswith(b"RIFX") else "little"
    start = 12  # of the first chunk: its name, its size, its bytes, padded to an even number
    while start + 8 <= len(content):
        name, size = content[start : start + 4], int.from_bytes(content[start + 4 : start + 8], order)
        if name == b"data" and content.startswith(b"RF64"):
            size = int.from_bytes(content[28:36], order)  # 64 bits, in the first chunk
        start += 8
        if name == b"data":
            if (got := len(content) - start) < size:
                raise ValueError(
                    f"{path}: is cut off: its header states {size:,} bytes of samples, got {got:,} "
                    "(`ffmpeg -i IN.wav OUT.wav` corrects the header of a recording that was streamed)"
                )
            return
        start += size + size % 2


@dataclasses.dataclass(frozen=True)
class LogMel(Static):
    """Log-mel spectrogram: log(E_t + 1e-6), with E_t the energies of frame t in mel bands.

    A frame is `window` seconds long under a Hann window and starts `hop` seconds after the previous one. Its power
    spectrum is summed by half-overlapping triangles that are equally wide in mel, f = 700 (10^(m / 2595) - 1) hertz
    (O'Shaughnessy 1987), from 20 Hz to half the rate. A signal shorter than one frame is padded with silence.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> data.LogMel(rate=8000)(np.sin(np.arange(8000))).shape  # one second: [T, bands]
    (78, 40)

    Args:
      rate: sampling rate in hertz.
      bands: number of mel bands.
      window: length of a frame in seconds.
      hop: time between the starts of two frames in seconds.

    Raises:
      ValueError: if rate or bands is not a positive integer, window or hop is less than a sample, or a band would hold
        no frequency.
    """

    rate: int
    bands: int = 40
    window: float = 0.032
    hop: float = 0.0125

    def __post_init__(self) -> None:
        for name in ("rate", "bands"):
            checks.integer_at_least(1, getattr(self, name), f"LogMel: {name}")
        for name in ("window", "hop"):
            checks.positive(getattr(self, name), f"LogMel: {name}")
            if getattr(self, name) * self.rate < 1:
                raise ValueError(
                    f"LogMel: {name} must be at least a sample, 1/{self.rate} s, got {getattr(self, name)}"
                )
        if not np.all(self._filters.any(axis=0)):
            raise ValueError(
                f"LogMel: {self.bands} bands are too many for a window of {self.window} s at {self.rate} Hz: one would "
                "hold no frequency"
            )

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Returns the frames of a signal.

        Args:
          samples: signal [n].

        Returns:
          Frames, float32 [T, bands], T = 1 + max(0, n - window) // hop with window and hop in samples.

        Raises:
          ValueError: if samples is not [n].
        """
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"LogMel: samples must be [n], got shape {list(samples.shape)}")
        size = self._samples(self.window)
        padded = np.pad(samples, (0, max(0, size - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: self._samples(self.hop)]
        power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
        return np.log(power @ self._filters + FLOOR).astype(np.float32)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.rate)

    @functools.cached_property
    def _filters(self) -> np.ndarray:
        """The triangles, [frequencies, bands]."""
        frequencies = np.fft.rfftfreq(self._samples(self.window), 1 / self.rate)
        lowest, highest = (2595 * np.log10(1 + f / 700) for f in (20.0, self.rate / 2))
        corners = 700 * (10 ** (np.linspace(lowest, highest, self.bands + 2) / 2595) - 1)
        below, centre, above = corners[:-2], corners[1:-1], corners[2:]
        rising = (frequencies[:, None] - below) / (centre - below)
        falling = (above - frequencies[:, None]) / (above - centre)
        return np.maximum(0, np.minimum(rising, falling))


def spec_augment(
    frames: jax.Array, lengths: jax.Array, key: jax.Array, gain: float = 0.5, bands: float = 0.2, steps: int = 8
) -> jax.Array:
    """Adds a random loudness to each recording, and sets a random interval of bands and one of steps to 0.

    The intervals are those of Park et al. 2019, "SpecAugment" (arXiv:1904.08779). Frames must be standardised: 0 is
    then the mean of a band, and 1 its standard deviation.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import data
    >>> frames, lengths = jnp.ones((50, 2, 40)), jnp.array([50, 30])  # two recordings, one of them padded
    >>> augmented = data.spec_augment(frames, lengths, jax.random.key(0), gain=0.0)
    >>> (augmented == 0).all(axis=0).sum(axis=1).tolist()  # bands set to 0
    [0, 3]
    >>> (augmented == 0).all(axis=2).sum(axis=0).tolist()  # steps set to 0
    [6, 3]

    Args:
      frames: standardised frames [T, B, F].
      lengths: number of frames of each recording, integers [B].
      key: random key.
      gain: standard deviation of the added loudness.
      bands: share of the bands set to 0 at most.
      steps: number of steps set to 0 at most.

    Returns:
      The frames, changed [T, B, F].
    """
    frames = arrays.native(frames, "spec_augment", "frames")
    size, batch_size, features = frames.shape
    lengths = jnp.asarray(integers.int32(lengths, "spec_augment: lengths"))
    key_gain, key_bands, key_steps = jax.random.split(key, 3)
    gains = gain * jax.random.normal(key_gain, (1, batch_size, 1))
    in_bands = _intervals(key_bands, features, jnp.full(batch_size, features), round(bands * features))
    in_steps = _intervals(key_steps, size, lengths, steps)
    return jnp.where(in_bands[None] | in_steps.T[..., None], 0, frames + gains)


def _intervals(key: jax.Array, size: int, ends: jax.Array, widest: int) -> jax.Array:
    """Returns masks [B, size] of intervals that start before `ends` [B] and are at most `widest` wide."""
    key_start, key_width = jax.random.split(key)
    starts = jnp.floor(jax.random.uniform(key_start, ends.shape) * ends)
    stops = starts + jnp.floor(jax.random.uniform(key_width, ends.shape) * (widest + 1))
    places = jnp.arange(size)[None]
    return (places >= starts[:, None]) & (places < stops[:, None])
