"""From an image file to the rows of digits in it.

    image_file  load_grey     grey values, upright and of bounded size
    ink         find_ink      paper becomes 0 and ink becomes 1
    rules       remove_rules  printed lines are removed
    pieces      find_lines    the ink is cut into pieces (a digit, or several that touch), line by line
    row         make_row      the pieces of a line become boxes side by side, like those of MNIST
"""

from __future__ import annotations

import os
from collections import Counter
from typing import NamedTuple

import numpy as np

from ..errors import ImageError
from .image_file import load_grey
from .ink import find_ink, typical_height
from .pieces import find_lines
from .row import Row, make_row
from .rules import LEVEL, remove_rules


class Page(NamedTuple):
    """The rows of an image, from top to bottom, and how many marks of each kind were left out."""

    rows: list[Row]
    left_out: Counter[str]


def load_page(path: str | os.PathLike) -> Page:
    """Find the rows of digits in an image file.

    Parameters
    ----------
    path : PNG, JPEG or whatever else Pillow reads; dark digits on light paper or light on dark

    Raises
    ------
    ImageError
        The file is missing, is not a whole image, is far too large, or shows no row of digits.
    """
    grey, scale = load_grey(path)
    try:
        return make_page(grey, scale)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def make_page(grey: np.ndarray, scale: float = 1.0) -> Page:
    """Find the rows of digits in grey values (height, width).

    scale : pixels of the image file, along each axis, that make one grey value

    Raises
    ------
    ImageError
        The grey values show no row of digits.
    """
    ink = find_ink(grey)
    amount, rules = remove_rules(ink.amount, ink.digit)
    digit = typical_height(amount > LEVEL) or ink.digit
    found = find_lines(amount, digit)
    if not found.lines:
        raise ImageError("expected a row of digits, found no ink")
    left_out = found.left_out + Counter(rule=rules)
    rows = [make_row(amount, found.labels, line, grey, scale)._replace(
        noise=ink.noise, left_out=left_out.total()) for line in found.lines]
    return Page(rows, left_out)
