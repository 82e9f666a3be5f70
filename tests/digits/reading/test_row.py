"""Images of any size and colour become rows like those that a model was trained on."""

import numpy as np
import pytest

from ctc_scratch.digits.reading.row import CENTRE, MARGIN, _size
from ctc_scratch.digits.reading.rules import LEVEL
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


@pytest.mark.parametrize("how", [
    pytest.param(how, id=name, marks=pytest.mark.slow if name == "large" else [])
    for name, how in PASTED.items()])
def test_a_pasted_row_comes_out_as_it_was(how, rows):
    """Each digit keeps its place to a fraction of a pixel; MNIST itself is not centred more exactly."""
    for row in rows[::3]:
        made = make_row(grey(paste(row, **how)))
        assert made.pixels.dtype == np.float32 and made.pixels.min() >= 0 and made.pixels.max() <= 1
        assert len(made.boxes) == 5
        pairs = []
        for box, tile in zip(made.boxes, np.split(row, 5, axis=1)):
            drawn = made.pixels[:, box.left:box.right]
            if drawn.shape[1] > 28:     # a digit at least as wide as high may be two that touch
                edges = np.flatnonzero((tile > LEVEL).any(axis=0))[[0, -1]]
                middle = round((edges.sum() + 1) / 2)
                tile = np.pad(tile, ((0, 0), (28, 28)))[:, 28 + middle - drawn.shape[1] // 2:]
                tile = tile[:, :drawn.shape[1]]
            else:
                mass = drawn / drawn.sum()
                centre = [mass.sum(axis=1 - k) @ (np.arange(28) + 0.5) for k in (0, 1)]
                assert np.abs(np.array(centre) - CENTRE).max() < 0.35, f"centre of mass {centre}"
            pairs.append((drawn.ravel(), tile.ravel()))
        alike = np.corrcoef(*(np.concatenate(each) for each in zip(*pairs)))[0, 1]
        assert alike > 0.85, f"correlation {alike}"


def test_uneven_spaces_and_a_crooked_line_become_boxes_side_by_side(rows):
    shown = rows[11]    # all of its digits are higher than wide
    digits = np.split(shown, 5, axis=1)
    page = np.zeros((80, 400), np.float32)
    lefts = [3, 40, 150, 181, 350]
    for k, (digit, left) in enumerate(zip(digits, lefts)):
        page[10 * k:10 * k + 28, left:left + 28] = digit
    made = make_row(page)
    assert made.pixels.shape == (28, 140)
    assert np.corrcoef(made.pixels.ravel(), shown.ravel())[0, 1] > 0.85
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
    assert made.pixels.shape == (28, 41 + 2 * MARGIN)
    edges = np.flatnonzero(made.pixels.max(axis=0) > 0.5)[[0, -1]]
    assert np.abs(edges - [MARGIN, MARGIN + 40]).max() <= 1


@pytest.mark.parametrize("thin_on_the", ["left", "right"])
def test_touching_digits_with_uneven_ink_stand_in_the_middle_of_their_box(thin_on_the):
    """A 1 that a stroke joins to a broad 0: the centre of mass is far from the middle."""
    page = np.zeros((40, 110), np.float32)
    page[10:30, 20:22] = 1
    page[18:22, 20:45] = 1
    page[10:30, 45:63] = 1
    page[14:26, 49:59] = 0
    made = make_row(page if thin_on_the == "left" else page[:, ::-1].copy())
    assert made.pixels.shape == (28, 43 + 2 * MARGIN)
    inked = np.flatnonzero(made.pixels.max(axis=0) > 0.5)
    assert abs(inked[0] - MARGIN) <= 1 and abs(len(made.pixels[0]) - 1 - inked[-1] - MARGIN) <= 1
    assert made.pixels.sum() == pytest.approx(page.sum(), rel=0.01), "no ink is lost"


def test_a_piece_with_a_wide_gap_becomes_a_row():
    """One of the equal parts in which heights of digits are measured has no ink."""
    inked = np.zeros((20, 100), bool)
    inked[:, :5] = inked[:10, 95:] = True
    size, width = _size(inked, 20.0)
    assert (size, width) == (15.0, 100)
