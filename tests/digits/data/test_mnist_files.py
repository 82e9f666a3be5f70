"""MNIST is loaded as published; errors name files that do not fit, and hostile files take no memory."""

import gzip
import struct

import numpy as np
import pytest

from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.data.mnist_files import Mnist, load_mnist, training_split
from ctc_scratch.digits.errors import DataError
from tests.tools.archives import MEGABYTE, refused
from tests.tools.idx_files import idx_bytes, make_digits

# ---- sound files -------------------------------------------------------------------------


def test_load_mnist_reads_plain_and_gzipped_files_side_by_side(folder):
    mnist = load_mnist(folder)
    assert [array.shape for array in mnist] == [(24, 28, 28), (24,), (11, 28, 28), (11,)]
    assert repr(mnist) == "Mnist(24 training and 11 test images)"
    np.testing.assert_array_equal(mnist.test_labels, read_idx(folder / "t10k-labels-idx1-ubyte"))


def test_load_mnist_finds_file_names_with_a_dot(folder):
    expected = load_mnist(folder)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    for found, array in zip(load_mnist(folder), expected):
        np.testing.assert_array_equal(found, array)


def test_packaged_files_are_mnist_as_published():
    mnist = load_mnist()
    assert [len(array) for array in mnist] == [60000, 60000, 10000, 10000]
    # The class counts are published facts about MNIST.
    assert np.bincount(mnist.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842,
                                                        5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982,
                                                       892, 958, 1028, 974, 1009]
    (images, labels), (held_images, held_labels) = training_split(mnist)
    assert (len(images), len(labels)) == (55000, 55000)
    assert (len(held_images), len(held_labels)) == (5000, 5000)


def test_training_split_is_a_partition_with_the_last_twelfth_held_out(folder):
    mnist = load_mnist(folder)
    (images, labels), (held_images, held_labels) = training_split(mnist)
    assert len(held_images) == 2, f"24 // 12 = 2 images, found {len(held_images)}"
    np.testing.assert_array_equal(np.concatenate([images, held_images]), mnist.train_images)
    np.testing.assert_array_equal(np.concatenate([labels, held_labels]), mnist.train_labels)


def test_training_split_refuses_to_hold_out_nothing(rng):
    with pytest.raises(DataError, match="at least 12 training images.*found 11"):
        training_split(Mnist(*make_digits(rng, 11), *make_digits(rng, 3)))


# ---- files that do not fit ---------------------------------------------------------------


MISFITS = {
    "missing": ("train-labels-idx1-ubyte", None,
                "expected this file, plain or .gz, found no such file"),
    "labels_for_images": ("train-images-idx3-ubyte", np.zeros(24, np.uint8),
                          r"expected images \(magic 2051\), found labels \(magic 2049\)"),
    "images_for_labels": ("t10k-labels-idx1-ubyte", np.zeros((11, 28, 28), np.uint8),
                          r"expected labels \(magic 2049\), found images \(magic 2051\)"),
    "image_size": ("t10k-images-idx3-ubyte", np.zeros((11, 32, 28), np.uint8),
                   "expected images of 28 x 28 pixels, found 32 x 28"),
    "counts": ("train-labels-idx1-ubyte", np.zeros(23, np.uint8),
               "expected 24 labels, .* found 23"),
    "label_range": ("t10k-labels-idx1-ubyte", np.uint8([1, 2, 10] + 8 * [0]),
                    r"expected labels 0\.\.9, found label 2 = 10"),
}


@pytest.mark.parametrize("name, array, message", MISFITS.values(), ids=MISFITS.keys())
def test_files_that_do_not_fit_are_named(folder, name, array, message):
    for path in folder.glob(f"{name}*"):
        path.unlink()
    if array is not None:
        (folder / name).write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=f"{name}: {message}"):
        load_mnist(folder)


def test_a_missing_folder_has_another_error_than_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="found no such folder"):
        load_mnist(tmp_path / "nowhere")


# ---- hostile files -----------------------------------------------------------------------


def idx_header(*shape):
    return struct.pack(f">I{len(shape)}I", 0x0800 + len(shape), *shape)


def data_folder(path, **files):
    """Write four small sound files, with the training images or labels replaced by `files`."""
    for part in ("train", "t10k"):
        (path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((24, 28, 28), np.uint8)))
        (path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(24, np.uint8)))
    for name, content in files.items():
        (path / f"train-{name}-idx{3 if name == 'images' else 1}-ubyte").write_bytes(content)


NOISE = np.random.default_rng(0).bytes(2 * MEGABYTE)
DATA = {
    "gigabytes_unpacked": (dict(images=gzip.compress(idx_header(2_000_000, 28, 28) + NOISE)),
                           "expected at most 1073741824 bytes of data, found a header for 1568000000"),
    "a_trillion": (dict(labels=idx_header(2**32 - 1) + NOISE), "expected 4294967303 bytes .* at most 2"),
    "counts_multiplied": (dict(images=idx_header(*3 * [2**32 - 1])), "expected 7922816245892410538530"),
    "wrong_shape": (dict(images=idx_bytes(np.zeros((30_000, 30, 30), np.uint8))),
                    "expected images of 28 x 28 pixels, found 30 x 30"),
    "wrong_count": (dict(images=gzip.compress(idx_bytes(np.zeros((30_000, 28, 28), np.uint8)))),
                    "expected 30000 labels, .* found 24"),
}


@pytest.mark.parametrize("files, message", DATA.values(), ids=DATA.keys())
def test_hostile_data_take_no_memory(tmp_path, files, message):
    data_folder(tmp_path, **files)
    with refused(DataError, message):
        load_mnist(tmp_path)


def test_a_sparse_file_takes_no_memory(tmp_path):
    """The file has two terabytes of pixels that occupy no disk space, and a header that fits them."""
    data_folder(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    with open(path, "wb") as file:
        file.write(idx_header(2_600_000_000, 28, 28))
        file.truncate(16 + 2_600_000_000 * 28 * 28)
    with refused(DataError, "expected at most 1073741824 bytes of data"):
        read_idx(path)
