"""Figures from arrays: what a model reads, how it learns, and the lattice of CTC.

Every drawing function takes arrays and an `Axes` and returns the `Axes`; functions named
`..._figure` make a whole `Figure`. Nothing is told by colour alone: all of it survives a
greyscale printer.

The only room that imports matplotlib; it uses `Figure` and never `pyplot`, so it needs
no display and keeps no state between calls or threads.
"""

from .learning import learning_curve, learning_figure
from .reading import Reading, greedy_path, posteriors, reading_figure, row_image

__all__ = [
    "Reading",
    "greedy_path",
    "learning_curve",
    "learning_figure",
    "posteriors",
    "reading_figure",
    "row_image",
]
