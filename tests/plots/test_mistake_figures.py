"""The figures of the original mistake: no label is cut off or covers another."""

import numpy as np

from ctc_scratch import plots
from ctc_scratch.digits.lessons.mistake import sum_not_columns
from tests.plots.conftest import assert_no_label_covers_another


def test_no_label_of_the_training_runs_covers_another():
    costs = np.geomspace(300, 1, 50)
    runs = [plots.TrainingCurves(costs * f, np.full(50, 0.34 * f), label)
            for f, label in ((0.2, "mistake: 5 frames"), (1.0, "mended"), (0.5, "and four columns a frame"))]
    assert_no_label_covers_another(plots.runs_figure(runs, 11.5, 0.34))


def test_no_label_of_the_sum_over_alignments_covers_another():
    assert_no_label_covers_another(sum_not_columns())
