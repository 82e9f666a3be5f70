"""Learning curves: the loss and the error rates of a training run, against its steps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import AMBER, BLUE, COLUMN, GREEN, GRID, SMALL


def learning_curve(ax_loss: Axes, ax_rate: Axes,
                   records: Sequence[Mapping[str, float]]) -> tuple[Axes, Axes]:
    """Draw loss and error rates against training steps.

    Parameters
    ----------
    ax_loss : for the loss [nats per row], on a logarithmic axis
    ax_rate : for the rates [%], on an axis that is logarithmic down to 1 % and linear below
    records : mappings with `step` and any of `loss`, `label_error_rate`, `blank_rate`,
        `validation_label_error_rate`, `average_label_error_rate`; rates as fractions; what a
        record lacks or holds as None is not drawn
    """
    def draw(ax, key, scale, label, **style):
        points = [(r["step"], scale * r[key]) for r in records if r.get(key) is not None]
        if points:
            ax.plot(*np.transpose(points), label=label, **style)

    draw(ax_loss, "loss", 1, "training loss", color=BLUE, linewidth=1)
    draw(ax_rate, "blank_rate", 100, "frames read as blank", color=GREEN, linestyle=":")
    draw(ax_rate, "label_error_rate", 100, "label errors, training", color=AMBER, linewidth=1)
    draw(ax_rate, "validation_label_error_rate", 100, "label errors, validation",
         color=BLUE, marker="o", markersize=4)
    draw(ax_rate, "average_label_error_rate", 100, "label errors, validation, averaged weights",
         color=BLUE, linestyle="--", marker="s", markerfacecolor="white", markersize=4)

    ax_loss.set_yscale("log")
    ax_loss.set_ylabel("training loss [nats per row]", fontsize=SMALL)
    ax_rate.set_yscale("symlog", linthresh=1)
    # A model that reads labels where there are none errs by more than 100 %.
    highest = max(100, *(np.max(line.get_ydata()) for line in ax_rate.lines), 0)
    ticks = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    ax_rate.set_yticks(ticks, map(str, ticks))
    ax_rate.set_ylim(0, 1.3 * highest)
    ax_rate.set_ylabel("rate [%]", fontsize=SMALL)
    for ax in ax_loss, ax_rate:
        ax.set_xlabel("training step", fontsize=SMALL)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.tick_params(labelsize=SMALL)
        ax.grid(color=GRID)
    if ax_rate.lines:   # below the panel, where no curve passes
        ax_rate.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.2), frameon=False, fontsize=SMALL)
    return ax_loss, ax_rate


def learning_figure(records: Sequence[Mapping[str, float]]) -> Figure:
    """Show a training run: loss above, error rates below, as `learning_curve` draws them."""
    figure = Figure(figsize=(COLUMN, 4.6), layout="constrained")
    ax_loss, ax_rate = figure.subplots(2, 1, sharex=True)
    learning_curve(ax_loss, ax_rate, records)
    ax_loss.label_outer()
    return figure
