"""The row of digits that a lesson shows: made of training digits or of test digits, or from an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...ctc import greedy_decode
from ...ctc.labels import extend
from ..data.mnist_files import Mnist
from ..data.rows import consecutive_rows
from ..errors import DataError, ImageError, OptionError
from ..model.model_file import find_model, load_model
from ..model.reader import BLANK, CLASS_NAMES, labels_to_digits

DIGITS = 5


class Wanted(NamedTuple):
    """Which row to show, the options --digits and --image; as they are here, the first row of five digits.

    digits : what the row says, made of the first images of these digits; with an image, what stands in it
    image : an image file, or ""
    """

    digits: tuple[int, ...] = ()
    image: str = ""


def first_row(mnist: Mnist, wanted: Wanted = Wanted()) -> tuple[np.ndarray, list[int]]:
    """A row of the training digits, by default the first one: image (28, W) and digits."""
    return wanted_row(mnist.train_images, mnist.train_labels, wanted)


def unseen_row(mnist: Mnist, wanted: Wanted = Wanted()) -> tuple[np.ndarray, list[int]]:
    """A row of the test digits, on which nothing is trained, by default the first one: image and digits."""
    return wanted_row(mnist.test_images, mnist.test_labels, wanted)


def wanted_row(images: np.ndarray, labels: np.ndarray, wanted: Wanted) -> tuple[np.ndarray, list[int]]:
    """The row that is wanted: image (28, W) and digits.

    Parameters
    ----------
    images : (count, 28, 28) uint8 array
    labels : (count,) digits

    Raises
    ------
    DataError
        There are too few images of a digit.
    ImageError
        The image file does not show a single row of digits.
    OptionError
        No digits are given for an image, and the model of this package reads none.
    """
    if wanted.image:
        return image_row(wanted)
    picks = list(range(DIGITS))
    if wanted.digits:
        picks = []
        for n, digit in enumerate(wanted.digits):
            places, before = np.flatnonzero(labels == digit), wanted.digits[:n].count(digit)
            if before >= len(places):
                raise DataError(f"--digits needs {before + 1} images of the digit {digit}, "
                                f"but the data have {len(places)}")
            picks.append(int(places[before]))
    rows, digits = consecutive_rows(images[picks], labels[picks], len(picks))
    return rows[0], digits[0]


def image_row(wanted: Wanted) -> tuple[np.ndarray, list[int]]:
    """The row (28, W) of an image file, and its digits: those given, or what the package's model reads."""
    # Here, because they load Pillow and scipy, which only images need.
    from ..reading.page import load_page
    from ..reading.read import read_row

    page = load_page(wanted.image)
    if len(page.rows) != 1:
        raise ImageError(f"{wanted.image}: expected a single row of digits, found {len(page.rows)}")
    row = page.rows[0]
    digits = list(wanted.digits) or [int(digit.digit) for digit in
                                     read_row(load_model(find_model("")), row)[0].digits]
    if not digits:
        raise OptionError(f"--image {wanted.image} needs --digits, because no digits were read in it")
    return row.pixels, digits


def state_names(labels: Sequence[int] | np.ndarray) -> list[str]:
    """The names of the extended labels' states in figures: digits, and a dash for the blank."""
    return ["–" if c == BLANK else CLASS_NAMES[c] for c in extend(labels, BLANK)]


def greedy_reading(logits: np.ndarray) -> str:
    """The digits that greedy decoding reads in logits (T, C), as text of at most 30 characters."""
    digits = " ".join(map(str, labels_to_digits(greedy_decode(logits, blank=BLANK))))
    return digits if len(digits) <= 30 else digits[:27] + "..."
