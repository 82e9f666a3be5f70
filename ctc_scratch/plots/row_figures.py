"""Rows of digits as a model reads them: the image, the spikes or posteriors under it, and the greedy path.

The x-axis of every panel counts the pixels of the row, so the panels can be compared from top to bottom.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch

from .style import ACCENT, AMBER, BLUE, COLUMN, GREY, INK, NORMAL, SMALL


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


LEAST_SHOWN, LEAST_NAMED = 0.01, 0.25
"""`spikes` draws a class if its probability reaches the first number in some frame, and names a spike if its
probability in its middle frame reaches the second."""


def spikes(ax: Axes, probs: np.ndarray, window: int, class_names: Sequence[str], blank: int) -> Axes:
    """Draw the probability of each class over the frames: labels filled and named, the blank as a line.

    Parameters
    ----------
    probs : (T, C) array, rows sum to 1
    window : pixels in a frame
    class_names : C names
    blank : the blank's class
    """
    T, C = probs.shape
    edges = np.arange(T + 1) * window
    for c in range(C):
        if c != blank and probs[:, c].max() >= LEAST_SHOWN:
            ax.stairs(probs[:, c], edges, fill=True, color=BLUE, linewidth=0)
    ax.stairs(probs[:, blank], edges, baseline=None, color=AMBER, linewidth=1.2)
    for x, c in spike_places(probs.argmax(axis=1), window, blank):
        if probs[int(x // window), c] >= LEAST_NAMED:
            ax.text(x, 1.04, class_names[c], fontsize=SMALL, ha="center", va="bottom")
    ax.set_ylim(0, 1.45)
    ax.set_yticks([0, 1])
    ax.set_ylabel("bars: digits\nline: blank", fontsize=SMALL)
    ax.tick_params(labelsize=SMALL)
    return ax


def spike_places(path: np.ndarray, window: int, blank: int) -> list[tuple[float, int]]:
    """The middle [pixels] and the class of each run of equal classes, other than the blank, in a path (T,).

    >>> spike_places(np.array([0, 3, 3, 0, 3]), window=4, blank=0)
    [(8.0, 3), (18.0, 3)]
    """
    begins = np.flatnonzero(np.concatenate([[True], path[1:] != path[:-1]])[:len(path)])
    ends = [*begins[1:], len(path)]
    return [(float(window * (first + end) / 2), int(path[first]))
            for first, end in zip(begins, ends) if path[first] != blank]


def join(image_ax: Axes, ax: Axes, places: Sequence[tuple[float, float]], xs: Sequence[float]) -> None:
    """Draw lines from places (left, right) in an image to the spikes at `xs` in the panel below."""
    for (left, right), x in zip(places, xs):
        ax.add_artist(ConnectionPatch((left / 2 + right / 2, 0), (x, 0.96),
                                      image_ax.get_xaxis_transform(), ax.get_xaxis_transform(),
                                      color=ACCENT, linewidth=0.8, in_layout=False))


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
    """Show how rows are read: each digit and the spike it makes, the greedy path, and the true digits.

    A line joins the ink that was read as a digit with the digit's spike, if the places are known.

    Parameters
    ----------
    rows : at least one; they stand one below the other, at the same scale
    window : pixels in a frame
    class_names : C names
    blank : the blank's class
    """
    frames = max(len(row.probs) for row in rows)
    pixels = max(frames * window, max(row.image.shape[1] for row in rows))
    width = float(np.clip(max(pixels / 140 * COLUMN, 0.6 + 0.05 * frames), COLUMN, 18))    # inches
    image_height = np.clip((width - 0.6) * rows[0].image.shape[0] / pixels, 0.4, 1.5)
    heights = [image_height, 0.55, 0.2]
    figure = Figure(figsize=(width, len(rows) * (sum(heights) + 0.4) + 0.6), layout="constrained")
    if any(row.places for row in rows):
        figure.supxlabel("bands: the ink that was read as a digit; lines lead to its spike.\n"
                         "CTC asks for the order of the digits, not for the frame of a spike.",
                         fontsize=SMALL)
    panels = figure.subplots(3 * len(rows), 1, sharex=True, height_ratios=heights * len(rows))

    for n, row in enumerate(rows):
        top, middle, bottom = panels[3 * n:3 * n + 3]
        path = row.probs.argmax(axis=1)
        row_image(top, row.image)
        top.set_ylabel("")
        top.set_yticks([])
        spans(top, row.places, [""] * len(row.places))     # the spikes are named
        spikes(middle, row.probs, window, class_names, blank)
        found = spike_places(path, window, blank)
        if len(found) == len(row.places):
            join(top, middle, row.places, [x for x, _ in found])
        greedy_path(bottom, path, window, class_names, blank, row.decoded, row.truth)
        top.set_title(bottom.get_title(), fontsize=SMALL)
        bottom.set_title("")
    panels[0].set_xlim(0, pixels)
    for ax in panels:
        ax.label_outer()
        ax.spines[["top", "right"]].set_visible(False)
    return figure
