"""The figures of the lessons: no label is cut off or covers another."""

import numpy as np
import pytest

from ctc_scratch import plots
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.lessons.example import first_row, state_names
from ctc_scratch.digits.lessons.memorise import Moment, stage_of
from ctc_scratch.digits.lessons.mistake import sum_not_columns
from ctc_scratch.digits.lessons.uniform import uniform_gamma
from ctc_scratch.digits.model.reader import BLANK, C
from tests.plots.conftest import all_texts, render


@pytest.fixture(scope="module")
def row():
    return first_row(load_mnist())


def figures(row, rng):
    image, digits = row
    moments = [Moment(i, 301 / i, rng.standard_normal((140, C))) for i in range(1, 101)]
    names = ["blank", *"0123456789"]
    costs = np.geomspace(300, 1, 50)
    runs = [plots.TrainingCurves(costs * f, np.full(50, 0.34 * f), label)
            for f, label in ((0.2, "mistake: 5 frames"), (1.0, "mended"), (0.5, "and four columns a frame"))]
    curve = {"blank": np.linspace(0.1, 0.8, 50), "cost": costs}
    curves = {label: curve for label in ("as usual", "prior", "bias")}
    gamma = uniform_gamma(range(1, 6), 35)
    for used in (140, 5):
        stage = stage_of(moments[49], moments, digits, used)
        yield plots.stage_figure(image, stage, names, BLANK, used, 100)
    yield plots.runs_figure(runs, 11.5, 0.34)
    yield sum_not_columns()
    yield plots.uniform_gamma_figure(gamma, state_names(range(1, 6)), C)
    yield plots.plateau_figure(curves, 0.47, 0.855, 13.1)


def test_no_label_covers_another(row, rng):
    for figure in figures(row, rng):
        render(figure)
        texts = [text for text in all_texts(figure)]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
        assert len(boxes) > 8
        for n, (text, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, f"{text!r} is cut off"
            for other, other_box in boxes[n + 1:]:
                assert not box.overlaps(other_box), f"{text!r} covers {other!r}"
