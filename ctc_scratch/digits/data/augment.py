"""Augmentation: each digit of a row is warped at random; gaps, margins and sharpness of rows vary.

A digit is drawn by a map from the pixels of its box, 28 x 28, back into its image:

    source = M (pixel - centre - shift) + centre + wave(pixel)

M undoes a rotation, a shear and a scaling of each axis. The wave is the elastic distortion of Simard,
Steinkraus and Platt (2003): white noise smoothed by a Gaussian. The Gaussian leaves little but a few
low frequencies, so the wave is drawn as a sum of low cosines. This mirrors the noise at the edges of the
box; the mean of the wave is left out. Between pixels the image is interpolated linearly, and outside
the image there is empty paper. A `plain` digit has the identity as its map, and no wave.

The digits of a row stand in boxes side by side, or, in `close` rows, as near to each other as their ink
allows (`touching.py`). Where two boxes overlap, the darker ink stays.

Shapes: K digits in all, in N rows of W pixels.

    images      (K, 28, 28) uint8
    maps        (K, 6)      source y = m0 + m1 y + m2 x, source x = m3 + m4 y + m5 x
    waves       (K, 2, 6, 6)  pixels; for y and for x the weights of cos_a(y) cos_b(x), where
                            cos_a(y) = cos(pi a (y + 1/2) / 28)
    tiles       (K, 28, 28) float32 in [0, 1], the warped digits
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...compiled.cache import cached_njit
from .mnist_files import SIDE
from .rows import ALL, RowBatch
from .touching import blur, ink_edges, join, place

SMOOTH = 4.5
"""Standard deviation of the Gaussian that smooths the noise of a wave [pixels]."""

A = 6
"""Cosines per axis; the Gaussian would leave only a hundredth of the next one."""

COSINES = np.cos(np.pi * np.outer(np.arange(A), np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
"""(A, 28): row a is cos_a at each pixel; row 0 is constant."""

CLOSEST, WIDEST = -8, 20
"""The least and the largest gap from ink to ink in close rows [columns]."""

MEETING = (-4, 2)
"""In half of the close rows all gaps are equal, between these two: the ink of neighbours about meets."""

# nogil: other threads run while a batch is drawn. error_model: no test for division by zero.
compiled = cached_njit(nogil=True, error_model="numpy")


class Augmentation(NamedTuple):
    """Random changes to digits: the largest change of each kind, where 0 switches a kind off.

    From `rotate` to `jitter`, an amount is drawn for each digit, uniformly between minus and plus the field;
    `wave` is normally distributed at each pixel. Every map, however small, interpolates between pixels
    and so blurs the ink. Only `plain` digits keep edges as sharp as those of MNIST.
    """

    rotate: float = 0.0     # degrees
    scale: float = 0.0      # of height and width separately: 0.1 is 10 % larger or smaller
    shear: float = 0.0      # pixels sideways per pixel of height: slant
    shift: float = 0.0      # pixels sideways
    jitter: float = 0.0     # pixels up or down
    wave: float = 0.0       # pixels, root mean square over the box, for y and x each; 0.77 of it in the ink
    plain: float = 0.0      # the share of digits, chosen at random, that stay as they are
    gap: int = 0            # the most empty columns between two digits
    overlap: int = 0        # the most columns that two digits share
    close: float = 0.0      # the share of rows spaced by ink: gaps count from ink to ink, not from box to box
    margin: int = 0         # the most columns of paper added at each end of a row; for half of the ends
    blur: float = 0.0       # pixels, largest standard deviation of the Gaussian; for a quarter of the rows

    def __call__(self, images: np.ndarray, labels: np.ndarray, counts: np.ndarray,
                 rng: np.random.Generator, only: slice = ALL) -> RowBatch:
        """Put digits side by side like `rows.assemble_rows`, with random changes.

        Parameters
        ----------
        images : (K, 28, 28) uint8 array
        labels : (K,) integer array
        counts : (N,) integer array, digits per row; their sum is K
        rng : the only source of randomness. Kinds that are switched off draw numbers all the same,
            so switching one off leaves the others as they were; only `close`, `margin` and `blur` draw
            nothing then.
        only : the rows whose digits are drawn; the others stay empty, and their widths may be wrong

        Returns
        -------
        RowBatch
            with 28 columns per digit, plus gaps and margins, minus overlaps, except in close rows
        """
        K, N = len(images), len(counts)
        chance = rng.uniform(-1, 1, (K, 6))
        waves = (self.wave * spectrum() * rng.standard_normal((K, 2, A, A))).astype(np.float32)
        gaps = np.floor(rng.random(K) * (self.gap + self.overlap + 1)).astype(np.int64) - self.overlap
        plain = rng.random(K) < self.plain
        chance[plain], waves[plain] = 0, 0

        tiles = np.zeros((K, SIDE, SIDE), np.float32)
        first, last = np.append(0, np.cumsum(counts))[[*only.indices(N)[:2]]]
        drawn = slice(first, last)
        draw(images[drawn], affine_maps(self, chance[drawn]), waves[drawn], tiles[drawn])
        rows = np.repeat(np.arange(N), counts)
        lefts, widths = place_boxes(counts, gaps)
        if self.close:
            together = rng.random(N) < 0.5
            near = np.where(together[rows], rng.integers(*MEETING, N, endpoint=True)[rows],
                            rng.integers(CLOSEST, WIDEST, K, endpoint=True))
            close = rng.random(N) < self.close
            placed = place(ink_edges(tiles), labels, counts, near)
            lefts, widths = np.where(close[rows], placed[0], lefts), np.where(close, placed[1], widths)
        if self.margin:
            before, after = np.maximum(rng.integers(-self.margin, self.margin, (2, N), endpoint=True), 0)
            lefts, widths = lefts + before[rows], widths + before + after

        canvas = np.zeros((N, SIDE, int(widths.max())), np.float32)
        join(tiles[drawn], rows[drawn], lefts[drawn], canvas)
        if self.blur:
            blur(canvas, self.blur * np.maximum(rng.uniform(-3, 1, N), 0))
        return RowBatch(canvas, widths, np.split(labels.astype(np.int64), np.cumsum(counts)[:-1]))


def place_boxes(counts: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where boxes of 28 columns begin in their rows, (K,), and how wide the rows are, (N,).

    gaps : (K,) empty columns before each box, or shared ones if negative; ignored for the first of a row
    """
    first = np.cumsum(counts) - counts          # the first digit of each row
    gaps = gaps.copy()
    gaps[first] = 0
    steps = SIDE + gaps
    lefts = np.cumsum(steps) - steps + gaps     # as if all digits stood in one row
    return lefts - np.repeat(lefts[first], counts), np.add.reduceat(steps, first)


def affine_maps(amounts: Augmentation, chance: np.ndarray) -> np.ndarray:
    """The float32 maps (K, 6) from the pixels of boxes to those of images.

    Parameters
    ----------
    chance : (K, 6) array in [-1, 1]: rotation, height, width, shear, shift, jitter, each as a share
        of what `amounts` allows. Positive values turn clockwise, enlarge, lean the top to the right,
        move to the right, and move down.
    """
    angle = np.radians(amounts.rotate) * chance[:, 0]
    height, width = 1 + amounts.scale * chance[:, 1], 1 + amounts.scale * chance[:, 2]
    shear = amounts.shear * chance[:, 3]
    right, down = amounts.shift * chance[:, 4], amounts.jitter * chance[:, 5]

    # A digit is scaled, sheared, then turned: (y, x) -> A (y, x). A map leads back, so A is inverted.
    cos, sin = np.cos(angle), np.sin(angle)
    yy, yx = cos * height - sin * shear * height, sin * width
    xy, xx = -sin * height - cos * shear * height, cos * width
    det = yy * xx - yx * xy
    my, mx = np.array([xx, -yx]) / det, np.array([-xy, yy]) / det       # M, row by row
    centre = (SIDE - 1) / 2
    away_y, away_x = centre + down, centre + right
    return np.stack([centre - my[0] * away_y - my[1] * away_x, my[0], my[1],
                     centre - mx[0] * away_y - mx[1] * away_x, mx[0], mx[1]], axis=1).astype(np.float32)


def spectrum() -> np.ndarray:
    """The standard deviations (A, A) of a wave's weights; the expected mean square over the box is 1.

    Mirrored noise adds up at the edges: the root mean square is 1.65 in the corners of the box, 0.71 in
    its middle, and 0.77 where MNIST has its ink.

    The Gaussian leaves exp(-(pi SMOOTH a / 28)^2 / 2) of cos_a. The constant is left out, because it
    only shifts the digit, which `shift` and `jitter` do already.
    """
    kept = np.exp(-(np.pi * SMOOTH * np.arange(A) / SIDE) ** 2 / 2)
    kept[1:] *= np.sqrt(2)              # the mean square of a cosine is 1/2, of a constant 1
    weights = np.outer(kept, kept)
    weights[0, 0] = 0
    mean_square = np.where(np.arange(A) > 0, 0.5, 1.0)
    return weights / np.sqrt(mean_square @ weights**2 @ mean_square)


@compiled
def draw(images, maps, waves, tiles):
    """Draw every digit into its tile (K, 28, 28), which must be zero; arrays as above.

    The four pixels around a source are weighted by their distance to it. At a distance of 0 a pixel
    counts in full and its neighbours count exactly nothing. Most of a box is paper, so sources that the
    ink cannot reach are skipped. Around the image lies a frame of paper, so no other test for borders
    is needed. Indices are unsigned, so Numba does not test whether they are negative.
    """
    K, side = images.shape[0], images.shape[1]
    width = side + 2
    framed = np.zeros(width * width, np.float32)
    right, down, corner = np.uint64(1), np.uint64(width), np.uint64(width + 1)
    sy, sx = np.empty(side, np.float32), np.empty(side, np.float32)
    along_y, along_x = np.empty(A, np.float32), np.empty(A, np.float32)
    one, full, edge = np.float32(1), np.float32(255), np.float32(side + 1)
    nothing = np.float32(0)
    for k in range(K):
        m, v, h = maps[k], waves[k, 0], waves[k, 1]
        low_y = low_x = edge
        high_y = high_x = nothing
        for y in range(side):
            for x in range(side):
                value = images[k, y, x]
                framed[width * (y + 1) + x + 1] = np.float32(value) / full
                if value:       # its ink reaches less than a pixel around it
                    low_y, high_y = min(low_y, np.float32(y)), max(high_y, np.float32(y + 2))
                    low_x, high_x = min(low_x, np.float32(x)), max(high_x, np.float32(x + 2))
        for y in range(side):
            # Along a row of pixels only the terms in x change. The frame adds 1 to each source.
            for b in range(A):
                along_y[b] = along_x[b] = nothing
                for a in range(A):
                    along_y[b] += v[a, b] * COSINES[a, y]
                    along_x[b] += h[a, b] * COSINES[a, y]
            y0, x0 = one + m[0] + m[1] * np.float32(y), one + m[3] + m[4] * np.float32(y)
            for x in range(side):
                place_y, place_x = y0 + m[2] * np.float32(x), x0 + m[5] * np.float32(x)
                for b in range(A):
                    place_y += along_y[b] * COSINES[b, x]
                    place_x += along_x[b] * COSINES[b, x]
                sy[x], sx[x] = place_y, place_x

            target = tiles[k, y]
            for x in range(side):
                if not (low_y < sy[x] < high_y and low_x < sx[x] < high_x):
                    continue
                top, left = np.int32(sy[x]), np.int32(sx[x])
                below, beside = sy[x] - np.float32(top), sx[x] - np.float32(left)
                place = np.uint64(np.int32(width) * top + left)
                nw, ne = framed[place], framed[place + right]
                sw, se = framed[place + down], framed[place + corner]
                upper, lower = nw + beside * (ne - nw), sw + beside * (se - sw)
                target[x] = upper + below * (lower - upper)
