"""The digits arrive as published, broken files are named, and rows are made exactly."""

import gzip
import re
import struct

import numpy as np
import pytest

from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.data.mnist_files import SIDE, Mnist, load_mnist, training_split
from ctc_scratch.digits.data.rows import RowSampler, assemble_rows, consecutive_rows, get_mnist_data
from ctc_scratch.digits.errors import DataError


def idx_bytes(array, magic=None):
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def make_digits(rng, count):
    """Random images whose every pixel is at least 1, so that padding is told apart."""
    images = rng.integers(1, 256, size=(count, SIDE, SIDE), dtype=np.uint8)
    labels = rng.integers(10, size=count, dtype=np.uint8)
    return images, labels


@pytest.fixture
def folder(tmp_path, rng):
    """A small but whole data folder: 24 training and 11 test digits, half of it gzipped."""
    for part, count in ("train", 24), ("t10k", 11):
        images, labels = make_digits(rng, count)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


# ---- files --------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (0,), (3, 28, 28), (2, 5, 4), (0, 28, 28)], ids=str)
def test_read_idx_returns_what_was_written(tmp_path, rng, shape, pack):
    array = rng.integers(256, size=shape, dtype=np.uint8)
    path = tmp_path / "file"    # no suffix: the content decides whether it is gzip
    path.write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


IMAGES = idx_bytes(np.ones((3, 28, 28), np.uint8))
FLIPPED = bytearray(gzip.compress(IMAGES))
FLIPPED[-6] ^= 1     # in the checksum

BROKEN = {
    "missing": (None, "expected an IDX file, found no such file"),
    "empty": (b"", r"expected magic 2049 \(labels\) or 2051 \(images\), found 0 bytes"),
    "foreign": (b"\x89PNG\r\n\x1a\n", "expected magic 2049 .* found magic 2303741511"),
    "float_idx": (idx_bytes(np.ones(3, np.uint8), 0x0D01),
                  "expected magic 2049 .* found magic 3329"),
    "short_header": (IMAGES[:10], "expected a header of 16 bytes, found 10"),
    "truncated": (IMAGES[:-1],
                  r"expected 2368 bytes \(16 of header \+ 3 x 28 x 28\), found at most 2367"),
    "over_long": (IMAGES + b"\0", "expected 2368 bytes .* found at least 2369"),
    "huge": (struct.pack(">4I", 2051, *3 * [2**32 - 1]),
             "expected 79228162458924105385300197391 bytes .* found"),
    "gzip_truncated_inside": (gzip.compress(IMAGES[:-1]),
                              "expected 2368 bytes .* found 2367"),
    "gzip_over_long_inside": (gzip.compress(IMAGES + b"\0"),
                              "expected 2368 bytes .* found at least 2369"),
    "gzip_huge_inside": (gzip.compress(struct.pack(">2I", 2049, 2**32 - 1)),
                         "expected 4294967303 bytes"),
    "gzip_cut": (gzip.compress(IMAGES)[:-9], "expected a whole gzip file, found damage"),
    "gzip_flipped_bit": (bytes(FLIPPED), "expected a whole gzip file, found damage: CRC"),
    "gzip_noise": (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 50,
                   "expected a whole gzip file, found damage"),
}


@pytest.mark.parametrize("content, message", BROKEN.values(), ids=BROKEN.keys())
def test_broken_file_is_named_with_expected_and_found(tmp_path, content, message):
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path)) + ": " + message):
        read_idx(path)


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    with pytest.raises(DataError, match="expected a readable file"):
        read_idx(tmp_path)


def test_load_mnist_reads_plain_and_gzipped_files_side_by_side(folder):
    mnist = load_mnist(folder)
    assert [array.shape for array in mnist] == [(24, 28, 28), (24,), (11, 28, 28), (11,)]
    np.testing.assert_array_equal(mnist.test_labels, read_idx(folder / "t10k-labels-idx1-ubyte"))


def test_load_mnist_knows_the_spelling_with_a_dot(folder):
    expected = load_mnist(folder)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    for found, array in zip(load_mnist(folder), expected):
        np.testing.assert_array_equal(found, array)


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


def test_missing_folder_is_told_from_missing_file(tmp_path):
    with pytest.raises(DataError, match="found no such folder"):
        load_mnist(tmp_path / "nowhere")


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


# ---- rows ---------------------------------------------------------------------------------


def test_consecutive_rows_joins_neighbours_and_drops_the_leftover(rng):
    images, labels = make_digits(rng, 11)
    rows, row_labels = consecutive_rows(images, labels, 3)
    assert rows.shape == (3, 28, 84) and rows.dtype == np.float32
    for n in range(9):
        row, place = divmod(n, 3)
        np.testing.assert_array_equal(rows[row, :, 28 * place:28 * (place + 1)],
                                      images[n] / np.float32(255), err_msg=f"digit {n}")
    assert row_labels == labels[:9].reshape(3, 3).tolist()
    assert type(row_labels[0]) is list and type(row_labels[0][0]) is int


def test_get_mnist_data_gives_train_then_test(folder):
    train_images, train_labels, test_images, test_labels = get_mnist_data(5, 8, folder)
    assert train_images.shape == (4, 28, 140) and test_images.shape == (1, 28, 224)
    mnist = load_mnist(folder)
    assert sum(train_labels, []) == mnist.train_labels[:20].tolist()
    assert sum(test_labels, []) == mnist.test_labels[:8].tolist()


def test_pixels_span_exactly_zero_to_one():
    images = np.arange(256, dtype=np.uint8).repeat(SIDE * SIDE).reshape(256, SIDE, SIDE)
    rows, _ = consecutive_rows(images, np.zeros(256, np.uint8), 1)
    assert rows.min() == 0 and rows.max() == 1, f"0 and 1, found {rows.min()} and {rows.max()}"
    assert (np.diff(rows[:, 0, 0]) > 0).all()


def test_assemble_rows_pads_on_the_right_with_zeros(rng):
    images, labels = make_digits(rng, 6)
    batch = assemble_rows(images, labels, np.array([2, 1, 3]))
    assert batch.images.shape == (3, 28, 84) and batch.images.dtype == np.float32
    assert batch.widths.tolist() == [56, 28, 84]
    for row, expected in zip(batch.labels, (labels[:2], labels[2:3], labels[3:])):
        assert row.tolist() == expected.tolist()
    first = 0
    for row, width in zip(batch.images, batch.widths):
        count = width // 28
        expected = np.concatenate(list(images[first:first + count]), axis=1) / np.float32(255)
        np.testing.assert_array_equal(row[:, :width], expected)
        assert not row[:, width:].any()
        first += count


def test_sampled_rows_are_digits_of_the_set_with_their_own_labels(rng):
    images, _ = make_digits(rng, 10)
    batch = RowSampler(images, np.arange(10), (1, 4), rng).batch(50)
    for row, width, labels in zip(batch.images, batch.widths, batch.labels):
        assert width == 28 * len(labels)
        for place, label in enumerate(labels):
            np.testing.assert_array_equal(row[:, 28 * place:28 * (place + 1)],
                                          images[label] / np.float32(255))


def test_sampler_draws_every_length_and_every_digit_alike(rng):
    images, _ = make_digits(rng, 10)
    batch = RowSampler(images, np.arange(10), (2, 5), rng).batch(20000)
    lengths = np.bincount(batch.widths // 28, minlength=7)
    assert lengths[[0, 1, 6]].tolist() == [0, 0, 0]
    # Within five standard deviations of the binomial mean.
    for name, counts, p in (("length", lengths[2:6], 1 / 4),
                            ("digit", np.bincount(np.concatenate(batch.labels)), 1 / 10)):
        mean, deviation = counts.sum() * p, np.sqrt(counts.sum() * p * (1 - p))
        assert np.abs(counts - mean).max() < 5 * deviation, f"{name}: {counts} but mean {mean}"


def test_the_generator_alone_decides_what_comes(rng):
    images, labels = make_digits(rng, 100)
    one, two, other = (RowSampler(images, labels, (1, 5), np.random.default_rng(seed))
                       for seed in (1, 1, 2))
    for _ in range(3):
        a, b = one.batch(8), two.batch(8)
        np.testing.assert_array_equal(a.images, b.images)
        assert [row.tolist() for row in a.labels] == [row.tolist() for row in b.labels]
    assert [row.tolist() for row in a.labels] != [row.tolist() for row in other.batch(8).labels]


def test_bad_arguments_are_answered_with_their_numbers(rng):
    images, labels = make_digits(rng, 4)
    for n in (0, -1, 5):
        with pytest.raises(ValueError, match=f"from 1 to 4 digits .* not {n}"):
            consecutive_rows(images, labels, n)
    with pytest.raises(ValueError, match="at least 1 image, not 0"):
        consecutive_rows(images[:0], labels[:0], 1)
    with pytest.raises(ValueError, match=r"4 images need \(4,\) labels, not \(3,\)"):
        consecutive_rows(images, labels[:3], 1)
    with pytest.raises(ValueError, match=r"uint8 array, not \(4, 28, 28\) float64"):
        RowSampler(images / 255, labels, (1, 2), rng)
    for low, high in ((0, 3), (3, 2)):
        with pytest.raises(ValueError, match=f"not low = {low}, high = {high}"):
            RowSampler(images, labels, (low, high), rng)
    with pytest.raises(ValueError, match="at least 1 row, not 0"):
        RowSampler(images, labels, (1, 2), rng).batch(0)
