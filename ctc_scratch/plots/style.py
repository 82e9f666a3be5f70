"""What all figures share: one palette, the sizes of text, and the axes of states and frames.

Where two curves share a panel, they differ in dashes or markers too, so no figure depends on colour
alone. Printed in grey, BLUE, GREEN and AMBER have the lightness 31, 52 and 70 of 100; ACCENT has 46.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

ACCENT = "#c1432e"     # the target's path, and where its labels stand; nothing else
BLUE = "#0f4c81"       # the first of several curves, or what a figure is about
AMBER = "#e0a030"      # what is compared with it
GREEN = "#2f8a6e"      # a third curve
GREY = "0.5"           # what stands in the background
RULE = "black"         # dotted lines at values that are known beforehand
GRID = "0.92"
INK = "Greys"          # maps: 0 is white, 1 is black
OUTLINE = [withStroke(linewidth=3.2, foreground="white")]   # keeps a path legible on a dark map

SMALL, NORMAL = 7, 9   # font sizes, points
COLUMN = 3.6           # inches: a figure of this width is still readable when printed 80 mm wide
WIDE = 1.35 * COLUMN

CURVES: tuple[dict[str, Any], ...] = (
    dict(color=BLUE, linewidth=1.6),
    dict(color=AMBER, linewidth=1.6, linestyle=(0, (4, 1))),
    dict(color=GREEN, linewidth=0.9),
    dict(color="black", linewidth=1, linestyle=(0, (1, 1))),
)
"""Styles for curves that share a panel, in this order."""


def state_axis(ax: Axes, names: Sequence[str]) -> None:
    """Name the states on the y-axis, from top to bottom, and the frames on the x-axis."""
    S = len(names)
    # Blanks are every other state: where there are many states, only labels are named.
    shown = range(S) if S <= 7 else range(1, S, 2) if S <= 31 else range(1, S, 2 * (S // 20))
    ax.set_yticks(list(shown), [names[s] for s in shown])
    ax.set_ylabel("state" if S <= 7 else "state (blanks between)", fontsize=SMALL)
    frame_axis(ax)


def frame_axis(ax: Axes) -> None:
    """Number the frames on the x-axis, with whole numbers only."""
    ax.set_xlabel("frame t", fontsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=SMALL)


def panel_height(S: int) -> float:
    """The height of a panel of S states, in inches."""
    return float(np.clip(0.17 * S, 0.9, 2.2))
