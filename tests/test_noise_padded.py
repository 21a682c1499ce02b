"""Noise-padded images: rows first, then noise of its own for each sequence; CIFAR-10's binary files."""

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from rnn_jax import tasks
from rnn_jax.data import cifar


def write_cifar(folder, per_file=3):
    """Writes six files whose pixels say where they are: 100 channel + row, and columns that count the record."""
    rng, images = np.random.default_rng(0), {}
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        pixels = rng.integers(0, 256, (per_file, 3, 32, 32), np.uint8)
        labels = np.arange(per_file, dtype=np.uint8) + 7
        records = [np.concatenate([labels[i : i + 1], pixels[i].ravel()]) for i in range(per_file)]
        (folder / name).write_bytes(np.concatenate(records).tobytes())
        images[name] = pixels
    return images


def test_digits_come_row_by_row_and_then_noise():
    task = tasks.find("digits_noise_padded", 50)
    assert (task.input_size, task.output_size, task.sequence_length, task.dependency) == (8, 10, 50, 49)
    batch = task.sample(jax.random.key(0), 200)
    assert batch.inputs.shape == (50, 200, 8)
    known = {tuple(image): label for image, label in zip(*load_digits(return_X_y=True), strict=True)}
    pictures = np.asarray(batch.inputs[:8]).transpose(1, 0, 2).reshape(200, 64) * 16
    assert [known[tuple(picture)] for picture in pictures] == batch.targets[-1].tolist()
    np.testing.assert_array_equal(np.asarray(batch.weights), np.arange(50)[:, None] == np.full(200, 49))

    noise = np.asarray(batch.inputs[8:])
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 5 / np.sqrt(noise.size)
    assert len(np.unique(noise)) > 0.99 * noise.size


def test_the_test_set_is_all_images_once_and_the_same_each_time():
    task, key = tasks.find("digits_noise_padded", 10), jax.random.key(1)
    batches = [task.test_batch(key, index, 200) for index in range(2)]
    assert [float(batch.weights.sum()) for batch in batches] == [200, 160]
    jax.tree.map(np.testing.assert_array_equal, batches[0], task.test_batch(key, 0, 200))
    pictures = np.concatenate([np.asarray(batch.inputs[:8]) for batch in batches], axis=1)[:, :360]
    np.testing.assert_array_equal(pictures.transpose(1, 0, 2).reshape(360, 64) * 16, np.asarray(task.test_images))
    assert np.any(batches[0].inputs[8:, 0] != batches[0].inputs[8:, 1])


def test_cifar_rows_hold_all_three_colours(tmp_path):
    written = write_cifar(tmp_path)
    images, labels = cifar.read_images(tmp_path, "train")
    assert images.shape == (15, 32, 32, 3)
    np.testing.assert_array_equal(labels, [7, 8, 9] * 5)
    np.testing.assert_array_equal(images[4, 5, 6], written["data_batch_2.bin"][1, :, 5, 6])

    task = tasks.find("cifar_noise_padded", 40, cifar=str(tmp_path))
    assert (task.input_size, task.output_size, task.sequence_length, task.test_size) == (96, 10, 40, 3)
    inputs = np.asarray(task.test_batch(jax.random.key(0), 0, 3).inputs)
    np.testing.assert_allclose(inputs[5, 1].reshape(32, 3) * 255, written["test_batch.bin"][1, :, 5].T, rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"must hold CIFAR-10 records of 3,073 bytes \(the binary version\), got 0 bytes"),
        (bytes(3072), ".*got 3,072 bytes"),
        (bytes(3073) + bytes([10]) + bytes(3072), "labels must be 0 to 9, got 10 in record 1"),
    ],
)
def test_a_corrupt_cifar_file_is_refused_by_name(tmp_path, content, message):
    write_cifar(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(ValueError, match=rf"data_batch_3.bin: {message}"):
        tasks.find("cifar_noise_padded", 40, cifar=str(tmp_path))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"cifar_noise_padded: requires the folder of CIFAR-10's .* \(--cifar=FOLDER\)"
    ):
        tasks.find("cifar_noise_padded", 40)
    with pytest.raises(ValueError, match=r"data_batch_1\.bin: cannot be read: No such file"):
        tasks.find("cifar_noise_padded", 40, cifar=str(tmp_path))
    with pytest.raises(ValueError, match="length must be an integer of at least 8 steps, one for each row, got 7"):
        tasks.find("digits_noise_padded", 7)
