"""The figures of the plateau: no label is cut off or covers another."""

import numpy as np

from ctc_scratch import plots
from ctc_scratch.digits.lessons.example import state_names
from ctc_scratch.digits.lessons.uniform import uniform_gamma
from ctc_scratch.digits.model.reader import C
from tests.plots.conftest import (
    assert_no_label_covers_another,
    assert_the_labels_of_rules_stand_beside_the_curves,
)


def test_no_label_of_the_uniform_gamma_covers_another():
    gamma = uniform_gamma(range(1, 6), 35)
    assert_no_label_covers_another(plots.uniform_gamma_figure(gamma, state_names(range(1, 6)), C))


def test_no_label_of_the_plateau_covers_another():
    curve = {"blank": np.linspace(0.1, 0.8, 50), "cost": np.geomspace(300, 1, 50)}
    curves = {label: curve for label in ("as usual", "prior", "bias")}
    figure = plots.plateau_figure(curves, 0.47, 0.855, 13.1)
    assert_no_label_covers_another(figure)
    assert_the_labels_of_rules_stand_beside_the_curves(figure)
