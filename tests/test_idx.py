"""IDX files are read as written; a corrupt file is refused by name."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import rnn_jax
from rnn_jax.data import idx

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"
IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([3, 0, 9, 9, 1], np.uint8)


def idx_bytes(array, element=0x08):
    return bytes([0, 0, element, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, split, images=IMAGES, labels=LABELS):
    (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("array", [IMAGES, LABELS, IMAGES[:0]], ids=["images", "labels", "empty"])
def test_reads_what_was_written(tmp_path, array, compress):
    path = tmp_path / "any-name"  # gzip is recognised by its content, not by a suffix
    path.write_bytes(compress(idx_bytes(array)))
    read = idx.read(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)
    np.testing.assert_array_equal(idx.read(str(path)), array)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx_bytes(IMAGES)[:-1], r"truncated or corrupt, an array of shape \(5, 3, 4\) takes 76 bytes, got 75"),
        (idx_bytes(IMAGES) + b"\0", "takes 76 bytes, got 77"),
        (idx_bytes(IMAGES)[:9], "truncated inside its header of 16 bytes, got 9"),
        (idx_bytes(IMAGES)[:4], "truncated inside its header of 16 bytes, got 4"),
        (gzip.compress(idx_bytes(IMAGES))[:-9], "cannot be read"),
        (gzip.compress(idx_bytes(IMAGES))[:12], "cannot be read"),
        (gzip.compress(idx_bytes(IMAGES)[:-1]), "takes 76 bytes, got 75"),
        (b"\x1f\x8b but no gzip", "cannot be read"),
        (b"\x89PNG\r\n", "not an IDX file, it must begin with two zero bytes, got 89504e47"),
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (idx_bytes(IMAGES, element=0x0D), "elements must be unsigned bytes .type 0x08., got type 0x0d"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_a_corrupt_file_is_refused_by_name(tmp_path, content, words):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: .*{words}"):
        idx.read(path)


def test_a_corrupt_gzip_checksum_is_refused(tmp_path):
    path = tmp_path / "images.gz"
    content = bytearray(gzip.compress(idx_bytes(IMAGES)))
    content[-8] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}: cannot be read"):
        idx.read(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="no-such: cannot be read"):
        idx.read(tmp_path / "no-such")
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))}: cannot be read"):
        idx.read(tmp_path)


def test_reads_labelled_images_flat(tmp_path):
    write(tmp_path, "t10k")
    images, labels = idx.read_labelled_images(tmp_path, "t10k")
    np.testing.assert_array_equal(images, IMAGES.reshape(5, 12))
    np.testing.assert_array_equal(labels, LABELS)


def test_a_missing_file_of_mnist_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte: no such file, plain or with \.gz"):
        idx.read_labelled_images(tmp_path, "train")
    write(tmp_path, "train")
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte: no such file"):
        rnn_jax.mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte: no such file"):
        rnn_jax.mnist(tmp_path)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IMAGES, LABELS[:4], r"labels-idx1-ubyte: must hold one label for each of 5 images, got shape \(4,\)"),
        (IMAGES, IMAGES, r"labels-idx1-ubyte: must hold one label for each of 5 images, got shape \(5, 3, 4\)"),
        (LABELS, LABELS, r"images-idx3-ubyte: must hold images \[N, rows, columns\], got shape \(5,\)"),
        (IMAGES[:0], LABELS[:0], r"images-idx3-ubyte: must hold images .*, got shape \(0, 3, 4\)"),
    ],
    ids=["too few labels", "images for labels", "labels for images", "no images"],
)
def test_images_and_labels_that_do_not_fit_are_refused_by_name(tmp_path, images, labels, words):
    write(tmp_path, "train", images, labels)
    with pytest.raises(ValueError, match=f"train-{words}"):
        idx.read_labelled_images(tmp_path, "train")


def test_mnist_images_of_two_sizes_are_refused(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "t10k", IMAGES[:, :, :3])
    with pytest.raises(ValueError, match="train and t10k images must be of one size, got 12 and 9 pixels"):
        rnn_jax.mnist(tmp_path)


def test_mnist_is_read_from_a_folder(tmp_path):
    write(tmp_path, "train")
    write(tmp_path, "t10k", IMAGES[:2], LABELS[:2])
    task = rnn_jax.mnist(tmp_path)
    assert (task.train_images.shape, task.test_size, task.output_size) == ((5, 12), 2, 10)
    np.testing.assert_array_equal(task.train_images, IMAGES.reshape(5, 12))
    np.testing.assert_array_equal(task.test_labels, LABELS[:2])


@pytest.mark.skipif(not MNIST.is_dir(), reason="MNIST's files are not in ../shared/data/mnist")
def test_the_original_mnist_files_are_read():
    task = rnn_jax.mnist(MNIST)
    assert task.train_images.shape == (60_000, 784)
    assert task.test_images.shape == (10_000, 784)
    assert (task.sequence_length, task.output_size, task.dependency) == (784, 10, 783)
    assert (int(task.train_images.min()), int(task.train_images.max())) == (0, 255)
    np.testing.assert_array_equal(task.train_labels[:10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    np.testing.assert_array_equal(task.test_labels[:10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
    # Pixels row by row: the first image's ink goes from row 5, column 12 to row 24, column 11.
    assert np.flatnonzero(task.train_images[0])[[0, -1]].tolist() == [152, 683]
