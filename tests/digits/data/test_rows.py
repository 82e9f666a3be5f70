"""Rows hold the exact pixels of their digits; random rows use all lengths and digits equally often."""

import numpy as np
import pytest

from ctc_scratch.digits.data.mnist_files import SIDE, load_mnist
from ctc_scratch.digits.data.rows import RowSampler, assemble_rows, consecutive_rows, get_mnist_data
from tests.tools.idx_files import make_digits


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
    assert repr(batch) == "RowBatch(3 rows, 6 digits, images 3 x 28 x 84)"
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


@pytest.mark.slow
def test_the_sampler_draws_all_lengths_and_all_digits_equally_often(rng):
    images, _ = make_digits(rng, 10)
    batch = RowSampler(images, np.arange(10), (2, 5), rng).batch(20000)
    lengths = np.bincount(batch.widths // 28, minlength=7)
    assert lengths[[0, 1, 6]].tolist() == [0, 0, 0]
    # Within five standard deviations of the binomial mean.
    for name, counts, p in (("length", lengths[2:6], 1 / 4),
                            ("digit", np.bincount(np.concatenate(batch.labels)), 1 / 10)):
        mean, deviation = counts.sum() * p, np.sqrt(counts.sum() * p * (1 - p))
        assert np.abs(counts - mean).max() < 5 * deviation, f"{name}: {counts} but mean {mean}"


def test_the_same_generator_gives_the_same_rows(rng):
    images, labels = make_digits(rng, 100)
    one, two, other = (RowSampler(images, labels, (1, 5), np.random.default_rng(seed))
                       for seed in (1, 1, 2))
    for _ in range(3):
        a, b = one.batch(8), two.batch(8)
        np.testing.assert_array_equal(a.images, b.images)
        assert [row.tolist() for row in a.labels] == [row.tolist() for row in b.labels]
    assert [row.tolist() for row in a.labels] != [row.tolist() for row in other.batch(8).labels]


def test_errors_for_bad_arguments_hold_their_numbers(rng):
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
