"""Rows that no writer wrote: each digit is warped before it takes its place, and places vary.

A digit is seen through a map from the pixels of its box, 28 x 28, back into its image:

    source = M (place - centre - shift) + centre + wave(place)

M undoes a rotation, a shear and a scale of each axis; the wave is the elastic distortion of Simard,
Steinkraus and Platt (2003), white noise smoothed by a Gaussian, written as what is left of it: a sum
of a few low cosines. Cosines mean that the noise is mirrored at the edges of the box, and they leave
out its mean. What a map asks for between pixels is interpolated linearly, and paper is empty outside
the image. A `plain` digit has the map that changes nothing, and no wave. Where two boxes overlap, the
darker ink stays.

Shapes: K digits in all, in N rows of W pixels.

    images      (K, 28, 28) uint8
    maps        (K, 6)      source y = m0 + m1 y + m2 x, source x = m3 + m4 y + m5 x
    waves       (K, 2, 6, 6)  pixels; for y and for x the weights of cos_a(y) cos_b(x), where
                            cos_a(y) = cos(pi a (y + 1/2) / 28)
    rows, lefts (K,)        the row of a digit, and the first column of its box there
    canvas      (N, 28, W)  float32 in [0, 1], zeros where no digit stands
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...compiled.cache import cached_njit
from .mnist_files import SIDE
from .rows import RowBatch

SMOOTH = 4.5
"""Standard deviation of the Gaussian that smooths the noise of a wave [pixels]."""

A = 6
"""Cosines an axis: of the next one the Gaussian would leave a hundredth."""

COSINES = np.cos(np.pi * np.outer(np.arange(A), np.arange(SIDE) + 0.5) / SIDE).astype(np.float32)
"""(A, 28) Line a is cos_a, the 0-th constant."""

# nogil: drawing a batch need not keep other threads waiting. error_model: no test for division by zero.
compiled = cached_njit(nogil=True, error_model="numpy")


class Augmentation(NamedTuple):
    """How far chance may go; each field alone, and 0 switches it off.

    Every amount is drawn for each digit, uniformly between minus and plus the field, but for
    `wave`, which is normal at each pixel. A map, be it ever so small, takes ink from between pixels
    and blurs it: who never sees a `plain` digit has never seen an edge as sharp as those of MNIST.
    """

    rotate: float = 0.0     # degrees
    scale: float = 0.0      # of height and width, each by itself: 0.1 is 10 % larger or smaller
    shear: float = 0.0      # pixels sideways for each pixel of height: slant
    shift: float = 0.0      # pixels sideways
    jitter: float = 0.0     # pixels up or down
    wave: float = 0.0       # pixels, root mean square over the box, of y and x each; 0.77 of it in the ink
    plain: float = 0.0      # the part of the digits that all of the above spares, as chance picks them
    gap: int = 0            # most empty columns between two digits
    overlap: int = 0        # most columns that two digits share

    def __call__(self, images: np.ndarray, labels: np.ndarray, counts: np.ndarray,
                 rng: np.random.Generator) -> RowBatch:
        """Put digits side by side, changed by chance; `rows.assemble_rows` without the changes.

        Parameters
        ----------
        images : (K, 28, 28) uint8 array
        labels : (K,) integer array
        counts : (N,) integer array, digits in each row; their sum is K
        rng : the only source of chance. It gives the same number of draws whatever is switched
            off, so that switching one change leaves the others as they were.

        Returns
        -------
        RowBatch
            with widths of 28 a digit, plus the gaps and minus the overlaps between them
        """
        K, N = len(images), len(counts)
        chance = rng.uniform(-1, 1, (K, 6))
        waves = (self.wave * spectrum() * rng.standard_normal((K, 2, A, A))).astype(np.float32)
        gaps = np.floor(rng.random(K) * (self.gap + self.overlap + 1)).astype(np.int64) - self.overlap
        plain = rng.random(K) < self.plain
        chance[plain], waves[plain] = 0, 0

        first = np.cumsum(counts) - counts          # of each row
        gaps[first] = 0
        steps = SIDE + gaps
        rows = np.repeat(np.arange(N), counts)
        lefts = np.cumsum(steps) - steps + gaps     # as if all stood in one row
        lefts -= lefts[first][rows]
        widths = np.add.reduceat(steps, first)
        canvas = np.zeros((N, SIDE, int(widths.max())), np.float32)
        draw(images, affine_maps(self, chance), waves, rows, lefts, canvas)
        return RowBatch(canvas, widths, np.split(labels.astype(np.int64), first[1:]))


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


def spectrum() -> np.ndarray:
    """Standard deviations (A, A) of a wave's weights: the expected mean square over the box is 1.

    Single waves vary. What is mirrored adds up at the edges: the root mean square is 1.65 in the
    corners of the box, 0.71 in its middle, and 0.77 where MNIST has its ink.

    The Gaussian keeps exp(-(pi SMOOTH a / 28)^2 / 2) of cos_a. The constant is left out: it only
    shifts, which `shift` and `jitter` do.
    """
    kept = np.exp(-(np.pi * SMOOTH * np.arange(A) / SIDE) ** 2 / 2)
    kept[1:] *= np.sqrt(2)              # the mean square of a cosine is 1/2, of a constant 1
    weights = np.outer(kept, kept)
    weights[0, 0] = 0
    mean_square = np.where(np.arange(A) > 0, 0.5, 1.0)
    return weights / np.sqrt(mean_square @ weights**2 @ mean_square)


@compiled
def draw(images, maps, waves, rows, lefts, canvas):
    """Draw every digit into its row, canvas = max(canvas, image at its source); arrays as above.

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
            # Along a line of pixels: a slope and the cosines of x. The frame adds one to all.
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

            target = canvas[rows[k], y, lefts[k]:lefts[k] + side]
            for x in range(side):
                if not (low_y < sy[x] < high_y and low_x < sx[x] < high_x):
                    continue
                top, left = np.int32(sy[x]), np.int32(sx[x])
                below, beside = sy[x] - np.float32(top), sx[x] - np.float32(left)
                place = np.uint64(np.int32(width) * top + left)
                nw, ne = framed[place], framed[place + right]
                sw, se = framed[place + down], framed[place + corner]
                upper, lower = nw + beside * (ne - nw), sw + beside * (se - sw)
                target[x] = max(target[x], upper + below * (lower - upper))
