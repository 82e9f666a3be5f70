"""An image, the row made of it, and where in both each digit was read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .row_figures import posteriors, row_image, spans
from .style import NORMAL, SMALL


class Mark(NamedTuple):
    """A digit that was read, its probability, and where it stands."""

    name: str
    confidence: float
    left: float         # in the image [pixels]
    right: float
    first: float        # in the row [pixels]
    last: float


def picture(ax: Axes, grey: np.ndarray) -> Axes:
    """Draw an image (height, width) as it is, its darkest value black and its lightest white."""
    height, width = grey.shape
    ax.imshow(grey, cmap="gray", extent=(0, width, height, 0), interpolation="nearest")
    ax.set_xlabel("x [pixels]", fontsize=SMALL)
    ax.set_ylabel("y\n[pixels]", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    return ax


def where_read_figure(grey: np.ndarray, row: np.ndarray, probs: np.ndarray, marks: Sequence[Mark],
                      window: int, class_names: Sequence[str], blank: int, title: str) -> Figure:
    """Show an image, the row made of it, the posteriors of the row, and where each digit was read.

    Parameters
    ----------
    grey : (height, width) array, the image
    row : (28, W) array in [0, 1], the row that was made of the image for the network
    probs : (T, C) array, the probability of each class in each frame
    marks : the digits read
    window : columns of the row in a frame
    class_names : C names
    blank : the blank's class
    title : of the figure
    """
    W = len(probs) * window
    width = float(np.clip(W / 28, 5, 18))                       # inches: one per digit
    inner = width - 1
    heights = [float(np.clip(inner * grey.shape[0] / grey.shape[1], 0.7, 4)),
               float(np.clip(inner * 28 / W, 0.4, 1.5)), 1.6]
    figure = Figure(figsize=(width, sum(heights) + 1.9), layout="constrained")
    figure.suptitle(title, fontsize=NORMAL)
    top, middle, bottom = figure.subplots(3, 1, height_ratios=heights)

    picture(top, grey)
    spans(top, [(mark.left, mark.right) for mark in marks], [mark.name for mark in marks])
    row_image(middle, row)
    spans(middle, [(mark.first, mark.last) for mark in marks],
          [f"{mark.name}\n{mark.confidence:.2f}" for mark in marks])
    middle.set_xlim(0, W)
    middle.label_outer()
    posteriors(bottom, probs, window, class_names, blank)
    bottom.set_xlim(0, W)
    return figure
