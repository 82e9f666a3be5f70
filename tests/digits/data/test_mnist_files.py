"""MNIST is loaded as published; errors name files that do not fit, and hostile files take no memory."""

import gzip
import struct

import numpy as np
import pytest

from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.data.mapping import DIGITS
from ctc_scratch.digits.data.mnist_files import Mnist, load_data, load_mnist, training_split
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


def write_set(folder, rng, prefix="", test="t10k", suffix="", count=24):
    """Write the four files of a data set under names with a prefix; returns it as `load_mnist` should."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for part in ("train", test):
        for kind, array in zip(("images", "labels"), make_digits(rng, count)):
            name = f"{prefix}{part}-{kind}-idx{array.ndim}-ubyte{suffix}"
            (folder / name).write_bytes((gzip.compress if suffix else bytes)(idx_bytes(array)))
            arrays.append(array)
    return Mnist(*arrays)


def assert_same(found, expected):
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize("where, prefix, test, suffix", [
    ("", "emnist-digits-", "test", ".gz"), ("gzip", "emnist-mnist-", "test", ".gz"),
    ("MNIST/raw", "", "t10k", ""), ("EMNIST/raw/gzip", "emnist-digits-", "test", ".gz"),
], ids=["emnist", "zip", "torchvision", "deep"])
def test_data_sets_are_found_under_their_names_in_nested_folders(tmp_path, rng, where, prefix, test, suffix):
    expected = write_set(tmp_path / where, rng, prefix, test, suffix)
    assert_same(load_mnist(tmp_path), expected)


def test_files_in_folders_of_their_own_names_are_found(tmp_path, rng):
    expected = write_set(tmp_path / "archive", rng)
    for path in list((tmp_path / "archive").iterdir()):
        path.rename(tmp_path / "file")
        path.mkdir()
        (tmp_path / "file").rename(path / path.name.replace("-idx", ".idx"))
    assert_same(load_mnist(tmp_path), expected)


def test_qmnist_has_the_digit_in_the_first_of_eight_columns(tmp_path, rng):
    expected = write_set(tmp_path, rng, "qmnist-", "test")
    for part, labels in (("train", expected.train_labels), ("test", expected.test_labels)):
        (tmp_path / f"qmnist-{part}-labels-idx1-ubyte").unlink()
        table = rng.integers(-5, 100_000, size=(len(labels), 8), dtype=np.int32)
        table[:, 0] = labels
        (tmp_path / f"qmnist-{part}-labels-idx2-int").write_bytes(idx_bytes(table))
    assert_same(load_mnist(tmp_path), expected)


def test_transposed_images_are_transposed_back(folder):
    expected = load_mnist(folder)
    found = load_mnist(folder, transpose=True)
    assert_same(found, expected._replace(train_images=expected.train_images.transpose(0, 2, 1),
                                         test_images=expected.test_images.transpose(0, 2, 1)))
    assert found.train_images.flags.c_contiguous


def test_several_data_sets_are_listed_and_each_can_be_chosen(tmp_path, rng):
    digits = write_set(tmp_path / "gzip", rng, "emnist-digits-", "test")
    mnist = write_set(tmp_path / "gzip", rng, "emnist-mnist-", "test")
    fashion = write_set(tmp_path / "fashion", rng)
    names = [str(tmp_path / name) for name in ("fashion", "gzip/emnist-digits", "gzip/emnist-mnist")]
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path)
    assert str(info.value) == f"{tmp_path}: expected one data set, found 3: name one of {', '.join(names)}"
    for name, expected in zip(names, (fashion, digits, mnist)):
        assert_same(load_mnist(name), expected)
    assert_same(load_mnist(tmp_path / "emnist-digits"), digits)


def test_the_folder_itself_comes_first_and_in_it_the_names_of_mnist(tmp_path, rng):
    write_set(tmp_path / "below", rng)
    write_set(tmp_path, rng, "emnist-digits-", "test")
    expected = write_set(tmp_path, rng)
    assert_same(load_mnist(tmp_path), expected)


def test_the_error_for_an_incomplete_data_set_names_the_missing_file(tmp_path, rng):
    write_set(tmp_path / "raw", rng, "emnist-digits-", "test", ".gz")
    (tmp_path / "raw" / "emnist-digits-test-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="raw/emnist-digits-test-labels-idx1-ubyte: expected this file"):
        load_mnist(tmp_path)


def test_folders_are_not_searched_without_end(tmp_path, rng):
    write_set(tmp_path / "a/b/c/d", rng)
    with pytest.raises(DataError, match="expected this file, .* or a data set in the folders below"):
        load_mnist(tmp_path)
    (tmp_path / "a/b/loop").symlink_to(tmp_path / "a")
    assert load_mnist(tmp_path / "a").train_images.shape == (24, 28, 28)


# ---- letters -----------------------------------------------------------------------------


def write_letters(folder, rng, mapping="1 65 97\n2 66 98\n10 74 106\n"):
    """A data set like EMNIST's letters, with labels 1, 2 and 10, and a mapping file unless that is None."""
    plain = write_set(folder, rng, "emnist-letters-", "test")
    for part, labels in (("train", plain.train_labels), ("test", plain.test_labels)):
        labels[:] = np.array([1, 2, 10])[labels % 3]
        (folder / f"emnist-letters-{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    if mapping is not None:
        (folder / "emnist-letters-mapping.txt").write_text(mapping)
    return plain


def test_letters_have_the_names_of_their_mapping_file_and_classes_without_gaps(tmp_path, rng):
    written = write_letters(tmp_path, rng)
    found, names = load_data(tmp_path)
    assert names == ("A", "B", "J")
    assert found.train_labels.dtype == found.test_labels.dtype == np.uint8
    classes = {1: 0, 2: 1, 10: 2}
    assert found.train_labels.tolist() == [classes[label] for label in written.train_labels]
    assert found.test_labels.tolist() == [classes[label] for label in written.test_labels]
    np.testing.assert_array_equal(found.train_images, written.train_images)
    with pytest.raises(DataError, match="expected a data set of digits, found one of A, B, J"):
        load_mnist(tmp_path)


def test_a_mapping_file_of_digits_changes_nothing(tmp_path, rng):
    expected = write_set(tmp_path, rng, "emnist-digits-", "test")
    assert load_data(tmp_path)[1] == DIGITS
    (tmp_path / "emnist-digits-mapping.txt").write_text("".join(f"{d} {48 + d}\n" for d in range(10)))
    assert load_data(tmp_path)[1] == DIGITS
    assert_same(load_mnist(tmp_path), expected)


MAPPINGS = {
    "missing": (None, r"train-labels-idx1-ubyte: expected labels 0\.\.9, .* in .*/emnist-letters-mapping.txt "
                      "\\(.*\\), found label .* = 10"),
    "lacking": ("1 65\n2 66\n", "expected labels with a name in .*-mapping.txt, found label .* = 10"),
    "empty": ("\n", "mapping.txt: expected lines of a label and the codes of its characters, found none"),
    "no_code": ("1 65\n2\n", "mapping.txt: expected lines of .*, like '1 65 97', found '2' in line 2"),
    "no_number": ("1 A\n", "found '1 A' in line 1"),
    "no_character": ("1 65\n2 10\n", "found '2 10' in line 2"),
    "label": ("256 65\n", "found '256 65' in line 1"),
    "label_twice": ("1 65\n1 66\n", "each label and each name once, found label 1 or name B again in line 2"),
    "name_twice": ("1 65\n2 65\n", "found label 2 or name A again in line 2"),
    "huge": ("1 65\n" * 20_000, "expected a mapping file of at most 65536 bytes, found more"),
}


@pytest.mark.parametrize("mapping, message", MAPPINGS.values(), ids=MAPPINGS.keys())
def test_the_error_for_a_mapping_file_says_what_and_where(tmp_path, rng, mapping, message):
    write_letters(tmp_path, rng, mapping)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path)


# ---- files that do not fit ---------------------------------------------------------------


MISFITS = {
    "missing": ("train-labels-idx1-ubyte", None,
                "expected this file, plain or .gz, found no such file"),
    "labels_for_images": ("train-images-idx3-ubyte", np.zeros(24, np.uint8),
                          "expected images in 3 dimensions, found 1: 24"),
    "images_for_labels": ("t10k-labels-idx1-ubyte", np.zeros((11, 28, 28), np.uint8),
                          "expected labels in 1 dimension, .* found 3: 11 x 28 x 28"),
    "image_size": ("t10k-images-idx3-ubyte", np.zeros((11, 32, 28), np.uint8),
                   "expected images of 28 x 28 pixels, found 32 x 28"),
    "counts": ("train-labels-idx1-ubyte", np.zeros(23, np.uint8),
               "expected 24 labels, .* found 23"),
    "label_range": ("t10k-labels-idx1-ubyte", np.uint8([1, 2, 10] + 8 * [0]),
                    r"expected labels 0\.\.9, or the names of others in .*/mapping.txt .* label 2 = 10"),
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
