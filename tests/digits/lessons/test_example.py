"""The row that a lesson shows: of given digits, of an image file, or the first one."""

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.errors import DataError, ImageError, OptionError
from ctc_scratch.digits.lessons.example import Wanted, first_row, unseen_row, wanted_row
from ctc_scratch.digits.reading import read


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


def save_image(path, row, lines=1):
    """Write a row of digits (28, W) in [0, 1] as dark ink on paper, or several such lines."""
    page = np.pad(np.tile(np.pad(row, ((8, 20), (0, 0))), (lines, 1)), 8)
    Image.fromarray((255 - 255 * page).astype(np.uint8)).resize(
        (3 * page.shape[1], 3 * page.shape[0])).save(path)


def test_by_default_it_is_the_first_row(mnist):
    for row, images, labels in ((first_row(mnist), *mnist[:2]), (unseen_row(mnist), *mnist[2:])):
        rows, digits = consecutive_rows(images[:5], labels[:5], 5)
        np.testing.assert_array_equal(row[0], rows[0])
        assert row[1] == digits[0]


def test_given_digits_are_their_first_images_and_a_repeat_is_another_image(mnist):
    image, digits = unseen_row(mnist, Wanted((7, 7, 2)))
    assert digits == [7, 7, 2] and image.shape == (28, 84)
    places = [np.flatnonzero(mnist.test_labels == 7)[0], np.flatnonzero(mnist.test_labels == 7)[1],
              np.flatnonzero(mnist.test_labels == 2)[0]]
    expected = np.concatenate(mnist.test_images[places], axis=1) / np.float32(255)
    np.testing.assert_array_equal(image, expected)


def test_digits_that_the_data_lack_are_refused():
    images, labels = np.zeros((3, 28, 28), np.uint8), np.array([1, 1, 2])
    with pytest.raises(DataError, match="--digits needs 3 images of the digit 1, but the data have 2"):
        wanted_row(images, labels, Wanted((1, 1, 1)))


def test_an_image_is_read_unless_its_digits_are_given(mnist, tmp_path):
    row, digits = unseen_row(mnist, Wanted((3, 1, 4)))
    save_image(tmp_path / "row.png", row)
    image, found = unseen_row(mnist, Wanted(image=str(tmp_path / "row.png")))
    assert found == digits and image.shape[0] == 28 and 0.5 < image.sum() / row.sum() < 2
    assert unseen_row(mnist, Wanted((9, 9), str(tmp_path / "row.png")))[1] == [9, 9]


def test_an_image_with_several_lines_is_refused(mnist, tmp_path):
    save_image(tmp_path / "page.png", unseen_row(mnist)[0], lines=2)
    with pytest.raises(ImageError, match="page.png: expected a single row of digits, found 2"):
        unseen_row(mnist, Wanted(image=str(tmp_path / "page.png")))


def test_an_image_in_which_nothing_is_read_needs_its_digits(mnist, tmp_path, monkeypatch):
    save_image(tmp_path / "row.png", unseen_row(mnist)[0])
    monkeypatch.setattr(read, "read_row", lambda model, row: [type("Reading", (), {"digits": []})])
    with pytest.raises(OptionError, match="row.png needs --digits, because no digits were read in it"):
        unseen_row(mnist, Wanted(image=str(tmp_path / "row.png")))
