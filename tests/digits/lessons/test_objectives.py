"""The comparison of objectives: planted spikes are measured, and runs differ in their objective alone."""

import numpy as np
import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.lessons import objectives
from ctc_scratch.digits.lessons.objectives import Measures, measure, train_reader
from ctc_scratch.digits.model.reader import BLANK, C, RowReader, digits_to_labels

TRUTH = [[1, 2, 3, 4, 5], [6, 7, 8, 9, 0]]
LEFT = np.array([[4, 32, 60, 88, 116]] * 2)
RIGHT = LEFT + 16


def measured(monkeypatch, first, width, read=TRUTH):
    """The measures of a network whose spike for digit u takes `width` frames from frame first + 7 u on."""
    logits = np.zeros((35, 2, C))
    logits[:, :, BLANK] = 30.0
    for n, row in enumerate(read):
        for u, label in enumerate(digits_to_labels(row)):
            logits[first + 7 * u:first + 7 * u + width, n] = 0.0
            logits[first + 7 * u:first + 7 * u + width, n, label] = 30.0
    monkeypatch.setattr(objectives, "model_logits", lambda model, rows: (logits, np.array([35, 35])))
    model = RowReader(hidden=1, rng=np.random.default_rng(0))
    return measure(model, np.zeros((2, 28, 140)), TRUTH, LEFT, RIGHT)


@pytest.mark.parametrize("first, width, place", [(1, 1, -6.0), (3, 1, 2.0), (1, 3, -2.0)])
def test_planted_spikes_are_measured_in_frames_and_columns(monkeypatch, first, width, place):
    """The middle of digit 0 is column 12; a spike in frames 1 to 3 is at columns 4 to 16."""
    found = measured(monkeypatch, first, width)
    assert found.frames == pytest.approx(width, abs=1e-6)
    assert found.place == pytest.approx(place, abs=1e-6) and found.spread == pytest.approx(0, abs=1e-6)
    assert found.delay == pytest.approx(4 * first - 4, abs=1e-6)
    assert found.errors == 0 and found.loss < 1e-6
    expected = np.zeros(35)
    expected[(np.arange(35) - first) % 7 < width] = 1
    np.testing.assert_allclose(found.digit, expected, atol=1e-6)
    np.testing.assert_allclose(found.gamma, expected, atol=1e-6)


def test_errors_are_those_of_greedy_reading(monkeypatch):
    found = measured(monkeypatch, 1, 1, read=[[1, 2, 3, 4, 6], TRUTH[1]])
    assert found.errors == pytest.approx(0.1) and found.loss > 10


@pytest.mark.slow
def test_runs_differ_in_their_objective_alone():
    digits = [part[:99] for part in load_mnist()[:2]]

    def weights(name, weight, start=1):
        sampler = RowSampler(*digits, (4, 6), np.random.default_rng(0))
        return train_reader(sampler, name, weight, 2, np.random.default_rng(start)).params["output.bias"]

    plain = weights("ctc", 0.0)
    np.testing.assert_array_equal(weights("ctc", 0.0), plain)
    np.testing.assert_allclose(weights("delay", 1e-12), plain, atol=1e-5)
    for other in (weights("delay", 0.5), weights("ctc", 0.0, start=2)):
        assert abs(other - plain).max() > 1e-4


def test_a_run_prints_in_one_line():
    assert repr(Measures(1.5, -8.2, 1.0, 2.0, 0.05, 0.9, np.zeros(1), np.zeros(1))) == (
        "Measures(1.50 frames, -8.2 columns, 5.00% errors, 0.9 nats)")
