"""Rows whose digits are spaced by their ink: the gap between neighbours is counted from ink to ink.

In rows of boxes (`rows.py`) there are mostly 6 to 12 columns of paper between two digits, because MNIST
leaves a margin in each box. In handwriting neighbours may touch or overlap. Here each
digit is put where its ink begins `gap` columns after the ink of the one before it: at 0 the edges of the
ink meet, and at -2 two columns hold ink of both.

Shapes: K digits in all, in N rows of W pixels.

    tiles       (K, 28, 28) float32 in [0, 1], one digit each
    lefts       (K,)        the first column of each tile in its row
    canvas      (N, 28, W)  float32 in [0, 1], zeros where no digit stands
"""

from __future__ import annotations

import numpy as np

from ...compiled.cache import cached_njit
from .mnist_files import SIDE
from .rows import RowBatch

INKED = 0.3
"""Ink above this marks the edges of a digit; 1 is full ink. A fainter rim is hardly visible."""

ONWARD, ONWARD_REPEATED = 4, 8
"""A digit begins at least this many columns after the one before it, and after one that is the same digit:
one frame of 4 columns, and another for the blank between the two. Closer digits may have no path."""

compiled = cached_njit(nogil=True)


def touching_rows(images: np.ndarray, labels: np.ndarray, n: int, gap: int) -> RowBatch:
    """Join every `n` consecutive images into a row spaced by ink; images left over at the end are dropped.

    Parameters
    ----------
    images : (count, 28, 28) uint8 array
    labels : (count,) integer array
    n : digits per row
    gap : columns of paper from the ink of a digit to that of the next; at 0 they meet, below 0 they overlap

    Returns
    -------
    RowBatch
    """
    N = len(labels) // n
    tiles, labels = images[:N * n] / np.float32(255), labels[:N * n].astype(np.int64)
    lefts, widths = place(ink_edges(tiles), labels, np.full(N, n), np.full(N * n, gap))
    canvas = np.zeros((N, SIDE, int(widths.max(initial=0))), np.float32)
    join(tiles, np.repeat(np.arange(N), n), lefts, canvas)
    return RowBatch(canvas, widths, np.split(labels, N))


def ink_edges(tiles: np.ndarray) -> np.ndarray:
    """The first column of each tile's ink and the one after its last, (2, K); 0 and 28 if it has no ink.

    >>> tile = np.zeros((1, 28, 28), np.float32)
    >>> tile[0, 9:20, 12:15] = 1
    >>> ink_edges(tile).tolist()
    [[12], [15]]
    """
    inked = np.asarray((tiles > INKED).any(axis=1))
    inked[~inked.any(axis=1)] = True
    return np.stack([inked.argmax(axis=1), SIDE - inked[:, ::-1].argmax(axis=1)])


def place(edges: np.ndarray, labels: np.ndarray, counts: np.ndarray, gaps: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
    """Where each tile begins in its row, and how wide the rows are, if they are spaced by ink.

    Parameters
    ----------
    edges : (2, K), as `ink_edges` returns them
    labels : (K,) the digits
    counts : (N,) digits per row
    gaps : (K,) columns between the ink of each digit and of the one before it; unused for the first of a row

    Returns
    -------
    lefts : (K,) int64 array, 0 for the leftmost tile of a row
    widths : (N,) int64 array, to the end of the rightmost tile
    """
    lefts, widths = np.zeros(len(labels), np.int64), np.zeros(len(counts), np.int64)
    _place(edges, labels, counts, gaps, lefts, widths)
    return lefts, widths


@compiled
def _place(edges, labels, counts, gaps, lefts, widths):
    k = 0
    for n in range(len(counts)):
        first = k
        for k in range(first + 1, first + counts[n]):
            before = lefts[k - 1]
            onward = ONWARD_REPEATED if labels[k] == labels[k - 1] else ONWARD
            ink = max(before + edges[1, k - 1] + gaps[k], before + edges[0, k - 1] + onward)
            lefts[k] = ink - edges[0, k]
        k = first + counts[n]
        leftmost = lefts[first:k].min()
        for j in range(first, k):
            lefts[j] -= leftmost
        widths[n] = lefts[first:k].max() + SIDE


@compiled
def join(tiles, rows, lefts, canvas):
    """Put each tile into its row (rows: (K,) integers); where two overlap, the darker ink stays."""
    for k in range(len(tiles)):
        for y in range(tiles.shape[1]):
            for x in range(tiles.shape[2]):
                if tiles[k, y, x] > canvas[rows[k], y, lefts[k] + x]:
                    canvas[rows[k], y, lefts[k] + x] = tiles[k, y, x]


@compiled
def blur(canvas, deviations):
    """Blur each row in place by a Gaussian; deviations: (N,) its standard deviations [pixels], 0 for no blur.

    Outside the canvas is paper. The Gaussian is cut off at 3 standard deviations.
    """
    N, height, width = canvas.shape
    line = np.empty(max(height, width), np.float32)
    for n in range(N):
        if deviations[n] == 0:
            continue
        reach = int(np.ceil(3 * deviations[n]))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviations[n]) ** 2)
        weights = (weights / weights.sum()).astype(np.float32)
        for y in range(height):
            _blur_line(canvas[n, y], weights, reach, line)
        for x in range(width):
            _blur_line(canvas[n, :, x], weights, reach, line)


@compiled
def _blur_line(values, weights, reach, line):
    size = len(values)
    for i in range(size):
        total = np.float32(0)
        for j in range(max(0, i - reach), min(size, i + reach + 1)):
            total += weights[j - i + reach] * values[j]
        line[i] = total
    for i in range(size):
        values[i] = line[i]
