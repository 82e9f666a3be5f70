"""The learning curves show every rate of every record."""

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch import plots
from tests.plots.conftest import render

RECORDS = [
    {"step": 10, "loss": 14.0, "label_error_rate": 1.5, "blank_rate": 1.0},
    {"step": 20, "loss": 3.0, "label_error_rate": 0.25, "blank_rate": 0.8,
     "validation_label_error_rate": None},
    {"step": 20, "validation_label_error_rate": 0.0},
]


def test_learning_curve_draws_each_column_in_its_units():
    figure = plots.learning_figure(RECORDS)
    render(figure)
    ax_loss, ax_rate = figure.axes
    loss, = ax_loss.lines
    assert loss.get_xydata().tolist() == [[10, 14], [20, 3]]
    rates = {line.get_label(): line.get_xydata().tolist() for line in ax_rate.lines}
    assert rates == {"frames read as blank": [[10, 100], [20, 80]],
                     "label errors, training": [[10, 150], [20, 25]],
                     "label errors, validation": [[20, 0]]}
    assert ax_loss.get_ylabel() == "training loss [nats per row]"
    assert ax_rate.get_ylabel() == "rate [%]" and ax_rate.get_xlabel() == "training step"


def test_learning_curve_shows_rates_of_0_and_above_100():
    ax_loss, ax_rate = Figure().subplots(2)
    plots.learning_curve(ax_loss, ax_rate, RECORDS)
    low, high = ax_rate.get_ylim()
    assert low <= 0 and high > 150, f"0 and 150 must show, the axis goes from {low} to {high}"
    # The axis is linear near 0, so that a rate of 0 has a place on it.
    assert np.isfinite(ax_rate.transScale.transform([[1, 0.0]])).all()


def test_learning_figure_of_a_run_that_ended_at_once():
    figure = plots.learning_figure([])
    render(figure)
    assert [len(ax.lines) for ax in figure.axes] == [0, 0]
