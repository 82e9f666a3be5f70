"""One row of digits while a network learns it by heart, or learns to read: figures and animations.

In `stage_figure` a frame is one column of pixels, so its x-axis counts frames and pixels alike.
"""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from .row_figures import (
    PlottedRow,
    join,
    row_image,
    spans,
    spike_places,
    spikes,
)
from .style import ACCENT, AMBER, BLUE, COLUMN, GRID, INK, NORMAL, SMALL


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
    figure = Figure(figsize=(COLUMN, 4.6), layout="constrained")
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


# ---- learning to read --------------------------------------------------------------------------


class ReadingStage(NamedTuple):
    """What a network reads in a row after a number of training steps."""

    step: int
    row: PlottedRow
    loss: float                # of the batch of this step [nats per row]

    def title(self, class_names: Sequence[str]) -> str:
        """The step, its loss and what is read, in a line."""
        return f"step {self.step}: loss {self.loss:.1f}, read: {_names(self.row.decoded, class_names, 30)}"


def _names(classes: Sequence[int], class_names: Sequence[str], most: int) -> str:
    """The names of classes, in at most `most` characters."""
    text = " ".join(class_names[c] for c in classes) or "nothing"
    return text if len(text) <= most else text[:most - 3] + "..."


def reading_stage_figure(stage: ReadingStage, losses: Sequence[float], window: int,
                         class_names: Sequence[str], blank: int) -> Figure:
    """Show how a row is read after a training step, and the loss up to this step beside it.

    Parameters
    ----------
    losses : of all steps of the training; those after this step set the axis but are not drawn
    window : pixels in a frame
    """
    figure = Figure(figsize=(7.4, 2.7), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.3, 1])[0]
    top, middle = left.subplots(2, 1, sharex=True, height_ratios=[1, 1.1])
    _draw_reading(top, middle, stage.row, window, class_names, blank)
    left.suptitle(f"read: {_names(stage.row.decoded, class_names, 40)}\n"
                  f"truth: {_names(stage.row.truth, class_names, 40)}", fontsize=NORMAL + 1)
    middle.set_xlabel("x [pixels]", fontsize=NORMAL)

    ax = right.subplots()
    ax.plot(range(1, stage.step + 1), losses[:stage.step], color=BLUE, linewidth=1.2)
    if stage.step:
        ax.plot(stage.step, losses[stage.step - 1], "o", color=BLUE, markersize=4)
    ax.set_yscale("log")
    ax.set_xlim(0, len(losses) + 1)
    low, high = min(losses), max(losses)
    ax.set_ylim(low / 1.5, 1.5 * high)
    ticks = [tick for tick in (0.1, 0.3, 1, 3, 10, 30, 100, 300) if low / 1.5 <= tick <= 1.5 * high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.grid(color=GRID)
    ax.set_xlabel("training step", fontsize=NORMAL)
    ax.set_ylabel("loss [nats per row]", fontsize=NORMAL)
    ax.set_title(f"step {stage.step}", fontsize=NORMAL + 1)
    for panel in (middle, ax):
        panel.tick_params(labelsize=NORMAL)
    for text in [middle.yaxis.label, *middle.texts]:
        text.set_fontsize(NORMAL)
    return figure


def reading_stages_figure(stages: Sequence[ReadingStage], window: int, class_names: Sequence[str],
                          blank: int) -> Figure:
    """Show a row of digits, and how it is read after each of several training steps."""
    width = float(np.clip(stages[0].row.image.shape[1] / 140 * COLUMN, COLUMN, 18))
    figure = Figure(figsize=(width, 0.95 * len(stages) + 1.3), layout="constrained")
    top, *panels = figure.subplots(len(stages) + 1, 1, sharex=True)
    for ax, stage in zip(panels, stages):
        spikes(ax, stage.row.probs, window, class_names, blank)
        ax.set_title(stage.title(class_names), fontsize=SMALL, loc="left", pad=3)
        ax.spines[["top", "right"]].set_visible(False)
    _draw_reading(top, None, stages[-1].row, window, class_names, blank)
    panels[-1].set_xlabel("x [pixels]", fontsize=SMALL)
    return figure


def _draw_reading(top: Axes, middle: Axes | None, row: PlottedRow, window: int, class_names: Sequence[str],
                  blank: int) -> None:
    """Draw a row with bands where its digits were read, and the spikes below it, joined to the bands."""
    row_image(top, row.image)
    top.set_ylabel("")
    top.set_xlabel("")
    top.set_yticks([])
    top.spines[["top", "right"]].set_visible(False)
    spans(top, row.places, [""] * len(row.places))
    if middle is not None:
        spikes(middle, row.probs, window, class_names, blank)
        middle.spines[["top", "right"]].set_visible(False)
        found = spike_places(row.probs.argmax(axis=1), window, blank)
        if len(found) == len(row.places):
            join(top, middle, row.places, [x for x, _ in found])


# ---- animations --------------------------------------------------------------------------------


LAST_SHOWN = 2000
"""How long an animation shows its last picture [milliseconds]."""


def pictures_of(figures: Iterable[Figure]) -> list[Image.Image]:
    """Draw figures as the pictures of an animation; all must have the same size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    pictures = []
    for figure in figures:
        figure.set_dpi(130)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    return pictures


def save_gif(pictures: Sequence[Image.Image], path: Path, milliseconds: int = 120) -> None:
    """Write an animation that repeats and shows the last picture for two seconds."""
    # A palette of 32 colours holds the few colours of a figure in a fraction of the bytes.
    images = [picture.quantize(32) for picture in pictures]
    durations = [milliseconds] * (len(images) - 1) + [LAST_SHOWN]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def save_mp4(pictures: Sequence[Image.Image], path: Path, milliseconds: int = 120) -> str:
    """Write the animation as an MP4 film with the program ffmpeg; returns "", or why that failed."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return "ffmpeg is not installed"
    width, height = (side - side % 2 for side in pictures[0].size)      # yuv420p needs even sides
    shown = [*pictures, *[pictures[-1]] * (LAST_SHOWN // milliseconds)]
    ended = subprocess.run(
        [ffmpeg, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
         "-s", f"{width}x{height}", "-r", f"{1000 / milliseconds:.3f}", "-i", "-",
         "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)],
        input=b"".join(picture.crop((0, 0, width, height)).tobytes() for picture in shown),
        capture_output=True)
    if ended.returncode:
        path.unlink(missing_ok=True)
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        return f"ffmpeg failed: {said[-1] if said else f'status {ended.returncode}'}"
    return ""
