"""A figure of an image and of the rows made from its lines, with each digit marked where it was read."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .row_figures import posteriors, row_image, spans
from .style import ACCENT, NORMAL, SMALL


class Mark(NamedTuple):
    """A digit that was read, its probability, and where it stands."""

    name: str
    confidence: float
    left: float         # in the image [pixels]
    right: float
    first: float        # in the row [pixels]
    last: float


class PlottedLine(NamedTuple):
    """A line of an image, the row made from it for the network, and what was read."""

    row: np.ndarray         # (28, W) in [0, 1]
    probs: np.ndarray       # (T, C), the probability of each class in each frame
    marks: Sequence[Mark]
    top: float              # in the image [pixels]
    bottom: float


def picture(ax: Axes, grey: np.ndarray) -> Axes:
    """Draw an image (height, width), its darkest value in black and its lightest in white."""
    height, width = grey.shape
    ax.imshow(grey, cmap="gray", extent=(0, width, height, 0), interpolation="nearest")
    ax.set_xlabel("x [pixels]", fontsize=SMALL)
    ax.set_ylabel("y\n[pixels]", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    return ax


def where_read_figure(grey: np.ndarray, lines: Sequence[PlottedLine], window: int,
                      class_names: Sequence[str], blank: int, title: str) -> Figure:
    """Show an image and where each digit was read; below it the row of each line and its posteriors.

    Parameters
    ----------
    grey : (height, width) array, the image
    lines : the lines of the image, at least one
    window : columns of pixels per frame
    class_names : C names
    blank : the blank's class
    title : title of the figure
    """
    W = max(len(line.probs) for line in lines) * window
    width = float(np.clip(W / 28, 5, 18))                       # inches: one per digit
    inner = width - 1
    rows = [float(np.clip(inner * 28 / W, 0.4, 1.5)), 1.6 * max(1, len(class_names) / 11)]
    heights = [float(np.clip(inner * grey.shape[0] / grey.shape[1], 0.7, 8)), *rows * len(lines)]
    figure = Figure(figsize=(width, sum(heights) + 0.7 + 1.2 * len(lines)), layout="constrained")
    figure.suptitle(title, fontsize=NORMAL)
    top, *panels = figure.subplots(len(heights), 1, height_ratios=heights)

    picture(top, grey)
    for line, middle, bottom in zip(lines, panels[::2], panels[1::2]):
        for mark in line.marks:
            top.add_patch(Rectangle((mark.left, line.top), mark.right - mark.left, line.bottom - line.top,
                                    facecolor=(ACCENT, 0.22), edgecolor=ACCENT, linewidth=1))
            top.annotate(mark.name, ((mark.left + mark.right) / 2, line.top), (0, 2), color=ACCENT,
                         textcoords="offset points", ha="center", va="bottom", fontsize=SMALL)
        row_image(middle, line.row)
        spans(middle, [(mark.first, mark.last) for mark in line.marks],
              [f"{mark.name}\n{mark.confidence:.2f}" for mark in line.marks])
        posteriors(bottom, line.probs, window, class_names, blank)
        middle.set_xlim(0, W)
        middle.label_outer()
        bottom.set_xlim(0, W)
    return figure
