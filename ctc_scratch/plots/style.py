"""What all figures share."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

SMALL, NORMAL = 7, 9   # font sizes, points
INK = "Greys"          # 0 is white, 1 is black
COLUMN = 3.6           # inches: a figure as wide as this is readable at 80 mm
WIDE = 1.35 * COLUMN

STYLES = (dict(color="black", linewidth=1.2), dict(color="0.45", linewidth=1.2, linestyle=(0, (4, 1))),
          dict(color="0.6", linewidth=2))


def state_axis(ax: Axes, names: Sequence[str]) -> None:
    S = len(names)
    # Blanks are every other state: where there are many, the labels' names alone.
    shown = range(S) if S <= 7 else range(1, S, 2) if S <= 31 else range(1, S, 2 * (S // 20))
    ax.set_yticks(list(shown), [names[s] for s in shown])
    ax.set_ylabel("state" if S <= 7 else "state (blanks between)", fontsize=SMALL)
    frame_axis(ax)


def frame_axis(ax: Axes) -> None:
    ax.set_xlabel("frame t", fontsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=SMALL)


def panel_height(S: int) -> float:
    """Inches of a panel of S states."""
    return float(np.clip(0.17 * S, 0.9, 2.2))
