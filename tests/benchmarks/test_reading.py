"""The figures of `benchmarks.reading`, on readings whose figures are known."""

import numpy as np
import pytest
from PIL import Image

from benchmarks import reading
from benchmarks.pictures.photographs import Photograph
from benchmarks.reading import Outcome, auroc, calibration_error, compare, figures
from ctc_scratch.digits.reading.read import Digit, Reading
from ctc_scratch.digits.reading.report import ReadLine

PAPER = Image.new("L", (9, 9), 255)


def read(*digits, top, bottom, probability=0.5, doubt=""):
    """A line with the digits (digit, left, right)."""
    found = [Digit(digit, 1.0, left, right, 0, 0) for digit, left, right in digits]
    return ReadLine([Reading(found, 0.99, False)], [probability], doubt, top, bottom)


def test_lines_are_compared_where_they_stand():
    photo = Photograph(PAPER, [[1, 2], [3]], [[(0, 10), (20, 30)], [(5, 15)]], [(10, 20), (30, 40)])
    right = [read((1, 0, 8), (2, 24, 40), top=11, bottom=19),
             read((3, 0, 20), top=31, bottom=38, doubt="it is grainy")]
    whole = [Outcome([1, 2], [1, 2], 0.5, 1, False), Outcome([3], [3], 0.5, 1, True)]
    assert compare(photo, right) == whole
    assert compare(photo, right[:1]) == [whole[0], Outcome([3], [], 0.0, 0, True)]
    assert compare(photo, right[1:]) == [Outcome([1, 2], [], 0.0, 0, True), whole[1]]
    assert compare(photo, []) == [Outcome([1, 2], [], 0.0, 0, True), Outcome([3], [], 0.0, 0, True)]
    for top, bottom in ((0, 6), (22, 28), (10, 14), (36, 40)):  # the last two: within a line, not the nearest
        more = read((7, 0, 1), top=top, bottom=bottom, probability=0.2)
        found = sorted([*right, more], key=lambda line: line.top)
        assert compare(photo, found) == [*whole, Outcome([], [7], 0.2, 0, False)]


def test_each_case_shows_digits_of_its_own_from_all_parts_of_the_data(monkeypatch):
    def shown(name, strength, rows, labels=np.arange(10_000)):
        pictures = []
        monkeypatch.setattr(reading, "photograph", lambda images, labels, *_: (
            pictures.append(labels), Photograph(PAPER, [labels.tolist()], [[]], [(0, 1)]))[1])
        reading.measure(None, labels, labels, (name, strength), rows)
        return pictures

    rows = shown("blur", "mild", 100)
    firsts = np.array([row[0] for row in rows])
    assert all((row == row[0] + np.arange(5)).all() for row in rows) and len(set(firsts)) == 100
    assert firsts.min() < 1000 and firsts.max() >= 9000
    np.testing.assert_array_equal(shown("blur", "mild", 100), rows)
    for other in (("blur", "strong"), ("noise", "mild")):
        assert len({row[0] for row in shown(*other, 100)} & set(firsts)) < 30
    assert sorted(np.concatenate(shown("lines", "strong", 6, np.arange(30)))) == list(range(30))


def test_figures():
    rows = [Outcome([1, 2], [1, 2], 0.9, 1, False), Outcome([3, 4], [3, 5], 0.8, 2, False),
            Outcome([5, 6], [], 0.0, 0, True)]
    found = figures(rows)
    assert found == pytest.approx({
        "rows": 3, "right": 1 / 3, "label error rate": 3 / 6, "probability": 1.7 / 3,
        "ECE": (0.1 + 0.8 + 0) / 3, "AUROC": 1.0, "places": 1 / 2, "wrong doubted": 1 / 2,
        "right doubted": 0.0})


def test_what_is_not_defined_is_nan():
    sure = figures([Outcome([1], [1], 0.9, 1, False)])
    assert np.isnan(sure["AUROC"]) and sure["places"] == 1
    wrong = figures([Outcome([1], [2], 0.9, 1, False)])
    assert np.isnan(wrong["AUROC"]) and np.isnan(wrong["places"])


def test_stated_probabilities_that_hold_are_calibrated(rng):
    stated = rng.uniform(size=100_000)
    right = rng.uniform(size=100_000) < stated
    assert calibration_error(stated, right) < 0.01
    assert calibration_error(np.ones(10), np.arange(10) < 7) == pytest.approx(0.3)
    assert calibration_error(stated, rng.uniform(size=100_000) < stated**2) > 0.1


def test_auroc_is_the_share_of_pairs_in_order(rng):
    stated = rng.integers(10, size=200) / 10
    right = rng.uniform(size=200) < 0.3
    pairs = np.sign(stated[right][:, None] - stated[~right])
    assert auroc(stated, right) == pytest.approx((1 + pairs.mean()) / 2)
    assert auroc(np.arange(4) / 4, np.arange(4) > 1) == 1 and auroc(-np.arange(4) / 4, np.arange(4) > 1) == 0


def test_a_picture_without_digits_has_no_lines():
    assert reading.read_picture(None, PAPER) == []
