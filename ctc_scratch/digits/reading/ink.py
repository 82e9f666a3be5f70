"""Tell ink from paper: grey values become 0 for paper and 1 for ink, whichever of the two is lighter."""

from __future__ import annotations

import numpy as np

from ..errors import ImageError

LEAST_CONTRAST = 4.0    # ink that differs from paper by fewer standard deviations of paper is noise
SAMPLED = 40_000        # about how many pixels are looked at to tell paper from ink


def find_ink(grey: np.ndarray) -> np.ndarray:
    """The ink in grey values (height, width): 0 where there is paper, 1 where there is full ink.

    Paper is what most of the border shows. Because light falls off across a photograph, the brightness
    of paper is modelled as a plane. The plane is fitted to all pixels first, and then twice more to the
    pixels that are paper according to the fit before.

    Raises
    ------
    ImageError
        A value is not finite, or nothing stands out from the paper.
    """
    if not np.isfinite(grey).all():
        raise ImageError("expected finite grey values, found some that are infinite or NaN")
    if grey.min() == grey.max():
        raise ImageError("expected a row of digits, found no ink")
    every = max(1, int((grey.size / SAMPLED) ** 0.5))
    sample = grey[::every, ::every]
    paper = np.ones(sample.shape, np.bool_)
    for _ in range(3):
        plane = _fit_plane(sample, paper)
        flat = sample - _plane(plane, sample.shape)      # without the fall-off of light
        dark = flat < otsu(flat)
        border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
        paper = dark if border.mean() > 0.5 else ~dark
    if paper.all() or not paper.any():
        raise ImageError("expected a row of digits, found no ink")

    level = np.median(flat[paper])
    # Thin strokes are pale, so full ink is taken from the darkest fifth of the ink.
    sign = np.sign(np.median(flat[~paper]) - level)
    full = np.percentile(sign * (flat[~paper] - level), 80)
    if not full > LEAST_CONTRAST * flat[paper].std():
        raise ImageError("expected a row of digits, found nothing that stands out from the paper")
    flat = grey - _plane(plane, grey.shape)
    return np.clip(sign * (flat - level) / full, 0, 1).astype(np.float32)


def _fit_plane(grey: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Fit a + b y + c x to the grey values where `where` is true, by least squares; returns (a, b, c)."""
    y, x = (np.broadcast_to(axis, grey.shape)[where] for axis in _axes(grey.shape))
    return np.linalg.lstsq(np.stack([np.ones_like(x), y, x], axis=1), grey[where], rcond=None)[0]


def _plane(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a plane (a, b, c) at each pixel."""
    y, x = _axes(shape)
    return plane[0] + plane[1] * y + plane[2] * x


def _axes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates y (height, 1) and x (width,) of the pixels, both from -1 to 1 whatever the size."""
    return np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])


def otsu(values: np.ndarray) -> float:
    """The threshold between two classes with the least variance inside them (Otsu 1979).

    It is where the variance between the classes, w0 w1 (m1 - m0)^2, is largest.

    >>> round(otsu(np.array([0., 0, 1, 1, 9, 9, 8])))
    4
    """
    # Measured from the least value: in a narrow range around a large value, the edges of the histogram
    # would lie closer together than neighbouring floats.
    least = values.min()
    counts, edges = np.histogram(values - least, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above = counts.sum() - below
    apart = total / np.maximum(below, 1) - ((counts * centres).sum() - total) / np.maximum(above, 1)
    between = below * above * apart**2
    # All thresholds between the classes are equally good; the middle one is taken.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(least + edges[1:][(best[0] + best[-1]) // 2])
