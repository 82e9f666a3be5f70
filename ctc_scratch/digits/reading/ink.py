"""Tell ink from paper: grey values become 0 for paper and 1 for full ink, whichever of the two is lighter.

Ink is thin and paper is wide. This tells the two apart, whichever of them is dark.

Light falls off across a photograph, a shadow has an edge, a desk shows around the paper. So paper has no
single brightness: at each pixel it is estimated by wiping away everything thin. For dark ink this is done by
a morphological closing: each pixel takes the lightest grey value near it, and then the darkest of these
values near it. That removes strokes thinner than its square, and keeps whatever is wider. The side of the
square is half the height of a digit, which is measured in a first attempt with a large square. The grey value
of a pixel divided by that of its paper does not depend on the light, so dark ink is as black in a shadow as
outside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..errors import ImageError
from .rules import LEVEL, remove_rules

LEAST_CONTRAST = 5.0    # ink that differs from paper by fewer standard deviations of paper is noise
SAMPLED = 100_000       # about how many pixels are looked at to tell paper from ink
SMALLEST = 6            # [pixels] digits below this height cannot be read
WIDTHS = (3, 4, 5, 7, 9, 12, 15, 19, 25, 41)  # [pixels, when reduced to SAMPLED] widths that strokes may have
QUIET = 0.1             # paper that varies more than this, in units of ink, is smoothed further
GRAINS = (0.0, 1.0, 2.0)    # [pixels] standard deviations of the smoothing Gaussian, tried in turn
GRAIN = 90              # then the standard deviation is at least the height of a digit / GRAIN


class Ink(NamedTuple):
    """The ink of an image.

    amount : (height, width) float32, 0 where there is paper, 1 where there is full ink
    digit : the typical height of a digit [pixels], see `typical_height`
    noise : the standard deviation of paper, in units of full ink
    """

    amount: np.ndarray
    digit: float
    noise: float


def find_ink(grey: np.ndarray) -> Ink:
    """The ink in grey values (height, width).

    Raises
    ------
    ImageError
        A value is not finite, or nothing stands out from the paper.
    """
    if not np.isfinite(grey).all():
        raise ImageError("expected finite grey values, found some that are infinite or NaN")
    if grey.min() == grey.max():
        raise ImageError("expected a row of digits, found no ink")
    dark = np.asarray(grey if ink_is_dark(grey) else -grey, np.float32)
    for grain in GRAINS:
        smooth = ndimage.gaussian_filter(dark, grain) if grain else dark
        amount, noise = _in_units_of_full_ink(_darker_than_paper(smooth, max(grey.shape)))
        if noise < QUIET:
            break
    digit = typical_height(remove_rules(amount)[0] > LEVEL)
    for _ in range(2):
        before = digit
        smooth = ndimage.gaussian_filter(dark, max(grain, digit / GRAIN))
        amount, noise = _in_units_of_full_ink(_darker_than_paper(smooth, max(digit / 2, 9)))
        digit = typical_height(remove_rules(amount)[0] > LEVEL)
        if 0.8 * before < digit < 1.25 * before:
            break
    if digit < SMALLEST or noise * LEAST_CONTRAST > 1:
        raise ImageError("expected a row of digits, found nothing that stands out from the paper")
    return Ink(amount, digit, noise)


def ink_is_dark(grey: np.ndarray) -> bool:
    """Whether ink is darker than paper, that is, whether the thin shapes of an image are dark.

    A closing removes what is dark and thinner than its square; an opening removes what is light and thinner.
    The square grows until one of them removes much of the contrast. That happens at the width of the strokes,
    because the paper between them is wider.
    """
    every = max(1, int((grey.size / SAMPLED) ** 0.5))
    sample = ndimage.gaussian_filter(np.asarray(grey, np.float32), 0.6 * every)[::every, ::every]
    contrast = float(np.square(sample - ndimage.uniform_filter(sample, WIDTHS[-1])).mean())
    for width in WIDTHS:
        thin_and_dark = float(np.square(ndimage.grey_closing(sample, width) - sample).mean())
        thin_and_light = float(np.square(sample - ndimage.grey_opening(sample, width)).mean())
        if max(thin_and_dark, thin_and_light) > 0.2 * contrast:
            break
    return thin_and_dark > thin_and_light


def _darker_than_paper(dark: np.ndarray, width: float) -> np.ndarray:
    """By how much each pixel is darker than the paper around it, if ink is thinner than `width`.

    The differences are divided by the grey value of the paper, unless `dark` has negative values: then it is
    the negative of an image with light ink.
    """
    every = max(1, int(width / 24))             # paper changes slowly, so every so many pixels suffice
    coarse = ndimage.gaussian_filter(dark, 0.5 * every)[::every, ::every]
    paper = ndimage.grey_closing(coarse, 2 * int(width / every / 2) + 1, mode="nearest")
    paper = ndimage.gaussian_filter(paper, 1)
    if every > 1:
        paper = _enlarge(paper, every, dark.shape)
    ink = paper - dark
    return ink if dark.min() < 0 else ink / np.maximum(paper, 0.05 * paper.max())


def _enlarge(values: np.ndarray, every: int, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate values that are known at every `every`-th pixel to all pixels of an image of this shape."""
    for axis in (0, 1):
        places = np.arange(shape[axis]) / every
        first = np.minimum(places.astype(int), values.shape[axis] - 1)
        second = np.minimum(first + 1, values.shape[axis] - 1)
        share = (places - first).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
        values = values.take(first, axis) * (1 - share) + values.take(second, axis) * share
    return values


def _in_units_of_full_ink(ink: np.ndarray) -> tuple[np.ndarray, float]:
    """The ink from 0 to 1, and the standard deviation of the paper in the same units."""
    every = max(1, int((ink.size / SAMPLED) ** 0.5))
    sample = ink[::every, ::every]
    threshold = otsu(sample)
    paper, inked = sample[sample < threshold], sample[sample >= threshold]
    if not paper.size or not inked.size:
        raise ImageError("expected a row of digits, found no ink")
    # The deviation of paper is taken from its lighter half: the darker one holds the pale edges of strokes.
    # Thin strokes are pale too, so full ink is the 70th percentile of the ink, from its darker half.
    light, level = np.percentile(paper, [16, 50])
    spread = level - light
    full = np.percentile(inked, 70) - level
    if not full > 0:
        raise ImageError("expected a row of digits, found no ink")
    return np.clip((ink - level) / full, 0, 1).astype(np.float32), float(spread / full)


def typical_height(inked: np.ndarray) -> float:
    """The typical height of the ink: the median over its connected parts, weighted by their area.

    Parts that reach the border of the image (a desk, a frame) and parts that are long and thin (rules) are
    left out if there are others.
    """
    labels, count = ndimage.label(inked, np.ones((3, 3)))
    if not count:
        return 0.0
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    places = ndimage.find_objects(labels)
    tops, bottoms, lefts, rights = (np.array(edges) for edges in zip(*(
        (y.start, y.stop, x.start, x.stop) for y, x in places)))
    heights, widths = bottoms - tops, rights - lefts
    inside = (tops > 0) & (lefts > 0) & (bottoms < inked.shape[0]) & (rights < inked.shape[1])
    short = (widths < 10 * heights) & (heights < 16 * widths)
    for good in (inside & short, short, np.ones(count, bool)):
        if good.any():
            order = np.argsort(heights[good])
            total = np.cumsum(areas[good][order])
            return float(heights[good][order][np.searchsorted(total, total[-1] / 2)])
    return 0.0


def otsu(values: np.ndarray) -> float:
    """The threshold that splits values into the two classes with the least variance inside them (Otsu 1979).

    There the variance between the classes, w0 w1 (m1 - m0)^2, is largest (w: shares, m: means).

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
