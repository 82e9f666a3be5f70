"""Figures of the plateau: why a CTC network first answers only blank, and later reads labels as spikes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .lattice_figures import hatch
from .style import AMBER, BLUE, COLUMN, CURVES, GRID, INK, RULE, SMALL


def uniform_gamma_figure(gamma: np.ndarray, names: Sequence[str], C: int) -> Figure:
    """Show gamma (T, S) of uniform outputs, and below it the shares of blank and labels in each frame."""
    T, S = gamma.shape
    figure = Figure(figsize=(COLUMN, 3.6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    top.imshow(gamma.T, cmap=INK, vmin=0, vmax=gamma.max(), aspect="auto", interpolation="nearest",
               extent=(-0.5, T - 0.5, S - 0.5, -0.5))
    hatch(top, gamma == 0)
    top.set_yticks(range(1, S, 2), [names[s] for s in range(1, S, 2)])
    top.set_ylabel("state (blanks between)", fontsize=SMALL)
    top.set_title("γ before training: all alignments alike", fontsize=SMALL, loc="left")

    t, blank = np.arange(T), gamma[:, 0::2].sum(axis=1)
    bottom.plot(t, blank, color=BLUE, linewidth=1.4)
    bottom.plot(t, gamma[:, 1::2], color=AMBER, linewidth=0.9)
    bottom.axhline(1 / C, color=RULE, linewidth=0.7, linestyle=":")
    bottom.text(T / 2, blank[T // 2] + 0.03, "all blanks together", fontsize=SMALL, ha="center", va="bottom")
    bottom.text(T / 2, gamma[T // 2, 1::2].max() + 0.01, "each label", fontsize=SMALL, ha="center",
                va="bottom")
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
    """Show the blank's mean probability and the cost over the steps of training runs.

    Parameters
    ----------
    runs : from the label of a run to its `blank`, the mean probability of the blank, and its `cost`
        [nats per row], both one number per step
    uniform : the blank's share of gamma for uniform outputs
    blind : the blank's share in the best output that ignores its input
    blind_cost : the cost of that output [nats per row]
    """
    figure = Figure(figsize=(COLUMN, 4.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for ax in (top, bottom):
        ax.set_xlim(0, max(len(run["cost"]) for run in runs.values()))
    for (label, run), style in zip(runs.items(), CURVES):
        steps = np.arange(1, len(run["cost"]) + 1)
        top.plot(steps, run["blank"], label=label, **style)
        bottom.plot(steps, run["cost"], **style)
    for ax, y, text in ((top, uniform, f"{uniform:.2f}: γ of a\nuniform start"),
                        (top, blind, f"{blind:.2f}: best\nblind output"),
                        (bottom, blind_cost, f"{blind_cost:.1f}: best\nblind output")):
        ax.axhline(y, color=RULE, linewidth=0.6, linestyle=":")
        # Beside the panel, where no curve passes.
        ax.annotate(text, (1, y), (4, 0), xycoords=ax.get_yaxis_transform(), textcoords="offset points",
                    fontsize=SMALL, va="center", annotation_clip=False)
    top.set_ylim(0, 1.05)
    top.set_ylabel("blank's mean probability", fontsize=SMALL)
    bottom.set_yscale("log")
    bottom.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    bottom.minorticks_off()
    bottom.set_ylabel("cost [nats per row]", fontsize=SMALL)
    bottom.set_xlabel("training step", fontsize=SMALL)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", fontsize=SMALL, frameon=False)
    for ax in (top, bottom):
        ax.grid(color=GRID)
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    return figure
