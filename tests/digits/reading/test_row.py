"""Images of any size and colour become rows like those that a model was trained on."""

import numpy as np
import pytest

from ctc_scratch.digits.reading.row import CENTRE
from tests.digits.reading.conftest import grey, make_row, paste

PASTED = {
    "as it is": dict(light=True),
    "dark": dict(),
    "margins": dict(margins=(40, 11, 3, 70)),
    "large": dict(size=6.0, margins=(10, 20, 30, 5)),
    "small": dict(size=0.7, light=True, margins=(7, 0, 0, 3)),
    "JPEG 90": dict(size=2.0, quality=90, margins=(5, 5, 5, 5)),
    "JPEG 30": dict(size=3.3, light=True, quality=30, margins=(0, 31, 50, 8)),
}


@pytest.mark.parametrize("how", PASTED.values(), ids=PASTED)
def test_a_pasted_row_comes_out_as_it_was(how, rows):
    """Each digit keeps its place to a fraction of a pixel; MNIST itself is not centred more exactly."""
    for row in rows[::3]:
        made = make_row(grey(paste(row, **how)))
        assert made.pixels.dtype == np.float32 and made.pixels.min() >= 0 and made.pixels.max() <= 1
        assert len(made.boxes) == 5
        # A digit wider than high may be two that touch, so it is drawn larger, in a box of its width.
        plain = [box for box in made.boxes if box.right - box.left == 28]
        assert len(plain) >= 4
        pairs = []
        for box, tile in zip(made.boxes, np.split(row, 5, axis=1)):
            if box in plain:
                drawn = made.pixels[:, box.left:box.right]
                pairs.append((drawn, tile))
                mass = drawn / drawn.sum()
                centre = [mass.sum(axis=1 - k) @ (np.arange(28) + 0.5) for k in (0, 1)]
                assert np.abs(np.array(centre) - CENTRE).max() < 0.35, f"centre of mass {centre}"
        alike = np.corrcoef(*np.reshape(pairs, (len(pairs), 2, -1)).transpose(1, 0, 2).reshape(2, -1))[0, 1]
        assert alike > 0.85, f"correlation {alike}"


def test_uneven_spaces_and_a_crooked_line_become_boxes_side_by_side(rows):
    digits = np.split(rows[0], 5, axis=1)
    page = np.zeros((80, 400), np.float32)
    lefts = [3, 40, 150, 181, 350]
    for k, (digit, left) in enumerate(zip(digits, lefts)):
        page[10 * k:10 * k + 28, left:left + 28] = digit
    made = make_row(page)
    assert made.pixels.shape == (28, 140)
    assert np.corrcoef(made.pixels.ravel(), rows[0].ravel())[0, 1] > 0.85
    assert [(box.left, box.right) for box in made.boxes] == [(28 * k, 28 * k + 28) for k in range(5)]
    for k, left in enumerate(lefts):        # columns of the row are mapped back to the image
        first, last = made.place(28 * k + 5, 28 * k + 20)
        assert abs(first - left - 5) < 1 and abs(last - left - 20) < 1


def test_a_place_ends_before_a_close_neighbour():
    """Strokes 3 wide and 3 apart, in boxes of 28 columns; places end halfway to the neighbour."""
    page = np.zeros((40, 90), np.float32)
    for left in (30, 36, 42):
        page[10:30, left:left + 3] = 1
    row = make_row(page, scale=2.0)
    assert [box[:2] for box in row.boxes] == [(0, 28), (28, 56), (56, 84)]
    assert row.place(28, 56) == (2 * 34, 2 * 40)
    assert row.place(0, 28) == pytest.approx((2 * 17, 2 * 34), abs=0.1), "there is no neighbour on the left"
    assert row.place(40, 44) == pytest.approx((2 * 35, 2 * 39), abs=0.1), "inside a digit nothing is moved"
    for margin in ((28, 32), (52, 56)):         # columns in which only the neighbours' ink could stand
        first, last = row.place(*margin)
        assert 2 * 34 <= first < last <= 2 * 40
        assert last - first == pytest.approx(row.boxes[1].step, rel=1e-12)


def test_digits_that_touch_keep_their_places_in_a_box_of_their_width():
    page = np.zeros((40, 90), np.float32)
    for left in (20, 40):       # two hollow squares that share a side
        page[10:30, left:left + 21] = 1
        page[13:27, left + 3:left + 18] = 0
    made = make_row(page)
    assert made.pixels.shape == (28, 41 + 2 * 4)
    edges = np.flatnonzero(made.pixels.max(axis=0) > 0.5)[[0, -1]]
    assert np.abs(edges - [4, 44]).max() <= 1
