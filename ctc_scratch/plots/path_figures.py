"""Figures of paths: all paths of a small lattice, or the best ones and samples, drawn over gamma.

Shapes: gamma (T, S); names: S state names, top to bottom; a path is its states (T,).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import ACCENT, BLUE, COLUMN, INK, OUTLINE, SMALL, panel_height, state_axis


def trellis(ax: Axes, paths: np.ndarray, names: Sequence[str]) -> Axes:
    """Draw every path through a small lattice, and in each state how many paths pass it.

    Parameters
    ----------
    paths : (n, T) integer array, the states of each path
    names : S state names
    """
    n, T = paths.shape
    S = len(names)
    # Each path runs a little off the centre of its states, so that none hides another.
    offsets = np.linspace(-0.16, 0.16, n) if n > 1 else np.zeros(n)
    for path, offset in zip(paths, offsets):
        ax.plot(np.arange(T), path + offset, color=BLUE, linewidth=0.7, zorder=1)
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
    figure = Figure(figsize=(max(COLUMN, 0.6 + 0.45 * T), 0.7 + 0.42 * S), layout="constrained")
    ax = trellis(figure.subplots(), paths, names)
    ax.set_title(f"{n} alignment{'s' * (n != 1)}; in each state, how many pass it", fontsize=SMALL)
    return figure


def paths_over(ax: Axes, gamma: np.ndarray, names: Sequence[str], best: np.ndarray | None = None,
               others: Sequence[np.ndarray] = (), samples: Sequence[np.ndarray] = ()) -> Axes:
    """Draw paths over gamma, which is shown on a linear scale from white to mid-grey.

    Parameters
    ----------
    best : (T,) states, a thick line in the accent colour
    others : the next best paths, dashed
    samples : thin lines, each a little off the centre
    """
    T, S = gamma.shape
    ax.imshow(gamma.T, cmap=INK, vmin=0, vmax=2.4, aspect="auto", interpolation="nearest",
              extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    t = np.arange(T)
    for path, offset in zip(samples, np.linspace(-0.3, 0.3, len(samples)) if len(samples) > 1 else [0]):
        ax.plot(t, path + offset, color=BLUE, linewidth=0.6, alpha=0.8)
    if best is not None:
        ax.plot(t, best, color=ACCENT, linewidth=2.2, label="best", solid_joinstyle="round",
                path_effects=OUTLINE)
    for k, path in enumerate(others, start=2):
        ax.plot(t, path + 0.12 * (k - 1), color=BLUE, linewidth=0.9,
                linestyle=(0, (4 if k % 2 else 1.5, 1.5)), label=f"{k}.")
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
    runners = f", dashed the next {len(others)}" if others else ""
    top.set_title(f"thick: the best path (Viterbi){runners}", fontsize=SMALL, loc="left", pad=3)
    paths_over(bottom, gamma, names, samples=samples)
    bottom.set_title(f"{len(samples)} samples of the posterior; shade: γ", fontsize=SMALL, loc="left", pad=3)
    top.set_xlabel("")
    return figure
