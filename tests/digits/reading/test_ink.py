"""Ink is told apart from paper in spite of uneven light and grain."""

import numpy as np

from ctc_scratch.digits.reading.ink import otsu
from tests.digits.reading.conftest import grey, make_row, paste


def test_uneven_light_and_grain_are_not_taken_for_ink(rows, rng):
    for row in rows[[2, 4, 7, 9, 11, 16, 18, 21, 22, 23]]:      # whose digits are higher than wide
        picture = grey(paste(row, 3.0, margins=(60, 40, 60, 40)))
        height, width = picture.shape
        light = 0.9 - 0.4 * np.linspace(0, 1, width) - 0.2 * np.linspace(0, 1, height)[:, None]
        photo = (0.3 + 0.7 * picture / 255) * light * 255 + rng.normal(0, 3, picture.shape)
        made = make_row(photo.astype(np.float32)).pixels
        assert made.shape == row.shape
        assert np.corrcoef(made.ravel(), row.ravel())[0, 1] > 0.85
        assert (made == 0).mean() > 0.6, "paper is exactly 0"


def test_the_threshold_lies_between_values_that_hardly_differ():
    values = 1 + np.arange(5) * 2.0**-52
    assert values[0] < otsu(values) < values[-1]


def test_a_dark_border_and_a_black_pixel_change_no_row(rows):
    """A border 2 pixels wide once hid all digits, and one black pixel ruined a page."""
    for row in rows[:5]:
        clean = grey(paste(row, 3.0, margins=(60, 50, 60, 50)))
        expected = make_row(clean).pixels
        bordered, dotted = clean.copy(), clean.copy()
        bordered[:2], bordered[-2:], bordered[:, :2], bordered[:, -2:] = 0, 0, 0, 0
        dotted[8, 200], dotted[-9, 220] = 0, 0
        for picture in (bordered, dotted):
            made = make_row(picture).pixels
            assert made.shape == expected.shape
            assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > 0.99
