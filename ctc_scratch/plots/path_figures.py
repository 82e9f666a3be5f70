"""Figures of paths: all paths of a small lattice, or the best ones and samples, drawn over gamma.

Shapes: gamma (T, S); names: S state names, top to bottom; a path is its states (T,).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .style import ACCENT, AMBER, BLUE, COLUMN, INK, OUTLINE, SMALL, panel_height, state_axis

DASHES = ((0, (4, 1.5)), (0, (1.2, 1.2)))
"""Line styles that the second best path, the third, the fourth and so on take in turn."""


MOVES = (("stay", dict(color="black", linestyle="-")),
         ("step", dict(color=BLUE, linestyle="-")),
         ("skip", dict(color=AMBER, linestyle=(0, (2.5, 0.8)))))
"""The name and line style of each move. Move m leads m states down; only a skip leaves out a blank."""


def trellis(ax: Axes, paths: np.ndarray, names: Sequence[str]) -> Axes:
    """Draw every move of the paths through a small lattice, and in each state how many paths pass it.

    Stay, step and skip have styles of their own; the more paths make a move, the thicker its line.

    Parameters
    ----------
    paths : (n, T) integer array, the states of each path
    names : S state names
    """
    n, T = paths.shape
    S = len(names)
    for t in range(T - 1):
        moves, counts = np.unique(paths[:, t:t + 2], axis=0, return_counts=True)
        for (s, to), count in zip(moves, counts):
            name, style = MOVES[to - s]
            ax.plot([t, t + 1], [s, to], label=name, linewidth=0.8 + 2.4 * count / n, zorder=1, **style)
    through = np.array([np.bincount(paths[:, t], minlength=S) for t in range(T)])
    for t, s in np.ndindex(T, S):
        used = through[t, s] > 0
        ax.plot(t, s, "o", markersize=15 if used else 4, markerfacecolor="white",
                markeredgecolor="black" if used else "0.7", zorder=2)
        if used:
            ax.text(t, s, str(through[t, s]), ha="center", va="center_baseline", fontsize=SMALL, zorder=3)
    state_axis(ax, names)
    ax.set_xlim(-0.4, T - 0.6)
    ax.set_ylim(S - 0.5, -0.5)
    ax.set_xticks(range(T))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def trellis_figure(paths: np.ndarray, names: Sequence[str]) -> Figure:
    """Show all paths of a small lattice, as `trellis` draws them."""
    (n, T), S = paths.shape, len(names)
    figure = Figure(figsize=(max(COLUMN, 0.6 + 0.45 * T), 0.95 + 0.42 * S), layout="constrained")
    ax = trellis(figure.subplots(), paths, names)
    ax.set_title(f"{n} alignment{'s' * (n != 1)}; in each state, how many pass it", fontsize=SMALL)
    used = [move for move in MOVES if move[0] in {line.get_label() for line in ax.lines}]
    figure.legend([Line2D([], [], linewidth=1.6, **style) for _, style in used],
                  [name if name != "skip" else "skip (no blank between)" for name, _ in used],
                  loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False)
    return figure


def paths_over(ax: Axes, gamma: np.ndarray, names: Sequence[str], best: np.ndarray | None = None,
               others: Sequence[np.ndarray] = (), samples: Sequence[np.ndarray] = ()) -> Axes:
    """Draw paths over gamma, which is shown on a linear scale from white to mid-grey.

    Parameters
    ----------
    best : (T,) states, a thick line in the accent colour, above all others
    others : the next best paths, dashed, beside it
    samples : thin lines, each a little off the centre
    """
    T, S = gamma.shape
    ax.imshow(gamma.T, cmap=INK, vmin=0, vmax=2.4, aspect="auto", interpolation="nearest",
              extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    t = np.arange(T)
    for path, offset in zip(samples, np.linspace(-0.3, 0.3, len(samples)) if len(samples) > 1 else [0]):
        ax.plot(t, path + offset, color=BLUE, linewidth=0.7)
    # The next best paths run beside the best one, above and below it in turn, and under it where they meet.
    for k, path in enumerate(others, start=2):
        offset = min(0.12 * (k // 2 + 1), 0.42) * (-1) ** k
        ax.plot(t, path + offset, color=BLUE, linewidth=1.1, linestyle=DASHES[k % len(DASHES)],
                label=f"{k}.")
    if best is not None:
        ax.plot(t, best, color=ACCENT, linewidth=2.2, label="best", solid_joinstyle="round",
                path_effects=OUTLINE, zorder=3)
    state_axis(ax, names)
    ax.set_xlim(-0.5, T - 0.5)
    ax.set_ylim(S - 0.5, -0.5)
    return ax


def paths_figure(gamma: np.ndarray, names: Sequence[str], k_best: Sequence[np.ndarray],
                 samples: Sequence[np.ndarray]) -> Figure:
    """Show the best paths above and samples from the posterior below, both over gamma."""
    S = len(names)
    figure = Figure(figsize=(COLUMN, 2 * panel_height(S) + 0.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    best, *others = k_best
    paths_over(top, gamma, names, best, others)
    next_best = f"; dashed: the next {len(others)}" if others else ""
    top.set_title(f"shade: γ; thick: the best path (Viterbi){next_best}", fontsize=SMALL, loc="left", pad=3)
    paths_over(bottom, gamma, names, best, samples=samples)
    bottom.set_title(f"thick: the best path; thin: {len(samples)} samples of the posterior", fontsize=SMALL,
                     loc="left", pad=3)
    top.set_xlabel("")
    return figure
