"""Cut ink into pieces, each a digit or several that touch, and sort the pieces into lines.

A piece is made of connected parts of the ink. A digit may have several: the bar of a 5, a stroke that the
pen or the scanner broke. A part joins its neighbour if it is small and stands above, below or close to it.
A part far smaller than the digits is dirt, and one far larger is not writing; both are left out, and counted
by kind.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .rules import LEVEL

# In units of a digit's height:
SPECK = 0.25        # a part smaller than this is dirt, unless it belongs to a digit
HUGE = 2.5          # a part higher than this is not a digit
CUT = 1.5           # nor is one that is higher than this and reaches the border of the image
NEAR = 0.12         # a part smaller than 0.5 and this close to its neighbour belongs to the same digit
PART = 0.7          # a part above or below a digit belongs to it only if it is smaller than this
REACH = 8.0         # two digits farther apart than this are not neighbours in a line
DRIFT = 0.7         # from one digit to the next, a line rises or falls by less than this
ABOVE = 0.25        # such a part is in the line of the digit if less paper than this is between them

FAINT = 0.6         # [ink] a part in which no ink is darker than this is a smudge, or the edge of a shadow
COVERED = 0.6       # one part stands above another if this share of the narrower one's columns is common


class Piece(NamedTuple):
    """Ink that belongs together: its extent in pixels, right and bottom excluded, and its parts."""

    left: int
    right: int
    top: int
    bottom: int
    area: int
    parts: tuple[int, ...]      # their numbers in `Lines.labels`

    @property
    def size(self) -> int:
        """The side that becomes 20 pixels as in MNIST: the larger one, or the height of digits that touch."""
        width, height = self.right - self.left, self.bottom - self.top
        return height if width > 1.3 * height else max(width, height)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of its extent (x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Lines(NamedTuple):
    """The pieces of an image, line by line from top to bottom, each from left to right.

    labels : (height, width) integers, the number of the part that each pixel of ink belongs to
    lines : the pieces of each line
    left_out : how many marks of each kind were not taken for writing
    """

    labels: np.ndarray
    lines: list[list[Piece]]
    left_out: Counter[str]


def find_lines(amount: np.ndarray, digit: float) -> Lines:
    """Sort the ink of an image into lines of pieces.

    Parameters
    ----------
    amount : (height, width), ink from 0 to 1
    digit : the height of most digits [pixels]
    """
    labels, count = ndimage.label(amount > LEVEL, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    darkest = ndimage.maximum(amount, labels, np.arange(count + 1))
    parts = [Piece(x.start, x.stop, y.start, y.stop, int(areas[k]), (k,))
             for k, (y, x) in enumerate(ndimage.find_objects(labels), 1)]
    left_out: Counter[str] = Counter()
    writing, small = [], []
    for part in parts:
        height, width = part.bottom - part.top, part.right - part.left
        if height > (CUT if _at_border(part, amount.shape) else HUGE) * digit:
            left_out["large shape"] += 1
        elif height < SPECK * digit and width > 3 * digit:
            left_out["line"] += 1
        elif max(height, width) < SPECK * digit:
            small.append(part)
        elif darkest[part.parts[0]] < FAINT:
            left_out["faint mark"] += 1
        else:
            writing.append(part)
    lines = [_join(line, digit) for line in _group(writing, digit)]
    for line in lines:
        for part in [part for part in small if _belongs(part, line, digit)]:
            small.remove(part)
    left_out["speck"] += len(small)
    kept = []
    for line in lines:
        typical = float(np.median([piece.size for piece in line]))
        pieces = [piece for piece in line if piece.size >= SPECK * typical]
        if max(piece.bottom - piece.top for piece in pieces) < 0.4 * digit:
            left_out["small mark"] += len(pieces)
        else:
            kept.append(pieces)
    return Lines(labels, kept, +left_out)


def _at_border(part: Piece, shape: tuple[int, ...]) -> bool:
    return part.left == 0 or part.top == 0 or part.bottom == shape[0] or part.right == shape[1]


def _belongs(part: Piece, line: list[Piece], digit: float) -> bool:
    """Add a small part to a piece of the line that it nearly touches, in place; False if there is none."""
    for k, piece in enumerate(line):
        across = max(piece.left - part.right, part.left - piece.right)
        down = max(piece.top - part.bottom, part.top - piece.bottom)
        if max(across, down) <= 0.5 * NEAR * digit and part.area >= 0.01 * piece.area:
            line[k] = _joined(piece, part)
            return True
    return False


def _group(parts: list[Piece], digit: float) -> list[list[Piece]]:
    """Group parts that stand side by side into lines, from top to bottom, each from left to right."""
    parts = sorted(parts)
    line_of = list(range(len(parts)))

    def root(k):
        while line_of[k] != k:
            k = line_of[k]
        return k

    for j, right in enumerate(parts):
        for k in range(j):
            left = parts[k]
            apart = right.left - left.right
            shared = min(left.bottom, right.bottom) - max(left.top, right.top)
            least = min(left.bottom - left.top, right.bottom - right.top)
            drift = abs(left.middle[1] - right.middle[1])
            level = shared > 0.5 * least or drift < DRIFT * digit
            # A bar above its digit: small, close, and in its columns.
            bar = least < PART * digit and -shared < ABOVE * digit and -apart >= COVERED * min(
                left.right - left.left, right.right - right.left)
            if apart < REACH * digit and (level or bar):
                line_of[root(j)] = root(k)
    groups: dict[int, list[Piece]] = {}
    for k, part in enumerate(parts):
        groups.setdefault(root(k), []).append(part)
    return sorted(groups.values(), key=lambda line: float(np.mean([part.middle[1] for part in line])))


def _join(parts: list[Piece], digit: float) -> list[Piece]:
    """Join the parts of a line that belong to the same digit."""
    typical = float(np.median([part.size for part in parts if part.size >= 0.5 * digit] or [int(digit)]))
    pieces: list[Piece] = []
    for part in sorted(parts):
        for k in range(len(pieces) - 1, -1, -1):
            if _same_digit(pieces[k], part, typical):
                pieces[k] = _joined(pieces[k], part)
                break
        else:
            pieces.append(part)
    return sorted(pieces)


def _same_digit(one: Piece, other: Piece, typical: float) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    narrow = min(one.right - one.left, other.right - other.left)
    smaller = min(one.size, other.size)
    if shared >= COVERED * narrow and smaller < PART * typical:
        return True
    down = max(one.top, other.top) - min(one.bottom, other.bottom)
    return -shared <= NEAR * typical and down <= NEAR * typical and smaller < 0.5 * typical


def _joined(one: Piece, other: Piece) -> Piece:
    return Piece(min(one.left, other.left), max(one.right, other.right), min(one.top, other.top),
                 max(one.bottom, other.bottom), one.area + other.area, one.parts + other.parts)
