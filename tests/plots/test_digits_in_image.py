"""The figure marks each digit at the place where it was read."""

import numpy as np

from ctc_scratch import plots
from ctc_scratch.digits.model.reader import CLASS_NAMES


def test_the_figure_marks_each_digit_in_the_image_and_in_the_row(rng):
    marks = [plots.Mark("7", 0.91, 20.0, 40.0, 7.0, 14.0), plots.Mark("3", 0.5, 90.0, 120.0, 35.0, 42.0)]
    grey, row, probs = rng.random((60, 200)), rng.random((28, 56)), rng.dirichlet(np.ones(11), 8)
    lines = [plots.PlottedLine(row, probs, marks, 5.0, 25.0),
             plots.PlottedLine(row, probs, marks[:1], 30.0, 50.0)]
    figure = plots.where_read_figure(grey, lines, 7, CLASS_NAMES, 0, "row.png: 73, 7")
    top, middle, _, second, _ = figure.axes
    assert [(*text.xy, text.get_text()) for text in top.texts] == [
        (30.0, 5.0, "7"), (105.0, 5.0, "3"), (30.0, 30.0, "7")]
    assert [(text.xy[0], text.get_text()) for text in middle.texts] == [(10.5, "7\n0.91"), (38.5, "3\n0.50")]
    assert [text.get_text() for text in second.texts] == ["7\n0.91"]
    assert [patch.get_bbox().bounds for patch in top.patches] == [
        (20, 5, 20, 20), (90, 5, 30, 20), (20, 30, 20, 20)]
    # axvspan draws a rectangle; up to matplotlib 3.8 it was a polygon.
    corners = [patch.get_patch_transform().transform(patch.get_path().vertices) for patch in middle.patches]
    assert [(x.min(), x.max()) for x, _ in map(np.transpose, corners)] == [(7, 14), (35, 42)]
