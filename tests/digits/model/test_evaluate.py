"""Evaluation: its rates are those of the readings, chunks change no reading, confusions are counted."""

import numpy as np
import pytest

from ctc_scratch.ctc import label_error_rate, sequence_accuracy
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.data.touching import touching_rows
from ctc_scratch.digits.model import evaluate as evaluation_module
from ctc_scratch.digits.model.evaluate import evaluate, mean_of, read_rows
from ctc_scratch.digits.model.reader import RowReader

pytestmark = pytest.mark.slow  # when kernels run as plain Python


def test_reading_in_chunks_and_at_once_agree(rng, mnist, monkeypatch):
    model = RowReader(hidden=6, window=7, rng=rng)
    rows = rng.random((9, 28, 56), dtype=np.float32)
    at_once = read_rows(model, rows)
    monkeypatch.setattr(evaluation_module, "FRAMES_AT_ONCE", 16)
    assert read_rows(model, rows) == at_once


def test_the_rate_of_an_evaluation_is_that_of_the_readings(rng, mnist):
    model = RowReader(hidden=6, window=7, rng=rng)
    images, labels = mnist.test_images[:90], mnist.test_labels[:90]
    rows, truth = consecutive_rows(images, labels, 3)
    read = read_rows(model, rows)
    evaluation = evaluate(model, images, labels, 3)
    assert evaluation.label_error_rate == pytest.approx(label_error_rate(read, truth), rel=1e-12)
    assert evaluation.label_error_rate > 0
    assert evaluation.row_accuracy == pytest.approx(sequence_accuracy(read, truth), rel=1e-12)
    assert evaluation.rows == 30


def test_evaluation_counts_what_is_confused(mnist, monkeypatch):
    images, labels = mnist.test_images[:6], np.array([1, 2, 3, 4, 5, 6], np.uint8)
    monkeypatch.setattr(evaluation_module, "read_rows", lambda *_: [[1, 2, 7], [4, 6]])
    evaluation = evaluate(None, images, labels, 3)
    assert evaluation.label_error_rate == pytest.approx(2 / 6, rel=1e-12) and evaluation.row_accuracy == 0
    assert evaluation.confusions == {(7, 3): 1, (None, 5): 1}


def test_rows_set_by_ink_are_read_at_their_own_widths(rng, mnist):
    """Each row alone, without the padding that it has in the batch."""
    model = RowReader(hidden=6, window=4, rng=rng)
    images, labels = mnist.test_images[:60], mnist.test_labels[:60]
    batch = touching_rows(images, labels, 3, -1)
    alone = [read_rows(model, row[None, :, :width])[0] for row, width in zip(batch.images, batch.widths)]
    truth = [row.tolist() for row in batch.labels]
    evaluation = evaluate(model, images, labels, 3, gap=-1)
    assert evaluation.rows == 20 and len(set(batch.widths.tolist())) > 5
    assert evaluation.label_error_rate == pytest.approx(label_error_rate(alone, truth), rel=1e-12)


def test_the_mean_of_evaluations(rng, mnist):
    model = RowReader(hidden=6, window=4, rng=rng)
    each = [evaluate(model, mnist.test_images[:60], mnist.test_labels[:60], 3, gap=gap)
            for gap in (None, 0, -2)]
    mean = mean_of(each)
    assert mean.rows == 60 and mean.digits == 3
    assert mean.label_error_rate == pytest.approx(sum(one.label_error_rate for one in each) / 3, rel=1e-12)
    assert mean.confusions.total() == sum(one.confusions.total() for one in each)
    assert mean_of(each[:1]) == each[0]
