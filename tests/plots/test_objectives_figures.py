"""The figure of objectives: each run has its curves over the frames, and no label covers another."""

import numpy as np

from ctc_scratch import plots
from tests.plots.conftest import WINDOW, assert_no_label_covers_another


def figure_of(row, count):
    probs = np.linspace(0, 1, 35)
    return plots.objectives_figure(row[0], [14, 42, 70, 98, 126], WINDOW, {
        f"delay, weight {n}: 1.2 frames, -12.8 columns": (probs, probs**2) for n in range(count)})


def test_no_label_of_the_objectives_covers_another(row):
    assert_no_label_covers_another(figure_of(row, 7))


def test_each_run_has_its_curves_over_the_pixels_of_their_frames(row):
    panels = figure_of(row, 2).axes
    assert [ax.get_title(loc="left")[:15] for ax in panels] == ["delay, weight 0", "delay, weight 1"]
    for ax in panels:
        probs, gamma = (patch.get_data() for patch in ax.patches)
        np.testing.assert_array_equal(probs.values, np.linspace(0, 1, 35))
        np.testing.assert_array_equal(gamma.values, np.linspace(0, 1, 35)**2)
        np.testing.assert_array_equal(probs.edges, np.arange(0, 141, 4))
