"""Reading being learnt: blank everywhere first, then each digit, found where it stands."""

import numpy as np
import pytest

from ctc_scratch import plots
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.lessons.example import unseen_row
from ctc_scratch.digits.lessons.reading import Learnt, learn, steps_told
from ctc_scratch.digits.model.reader import BLANK


def reading(decoded, truth=(8, 3, 2)):
    return plots.PlottedRow(np.zeros((28, 84)), np.full((21, 11), 1 / 11), decoded, truth)


def test_the_steps_told_are_the_turning_points():
    readings = {0: [5, 5], 5: [], 10: [], 15: [], 20: [8], 25: [8, 2], 30: [8, 3], 35: [8, 3, 2],
                40: [8, 3, 2]}
    learnt = Learnt([1.0] * 40, {step: reading(decoded) for step, decoded in readings.items()})
    assert learnt.nothing_read() == [5, 10, 15] and learnt.right() == [35, 40]
    assert steps_told(learnt) == [0, 10, 25, 35, 40]


def test_a_run_that_learns_nothing_is_told_too():
    learnt = Learnt([1.0] * 5, {0: reading([5]), 5: reading([])})
    assert steps_told(learnt) == [0, 5] and learnt.right() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 1])
def test_a_reader_reads_nothing_at_first_and_then_finds_the_digits_where_they_stand(seed):
    mnist = load_mnist()
    image, digits = unseen_row(mnist)
    rng = np.random.default_rng(seed)
    learnt = learn(RowSampler(mnist.train_images, mnist.train_labels, (4, 6), rng), image, digits, 300, rng)
    assert list(learnt.readings) == list(range(0, 301, 5)) and len(learnt.losses) == 300
    silent = learnt.nothing_read()
    assert silent and silent[-1] < min(learnt.right()), (silent, learnt.right())
    plateau = learnt.readings[silent[len(silent) // 2]].probs
    assert (plateau.argmax(axis=1) == BLANK).all() and plateau[:, BLANK].mean() > 0.7
    last = learnt.readings[300]
    assert list(last.decoded) == [digit + 1 for digit in digits]
    assert learnt.losses[0] > 40 and np.mean(learnt.losses[-10:]) < 4
    for n, (left, right) in enumerate(last.places):
        assert 28 * n <= left < right <= 28 * (n + 1), f"digit {n} was found at columns {left} to {right}"
    assert all(len(row.places) in (0, 5) for row in learnt.readings.values())
