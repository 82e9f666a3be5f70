"""Ink and paper: grey values to 0 for paper and 1 for ink, whichever of them is the lighter one."""

from __future__ import annotations

import numpy as np

from ..errors import ImageError

CONTRAST = 4.0      # ink differs from paper by so many standard deviations of paper, or it is noise
SAMPLED = 40_000    # pixels: about so many are enough to know paper and ink by


def find_ink(grey: np.ndarray) -> np.ndarray:
    """Ink (height, width) in [0, 1], 0 for paper, of grey values.

    Paper is what most of the border shows. Its brightness is a plane, for light falls off across a
    photograph: fitted to all pixels at first, then to what is paper beside that plane.
    """
    if not np.isfinite(grey).all():
        raise ImageError("expected finite grey values, found some that are infinite or no numbers")
    if grey.min() == grey.max():
        raise ImageError("expected a row of digits, found no ink")
    every = max(1, int((grey.size / SAMPLED) ** 0.5))
    sample = grey[::every, ::every]
    paper = np.ones(sample.shape, np.bool_)
    for _ in range(3):
        plane = _fit_plane(sample, paper)
        beside = sample - _plane(plane, sample.shape)
        dark = beside < otsu(beside)
        border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
        paper = dark if border.mean() > 0.5 else ~dark
    if paper.all() or not paper.any():
        raise ImageError("expected a row of digits, found no ink")

    level = np.median(beside[paper])
    # Thin strokes are pale: full ink is what the darkest fifth of it has.
    sign = np.sign(np.median(beside[~paper]) - level)
    full = np.percentile(sign * (beside[~paper] - level), 80)
    if not full > CONTRAST * beside[paper].std():
        raise ImageError("expected a row of digits, found nothing that stands out from the paper")
    beside = grey - _plane(plane, grey.shape)
    return np.clip(sign * (beside - level) / full, 0, 1).astype(np.float32)


def _fit_plane(grey: np.ndarray, where: np.ndarray) -> np.ndarray:
    """a, b, c of the plane a + b y + c x nearest to the grey values there, by least squares."""
    y, x = (np.broadcast_to(axis, grey.shape)[where] for axis in _axes(grey.shape))
    return np.linalg.lstsq(np.stack([np.ones_like(x), y, x], axis=1), grey[where], rcond=None)[0]


def _plane(plane: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    y, x = _axes(shape)
    return plane[0] + plane[1] * y + plane[2] * x


def _axes(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """y and x, both from -1 to 1 whatever the size."""
    return np.linspace(-1, 1, shape[0])[:, None], np.linspace(-1, 1, shape[1])


def otsu(values: np.ndarray) -> float:
    """The threshold between two classes with the least variance inside them (Otsu 1979).

    That is where the variance between their means, w0 w1 (m1 - m0)^2, is largest.

    >>> round(otsu(np.array([0., 0, 1, 1, 9, 9, 8])))
    4
    """
    # Measured from the least: beside a value the steps of a small range may be too small for its digits.
    least = values.min()
    counts, edges = np.histogram(values - least, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts)[:-1], np.cumsum(counts * centres)[:-1]
    above = counts.sum() - below
    apart = total / np.maximum(below, 1) - ((counts * centres).sum() - total) / np.maximum(above, 1)
    between = below * above * apart**2
    # Where no value lies between the classes every threshold is as good: the middle one then.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(least + edges[1:][(best[0] + best[-1]) // 2])
