"""Pieces: the ink of a row cut where whole columns are empty, each a digit or digits that touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ImageError

LEVEL = 0.3         # what is darker, from paper 0 to ink 1, belongs to a digit
NEAR = 0.12         # of a digit's height: so near to its neighbour a piece may be a part of that digit
PART = 0.7          # of a digit's height: what is larger is a digit of its own
SPECK = 0.4         # of a digit's height: what is smaller, and not near, is dirt


class Piece(NamedTuple):
    """Ink between empty columns: its extent in pixels, right and bottom excluded."""

    left: int
    right: int
    top: int
    bottom: int

    @property
    def size(self) -> int:
        """The side that MNIST would scale to 20: the larger one, but of digits that touch the height."""
        width, height = self.right - self.left, self.bottom - self.top
        return height if width > 1.3 * height else max(width, height)


def find_pieces(ink: np.ndarray) -> list[Piece]:
    """The ink (height, width) cut at empty columns, from left to right, without specks of dirt."""
    dark = ink > LEVEL
    pieces = [_extent(dark, *run) for run in _runs(dark.any(axis=0))]
    if not pieces:
        raise ImageError("expected a row of digits, found no ink")
    tallest = max(piece.size for piece in pieces)
    joined = pieces[:1]
    for piece in pieces[1:]:
        near = piece.left - joined[-1].right <= NEAR * tallest
        if near and min(piece.size, joined[-1].size) < PART * tallest:
            joined[-1] = _extent(dark, joined[-1].left, piece.right)
        else:
            joined.append(piece)
    return [piece for piece in joined if piece.size >= SPECK * tallest]


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """(first, end) of each run of true ones."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _extent(dark: np.ndarray, left: int, right: int) -> Piece:
    lines = np.flatnonzero(dark[:, left:right].any(axis=1))
    return Piece(left, right, int(lines[0]), int(lines[-1]) + 1)
