"""A row of an image is read as `evaluate` reads it, with exact probabilities."""

import numpy as np
import pytest

from ctc_scratch.ctc.reference import log_likelihood, log_softmax
from ctc_scratch.digits.model.evaluate import model_logits, read_rows
from ctc_scratch.digits.model.reader import digits_to_labels
from ctc_scratch.digits.reading import read as reading
from tests.digits.reading.conftest import grey, make_row, paste, small_model

# ---- what is read ------------------------------------------------------------------------


def test_an_image_is_read_as_evaluate_reads_the_same_row(rows):
    model = small_model()
    for row in rows[:10]:
        made = make_row(grey(paste(row)))
        for decoder in ("greedy", "beam"):
            found, = reading.read_row(model, made, decoder)
            assert [digit.digit for digit in found.digits] == read_rows(model, made.pixels[None], decoder)[0]


def test_readings_are_in_order_with_their_exact_probability(rows):
    model = small_model()
    made = make_row(grey(paste(rows[0])))
    found = reading.read_row(model, made, "beam", top=20)
    assert len(found) == 20 == len({reading.text for reading in found})
    probabilities = [reading.probability for reading in found]
    assert probabilities == sorted(probabilities, reverse=True) and sum(probabilities) <= 1
    logits = model_logits(model, made.pixels[None])[0][:, 0].astype(np.float64)
    for one in found[:3]:
        labels = digits_to_labels([digit.digit for digit in one.digits])
        log_probs = log_softmax(logits)
        assert one.probability == pytest.approx(np.exp(log_likelihood(log_probs, labels)), rel=1e-9)
        for digit, label in zip(one.digits, labels):
            frames = slice(digit.first // 7, digit.last // 7)
            assert digit.confidence == pytest.approx(np.exp(log_probs[frames, label]).mean(), rel=1e-6)
            assert digit.first < digit.last and digit.left < digit.right
    best, = reading.read_row(model, made, "map")
    assert best.probability >= probabilities[0] * (1 - 1e-9)


def test_rows_and_readings_print_in_one_line(rows):
    made = make_row(grey(paste(rows[0])))
    assert repr(made) == "Row(5 boxes, W=140, from an image of 140 x 28 pixels)"
    one = reading.Reading([reading.Digit(7, 0.98765, 3.2, 17.8, 4, 16)], 0.5, False)
    assert repr(one) == "Reading('7', probability=0.5000, proved=False)"
    assert repr(one.digits[0]) == "Digit(7, confidence=0.988, image=3..18, row=4..16)"
