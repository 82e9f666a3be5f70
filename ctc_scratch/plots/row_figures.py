"""Rows of digits as a model reads them: the image, the posteriors under it, and the greedy path.

The x-axis of every panel counts the pixels of the row, so the panels can be compared from top to bottom.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import ACCENT, GREY, INK, NORMAL, SMALL


class PlottedRow(NamedTuple):
    """One row of digits, what a model reads in it, and the true digits."""

    image: np.ndarray         # (height, W) in [0, 1]
    probs: np.ndarray         # (T, C), rows sum to 1
    decoded: Sequence[int]    # the classes read
    truth: Sequence[int]      # the classes of the true digits
    places: Sequence[tuple[float, float]] = ()  # where each digit that was read begins and ends [pixels]


def row_image(ax: Axes, image: np.ndarray) -> Axes:
    """Draw a row of digits, dark ink on white.

    Parameters
    ----------
    image : (height, W) array in [0, 1], 1 is ink
    """
    height, W = image.shape
    ax.imshow(image, cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
              extent=(0, W, height, 0))
    ax.set_xlabel("x [pixels]", fontsize=SMALL)
    ax.set_ylabel("y\n[pixels]", fontsize=SMALL)
    ax.set_yticks([0, height])
    ax.tick_params(labelsize=SMALL)
    return ax


def spans(ax: Axes, edges: Sequence[tuple[float, float]], names: Sequence[str]) -> Axes:
    """Shade intervals (left, right) of the x-axis over the whole height, each with its name above it."""
    for (left, right), name in zip(edges, names):
        ax.axvspan(left, right, facecolor=(ACCENT, 0.22), edgecolor=ACCENT, linewidth=1)
        ax.annotate(name, ((left + right) / 2, 1), (0, 2), xycoords=ax.get_xaxis_transform(),
                    textcoords="offset points", ha="center", va="bottom", fontsize=SMALL)
    return ax


def posteriors(ax: Axes, probs: np.ndarray, window: int, class_names: Sequence[str],
               blank: int) -> Axes:
    """Draw the probability of each class in each frame, white 0 and black 1.

    Each class has a line of its own; that of the blank stands apart from the others, at the foot.

    Parameters
    ----------
    probs : (T, C) array, rows sum to 1
    window : pixels in a frame; frame t covers the pixels from t * window to (t + 1) * window
    class_names : C names
    blank : the blank's class
    """
    T, C = probs.shape
    others = [c for c in range(C) if c != blank]
    shared: dict[str, Any] = dict(cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
                                  origin="lower")
    ax.imshow(probs[:, others].T, extent=(0, T * window, -0.5, C - 1.5), **shared)
    ax.imshow(probs[:, [blank]].T, extent=(0, T * window, -2, -1), **shared)
    ax.axhspan(-1, -0.5, facecolor="0.85")   # between the blank and the others
    ax.set_ylim(-2, C - 1.5)
    ax.set_yticks([-1.5, *range(C - 1)], [class_names[c] for c in [blank, *others]])
    ax.set_xlabel("x [pixels]", fontsize=SMALL)
    ax.set_ylabel("class\n(black: probability 1)", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.tick_params(axis="y", length=0)
    return ax


def greedy_path(ax: Axes, path: np.ndarray, window: int, class_names: Sequence[str], blank: int,
                decoded: Sequence[int], truth: Sequence[int]) -> Axes:
    """Write the most probable class of each frame, with a dot for the blank.

    The title says what was decoded and what the truth is.

    Parameters
    ----------
    path : (T,) integer array, the most probable class of each frame
    window : pixels in a frame
    class_names : C names
    blank : the blank's class
    decoded, truth : classes, without blanks
    """
    T, = path.shape
    centres = (np.arange(T) + 0.5) * window
    blanks = path == blank
    width = 72 * ax.get_window_extent().width / ax.figure.dpi   # points
    size = float(np.clip(1.2 * width / T, 3, NORMAL))              # a digit fits its frame
    ax.plot(centres[blanks], np.zeros(blanks.sum()), ".", color=GREY, markersize=size / 3)
    for x, c in zip(centres[~blanks], path[~blanks]):
        ax.text(x, 0, class_names[c], ha="center", va="center_baseline", fontsize=size)

    ax.set_xlim(0, T * window)
    ax.set_ylim(-1, 1)
    ax.set_yticks([])
    ax.set_xlabel("x [pixels]", fontsize=SMALL)
    ax.set_ylabel("greedy\npath", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    ax.set_title(_verdict(decoded, truth, class_names), fontsize=NORMAL)
    return ax


def _verdict(decoded: Sequence[int], truth: Sequence[int], class_names: Sequence[str]) -> str:
    read, stands = (" ".join(class_names[c] for c in labels) or "nothing"
                    for labels in (decoded, truth))
    right = "right" if list(decoded) == list(truth) else "WRONG"
    gap = "    " if len(read + stands) <= 50 else "\n"
    return f"read: {read}{gap}truth: {stands}    {right}"


def reading_figure(rows: Sequence[PlottedRow], window: int, class_names: Sequence[str],
                   blank: int) -> Figure:
    """Show how rows are read: the image with the place of each digit, posteriors, the greedy path, the truth.

    Parameters
    ----------
    rows : at least one
    window : pixels in a frame
    class_names : C names
    blank : the blank's class

    Returns
    -------
    Figure
        All rows have the same scale; short rows stand two side by side.
    """
    frames = max(len(row.probs) for row in rows)
    pixels = max(frames * window, max(row.image.shape[1] for row in rows))
    columns = 2 if len(rows) > 1 and frames <= 60 else 1
    lines = -(-len(rows) // columns)

    width = 11 / columns - 1                                         # of a panel, in inches
    image_height = np.clip(width * rows[0].image.shape[0] / pixels, 0.4, 1.5)
    heights = [image_height, 1.4 * max(1, len(class_names) / 11), 0.25]
    figure = Figure(figsize=(11, lines * (sum(heights) + 0.85)), layout="constrained")
    blocks = figure.subfigures(lines, columns, squeeze=False).ravel()

    for block, row in zip(blocks, rows):
        top, middle, bottom = axes = block.subplots(3, 1, sharex=True,
                                                    gridspec_kw=dict(height_ratios=heights))
        row_image(top, row.image)
        spans(top, row.places, [class_names[c] for c in row.decoded])
        posteriors(middle, row.probs, window, class_names, blank)
        greedy_path(bottom, row.probs.argmax(axis=1), window, class_names, blank,
                    row.decoded, row.truth)
        for ax in axes:
            ax.label_outer()
            ax.spines[["top", "right"]].set_visible(False)
        bottom.set_xlim(0, pixels)
    return figure
