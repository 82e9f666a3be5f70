"""From an image file to a row like those that the network was trained on.

MNIST scales the ink of a digit to fit 20 x 20 pixels and puts its centre of mass in the middle of
28 x 28 pixels. A row is such boxes side by side (`rows.assemble_rows`). An image is brought into this
form in four steps:

    image_file  load_grey     grey values, upright and of bounded size
    ink         find_ink      paper becomes 0 and ink becomes 1
    pieces      find_pieces   the ink is cut at empty columns: a digit each, or digits that touch
    row         make_row      all pieces at one scale, each centred by mass in a box of its own

Spaces between digits are lost on the way, and a crooked line becomes straight. Digits that touch stay
in one box, as they are; the network has to tell them apart.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..data.mnist_files import SIDE
from ..errors import ImageError
from .image_file import load_grey
from .ink import find_ink
from .pieces import find_pieces

DIGIT = 20              # [pixels] the larger side of a digit in MNIST
CENTRE = 14.5           # [pixels] from the upper left corner of a box to the centre of mass, both ways
PAPER = 0.08            # ink below this is set to 0: in MNIST paper is exactly 0, in a JPEG file it is not
MOST_DIGITS = 1000      # an image that seems to hold a longer row shows a drawn line, or dirt


class Box(NamedTuple):
    """Where a piece stands in the row, and where in the image it was taken from.

    The piece fills the columns left to right of the row. Column x of the row is the pixel
    origin + step * (x - left) of the image. The pixels from begin to end belong to the piece, which
    includes half of the space to each neighbour.
    """

    left: int
    right: int
    origin: float
    step: float
    begin: float
    end: float


class Row(NamedTuple):
    """An image as a row of digits.

    pixels : (28, W) float32 in [0, 1], 1 is ink
    boxes : from left to right, without gaps
    grey : (height, width) float32, the image, upright and perhaps reduced
    scale : how many pixels of the image, along each axis, make one of `grey`
    """

    pixels: np.ndarray
    boxes: list[Box]
    grey: np.ndarray
    scale: float

    def __repr__(self) -> str:
        (height, width), W = self.grey.shape, self.pixels.shape[1]
        return f"Row({len(self.boxes)} boxes, W={W}, from an image of {width} x {height} pixels)"

    def place(self, first: float, last: float) -> tuple[float, float]:
        """Where the columns from first to last of the row begin and end in the image [its pixels].

        The result stays within the pixels of the piece that stands there, and is at least as wide as
        one column of the row.
        """
        middle = (first + last) / 2
        box = next((box for box in self.boxes if middle < box.right), self.boxes[-1])
        first, last = (box.origin + box.step * (x - box.left) for x in (first, last))
        return min(max(first, box.begin), box.end - box.step), max(min(last, box.end), box.begin + box.step)


def load_row(path: str | os.PathLike) -> Row:
    """Make a row out of an image file that shows one row of digits.

    Parameters
    ----------
    path : PNG, JPEG or whatever else Pillow reads; dark digits on light paper or light on dark

    Returns
    -------
    Row

    Raises
    ------
    ImageError
        The file is missing, is not a whole image, is far too large, or shows no row of digits.
    """
    grey, scale = load_grey(path)
    try:
        return make_row(grey, scale)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def make_row(grey: np.ndarray, scale: float = 1.0) -> Row:
    """Make a row out of grey values (height, width) that show one row of digits.

    scale : pixels of the image file, along each axis, that make one grey value

    Raises
    ------
    ImageError
        The grey values show no row of digits.
    """
    ink = find_ink(grey)
    pieces = find_pieces(ink)
    step = float(np.median([piece.size for piece in pieces])) / DIGIT   # pixels of the image per column
    counts = [int(np.ceil(((piece.right - piece.left) / step + 2) / SIDE)) for piece in pieces]
    if sum(counts) > MOST_DIGITS:       # a row made of a hairline would fill the memory
        raise ImageError(f"expected a row of at most {MOST_DIGITS} digits, "
                         f"found one as wide as {sum(counts)}")

    # A piece includes half of the space to its neighbours, because its pale edges are ink too.
    cuts = [0, *((a.right + b.left) // 2 for a, b in zip(pieces, pieces[1:])), ink.shape[1]]
    boxes, drawn, left = [], [], 0
    for piece, count, start, end in zip(pieces, counts, cuts, cuts[1:]):
        width = SIDE * count
        reach = int(np.ceil(2 * step))
        first, last = max(start, piece.left - reach), min(end, piece.right + reach)
        origin, pixels = _draw(ink[:, first:last], width, step)
        boxes.append(Box(left, left + width, scale * (first + origin), scale * step,
                         scale * start, scale * end))
        drawn.append(pixels)
        left += width
    return Row(np.concatenate(drawn, axis=1), boxes, grey, scale)


def _draw(ink: np.ndarray, width: int, step: float) -> tuple[float, np.ndarray]:
    """Draw ink (height, width) into a box, centred by mass.

    Returns
    -------
    left : where the box begins, in columns of the ink
    pixels : (28, width) float32 array in [0, 1]
    """
    mass = ink * (ink > PAPER)
    y, x = (float(mass.sum(axis=1 - k) @ (np.arange(ink.shape[k]) + 0.5) / mass.sum()) for k in (0, 1))
    top, left = y - CENTRE * step, x - (width / 2 + CENTRE - SIDE / 2) * step
    # Paper is added on all sides, so that the box lies within it.
    frame = int(np.ceil(max(-top, -left, top + SIDE * step - ink.shape[0],
                            left + width * step - ink.shape[1], 0)))
    framed = Image.fromarray(np.pad(ink, frame))
    right = min(left + width * step + frame, framed.width)      # it lies within, except for rounding
    bottom = min(top + SIDE * step + frame, framed.height)
    pixels = np.asarray(framed.resize((width, SIDE), Image.Resampling.BICUBIC,
                                      box=(left + frame, top + frame, right, bottom)))
    pixels = np.clip(pixels, 0, 1)
    return left, np.where(pixels < PAPER, np.float32(0), pixels)
