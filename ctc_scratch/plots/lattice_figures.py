"""Figures of the lattice's arrays: states from top to bottom, frames from left to right.

Shapes: log_alpha, log_beta, gamma (T, S); names S state names, top to bottom.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import COLUMN, INK, SMALL, frame_axis, panel_height, state_axis

DECADES = 8   # at most, of a heat map on log scale: what is less likely is as white as that


# ---- alpha, beta, gamma ----------------------------------------------------------------------


def heat(ax: Axes, log_values: np.ndarray, names: Sequence[str], decades: int = DECADES) -> Axes:
    """Draw ln of values (T, S) as shades on a log scale, hatched where they are -inf.

    Parameters
    ----------
    log_values : (T, S) array; each frame is shown relative to its largest value, for over a long
        sequence alpha and beta change by hundreds of decades
    names : S state names
    decades : from black to white
    """
    T, S = log_values.shape
    ax.imshow(relative(log_values).T, cmap=INK, vmin=-decades, vmax=0, aspect="auto",
              interpolation="nearest", extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    hatch(ax, log_values == -np.inf)
    state_axis(ax, names)
    return ax


def relative(log_values: np.ndarray) -> np.ndarray:
    """Decades (T, S) below the largest value of a frame; NaN for values of 0."""
    top = log_values.max(axis=1, keepdims=True, initial=np.finfo(float).min)
    return np.where(log_values > -np.inf, (log_values - top) / np.log(10), np.nan)


def hatch(ax: Axes, cells: np.ndarray) -> None:
    """Hatch cells (T, S), a bool array: a rectangle for each run of frames."""
    T, S = cells.shape
    for s in range(S):
        edges = np.flatnonzero(np.diff(cells[:, s].astype(int), prepend=0, append=0))
        for first, end in zip(edges[::2], edges[1::2]):
            ax.add_patch(Rectangle((first - 0.5, s - 0.5), end - first, 1, facecolor="white",
                                   edgecolor="0.55", hatch="/////", linewidth=0))


def alpha_beta_gamma_figure(log_alpha: np.ndarray, log_beta: np.ndarray, log_gamma: np.ndarray,
                            names: Sequence[str]) -> Figure:
    """Show alpha, beta and gamma one above the other, each on a log scale.

    What cannot be reached is hatched in alpha, what leads nowhere in beta, both of them in gamma.
    Of gamma itself the logarithm would not do: what underflows to 0 is no dead end.

    log_gamma : (T, S) array, log_alpha + log_beta up to a constant in each frame
    """
    S = len(names)
    figure = Figure(figsize=(COLUMN, 3 * panel_height(S) + 0.9), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    titles = ["α: all ways to here", "β: all ways on from here", "γ: the share of all paths"]
    shown = log_alpha, log_beta, log_gamma
    # A toy spans a decade or two; on eight it would be black all over.
    lowest = min(np.nanmin(relative(values), initial=0.0) for values in shown)
    decades = int(np.clip(np.ceil(-lowest), 1, DECADES))
    for ax, values, title in zip(axes, shown, titles):
        heat(ax, values, names, decades)
        ax.set_title(title, fontsize=SMALL, loc="left", pad=3)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    bar = figure.colorbar(axes[0].images[0], ax=axes, shrink=0.6, aspect=25, pad=0.02)
    ticks = [0, -decades] if decades < 2 else [0, -(decades // 2), -decades]
    below = "≤" if lowest < -decades else ""
    bar.set_ticks(ticks, labels=["1", *(f"{below if k == -decades else ''}10$^{{{k}}}$" for k in ticks[1:])])
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("relative to the frame's largest; hatched: no path", fontsize=SMALL)
    return figure


# ---- gamma over training ----------------------------------------------------------------------------------


def gamma_evolution_figure(gammas: Sequence[np.ndarray], titles: Sequence[str],
                           names: Sequence[str]) -> Figure:
    """Show how gamma (T, S) changes over training, one panel a stage (Graves 2006, figure 4).

    Parameters
    ----------
    gammas : any number from 1 on, of the same shape
    titles : of each, e.g. "iteration 50"
    names : S state names
    """
    figure = Figure(figsize=(COLUMN, len(gammas) * panel_height(len(names)) + 0.7), layout="constrained")
    axes = figure.subplots(len(gammas), 1, sharex=True, squeeze=False)[:, 0]
    for ax, gamma, title in zip(axes, gammas, titles):
        T, S = gamma.shape
        image = ax.imshow(gamma.T, cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
                          extent=(-0.5, T - 0.5, S - 0.5, -0.5))
        state_axis(ax, names)
        ax.set_title(title, fontsize=SMALL, loc="left", pad=3)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("γ", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


# ---- the gradient ------------------------------------------------------------------------------


def gradient(ax: Axes, grad: np.ndarray, class_names: Sequence[str]) -> Axes:
    """Draw probs - occupancy (T, C), a line for each class: what training takes away, and what it adds.

    Filled below a class's line, towards the class that follows: the probability is to fall there.
    Hatched above it: it is to rise.
    """
    T, C = grad.shape
    edges = np.arange(T + 1) - 0.5
    scale = 0.46 / max(np.abs(grad).max(initial=0), 1e-12)
    for c in range(C):
        heights = scale * grad[:, c]   # the axis points down
        ax.stairs(c + np.maximum(heights, 0), edges, baseline=c, fill=True, facecolor="0.25", linewidth=0)
        ax.stairs(c + np.minimum(heights, 0), edges, baseline=c, fill=True, facecolor="white",
                  edgecolor="0.25", hatch="//////", linewidth=0.5)
        ax.axhline(c, color="0.6", linewidth=0.5)
    ax.set_yticks(range(C), class_names)
    ax.set_ylim(C - 0.4, -0.6)
    ax.set_xlim(-0.6, T - 0.4)
    frame_axis(ax)
    ax.set_ylabel("class", fontsize=SMALL)
    return ax


def gradient_figure(grad: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Show the gradient w.r.t. the logits, as `gradient` draws it."""
    figure = Figure(figsize=(COLUMN, 0.9 + max(1.0, 0.32 * len(class_names))), layout="constrained")
    ax = gradient(figure.subplots(), grad, class_names)
    largest = np.abs(grad).max(initial=0)
    ax.set_title("probs − occupancy. Dark, down: has more than it should;\n"
                 f"hatched, up: has less. Largest {largest:.2f}", fontsize=SMALL, loc="left")
    return figure
