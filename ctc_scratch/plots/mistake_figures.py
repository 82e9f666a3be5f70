"""Figures of the original mistake: training with too few frames per row, and what the loss sums."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import ACCENT, COLUMN, CURVES, GRID, RULE, SMALL


class TrainingCurves(NamedTuple):
    """One training run, step by step."""

    costs: np.ndarray       # mean cost of the rows that have a path [nats per row]
    no_path: np.ndarray     # share of the rows that have none
    label: str              # names the run in the legend


def runs_figure(runs: Sequence[TrainingCurves], blind: float, expected_share: float) -> Figure:
    """Show training runs: their costs above, the share of rows without a valid path below.

    The share is a mean over the last ten steps, because in a single batch it is mostly chance.

    Parameters
    ----------
    blind : the cost of guessing digits without looking at them [nats per row]
    expected_share : the share of random rows that do not fit their frames
    """
    figure = Figure(figsize=(COLUMN, 3.9), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for run, style in zip(runs, CURVES):
        steps = np.arange(1, len(run.costs) + 1)
        top.plot(steps, run.costs, label=run.label, **style)
        bottom.plot(steps, 100 * mean_of_ten(run.no_path), **style)
    for ax, y, text in ((top, blind, f"5 ln 10 = {blind:.1f}:\ndigits guessed\nblindly"),
                        (bottom, 100 * expected_share, f"1 − 0.9⁴ = {expected_share:.0%}\nexpected")):
        ax.axhline(y, color=RULE, linewidth=0.6, linestyle=":")
        # Beside the panel, where no curve passes.
        ax.annotate(text, (1, y), (4, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                    fontsize=SMALL, va="center", annotation_clip=False)
        ax.set_xlim(0, max(len(run.costs) for run in runs))
    top.set_yscale("log")
    top.set_yticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    top.minorticks_off()
    top.set_ylabel("cost [nats per row\nthat has a path]", fontsize=SMALL)
    bottom.set_ylim(-4, 80)
    bottom.set_yticks([0, 40, 80])
    bottom.set_ylabel("rows without a\npath, mean of\n10 steps [%]", fontsize=SMALL)
    bottom.set_xlabel("training step", fontsize=SMALL)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", fontsize=SMALL, frameon=False)
    for ax in (top, bottom):
        ax.grid(color=GRID)
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def mean_of_ten(values: np.ndarray) -> np.ndarray:
    """The mean of each value and the up to nine before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - 10, 0)
    return (sums[ends] - sums[begins]) / (ends - begins)


def sum_not_columns_figure(paths: Sequence[Sequence[str]], probabilities: Sequence[float],
                           collapsed: Sequence[str]) -> Figure:
    """Show that the loss sums all alignments, and that the decoder collapses one path afterwards.

    Parameters
    ----------
    paths : the alignments of a toy problem, as symbols
    probabilities : one per alignment
    collapsed : one path, and the labels that are left when it is collapsed
    """
    n, T = len(paths), len(paths[0])
    figure = Figure(figsize=(COLUMN, 0.3 * n + 1.7), layout="constrained")
    ax = figure.subplots()
    ax.axis("off")
    ax.set_xlim(-0.6, T + 4.6)
    ax.set_ylim(n + 3.3, -1.5)

    def cells(symbols, x, y, shade="white", edge="black"):
        for k, symbol in enumerate(symbols):
            box = Rectangle((x + k, y), 0.92, 0.8, facecolor=shade, edgecolor=edge,
                            linewidth=0.7 if edge == "black" else 1.3)
            ax.add_patch(box)
            ax.text(x + k + 0.46, y + 0.42, symbol, ha="center", va="center", fontsize=SMALL + 1)

    def say(x, y, text, **style):
        ax.text(x, y, text, va="center", fontsize=SMALL, **style)

    say(0, -1.1, "in the loss: all alignments, no column per digit", weight="bold")
    for k in range(T):
        say(k + 0.46, -0.45, f"t={k}", ha="center")
    for i, (path, p) in enumerate(zip(paths, probabilities)):
        cells(path, 0, i)
        say(T + 0.3, i + 0.42, "+" if i else "")
        say(T + 0.6, i + 0.42, f"{p:.3f}")
    total = sum(probabilities)
    say(T + 1.7, n / 2, f"= {total:.3f}\n= p(labels);\ncost = −ln p\n= {-np.log(total):.2f}")
    say(0, n + 0.65, "after it, in the decoder: one path, collapsed", weight="bold")
    path, labels = collapsed
    cells(path, 0, n + 1.2, edge=ACCENT)
    ax.annotate("", (T + 2.3, n + 1.6), (T + 0.2, n + 1.6), arrowprops=dict(arrowstyle="->"))
    say(T + 1.2, n + 2.35, "merge repeats,\ndrop blanks", ha="center")
    cells(labels, T + 2.5, n + 1.2, "0.9", ACCENT)
    return figure
