"""Figures of the lattice: states from top to bottom, frames from left to right.

All of them are legible in greyscale and, printed 80 mm wide, without a glass.

Shapes: log_alpha, log_beta, gamma (T, S); names S state names, top to bottom; a path is its
states (T,).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .style import COLUMN, INK, SMALL

DECADES = 8   # at most, of a heat map on log scale: what is less likely is as white as that


# ---- the trellis ----------------------------------------------------------------------------


def trellis(ax: Axes, paths: np.ndarray, names: Sequence[str]) -> Axes:
    """Draw every path through a small lattice, and in each state how many pass it.

    Parameters
    ----------
    paths : (n, T) integer array, the states of each path
    names : S state names
    """
    n, T = paths.shape
    S = len(names)
    # Each path a little off the centre of the states, so that none hides another.
    offsets = np.linspace(-0.16, 0.16, n) if n > 1 else np.zeros(n)
    for path, offset in zip(paths, offsets):
        ax.plot(np.arange(T), path + offset, color="0.45", linewidth=0.7, zorder=1)
    through = np.array([np.bincount(paths[:, t], minlength=S) for t in range(T)])
    for t, s in np.ndindex(T, S):
        used = through[t, s] > 0
        ax.plot(t, s, "o", markersize=15 if used else 4, markerfacecolor="white",
                markeredgecolor="black" if used else "0.7", zorder=2)
        if used:
            ax.text(t, s, str(through[t, s]), ha="center", va="center_baseline", fontsize=SMALL, zorder=3)
    _states(ax, names)
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


# ---- heat maps --------------------------------------------------------------------------------


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
    _states(ax, names)
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
    figure = Figure(figsize=(COLUMN, 3 * _height(S) + 0.9), layout="constrained")
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


# ---- single paths -----------------------------------------------------------------------------


def paths_over(ax: Axes, gamma: np.ndarray, names: Sequence[str], best: np.ndarray | None = None,
               others: Sequence[np.ndarray] = (), samples: Sequence[np.ndarray] = ()) -> Axes:
    """Draw paths over gamma, linear, at most mid-grey.

    Parameters
    ----------
    best : (T,) states, a thick black line
    others : runners-up, dashed
    samples : thin lines, each a little off the centre
    """
    T, S = gamma.shape
    ax.imshow(gamma.T, cmap=INK, vmin=0, vmax=1.8, aspect="auto", interpolation="nearest",
              extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    t = np.arange(T)
    for path, offset in zip(samples, np.linspace(-0.3, 0.3, len(samples)) if len(samples) > 1 else [0]):
        ax.plot(t, path + offset, color="black", linewidth=0.6, alpha=0.8)
    if best is not None:
        ax.plot(t, best, color="black", linewidth=2.2, label="best", solid_joinstyle="round")
    for k, path in enumerate(others, start=2):
        ax.plot(t, path + 0.12 * (k - 1), color="black", linewidth=0.9,
                linestyle=(0, (4 if k % 2 else 1.5, 1.5)), label=f"{k}.")
    _states(ax, names)
    ax.set_xlim(-0.5, T - 0.5)
    ax.set_ylim(S - 0.5, -0.5)
    return ax


def paths_figure(gamma: np.ndarray, names: Sequence[str], k_best: Sequence[np.ndarray],
                 samples: Sequence[np.ndarray]) -> Figure:
    """Show the best paths above, samples from the posterior below, both over gamma."""
    S = len(names)
    figure = Figure(figsize=(COLUMN, 2 * _height(S) + 0.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    best, *others = k_best
    paths_over(top, gamma, names, best, others)
    runners = f", dashed the next {len(others)}" if others else ""
    top.set_title(f"thick: the best path (Viterbi){runners}", fontsize=SMALL, loc="left", pad=3)
    paths_over(bottom, gamma, names, samples=samples)
    bottom.set_title(f"{len(samples)} samples of the posterior; shade: γ", fontsize=SMALL, loc="left", pad=3)
    top.set_xlabel("")
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
    _frames(ax)
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


# ---- training ----------------------------------------------------------------------------------


def gamma_evolution_figure(gammas: Sequence[np.ndarray], titles: Sequence[str],
                           names: Sequence[str]) -> Figure:
    """Show how gamma (T, S) changes over training, one panel a stage (Graves 2006, figure 4).

    Parameters
    ----------
    gammas : any number from 1 on, of the same shape
    titles : of each, e.g. "iteration 50"
    names : S state names
    """
    figure = Figure(figsize=(COLUMN, len(gammas) * _height(len(names)) + 0.7), layout="constrained")
    axes = figure.subplots(len(gammas), 1, sharex=True, squeeze=False)[:, 0]
    for ax, gamma, title in zip(axes, gammas, titles):
        T, S = gamma.shape
        image = ax.imshow(gamma.T, cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
                          extent=(-0.5, T - 0.5, S - 0.5, -0.5))
        _states(ax, names)
        ax.set_title(title, fontsize=SMALL, loc="left", pad=3)
    for ax in axes[:-1]:
        ax.set_xlabel("")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("γ", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


# ---- axes --------------------------------------------------------------------------------------


def _states(ax: Axes, names: Sequence[str]) -> None:
    S = len(names)
    # Blanks are every other state: where there are many, the labels' names alone.
    shown = range(S) if S <= 7 else range(1, S, 2) if S <= 31 else range(1, S, 2 * (S // 20))
    ax.set_yticks(list(shown), [names[s] for s in shown])
    ax.set_ylabel("state" if S <= 7 else "state (blanks between)", fontsize=SMALL)
    _frames(ax)


def _frames(ax: Axes) -> None:
    ax.set_xlabel("frame t", fontsize=SMALL)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    ax.tick_params(labelsize=SMALL)


def _height(S: int) -> float:
    """Inches of a panel of S states."""
    return float(np.clip(0.17 * S, 0.9, 2.2))
