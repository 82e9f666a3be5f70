"""Figures of the lattice's arrays: alpha, beta, gamma, occupancy and the gradient.

Frames run from left to right, states or classes from top to bottom.

Shapes: log_alpha, log_beta, gamma (T, S); names: S state names, top to bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import (
    ACCENT,
    BLUE,
    COLUMN,
    GREY,
    GRID,
    INK,
    OUTLINE,
    SMALL,
    WIDE,
    frame_axis,
    panel_height,
    state_axis,
)

DECADES = 4
"""The decades that every map on a log scale spans, from black at 1 to white; smaller values are white too.
The range is the same in all figures, so that equal shades mean equal shares."""

MOST_NUMBERS = 8, 7
"""The most frames and states of a map that writes numbers into its cells: smaller cells have no space."""

LatticeArray = Literal["gamma", "alpha", "beta", "occupancy"]


class LatticeArrays(Protocol):
    """What `lattice` needs of its argument; a `ctc_scratch.ctc.paths.lattice.Lattice` has all of it."""

    @property
    def ext(self) -> np.ndarray: ...            # (S,) the extended labels

    @property
    def blank(self) -> int: ...

    @property
    def log_alpha(self) -> np.ndarray: ...      # (T, S)

    @property
    def log_beta(self) -> np.ndarray: ...       # (T, S)

    @property
    def gamma(self) -> np.ndarray: ...          # (T, S)

    @property
    def occupancy(self) -> np.ndarray: ...      # (T, C)

    def best(self) -> Any: ...                  # its `path` (T,) is the class of each frame


# ---- one lattice -----------------------------------------------------------------------------


def lattice(result: LatticeArrays, ax: Axes | None = None, what: LatticeArray = "gamma") -> Axes:
    """Draw one array of a lattice as a map, with the most likely alignment over it.

    Parameters
    ----------
    result : what `ctc_scratch.lattice` returns, or anything with these fields
    ax : where to draw; None makes a figure of its own, which is `.figure` of what is returned
    what : "gamma", the posterior of each state; "alpha" or "beta", the sum over all paths that lead to
        a state or on from it, as a share of the frame's sum; "occupancy", the posterior of each class

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        There is no such array.
    """
    if what not in get_args(LatticeArray):
        raise ValueError(f"what must be one of {', '.join(get_args(LatticeArray))}, not {what!r}")
    T, S = result.gamma.shape
    names = ["–" if c == result.blank else str(c) for c in result.ext]
    if ax is None:
        lines = S if what != "occupancy" else result.occupancy.shape[1]
        ax = Figure(figsize=(WIDE, panel_height(lines) + 0.8), layout="constrained").subplots()
    if what in ("alpha", "beta"):
        log_values = result.log_alpha if what == "alpha" else result.log_beta
        heat(ax, log_values, names)
        bar_label = "share of the frame"
    elif what == "gamma":
        linear_map(ax, result.gamma)
        state_axis(ax, names)
        bar_label = "probability"
    else:
        linear_map(ax, result.occupancy)
        C = result.occupancy.shape[1]
        ax.set_yticks(range(C), ["blank" if c == result.blank else str(c) for c in range(C)])
        ax.set_ylabel("class", fontsize=SMALL)
        frame_axis(ax)
        bar_label = "probability"

    line = "no alignment"
    if result.gamma.any():
        path = np.asarray(result.best().path)
        ys = path if what == "occupancy" else _states_of(path, result.blank)
        ax.plot(np.arange(T), ys, color=ACCENT, linewidth=1.8, solid_joinstyle="round", path_effects=OUTLINE,
                marker="o" if T <= 30 else None, markersize=3)
        line = "line: the most likely alignment"
    title = {"gamma": "γ: posterior of each state", "occupancy": "posterior of each class",
             "alpha": "α: all ways to a state; hatched: none", "beta": "β: all ways on; hatched: none"}[what]
    ax.set_title(f"{title}; {line}", fontsize=SMALL, loc="left", pad=3)
    figure = ax.get_figure()
    assert figure is not None, "axes that are drawn on belong to a figure"
    bar = figure.colorbar(ax.images[0], ax=ax, aspect=15, pad=0.02)
    if what in ("alpha", "beta"):
        _name_decades(bar)
    bar.set_label(bar_label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return ax


def _name_decades(bar: Any) -> None:
    """Write powers of ten on the colour bar of a map on a log scale."""
    bar.set_ticks([0, -DECADES // 2, -DECADES],
                  labels=["1", f"10$^{{{-DECADES // 2}}}$", f"≤10$^{{{-DECADES}}}$"])


def _states_of(path: np.ndarray, blank: int) -> np.ndarray:
    """The states (T,) of a path of classes (T,): 2u is blank u, 2u + 1 is label u."""
    is_label = path != blank
    begins = is_label & np.concatenate([[True], path[1:] != path[:-1]])[:len(path)]
    return 2 * np.cumsum(begins) - is_label


def linear_map(ax: Axes, values: np.ndarray) -> None:
    """Draw values (T, S) in [0, 1] as shades, white 0 and black 1."""
    T, S = values.shape
    ax.imshow(values.T, cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
              extent=(-0.5, T - 0.5, S - 0.5, -0.5))


# ---- alpha, beta, gamma ----------------------------------------------------------------------


def heat(ax: Axes, log_values: np.ndarray, names: Sequence[str]) -> Axes:
    """Draw each value's share of the sum of its frame as a shade on a log scale, hatched where it is 0.

    Small maps also show the shares as numbers, which sum to 1 in each frame.

    Parameters
    ----------
    log_values : (T, S) array, the logarithms of the values. Shares are shown in their place, because over a
        long sequence alpha and beta change by hundreds of decades.
    names : S state names
    """
    T, S = log_values.shape
    decades = log_shares(log_values)
    ax.imshow(decades.T, cmap=INK, vmin=-DECADES, vmax=0, aspect="auto",
              interpolation="nearest", extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    hatch(ax, log_values == -np.inf)
    state_axis(ax, names)
    if T <= MOST_NUMBERS[0] and S <= MOST_NUMBERS[1]:
        for t, s in zip(*np.nonzero(log_values > -np.inf)):
            ax.text(t, s, short(10**decades[t, s]), ha="center", va="center_baseline", fontsize=SMALL,
                    color="white" if decades[t, s] > -0.37 * DECADES else "black")
    return ax


def log_shares(log_values: np.ndarray) -> np.ndarray:
    """log10 (T, S) of each value's share of the sum of its frame; NaN where the value is 0."""
    top = log_values.max(axis=1, keepdims=True, initial=np.finfo(float).min)
    log_sums = top + np.log(np.maximum(np.exp(log_values - top).sum(axis=1, keepdims=True), 1e-300))
    return np.where(log_values > -np.inf, (log_values - log_sums) / np.log(10), np.nan)


def short(share: float) -> str:
    """A share from 0 to 1 in at most four characters: 1, .43, .07, .003, 2e-5."""
    if share >= 0.995:
        return "1"
    if share < 0.0005:      # also a share that underflows
        return "0" if share == 0 else f"{share:.0e}".replace("e-0", "e-")
    return f"{share:.2f}"[1:] if share >= 0.0095 else f"{share:.3f}"[1:]


def hatch(ax: Axes, cells: np.ndarray) -> None:
    """Hatch the true cells of a bool array (T, S), with one rectangle for each run of frames."""
    T, S = cells.shape
    for s in range(S):
        edges = np.flatnonzero(np.diff(cells[:, s].astype(int), prepend=0, append=0))
        for first, end in zip(edges[::2], edges[1::2]):
            ax.add_patch(Rectangle((first - 0.5, s - 0.5), end - first, 1, facecolor="white",
                                   edgecolor=GREY, hatch="/////", linewidth=0))


def alpha_beta_gamma_figure(log_alpha: np.ndarray, log_beta: np.ndarray, log_gamma: np.ndarray,
                            names: Sequence[str]) -> Figure:
    """Show alpha, beta and gamma one above the other, each as shares of its frames on one log scale.

    States that cannot be reached are hatched in alpha, states from which no path finishes in beta, and
    both in gamma. That is why gamma is passed as a logarithm: a gamma that underflows to 0 is still a
    state that paths pass.

    log_gamma : (T, S) array, log_alpha + log_beta up to a constant in each frame
    """
    S = len(names)
    figure = Figure(figsize=(COLUMN, 3 * panel_height(S) + 0.9), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    titles = ["α: share of the ways up to t that end here",
              "β: share of the ways on from t that begin here",
              "γ: share of the alignments that pass here"]
    for ax, values, title in zip(axes, (log_alpha, log_beta, log_gamma), titles):
        heat(ax, values, names)
        ax.set_title(title, fontsize=SMALL, loc="left", pad=3)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    bar = figure.colorbar(axes[0].images[0], ax=axes, shrink=0.6, aspect=25, pad=0.02)
    _name_decades(bar)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("share of the frame; hatched: no path", fontsize=SMALL)
    return figure


# ---- gamma over training ---------------------------------------------------------------------


def gamma_evolution_figure(gammas: Sequence[np.ndarray], titles: Sequence[str],
                           names: Sequence[str]) -> Figure:
    """Show how gamma (T, S) changes over training, one panel per stage (Graves 2006, figure 4).

    Parameters
    ----------
    gammas : at least one array, all of the same shape
    titles : one per array, for example "iteration 50"
    names : S state names
    """
    figure = Figure(figsize=(COLUMN, len(gammas) * panel_height(len(names)) + 0.7), layout="constrained")
    axes = figure.subplots(len(gammas), 1, sharex=True, squeeze=False)[:, 0]
    for ax, gamma, title in zip(axes, gammas, titles):
        linear_map(ax, gamma)
        state_axis(ax, names)
        ax.set_title(title, fontsize=SMALL, loc="left", pad=3)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    bar = figure.colorbar(axes[-1].images[0], ax=axes, shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("γ", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


# ---- the gradient ----------------------------------------------------------------------------


def gradient(ax: Axes, grad: np.ndarray, class_names: Sequence[str]) -> Axes:
    """Draw probs - occupancy (T, C), one line per class, positive values upward.

    Values above 0 are filled: the network gives the class more than the posterior does, and a step of
    gradient descent lowers its logit. Values below 0 are hatched: a step raises it. The axis on the right
    has the scale, which is the same for all classes.
    """
    T, C = grad.shape
    edges = np.arange(T + 1) - 0.5
    largest = np.abs(grad).max(initial=0)
    scale = 0.42 / max(largest, 1e-12)
    for c in range(C):
        heights = -scale * grad[:, c]   # the axis points down, so that class 0 stands at the top
        ax.stairs(c + np.minimum(heights, 0), edges, baseline=c, fill=True, facecolor=BLUE, linewidth=0)
        ax.stairs(c + np.maximum(heights, 0), edges, baseline=c, fill=True, facecolor="white",
                  edgecolor=ACCENT, hatch="//////", linewidth=0.5)
        ax.axhline(c, color=GREY, linewidth=0.5)
    ax.set_yticks(range(C), class_names)
    ax.set_ylim(C - 0.45, -0.55)
    ax.set_xlim(-0.5, T - 0.5)
    frame_axis(ax)
    ax.set_ylabel("class", fontsize=SMALL)

    tick = rounded_down(largest)
    marked = [(c, sign * tick) for c in range(C) for sign in (1, -1)] if C <= 6 else [(0, tick)]
    right = ax.secondary_yaxis("right")
    right.set_yticks([c - scale * value for c, value in marked],
                     [f"{value:+g}".replace("-", "−") for _, value in marked])
    right.tick_params(labelsize=SMALL, length=2)
    right.set_ylabel("probs − occupancy", fontsize=SMALL)
    ax.hlines([c - scale * value for c, value in marked], -0.5, T - 0.5, color=GRID, linewidth=0.5, zorder=0)
    return ax


def rounded_down(value: float) -> float:
    """The largest of ..., 0.1, 0.2, 0.5, 1, 2, 5, ... that is at most `value`; 0 for 0.

    >>> rounded_down(0.4), rounded_down(0.07), rounded_down(0.0)
    (0.2, 0.05, 0.0)
    """
    if value <= 0:
        return 0.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(f"{power * max(m for m in (1, 2, 5) if m * power <= value * (1 + 1e-9)):.1g}")


def gradient_figure(grad: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Show the gradient with respect to the logits, as `gradient` draws it."""
    C = len(class_names)
    figure = Figure(figsize=(COLUMN, 0.9 + max(1.0, (0.42 if C <= 6 else 0.27) * C)), layout="constrained")
    ax = gradient(figure.subplots(), grad, class_names)
    ax.set_title("the loss's gradient for each logit. Up: the network says\n"
                 "too much, a step lowers it; down (hatched): too little", fontsize=SMALL, loc="left")
    return figure
