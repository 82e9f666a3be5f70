"""Rows that no writer wrote: each digit is warped before it takes its place, and places vary.

A digit is seen through a map from the pixels of its box, 28 x 28, back into its image:

    source = M (place - centre - shift) + centre + wave(place)

M undoes a rotation, a shear and a scale of each axis; the wave is a sum of the lowest cosines, a
smooth distortion that no affine map can do. What a map asks for between pixels is interpolated
linearly, and paper is empty outside the image. Where two boxes overlap, the darker ink stays.

Shapes: K digits in all, in N rows of W pixels.

    images      (K, 28, 28) uint8
    maps        (K, 6)      source y = m0 + m1 y + m2 x, source x = m3 + m4 y + m5 x
    waves       (K, 2, 8)   pixels; weights of the cosines for y and x, in the order of `COSINES`
    rows, lefts (K,)        the row of a digit, and the first column of its box there
    canvas      (N, 28, W)  float32 in [0, 1], zeros where no digit stands
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .data import SIDE, Batch

COSINES = ((0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2))
"""(a, b) of cos(pi a (y + 1/2) / 28) cos(pi b (x + 1/2) / 28): the lowest but the constant one."""

# nogil: drawing a batch need not keep other threads waiting.
compiled = njit(nogil=True, cache=True, error_model="numpy")


class Augmentation(NamedTuple):
    """How far chance may go; each field alone, and 0 switches it off.

    Every amount is drawn for each digit, uniformly between minus and plus the field, but for
    `wave`, whose weights are normal.
    """

    rotate: float = 0.0     # degrees
    scale: float = 0.0      # of height and width, each by itself: 0.1 is 10 % larger or smaller
    shear: float = 0.0      # pixels sideways for each pixel of height: slant
    shift: float = 0.0      # pixels sideways
    jitter: float = 0.0     # pixels up or down
    wave: float = 0.0       # pixels, standard deviation of each cosine's weight
    gap: int = 0            # most empty columns between two digits
    overlap: int = 0        # most columns that two digits share

    def __call__(self, images: np.ndarray, labels: np.ndarray, counts: np.ndarray,
                 rng: np.random.Generator) -> Batch:
        """Put digits side by side, changed by chance; `data.assemble_rows` without the changes.

        Parameters
        ----------
        images : (K, 28, 28) uint8 array
        labels : (K,) integer array
        counts : (N,) integer array, digits in each row; their sum is K
        rng : the only source of chance. It gives the same number of draws whatever is switched
            off, so that switching one change leaves the others as they were.

        Returns
        -------
        Batch
            with widths of 28 a digit, plus the gaps and minus the overlaps between them
        """
        K, N = len(images), len(counts)
        maps = affine_maps(self, rng.uniform(-1, 1, (K, 6)))
        waves = (self.wave * rng.standard_normal((K, 2, len(COSINES)))).astype(np.float32)
        gaps = np.floor(rng.random(K) * (self.gap + self.overlap + 1)).astype(np.int64) - self.overlap

        first = np.cumsum(counts) - counts          # of each row
        gaps[first] = 0
        steps = SIDE + gaps
        rows = np.repeat(np.arange(N), counts)
        lefts = np.cumsum(steps) - steps + gaps     # as if all stood in one row
        lefts -= lefts[first][rows]
        widths = np.add.reduceat(steps, first)
        canvas = np.zeros((N, SIDE, int(widths.max())), np.float32)
        draw(images, maps, waves, rows, lefts, canvas)
        return Batch(canvas, widths, np.split(labels.astype(np.int64), first[1:]))


def affine_maps(amounts: Augmentation, chance: np.ndarray) -> np.ndarray:
    """The maps (K, 6) from places to sources, float32.

    Parameters
    ----------
    chance : (K, 6) array in [-1, 1]: rotation, height, width, shear, shift, jitter, each as a part
        of what `amounts` allows; turned clockwise, larger, top to the right, right, down
    """
    angle = np.radians(amounts.rotate) * chance[:, 0]
    height, width = 1 + amounts.scale * chance[:, 1], 1 + amounts.scale * chance[:, 2]
    shear = amounts.shear * chance[:, 3]
    right, down = amounts.shift * chance[:, 4], amounts.jitter * chance[:, 5]

    # The digit is scaled, sheared, then turned: (y, x) -> A (y, x). Maps go back, so A is inverted.
    cos, sin = np.cos(angle), np.sin(angle)
    yy, yx = cos * height - sin * shear * height, sin * width
    xy, xx = -sin * height - cos * shear * height, cos * width
    det = yy * xx - yx * xy
    my, mx = np.array([xx, -yx]) / det, np.array([-xy, yy]) / det       # M, line by line
    centre = (SIDE - 1) / 2
    away_y, away_x = centre + down, centre + right
    return np.stack([centre - my[0] * away_y - my[1] * away_x, my[0], my[1],
                     centre - mx[0] * away_y - mx[1] * away_x, mx[0], mx[1]], axis=1).astype(np.float32)


# Line k is the k-th cosine, k = 0 the constant, at the 28 pixels of a side.
WAVES = np.cos(np.pi * np.outer(np.arange(3), np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
ORDER = np.array([3 * a + b for a, b in COSINES])


def draw(images, maps, waves, rows, lefts, canvas):
    """Draw every digit into its row; arrays as above."""
    grid = np.zeros((len(images), 2, 9), np.float32)
    grid[:, :, ORDER] = waves
    draw_digits(images, maps, grid.reshape(-1, 2, 3, 3), WAVES, rows, lefts, canvas)


@compiled
def draw_digits(images, maps, grid, cosines, rows, lefts, canvas):
    """canvas = max(canvas, image at map(place) + Σ_ab grid[a, b] cosine_a(y) cosine_b(x)).

    The distance to the pixel above and to the left decides how much of each neighbour is taken; at
    a distance of 0 that is all of the pixel and exactly nothing of the next. Most of a box is paper:
    sources out of the ink's reach are left out. A frame of paper around the image spares all other
    questions about borders; an unsigned index spares the question whether it counts from the end.
    """
    K, side = images.shape[0], images.shape[1]
    width = side + 2
    framed = np.zeros(width * width, np.float32)
    right, down, corner = np.uint64(1), np.uint64(width), np.uint64(width + 1)
    sy, sx = np.empty(side, np.float32), np.empty(side, np.float32)
    one, full, edge = np.float32(1), np.float32(255), np.float32(side + 1)
    nothing = one - one
    c1, c2 = cosines[1], cosines[2]
    for k in range(K):
        m, v, h = maps[k], grid[k, 0], grid[k, 1]
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
            # Along a line of pixels: a constant, a slope, two cosines. The frame adds one to all.
            cy1, cy2, fy = c1[y], c2[y], np.float32(y)
            y0, y1 = one + m[0] + m[1] * fy + v[0, 0] + v[1, 0] * cy1 + v[2, 0] * cy2, m[2]
            x0, x1 = one + m[3] + m[4] * fy + h[0, 0] + h[1, 0] * cy1 + h[2, 0] * cy2, m[5]
            yc, yd = v[0, 1] + v[1, 1] * cy1 + v[2, 1] * cy2, v[0, 2] + v[1, 2] * cy1 + v[2, 2] * cy2
            xc, xd = h[0, 1] + h[1, 1] * cy1 + h[2, 1] * cy2, h[0, 2] + h[1, 2] * cy1 + h[2, 2] * cy2
            for x in range(side):
                sy[x] = y0 + y1 * np.float32(x) + yc * c1[x] + yd * c2[x]
            for x in range(side):
                sx[x] = x0 + x1 * np.float32(x) + xc * c1[x] + xd * c2[x]

            target = canvas[rows[k], y, lefts[k]:lefts[k] + side]
            for x in range(side):
                if not (low_y < sy[x] < high_y and low_x < sx[x] < high_x):
                    continue
                top, left = np.int32(sy[x]), np.int32(sx[x])
                below, beside = sy[x] - np.float32(top), sx[x] - np.float32(left)
                place = np.uint64(np.int32(width) * top + left)
                a, b = framed[place], framed[place + right]
                c, d = framed[place + down], framed[place + corner]
                upper, lower = a + beside * (b - a), c + beside * (d - c)
                target[x] = max(target[x], upper + below * (lower - upper))
