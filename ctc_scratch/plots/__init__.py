"""Figures from arrays: what a model reads, how it learns, and the lattice of CTC.

Every drawing function takes arrays and an `Axes` and returns the `Axes`; functions named
`..._figure` make a whole `Figure`. Nothing is told by colour alone: all of it survives a
greyscale printer.

The only room that imports matplotlib; it uses `Figure` and never `pyplot`, so it needs
no display and keeps no state between calls or threads.
"""

from .image_reading import Mark, picture, spans, where_read_figure
from .lattice import (
    alpha_beta_gamma_figure,
    gamma_evolution_figure,
    gradient,
    gradient_figure,
    heat,
    paths_figure,
    paths_over,
    trellis,
    trellis_figure,
)
from .learning import learning_curve, learning_figure
from .lessons import (
    Run,
    Stage,
    plateau_figure,
    runs_figure,
    save_gif,
    stage_figure,
    sum_not_columns_figure,
    uniform_gamma_figure,
)
from .reading import Reading, greedy_path, posteriors, reading_figure, row_image

__all__ = [
    "Mark",
    "Reading",
    "Run",
    "Stage",
    "alpha_beta_gamma_figure",
    "gamma_evolution_figure",
    "gradient",
    "gradient_figure",
    "greedy_path",
    "heat",
    "learning_curve",
    "learning_figure",
    "paths_figure",
    "paths_over",
    "picture",
    "plateau_figure",
    "posteriors",
    "reading_figure",
    "row_image",
    "runs_figure",
    "save_gif",
    "spans",
    "stage_figure",
    "sum_not_columns_figure",
    "trellis",
    "trellis_figure",
    "uniform_gamma_figure",
    "where_read_figure",
]
