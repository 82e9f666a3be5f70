"""What the tests of figures share: axes, random arrays, a row of digits, and the texts of a figure."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ctc_scratch import plots
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.lessons.example import first_row

NAMES = ["blank", *"0123456789"]
WINDOW = 4


@pytest.fixture
def ax():
    return Figure(figsize=(5, 2)).subplots()


@pytest.fixture(scope="module")
def row():
    """The image (28, 140) and the digits of the row that the lessons show."""
    return first_row(load_mnist())


def make_probs(rng, T, C=11):
    return rng.dirichlet(np.ones(C), size=T)


def make_reading(rng, width=140, decoded=(3, 1), truth=(3, 1)):
    T = -(-width // WINDOW)
    return plots.PlottedRow(rng.random((28, width)), make_probs(rng, T), decoded, truth)


def texts_of(ax):
    return [(text.get_position()[0], text.get_text()) for text in ax.texts]


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def all_texts(figure):
    """Yield all texts drawn in a figure. (Labels of ticks outside an axis exist, but are not drawn.)"""
    for ax in figure.axes:
        yield from (text for text in ax.findobj(Text) if text.get_visible() and text.get_text().strip()
                    and not any(text in (tick.label1, tick.label2) and not low <= tick.get_loc() <= high
                                for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())),
                                                          (ax.yaxis, sorted(ax.get_ylim())))
                                for tick in axis.get_major_ticks()))


def assert_no_label_covers_another(figure):
    """Draw a figure, and fail if a text is cut off at its left or right edge or covers another text."""
    render(figure)
    boxes = [(text.get_text(), text.get_window_extent()) for text in all_texts(figure)]
    assert len(boxes) > 8
    for n, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, f"{text!r} is cut off"
        for other, other_box in boxes[n + 1:]:
            assert not box.overlaps(other_box), f"{text!r} covers {other!r}"


def assert_the_labels_of_rules_stand_beside_the_curves(figure):
    """Fail unless each text that names a dotted line stands to the right of its panel, where no curve is."""
    render(figure)
    for ax in figure.axes:
        assert ax.texts
        for text in ax.texts:
            assert text.get_window_extent().x0 >= ax.get_window_extent().x1, f"{text.get_text()!r} is inside"


def lattice_of(T, labels, scale=2.0):
    its = lattice(scale * np.random.default_rng(0).standard_normal((T, 5)), labels)
    return its, ["–" if s % 2 == 0 else str(c) for s, c in enumerate(its.ext)]
