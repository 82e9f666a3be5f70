"""A figure of readers that were trained with different objectives: where and how wide their spikes are."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import AMBER, BLUE, COLUMN, INK, RULE, SMALL

PALE = 3.0
"""The image is drawn this many times lighter than black, so that curves stand out on it."""


def objectives_figure(image: np.ndarray, middles: Sequence[float], window: int,
                      runs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Show a row of digits once per run, and over it where the trained network sees digits.

    Parameters
    ----------
    image : (28, W) array in [0, 1]
    middles : the middle of each digit's ink [pixels]
    window : pixels in a frame
    runs : from the title of a run to two arrays (T,): the network's probability of any digit, 1 less that of
        the blank, and the same under gamma, the posterior once the digits of the row are known
    """
    figure = Figure(figsize=(COLUMN, 0.5 + 0.72 * len(runs)), layout="constrained")
    panels = figure.subplots(len(runs), 1, sharex=True, squeeze=False).ravel()
    for ax, (title, (probs, gamma)) in zip(panels, runs.items()):
        edges = np.arange(len(probs) + 1) * window
        ax.imshow(image, cmap=INK, vmin=0, vmax=PALE, aspect="auto", interpolation="nearest",
                  extent=(0, image.shape[1], 0, 1))
        for middle in middles:
            ax.axvline(middle, color=RULE, linewidth=0.6, linestyle=":")
        ax.stairs(probs, edges, color=BLUE, linewidth=1.4, label="network: any digit")
        ax.stairs(gamma, edges, color=AMBER, linewidth=1.2, linestyle=(0, (3, 2)), label="γ: any digit")
        ax.set_xlim(0, image.shape[1])
        ax.set_ylim(0, 1.08)
        ax.set_yticks([0, 1])
        ax.set_title(title, fontsize=SMALL, loc="left", pad=2)
        ax.tick_params(labelsize=SMALL)
        ax.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("x [pixels]; dotted: the middle of each digit's ink", fontsize=SMALL)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=SMALL,
                  frameon=False)
    return figure
