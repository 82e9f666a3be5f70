"""The kind and size of an image file do not change the row that is read from it."""

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.digits.errors import ImageError
from ctc_scratch.digits.reading.image_file import MOST_HEIGHT, MOST_PIXELS, load_grey
from tests.digits.reading.conftest import grey, load_row, make_row, paste


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16", "RGBA", "LA", "1"])
def test_every_kind_of_pixel_gives_the_same_row(mode, rows, tmp_path):
    picture = paste(rows[0], 2.0, margins=(9, 9, 9, 9))
    expected = make_row(grey(picture)).pixels
    if mode in ("RGBA", "LA"):      # transparent paper, whose colour does not count
        ink = Image.new(mode, picture.size, 0)
        ink.putalpha(Image.fromarray(255 - np.asarray(picture)))
        picture = ink
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 200)
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png").pixels
    assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > (0.95 if mode == "1" else 0.99)


def test_a_photograph_taken_sideways_is_turned_upright(rows, tmp_path):
    picture = paste(rows[0], 2.0, margins=(9, 9, 9, 9))
    turned = Image.Exif()
    turned[0x0112] = 6      # Exif orientation: to be turned clockwise
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "row.png", exif=turned)
    np.testing.assert_array_equal(load_row(tmp_path / "row.png").pixels, make_row(grey(picture)).pixels)


def test_a_large_image_is_reduced_and_places_are_in_its_own_pixels(rows, tmp_path):
    paste(rows[0], 20.0, margins=(100, 500, 300, 500)).save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png")
    assert made.grey.size <= MOST_PIXELS and made.scale == 2
    assert np.corrcoef(made.pixels.ravel(), rows[0].ravel())[0, 1] > 0.85
    first, last = made.place(28, 56)
    assert abs(first - (100 + 20 * 28)) < 25 and abs(last - (100 + 20 * 56)) < 25


def test_a_very_tall_image_does_not_fill_the_memory(tmp_path):
    line = np.zeros((60_000, 3), np.uint8)
    line[10:-10, 1] = 255
    Image.fromarray(line).save(tmp_path / "row.png")
    assert len(load_grey(tmp_path / "row.png")[0]) <= MOST_HEIGHT
    with pytest.raises(ImageError, match="expected a row of digits"):
        load_row(tmp_path / "row.png")


@pytest.mark.parametrize("ink, paper", [((200, 60, 60), (60, 150, 60)), ((40, 40, 160), (230, 220, 60))])
def test_colours_of_the_same_brightness_are_told_apart(ink, paper, rows, tmp_path):
    amount = np.asarray(paste(rows[0], 2.0, light=True, margins=(9, 9, 9, 9)), np.float32)[..., None] / 255
    picture = np.array(paper) + amount * (np.array(ink) - np.array(paper))
    Image.fromarray(np.uint8(picture)).save(tmp_path / "row.png")
    made = load_row(tmp_path / "row.png")
    assert made.pixels.shape == rows[0].shape
    assert np.corrcoef(made.pixels.ravel(), rows[0].ravel())[0, 1] > 0.85
