"""One row of digits while a network learns it by heart, as a figure and as an animation.

A frame is one column of pixels here, so the x-axis counts frames and pixels alike.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from .row_figures import row_image
from .style import ACCENT, AMBER, BLUE, GRID, INK, SMALL, WIDE


class Stage(NamedTuple):
    """What the figure of one iteration of training on a row shows."""

    iteration: int
    costs: Sequence[float]     # one per iteration so far [nats]
    probs: np.ndarray          # (T, C)
    occupancy: np.ndarray      # (T, C), gamma of each class; 0 in frames outside the loss
    spans: Sequence            # the best alignment: label, first and last frame of each
    title: str


def stage_figure(image: np.ndarray, stage: Stage, class_names: Sequence[str], blank: int, used: int,
                 iterations: int) -> Figure:
    """Show a row, the posteriors of its digits and of the blank, and the cost so far.

    Over the posteriors lie gamma, as discs, and the best alignment, as boxes.

    Parameters
    ----------
    image : (height, T) array in [0, 1]
    used : how many frames enter the loss; the others are hatched
    iterations : of the whole training; the x-axis of the costs has this length
    """
    T, C = stage.probs.shape
    figure = Figure(figsize=(WIDE, 4.9), layout="constrained")
    top, middle, foot, bottom = figure.subplots(4, 1, gridspec_kw=dict(height_ratios=[0.75, 1.8, 0.75, 0.8]))
    figure.suptitle(stage.title, fontsize=SMALL + 1)

    row_image(top, image)
    _digits(middle, stage, class_names, blank)
    others = [c for c in range(C) if c != blank]
    t = np.arange(T) + 0.5
    foot.plot(t, stage.probs[:, blank], color=BLUE, linewidth=1, label="probability")
    foot.plot(t[:used], stage.occupancy[:used, blank], color=AMBER, linewidth=1.6, linestyle=(0, (2, 1)),
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

    bottom.plot(np.arange(1, len(stage.costs) + 1), stage.costs, color=BLUE, linewidth=1)
    bottom.plot(len(stage.costs), stage.costs[-1], "o", color=BLUE, markersize=3)
    bottom.set_yscale("log")
    bottom.set_xlim(0, iterations + 1)
    bottom.set_ylim(0.05, 500)
    bottom.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    bottom.minorticks_off()
    bottom.set_xlabel("iteration", fontsize=SMALL)
    bottom.set_ylabel("cost [nats]", fontsize=SMALL)
    bottom.grid(color=GRID)
    bottom.tick_params(labelsize=SMALL)
    return figure


def _digits(ax: Axes, stage: Stage, class_names: Sequence[str], blank: int) -> None:
    """Draw the probabilities of all digits as shades, gamma as discs, the best alignment as boxes."""
    T, C = stage.probs.shape
    others = [c for c in range(C) if c != blank]
    ax.imshow(stage.probs[:, others].T, cmap=INK, vmin=0, vmax=1, aspect="auto", interpolation="nearest",
              origin="lower", extent=(0, T, -0.5, len(others) - 0.5))
    line_of = {c: line for line, c in enumerate(others)}
    t, lines = np.nonzero(stage.occupancy[:, others] > 0.02)
    ax.scatter(t + 0.5, lines, s=13 * stage.occupancy[:, others][t, lines], facecolor=AMBER,
               edgecolor="black", linewidth=0.4)
    for span in stage.spans:
        ax.add_patch(Rectangle((span.first, line_of[span.label] - 0.5), span.last + 1 - span.first, 1,
                               facecolor="none", edgecolor=ACCENT, linewidth=1.1))
    ax.set_yticks(range(len(others)), [class_names[c] for c in others])
    ax.set_ylabel("digit\n(disc: γ, box: best path)", fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.5, len(others) - 0.5)


def save_gif(figures: Iterable[Figure], path: Path, milliseconds: int = 120) -> None:
    """Write figures as one animation that repeats and shows the last figure for two seconds."""
    images = [_render(figure) for figure in figures]
    durations = [milliseconds] * (len(images) - 1) + [2000]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _render(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # A palette of 32 colours holds the few colours of a figure in a fraction of the bytes.
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(32)
