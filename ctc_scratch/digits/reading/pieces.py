"""Cut the ink of a row into pieces at its empty columns: each piece is a digit, or digits that touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ImageError

LEVEL = 0.3     # ink above this level belongs to a digit; paper is 0 and full ink 1

# In units of the largest piece:
NEAR = 0.12     # a piece this close to its neighbour may be a part of the same digit
PART = 0.7      # unless both are larger than this
SPECK = 0.4     # a piece that is still smaller than this, after such parts are joined, is dirt


class Piece(NamedTuple):
    """The extent in pixels of the ink between two empty columns; right and bottom are excluded."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def size(self) -> int:
        """The side that MNIST scales to 20 pixels: the larger one, or the height where digits touch."""
        width, height = self.right - self.left, self.bottom - self.top
        return height if width > 1.3 * height else max(width, height)


def find_pieces(ink: np.ndarray) -> list[Piece]:
    """Cut ink (height, width) at its empty columns, from left to right, and leave out specks of dirt.

    Raises
    ------
    ImageError
        There is no ink.
    """
    inked = np.asarray(ink > LEVEL)
    pieces = [_extent(inked, *run) for run in _runs(np.asarray(inked.any(axis=0)))]
    if not pieces:
        raise ImageError("expected a row of digits, found no ink")
    tallest = max(piece.size for piece in pieces)
    joined = pieces[:1]
    for piece in pieces[1:]:
        near = piece.left - joined[-1].right <= NEAR * tallest
        if near and min(piece.size, joined[-1].size) < PART * tallest:
            joined[-1] = _extent(inked, joined[-1].left, piece.right)
        else:
            joined.append(piece)
    return [piece for piece in joined if piece.size >= SPECK * tallest]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """The first index and the end of each run of true values."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _extent(inked: np.ndarray, left: int, right: int) -> Piece:
    """The piece in the columns from left to right."""
    lines = np.flatnonzero(inked[:, left:right].any(axis=1))
    return Piece(left, right, int(lines[0]), int(lines[-1]) + 1)
