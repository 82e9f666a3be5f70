"""Turn a line of writing into a row like those that the network was trained on.

MNIST scales the ink of a digit to fit 20 x 20 pixels and puts its centre of mass in the middle of
28 x 28 pixels. A row is such boxes side by side (`rows.assemble_rows`). Here each piece of a line is turned
so that the line is level, scaled to the height of a digit, and centred by mass in a box of its own. A piece
that may be several digits gets a wider box, and its ink the same margin on both sides.

The row no longer shows how large the digits were and how far apart. Digits that touch stay in one box, and
the network has to tell them apart.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from ..data.mnist_files import SIDE
from ..errors import ImageError
from .pieces import Piece
from .rules import LEVEL

DIGIT = 20              # [pixels] the larger side of a digit in MNIST
CENTRE = 14.5           # [pixels] from the upper left corner of a box to the centre of mass, both ways
PAPER = 0.08            # ink below this is set to 0: in MNIST paper is exactly 0, in a JPEG file it is not
MOST_DIGITS = 1000      # a row that seems to be longer is a drawn line, or dirt
LEAST_SLOPE = 0.03      # a line that rises or falls less than this per pixel is taken for level
SMALLEST, LARGEST = 0.5, 1.8    # a piece is scaled as if its size were within these multiples of the median
MARGIN = 6              # columns of paper on each side of digits that touch, as in rows spaced by ink
RIM = 0.06              # width of the pale rim that belongs to a piece's ink, in heights of a digit


class Box(NamedTuple):
    """Where a piece stands in the row, and where in the image it was taken from.

    The piece fills the columns of the row from `left` to `right`. Column x of the row shows the image at
    pixel origin + step * (x - left). In the image the piece extends from pixel `begin` to pixel `end`,
    including half of the space to each neighbour.
    """

    left: int
    right: int
    origin: float
    step: float
    begin: float
    end: float


class Row(NamedTuple):
    """A line of an image as a row of digits.

    pixels : (28, W) float32 in [0, 1], 1 is ink
    boxes : from left to right, without gaps
    grey : (height, width) float32, the image, upright and perhaps reduced
    scale : how many pixels of the image file, along each axis, make one pixel of `grey`
    top, bottom : where the line begins and ends vertically in the image file [pixels]
    slope : by how many pixels the line falls per pixel to the right
    noise : the standard deviation of paper, in units of full ink
    left_out : how many marks of the image were not taken for writing
    """

    pixels: np.ndarray
    boxes: list[Box]
    grey: np.ndarray
    scale: float
    top: float = 0.0
    bottom: float = 0.0
    slope: float = 0.0
    noise: float = 0.0
    left_out: int = 0

    def __repr__(self) -> str:
        (height, width), W = self.grey.shape, self.pixels.shape[1]
        return f"Row({len(self.boxes)} boxes, W={W}, from an image of {width} x {height} pixels)"

    def place(self, first: float, last: float) -> tuple[float, float]:
        """Where the columns of the row from `first` to `last` begin and end in the image file [pixels].

        The result stays within the pixels of the piece that stands there, and is at least as wide as
        one column of the row.
        """
        middle = (first + last) / 2
        box = next((box for box in self.boxes if middle < box.right), self.boxes[-1])
        first, last = (box.origin + box.step * (x - box.left) for x in (first, last))
        return min(max(first, box.begin), box.end - box.step), max(min(last, box.end), box.begin + box.step)


def make_row(amount: np.ndarray, labels: np.ndarray, line: Sequence[Piece], grey: np.ndarray,
             scale: float = 1.0) -> Row:
    """Make a row out of a line of writing.

    Parameters
    ----------
    amount : (height, width) ink from 0 to 1
    labels : (height, width) integers, the number of the part that each pixel of ink belongs to
    line : the pieces of the line, from left to right
    grey : (height, width) grey values of the image
    scale : pixels of the image file, along each axis, that make one grey value

    Raises
    ------
    ImageError
        The line is far too long.
    """
    slope = _slope(labels, line)
    typical = float(np.median([piece.size for piece in line]))
    # A piece includes half of the space to its neighbours.
    cuts = [0, *((a.right + b.left) // 2 for a, b in zip(line, line[1:])), grey.shape[1]]
    boxes: list[Box] = []
    drawn, left = [], 0
    for piece, start, end in zip(line, cuts, cuts[1:]):
        first, ink = _cut_out(amount, labels, piece, typical, slope)
        size, width = _size(ink > LEVEL, typical)
        step = float(np.clip(size, SMALLEST * typical, LARGEST * typical)) / DIGIT   # pixels per column
        # A piece at least as wide as high may be two digits that touch.
        columns = int(np.ceil(width / step))
        columns = SIDE if width < size and columns <= SIDE - 2 else columns + 2 * MARGIN
        if left + columns > MOST_DIGITS * SIDE:     # a row made of a hairline would fill the memory
            raise ImageError(f"expected a row of at most {MOST_DIGITS} digits, found a longer one")
        origin, pixels = _draw(ink, columns, step)
        boxes.append(Box(left, left + columns, scale * (first + origin), scale * step,
                         scale * start, scale * end))
        drawn.append(pixels)
        left += columns
    return Row(np.concatenate(drawn, axis=1), boxes, grey, scale, scale * min(piece.top for piece in line),
               scale * max(piece.bottom for piece in line), slope)


def _slope(labels: np.ndarray, line: Sequence[Piece]) -> float:
    """How many pixels a line falls per pixel to the right, from a straight line fitted to its ink."""
    left, right = line[0].left, max(piece.right for piece in line)
    top, bottom = min(piece.top for piece in line), max(piece.bottom for piece in line)
    digit = np.median([piece.bottom - piece.top for piece in line])
    if right - left < 2.5 * digit:      # one or two digits are too few to measure a slope
        return 0.0
    ours = np.isin(labels[top:bottom, left:right], [part for piece in line for part in piece.parts])
    y, x = np.nonzero(ours)
    slope = float(np.polyfit(x, y, 1)[0])
    return slope if abs(slope) > LEAST_SLOPE else 0.0


def _size(inked: np.ndarray, typical: float) -> tuple[float, int]:
    """The size of a digit in a piece of ink, and the width of the piece [pixels].

    MNIST scales the larger side of a digit. A piece that is as high as the others and wider than high holds
    digits that touch. Not all of them stand at the same height, so the height of a digit is the median over
    as many equal parts of the piece as there may be digits in it.
    """
    columns, lines = np.flatnonzero(inked.any(axis=0)), np.flatnonzero(inked.any(axis=1))
    width, height = int(np.ptp(columns)) + 1, int(np.ptp(lines)) + 1
    if width <= 1.25 * height or (height < 0.85 * typical and width <= 1.25 * typical):
        return max(width, height), width
    count = max(1, round(width / (0.75 * height)))
    parts = np.array_split(inked[:, columns[0]:columns[-1] + 1], count, axis=1)
    heights = [np.ptp(np.flatnonzero(part.any(axis=1))) + 1 for part in parts if part.any()]
    return float(np.median(heights)), width


def _cut_out(amount: np.ndarray, labels: np.ndarray, piece: Piece, typical: float, slope: float
             ) -> tuple[int, np.ndarray]:
    """The ink of one piece, turned level, with paper around it; and its first column in the image."""
    rim = max(1, round(RIM * typical))
    margin = rim + 1
    top, bottom = max(piece.top - margin, 0), min(piece.bottom + margin, len(amount))
    left, right = max(piece.left - margin, 0), min(piece.right + margin, amount.shape[1])
    near = labels[top:bottom, left:right]
    ours = np.isin(near, piece.parts)
    others = (near > 0) & ~ours
    rims = ndimage.binary_dilation(ours, np.ones((3, 3)), rim) & ~others
    ink = np.where(ours | rims, amount[top:bottom, left:right], np.float32(0))
    if slope:
        width = ink.shape[1]
        ink = np.clip(ndimage.rotate(ink, np.degrees(np.arctan(slope)), order=1), 0, 1)
        left -= (ink.shape[1] - width) // 2
    return left, ink


def _draw(ink: np.ndarray, width: int, step: float) -> tuple[float, np.ndarray]:
    """Draw ink (height, width) into a box: centred by mass, or sideways by extent if it is a wide box.

    Returns
    -------
    left : where the box begins, in columns of the ink
    pixels : (28, width) float32 array in [0, 1]
    """
    mass = ink * (ink > PAPER)
    y, x = (float(mass.sum(axis=1 - k) @ (np.arange(ink.shape[k]) + 0.5) / mass.sum()) for k in (0, 1))
    top, left = y - CENTRE * step, x - (width / 2 + CENTRE - SIDE / 2) * step
    if width > SIDE:        # digits that touch: as much paper to the left as to the right
        columns = np.flatnonzero((ink > LEVEL).any(axis=0))
        left = (columns[0] + columns[-1] + 1) / 2 - width / 2 * step
    # Paper is added on all sides, so that the box lies within it.
    frame = int(np.ceil(max(-top, -left, top + SIDE * step - ink.shape[0],
                            left + width * step - ink.shape[1], 0)))
    framed = Image.fromarray(np.pad(ink, frame))
    right = min(left + width * step + frame, framed.width)      # rounding may put the end just outside
    bottom = min(top + SIDE * step + frame, framed.height)
    pixels = np.asarray(framed.resize((width, SIDE), Image.Resampling.BICUBIC,
                                      box=(left + frame, top + frame, right, bottom)))
    pixels = np.clip(pixels, 0, 1)
    return left, np.where(pixels < PAPER, np.float32(0), pixels)
