"""The probability of a reading depends on all evidence, and the fit finds the right weights."""

import numpy as np
import pytest

from benchmarks.pictures.calibrate import fit
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.reading import certainty
from ctc_scratch.digits.reading.certainty import EVIDENCE, WEIGHTS, evidence, judge, logistic, redrawn
from ctc_scratch.digits.reading.read import read_row
from tests.digits.reading.conftest import grey, make_row, paste


@pytest.fixture(scope="module")
def model():
    return load_model(find_model())


def test_clean_rows_are_sure(model, rows):
    for row in rows[:5]:
        made = make_row(grey(paste(row, 2.0, margins=(30, 20, 30, 20))))
        reading, = read_row(model, made)
        judged = judge(model, made, reading)
        assert judged.sure and judged.probability > 0.9 and judged.doubt == ""


def test_a_reading_that_the_row_does_not_show_is_not_sure(model, rows):
    made = make_row(grey(paste(rows[0], 2.0, margins=(30, 20, 30, 20))))
    reading, = read_row(model, made)
    wrong = reading._replace(digits=[reading.digits[0]._replace(digit=3), *reading.digits[1:]],
                             probability=0.9)
    judged = judge(model, made, wrong)
    assert not judged.sure and judged.probability < 0.5
    assert judged.doubt == "other digits are read if the row is drawn a little differently"


def test_each_kind_of_evidence_is_counted(model, rows):
    made = make_row(grey(paste(rows[0], 2.0, margins=(30, 20, 30, 20))))
    reading, = read_row(model, made)
    named = dict(zip(EVIDENCE, evidence(model, made, reading)))
    assert named["shared boxes"] == named["empty boxes"] == named["smudges"] == 0
    assert -0.2 < named["smallest"] <= 0
    boxes = [box._replace(step=step) for box, step in zip(made.boxes, (2, 1, 2, 3, 2))]
    worse = made._replace(noise=0.2, left_out=15, slope=-0.1, boxes=boxes)
    fewer = reading._replace(digits=[*reading.digits[1:], reading.digits[-1]])
    named = dict(zip(EVIDENCE, evidence(model, worse, fewer)))
    assert named["shared boxes"] == named["empty boxes"] == 1
    assert named["grain"] == 0.2 and named["slope"] == 0.1 and named["smudges"] == np.log(4)
    assert named["smallest"] == np.log(0.5)
    assert len(WEIGHTS) == 1 + len(EVIDENCE) == 1 + len(evidence(model, made, reading))


def test_an_empty_reading_can_be_judged(model, rows):
    made = make_row(grey(paste(rows[0])))
    reading, = read_row(model, made)
    assert not judge(model, made, reading._replace(digits=[], probability=0.01)).sure


def test_the_four_redrawn_rows_differ_a_little_from_the_original(rows):
    blurred, thinner, flatter, slanted = redrawn(rows[0])
    assert blurred.max() < rows[0].max() and thinner.sum() < 0.95 * rows[0].sum()
    assert np.ptp(np.flatnonzero(flatter.any(axis=1))) < np.ptp(np.flatnonzero(rows[0].any(axis=1)))
    assert abs(slanted.sum() / rows[0].sum() - 1) < 0.05
    for other in (blurred, thinner, flatter, slanted):
        assert other.shape == rows[0].shape and 0 <= other.min() and other.max() <= 1
        assert 0.7 < np.corrcoef(other.ravel(), rows[0].ravel())[0, 1] < 0.999


def test_the_fit_finds_the_weights_that_made_the_data(rng):
    found = rng.normal(size=(20_000, 2)) * [1, 10] + [3, -20]
    right = rng.uniform(size=20_000) < logistic(1 + found @ [0.5, -0.05])
    np.testing.assert_allclose(fit(found, right), [1, 0.5, -0.05], rtol=0.2)


def test_each_reason_to_doubt_a_reading_is_given():
    quiet = np.zeros(len(EVIDENCE))
    for name, value in [("shared boxes", 1), ("empty boxes", 1), ("grain", 0.1), ("pale", 0.9),
                        ("smudges", 3), ("redrawn", -5), ("smallest", -0.6)]:
        found = quiet.copy()
        found[EVIDENCE.index(name)] = value
        assert certainty._reason(found) != certainty._reason(quiet)
