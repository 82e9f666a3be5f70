"""Rows set by ink: edges meet at gap 0, overlap below it, and every row has a path."""

import numpy as np
import pytest

from ctc_scratch.ctc import min_frames
from ctc_scratch.digits.data.augment import CLOSEST, MEETING, WIDEST, Augmentation
from ctc_scratch.digits.data.touching import INKED, ONWARD, blur, ink_edges, join, place, touching_rows


def columns_of_ink(row):
    return (row > INKED).any(axis=0)


@pytest.mark.parametrize("gap", [0, 1, 5])
def test_there_are_as_many_columns_of_paper_as_asked_for(mnist, gap):
    batch = touching_rows(mnist.test_images[:200], mnist.test_labels[:200], 2, gap)
    for row, width, labels in zip(batch.images, batch.widths, batch.labels):
        inked = np.flatnonzero(columns_of_ink(row[:, :width]))
        between = np.diff(inked).max() - 1
        narrow = labels[0] == labels[1] == 1        # two ones stand farther apart than they would at gap 0
        assert between == gap or (narrow and between > gap)
        assert not row[:, width:].any()


def test_below_0_columns_hold_ink_of_both(mnist):
    images, labels = mnist.test_images[:40], mnist.test_labels[:40]
    apart, overlapping = (touching_rows(images, labels, 2, gap) for gap in (0, -2))
    assert set((apart.widths - overlapping.widths).tolist()) <= {0, 1, 2}
    assert np.median(apart.widths - overlapping.widths) == 2


def test_the_digits_are_those_of_the_images_from_left_to_right(mnist):
    batch = touching_rows(mnist.test_images[:11], mnist.test_labels[:11], 5, 3)
    assert [row.tolist() for row in batch.labels] == mnist.test_labels[:10].reshape(2, 5).tolist()
    first = mnist.test_images[0] / np.float32(255)
    edges = ink_edges(first[None])[:, 0]
    row = batch.images[0]
    left = np.flatnonzero(columns_of_ink(row))[0] - edges[0]
    np.testing.assert_array_equal(row[:, left:left + edges[1]], first[:, :edges[1]])


def test_every_close_row_has_a_path_though_ones_are_narrow(mnist, rng):
    """Eight ones side by side, overlapping as far as training lets them: a frame for each label and blank."""
    ones = mnist.train_images[mnist.train_labels == 1][:800]
    for labels in (np.ones(800, np.uint8), np.arange(800, dtype=np.uint8) % 2):
        for seed in range(5):
            batch = Augmentation(shift=1.5, scale=0.15, close=1.0)(
                ones, labels, np.full(100, 8), np.random.default_rng(seed))
            for width, row in zip(batch.widths, batch.labels):
                assert -(-width // ONWARD) >= min_frames(row + 1)


def test_a_box_without_ink_counts_as_full():
    assert ink_edges(np.zeros((1, 28, 28), np.float32)).tolist() == [[0], [28]]


def test_no_tile_begins_before_its_row():
    edges = np.array([[0, 20], [2, 25]])        # the second tile begins far left of its own ink
    lefts, widths = place(edges, np.array([3, 4]), np.array([2]), np.array([0, -8]))
    assert lefts.min() == 0 and widths[0] == lefts.max() + 28
    assert lefts[1] + 20 == lefts[0] + 0 + ONWARD


def test_where_tiles_overlap_the_darker_ink_stays():
    tiles = np.stack([np.full((28, 28), 0.3, np.float32), np.full((28, 28), 0.6, np.float32)])
    canvas = np.zeros((1, 28, 40), np.float32)
    join(tiles, np.array([0, 0]), np.array([0, 12]), canvas)
    assert (canvas[0, :, :12] == np.float32(0.3)).all() and (canvas[0, :, 12:] == np.float32(0.6)).all()


def test_a_blur_is_a_gaussian_and_leaves_other_rows_alone():
    canvas = np.zeros((2, 41, 41), np.float32)
    canvas[:, 20, 20] = 1
    blur(canvas, np.array([0.0, 2.0]))
    assert canvas[0].sum() == canvas[0, 20, 20] == 1
    y, x = np.mgrid[-20:21, -20:21]
    expected = np.exp(-(y**2 + x**2) / 8) / (8 * np.pi)
    np.testing.assert_allclose(canvas[1], expected, atol=3e-4)


def test_close_rows_have_the_gaps_they_are_asked_for(mnist):
    """Half of them one gap for all their digits, the others any gap; measured where the ink is apart."""
    images, labels = mnist.train_images[:3000], mnist.train_labels[:3000]
    batch = Augmentation(close=1.0)(images, labels, np.full(1000, 3), np.random.default_rng(0))
    free = []
    for row in batch.images:
        inked = np.flatnonzero(columns_of_ink(row))
        free += (np.diff(inked)[np.diff(inked) > 1] - 1).tolist()
    assert max(free) == WIDEST and CLOSEST < 0 and MEETING[0] < 0 < MEETING[1]
    assert np.mean(np.array(free) <= MEETING[1]) > 0.25
