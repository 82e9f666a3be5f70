"""The figure of one row learnt by heart shows its probabilities, gamma and alignment."""

import numpy as np
import pytest

from ctc_scratch import plots
from ctc_scratch.digits.lessons.memorise import Moment, stage_of
from ctc_scratch.digits.model.reader import BLANK, C
from tests.plots.conftest import NAMES, assert_no_label_covers_another


@pytest.mark.parametrize("used", [140, 5])
def test_no_label_of_a_stage_covers_another(used, row, rng):
    image, digits = row
    moments = [Moment(i, 301 / i, rng.standard_normal((140, C))) for i in range(1, 101)]
    stage = stage_of(moments[49], moments, digits, used)
    assert_no_label_covers_another(plots.stage_figure(image, stage, NAMES, BLANK, used, 100))


def test_a_stage_shows_probabilities_gamma_and_the_best_alignment(row, rng):
    image, digits = row
    moments = [Moment(1, 300.0, 3 * rng.standard_normal((140, C)))]
    stage = stage_of(moments[0], moments, digits, 140)
    figure = plots.stage_figure(image, stage, NAMES, BLANK, 140, 100)
    top, middle, foot, bottom = figure.axes
    np.testing.assert_array_equal(middle.images[0].get_array(), stage.probs[:, 1:].T)
    discs, = middle.collections
    shown = {(int(t), int(line)) for t, line in discs.get_offsets()}
    assert shown == {(t, c - 1) for t, c in zip(*np.nonzero(stage.occupancy > 0.02)) if c != BLANK}
    boxes = [(box.get_x(), box.get_x() + box.get_width() - 1, box.get_y() + 0.5) for box in middle.patches]
    assert boxes == [(span.first, span.last, span.label - 1) for span in stage.spans]
    probability, gamma = foot.lines
    np.testing.assert_array_equal(probability.get_ydata(), stage.probs[:, BLANK])
    np.testing.assert_array_equal(gamma.get_ydata(), stage.occupancy[:, BLANK])


def test_frames_that_never_enter_the_loss_are_hatched_and_have_no_gamma(row, rng):
    image, digits = row
    moments = [Moment(1, 12.0, rng.standard_normal((140, C)))]
    stage = stage_of(moments[0], moments, digits, 5)
    assert not stage.occupancy[5:].any() and stage.occupancy[:5].any()
    figure = plots.stage_figure(image, stage, NAMES, BLANK, 5, 100)
    hatched = [patch for patch in figure.axes[1].patches if patch.get_hatch()]
    assert [(patch.get_x(), patch.get_width()) for patch in hatched] == [(5, 135)]
    assert "these frames never entered the loss" in [text.get_text() for text in figure.axes[1].texts]
