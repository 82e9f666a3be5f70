"""Figures of `ctc-scratch show`: one row while it is learnt, and why CTC is peaky.

The x-axis counts pixel columns, which are the frames here: a frame is one column.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from .lattice import hatch
from .reading import row_image
from .style import COLUMN, SMALL

WIDE = 1.35 * COLUMN


class Stage(NamedTuple):
    """A row at one iteration of its training."""

    iteration: int
    costs: Sequence[float]     # of iterations 1..iteration [nats]
    probs: np.ndarray          # (T, C)
    occupancy: np.ndarray      # (T, C), gamma over classes; 0 in frames that never enter the loss
    spans: Sequence            # of the best alignment: label, first, last
    title: str


def stage_figure(image: np.ndarray, stage: Stage, class_names: Sequence[str], blank: int, used: int,
                 iterations: int) -> Figure:
    """Show a row, its posteriors with gamma and the best alignment over them, the blank, the cost.

    Parameters
    ----------
    image : (height, T) array in [0, 1]
    used : frames that enter the loss; the others are hatched
    iterations : of the whole training, the length of the axis of costs
    """
    T, C = stage.probs.shape
    figure = Figure(figsize=(WIDE, 4.9), layout="constrained")
    top, middle, foot, bottom = figure.subplots(4, 1, gridspec_kw=dict(height_ratios=[0.75, 1.8, 0.75, 0.8]))
    figure.suptitle(stage.title, fontsize=SMALL + 1)

    row_image(top, image)
    _digits(middle, stage, class_names, blank)
    others = [c for c in range(C) if c != blank]
    t = np.arange(T) + 0.5
    foot.plot(t, stage.probs[:, blank], color="black", linewidth=1, label="probability")
    foot.plot(t[:used], stage.occupancy[:used, blank], color="0.5", linewidth=1.6, linestyle=(0, (2, 1)),
              label="γ", zorder=1)
    foot.set_ylim(-0.05, 1.05)
    foot.set_yticks([0, 1])
    foot.set_ylabel("blank", fontsize=SMALL)
    foot.set_xlabel("frame t, one column of pixels each", fontsize=SMALL)
    for ax in (top, middle, foot):
        ax.set_xlim(0, T)
        ax.tick_params(labelsize=SMALL)
        if ax is not foot:
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)
    if used < T:
        for ax, low, height in ((middle, -0.5, len(others)), (foot, -0.05, 1.1)):
            ax.add_patch(Rectangle((used, low), T - used, height, facecolor="none", edgecolor="0.75",
                                   hatch="////", linewidth=0, zorder=0.5))
        middle.text((used + T) / 2, len(others) / 2 - 0.5, "these frames never entered the loss",
                    ha="center", va="center", fontsize=SMALL,
                    bbox=dict(facecolor="white", edgecolor="none", pad=2))

    bottom.plot(np.arange(1, len(stage.costs) + 1), stage.costs, color="black", linewidth=1)
    bottom.plot(len(stage.costs), stage.costs[-1], "o", color="black", markersize=3)
    bottom.set_yscale("log")
    bottom.set_xlim(0, iterations + 1)
    bottom.set_ylim(0.05, 500)
    bottom.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    bottom.minorticks_off()
    bottom.set_xlabel("iteration", fontsize=SMALL)
    bottom.set_ylabel("cost [nats]", fontsize=SMALL)
    bottom.grid(color="0.9")
    bottom.tick_params(labelsize=SMALL)
    return figure


def _digits(ax: Axes, stage: Stage, class_names: Sequence[str], blank: int) -> None:
    """Probabilities of all classes but the blank as shades; gamma as discs, the best alignment as boxes."""
    T, C = stage.probs.shape
    others = [c for c in range(C) if c != blank]
    ax.imshow(stage.probs[:, others].T, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest",
              origin="lower", extent=(0, T, -0.5, len(others) - 0.5))
    line_of = {c: line for line, c in enumerate(others)}
    t, lines = np.nonzero(stage.occupancy[:, others] > 0.02)
    ax.scatter(t + 0.5, lines, s=13 * stage.occupancy[:, others][t, lines], facecolor="white",
               edgecolor="black", linewidth=0.4)
    for span in stage.spans:
        ax.add_patch(Rectangle((span.first, line_of[span.label] - 0.5), span.last + 1 - span.first, 1,
                               facecolor="none", edgecolor="black", linewidth=0.9))
    ax.set_yticks(range(len(others)), [class_names[c] for c in others])
    ax.set_ylabel("digit\n(disc: γ, box: best path)", fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.5, len(others) - 0.5)


def save_gif(figures: Iterable[Figure], path: Path, milliseconds: int = 120) -> None:
    """Write figures as one animation that repeats; the last stands for two seconds."""
    images = [_render(figure) for figure in figures]
    durations = [milliseconds] * (len(images) - 1) + [2000]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _render(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Greyscale with 16 shades: a quarter of the bytes, and nothing is lost in figures without colour.
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L").quantize(16)


# ---- the original mistake ---------------------------------------------------------------------


class Run(NamedTuple):
    """A batch run: cost of the rows that have a path [nats], share of those that have none, label."""

    costs: np.ndarray
    no_path: np.ndarray
    label: str


STYLES = (dict(color="black", linewidth=1.2), dict(color="0.45", linewidth=1.2, linestyle=(0, (4, 1))),
          dict(color="0.6", linewidth=2))


def runs_figure(runs: Sequence[Run], blind: float, expected_share: float) -> Figure:
    """Show batch runs: their costs above, below the share of rows without a valid path.

    Parameters
    ----------
    blind : nats, the cost of guessing digits without looking
    expected_share : of random rows that do not fit
    """
    figure = Figure(figsize=(WIDE, 3.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for run, style in zip(runs, STYLES):
        steps = np.arange(1, len(run.costs) + 1)
        top.plot(steps, run.costs, label=run.label, **style)
        bottom.plot(steps, 100 * run.no_path, **style)
    top.axhline(blind, color="black", linewidth=0.6, linestyle=":")
    top.text(len(runs[0].costs), blind * 0.92, f"5 ln 10 = {blind:.1f}: digits guessed blindly",
             fontsize=SMALL, ha="right", va="top")
    top.set_yscale("log")
    top.set_yticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    top.minorticks_off()
    top.set_ylabel("cost [nats per row\nthat has a path]", fontsize=SMALL)
    top.legend(fontsize=SMALL, frameon=False)
    bottom.axhline(100 * expected_share, color="black", linewidth=0.6, linestyle=":")
    bottom.text(len(runs[0].costs), 100 * expected_share + 22, f"1 − 0.9⁴ = {expected_share:.0%} expected",
                fontsize=SMALL, ha="right", va="bottom")
    bottom.set_ylim(-4, 100)
    bottom.set_ylabel("rows without\na valid path [%]", fontsize=SMALL)
    bottom.set_xlabel("training step", fontsize=SMALL)
    for ax in (top, bottom):
        ax.grid(color="0.92")
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def sum_not_columns_figure(paths: Sequence[Sequence[str]], probabilities: Sequence[float],
                           collapsed: Sequence[str]) -> Figure:
    """Show what is inside the loss, a sum over alignments, and what comes after it, the collapse.

    Parameters
    ----------
    paths : the alignments of a toy, as symbols
    probabilities : of each
    collapsed : a path (the likeliest) as it is merged, and its labels
    """
    n, T = len(paths), len(paths[0])
    figure = Figure(figsize=(WIDE, 0.36 * n + 1.9), layout="constrained")
    ax = figure.subplots()
    ax.axis("off")
    ax.set_xlim(-0.6, T + 4.6)
    ax.set_ylim(n + 3.3, -1.5)

    def cells(symbols, x, y, shade="white"):
        for k, symbol in enumerate(symbols):
            box = Rectangle((x + k, y), 0.92, 0.8, facecolor=shade, edgecolor="black", linewidth=0.7)
            ax.add_patch(box)
            ax.text(x + k + 0.46, y + 0.42, symbol, ha="center", va="center", fontsize=SMALL + 1)

    def say(x, y, text, **style):
        ax.text(x, y, text, va="center", fontsize=SMALL, **style)

    say(0, -1.1, "inside the loss: every alignment, all frames; no column per digit", weight="bold")
    for k in range(T):
        say(k + 0.46, -0.45, f"t={k}", ha="center")
    for i, (path, p) in enumerate(zip(paths, probabilities)):
        cells(path, 0, i)
        say(T + 0.3, i + 0.42, "+" if i else "")
        say(T + 0.6, i + 0.42, f"{p:.3f}")
    total = sum(probabilities)
    say(T + 1.7, n / 2, f"= {total:.3f} = p(labels)\ncost = −ln p = {-np.log(total):.2f}")
    say(0, n + 0.65, "after the loss, in the decoder: one path, collapsed", weight="bold")
    path, labels = collapsed
    cells(path, 0, n + 1.2)
    ax.annotate("", (T + 2.3, n + 1.6), (T + 0.2, n + 1.6), arrowprops=dict(arrowstyle="->"))
    say(T + 1.2, n + 2.35, "merge repeats,\ndrop blanks", ha="center")
    cells(labels, T + 2.5, n + 1.2, "0.85")
    return figure


# ---- why peaky, why the plateau ----------------------------------------------------------------


def uniform_gamma_figure(gamma: np.ndarray, names: Sequence[str], C: int) -> Figure:
    """Show gamma (T, S) where all outputs are equal, and below it what blank and labels get of each frame."""
    T, S = gamma.shape
    figure = Figure(figsize=(COLUMN, 3.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    top.imshow(gamma.T, cmap="Greys", vmin=0, vmax=gamma.max(), aspect="auto", interpolation="nearest",
               extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    hatch(top, gamma == 0)
    top.set_yticks(range(1, S, 2), [names[s] for s in range(1, S, 2)])
    top.set_ylabel("state (blanks between)", fontsize=SMALL)
    top.set_title("γ before training: all alignments alike", fontsize=SMALL, loc="left")

    t, blank = np.arange(T), gamma[:, 0::2].sum(axis=1)
    bottom.plot(t, blank, color="black", linewidth=1.4)
    bottom.plot(t, gamma[:, 1::2], color="0.55", linewidth=0.9)
    bottom.axhline(1 / C, color="black", linewidth=0.7, linestyle=":")
    bottom.text(T / 2, blank[T // 2] + 0.02, "blank", fontsize=SMALL, ha="center", va="bottom")
    bottom.text(T / 2, gamma[T // 2, 1::2].max(), "each label", fontsize=SMALL, ha="center", va="bottom",
                color="0.3")
    bottom.set_title(f"shares; dotted: what each of the {C} classes has", fontsize=SMALL, loc="left")
    bottom.set_ylim(-0.03, 0.8)
    bottom.set_yticks([1 / C, 0.4, 0.8], [f"1/{C}", "0.4", "0.8"])
    bottom.set_xlabel("frame t", fontsize=SMALL)
    bottom.set_ylabel("share of the frame", fontsize=SMALL)
    for ax in (top, bottom):
        ax.tick_params(labelsize=SMALL)
    return figure


def plateau_figure(runs: Mapping[str, Mapping[str, Sequence[float]]], uniform: float, blind: float,
                   blind_cost: float) -> Figure:
    """Show blank's share of the frames, and the cost, over training steps.

    Parameters
    ----------
    runs : by label: `blank`, the mean probability of the blank, and `cost` [nats per row], per step
    uniform, blind : blank's share of gamma at a uniform start, and in the best output that ignores
        its input
    blind_cost : nats per row of that output
    """
    figure = Figure(figsize=(WIDE, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    styles = [*STYLES, dict(color="black", linewidth=0.9, linestyle=(0, (1, 1)))]
    for (label, run), style in zip(runs.items(), styles):
        steps = np.arange(1, len(run["cost"]) + 1)
        top.plot(steps, run["blank"], label=label, **style)
        bottom.plot(steps, run["cost"], **style)
    last = max(len(run["cost"]) for run in runs.values())
    for ax, x, y, text, side in [
        (top, 0.06 * last, uniform * 0.99, f"γ of a uniform start: {uniform:.2f}", "left"),
        (top, last, blind * 1.05, f"best blind output: {blind:.2f}", "right"),
        (bottom, last, blind_cost * 1.4, f"best blind output: {blind_cost:.1f} nats", "right"),
    ]:
        ax.text(x, y, text, fontsize=SMALL, ha=side, va="top" if side == "left" else "bottom")
    for ax, y in ((top, uniform), (top, blind), (bottom, blind_cost)):
        ax.axhline(y, color="black", linewidth=0.6, linestyle=":")
    top.set_ylim(0, 1.05)
    top.set_ylabel("blank's mean probability", fontsize=SMALL)
    bottom.set_yscale("log")
    bottom.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    bottom.minorticks_off()
    bottom.set_ylabel("cost [nats per row]", fontsize=SMALL)
    bottom.set_xlabel("training step", fontsize=SMALL)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=SMALL,
                  frameon=False)
    for ax in (top, bottom):
        ax.grid(color="0.92")
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    return figure
