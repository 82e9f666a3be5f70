"""From an image file to a row like those the reader has learnt from.

MNIST scales the ink of a digit to fit 20 x 20 pixels and sets its centre of mass on the middle of
28 x 28; a row is such boxes side by side (`rows.assemble_rows`). What a camera or a scanner gives is
brought there in four steps:

    load    the file as grey values, upright, of bounded size                        load_grey
    ink     paper to 0 and ink to 1, whichever of them was the lighter one           find_ink
    pieces  the ink cut where whole columns are empty: a digit, or digits that touch find_pieces
    row     all pieces at one scale, each centred by mass in a box of its own        make_row

Spaces between digits do not survive that, and a crooked line becomes straight; where digits touch,
they keep the places they have to one another, and to part them is left to the reader.
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

DIGIT = 20          # pixels: the larger side of a digit in MNIST
CENTRE = 14.5       # pixels from the upper left corner of its box to its centre of mass, both ways
FLOOR = 0.08        # what is lighter is paper: MNIST's is exactly 0, that of a JPEG file is not
LONGEST = 1000      # boxes: what seems to be a longer row is a line, or dirt


class Box(NamedTuple):
    """Where a piece has gone: columns left..right of the row, and the way back into the image.

    Column x of the row is origin + step * (x - left) in the image, in pixels. The piece has the
    pixels begin..end of it, with half of the space to each neighbour.
    """

    left: int
    right: int
    origin: float
    step: float
    begin: float
    end: float


class Row(NamedTuple):
    """An image as a row of digits."""

    pixels: np.ndarray      # (28, W) float32 in [0, 1], 1 is ink
    boxes: list[Box]        # from left to right, without gaps
    grey: np.ndarray        # (height, width) float32, the image, upright; `scale` of its pixels make one
    scale: float

    def place(self, first: float, last: float) -> tuple[float, float]:
        """From where to where the columns first..last of the row stand in the image [its pixels].

        Not beyond the space to the neighbours of the piece that they show, but at least a column
        of the row wide.
        """
        middle = (first + last) / 2
        box = next((box for box in self.boxes if middle < box.right), self.boxes[-1])
        first, last = (box.origin + box.step * (x - box.left) for x in (first, last))
        return min(max(first, box.begin), box.end - box.step), max(min(last, box.end), box.begin + box.step)


def load_row(path: str | os.PathLike) -> Row:
    """Make a row of an image file with one row of digits.

    Parameters
    ----------
    path : PNG, JPEG or whatever else Pillow reads; dark digits on light paper or light on dark

    Returns
    -------
    Row

    Raises
    ------
    ImageError
        There is no such file, it is no whole image, far too large, empty, or no row of digits.
    """
    grey, scale = load_grey(path)
    try:
        return make_row(grey, scale)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def make_row(grey: np.ndarray, scale: float = 1.0) -> Row:
    """Grey values (height, width) with one row of digits as a `Row`; or ImageError."""
    ink = find_ink(grey)
    pieces = find_pieces(ink)
    step = float(np.median([piece.size for piece in pieces])) / DIGIT   # pixels here for one of the row
    counts = [int(np.ceil(((piece.right - piece.left) / step + 2) / SIDE)) for piece in pieces]
    if sum(counts) > LONGEST:       # a hairline would fill the memory
        raise ImageError(f"expected a row of at most {LONGEST} digits, found one as wide as {sum(counts)}")

    # A piece takes the half of the space to its neighbours with it: pale edges are ink, too.
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
    """Ink (height, width) in a box, centred by mass; and where the box begins, in columns of the ink."""
    mass = ink * (ink > FLOOR)
    y, x = (float(mass.sum(axis=1 - k) @ (np.arange(ink.shape[k]) + 0.5) / mass.sum()) for k in (0, 1))
    top, left = y - CENTRE * step, x - (width / 2 + CENTRE - SIDE / 2) * step
    # Paper on all sides, so that the box lies within it.
    frame = int(np.ceil(max(-top, -left, top + SIDE * step - ink.shape[0],
                            left + width * step - ink.shape[1], 0)))
    framed = Image.fromarray(np.pad(ink, frame))
    right = min(left + width * step + frame, framed.width)      # but for rounding it is within
    bottom = min(top + SIDE * step + frame, framed.height)
    pixels = np.asarray(framed.resize((width, SIDE), Image.Resampling.BICUBIC,
                                      box=(left + frame, top + frame, right, bottom)))
    pixels = np.clip(pixels, 0, 1)
    return left, np.where(pixels < FLOOR, np.float32(0), pixels)
