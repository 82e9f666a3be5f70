"""Figures from arrays: what a model reads, how it learns, and the lattice of CTC.

Every drawing function takes arrays and an `Axes` and returns the `Axes`; functions named
`..._figure` make a whole `Figure`. All share the palette of `style.py`, and none depends on
colour alone, so all are still legible when printed in grey.

This is the only folder that imports matplotlib. It uses `Figure` and never `pyplot`, so it needs
no display and keeps no state between calls or threads.
"""

from .digits_in_image import Mark, PlottedLine, picture, where_read_figure
from .lattice_figures import (
    alpha_beta_gamma_figure,
    gamma_evolution_figure,
    gradient,
    gradient_figure,
    heat,
    lattice,
)
from .learning_curves import learning_curve, learning_figure
from .mistake_figures import TrainingCurves, runs_figure, sum_not_columns_figure
from .objectives_figures import objectives_figure
from .path_figures import paths_figure, paths_over, trellis, trellis_figure
from .plateau_figures import plateau_figure, uniform_gamma_figure
from .row_figures import (
    PlottedRow,
    greedy_path,
    posteriors,
    reading_figure,
    row_image,
    spans,
    spikes,
)
from .stage_figures import (
    ReadingStage,
    Stage,
    pictures_of,
    reading_stage_figure,
    reading_stages_figure,
    save_gif,
    save_mp4,
    stage_figure,
)

__all__ = [
    "Mark",
    "PlottedLine",
    "PlottedRow",
    "ReadingStage",
    "Stage",
    "TrainingCurves",
    "alpha_beta_gamma_figure",
    "gamma_evolution_figure",
    "gradient",
    "gradient_figure",
    "greedy_path",
    "heat",
    "lattice",
    "learning_curve",
    "learning_figure",
    "objectives_figure",
    "paths_figure",
    "paths_over",
    "picture",
    "pictures_of",
    "plateau_figure",
    "posteriors",
    "reading_figure",
    "reading_stage_figure",
    "reading_stages_figure",
    "row_image",
    "runs_figure",
    "save_gif",
    "save_mp4",
    "spans",
    "spikes",
    "stage_figure",
    "sum_not_columns_figure",
    "trellis",
    "trellis_figure",
    "uniform_gamma_figure",
    "where_read_figure",
]
