"""A row of an image is read as `evaluate` reads it, with exact probabilities."""

import numpy as np
import pytest

from ctc_scratch.ctc.paths.align import align
from ctc_scratch.ctc.reference import log_likelihood, log_softmax
from ctc_scratch.digits.model.evaluate import model_logits, read_rows
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.places import find_places
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
        for digit, span, label in zip(one.digits, align(logits, labels).spans, labels, strict=True):
            frames = slice(span.first, span.last + 1)
            assert digit.confidence == pytest.approx(np.exp(log_probs[frames, label]).mean(), rel=1e-6)
            assert digit.first < digit.last and digit.left < digit.right
    best, = reading.read_row(model, made, "map")
    assert best.probability >= probabilities[0] * (1 - 1e-9)


def test_a_digit_is_placed_on_its_ink_in_the_image(rows):
    """In an image three times as large, with margins; the places in the row are those of `find_places`."""
    model = load_model(find_model())
    made = make_row(grey(paste(rows[0], 3.0, margins=(50, 20, 10, 30))))
    found, = reading.read_row(model, made)
    scores, cache = model.forward(*model.frames(made.pixels[None], np.array([made.pixels.shape[1]])))
    places = find_places(model, made.pixels, scores[:, 0], cache, [digit.digit for digit in found.digits])
    assert [(digit.first, digit.last) for digit in found.digits] == places
    for k, (digit, tile) in enumerate(zip(found.digits, np.split(rows[0], 5, axis=1), strict=True)):
        inked = 28 * k + np.flatnonzero((tile > 0.3).any(axis=0))
        assert abs(digit.left - (50 + 3 * inked[0])) < 4 and abs(digit.right - (53 + 3 * inked[-1])) < 4


def test_rows_and_readings_print_in_one_line(rows):
    made = make_row(grey(paste(rows[11])))      # whose digits are higher than wide
    assert repr(made) == "Row(5 boxes, W=140, from an image of 140 x 28 pixels)"
    one = reading.Reading([reading.Digit(7, 0.98765, 3.2, 17.8, 4, 16)], 0.5, False)
    assert repr(one) == "Reading('7', probability=0.5000, proved=False)"
    assert repr(one.digits[0]) == "Digit(7, confidence=0.988, image=3..18, row=4..16)"
