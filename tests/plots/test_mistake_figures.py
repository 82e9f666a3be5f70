"""The figures of the original mistake: no label is cut off or covers another."""

import numpy as np

from ctc_scratch import plots
from ctc_scratch.digits.lessons.mistake import sum_not_columns
from ctc_scratch.plots.mistake_figures import mean_of_ten
from tests.plots.conftest import (
    assert_no_label_covers_another,
    assert_the_labels_of_rules_stand_beside_the_curves,
)


def test_no_label_of_the_training_runs_covers_another():
    costs = np.geomspace(300, 1, 50)
    runs = [plots.TrainingCurves(costs * f, np.full(50, 0.34 * f), label)
            for f, label in ((0.2, "mistake: 5 frames"), (1.0, "mended"), (0.5, "and four columns a frame"))]
    figure = plots.runs_figure(runs, 11.5, 0.34)
    assert_no_label_covers_another(figure)
    assert_the_labels_of_rules_stand_beside_the_curves(figure)


def test_the_share_without_a_path_is_a_mean_of_ten_steps(rng):
    values = rng.random(25)
    expected = [values[max(0, n - 9):n + 1].mean() for n in range(25)]
    np.testing.assert_allclose(mean_of_ten(values), expected)


def test_no_label_of_the_sum_over_alignments_covers_another():
    assert_no_label_covers_another(sum_not_columns())
