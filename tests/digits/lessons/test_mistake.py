"""The original mistake: its costs, the columns it ignores, and that the right number of frames mends it."""

import numpy as np
import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.lessons.example import first_row
from ctc_scratch.digits.lessons.memorise import memorise
from ctc_scratch.digits.lessons.mistake import MENDED, MISTAKE, NO_CLIP, train_batches


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def row(mnist):
    return first_row(mnist)


def sampler_of(mnist, rng):
    return RowSampler(mnist.train_images, mnist.train_labels, (5, 5), rng)


@pytest.mark.slow
def test_the_costs_of_the_mistake_are_like_those_of_the_original(row):
    image, digits = row
    moments = memorise(image, digits, 5, NO_CLIP, 1.0, np.random.default_rng(7))
    for iteration, original in ((1, 12.728), (50, 0.398), (100, 0.118)):
        cost = moments[iteration - 1].cost
        assert original / 3 < cost < 3 * original, f"{cost} at {iteration}, originally {original}"


@pytest.mark.slow
def test_with_the_mistake_nothing_after_the_fifth_column_matters(row):
    image, digits = row
    blotted = image.copy()
    blotted[:, 5:] = 0.5

    def costs(x, frames):
        moments = memorise(x, digits, frames, 5.0, 0.5, np.random.default_rng(0), iterations=8)
        return [moment.cost for moment in moments]

    assert costs(image, 5) == costs(blotted, 5)
    assert costs(image, 140) != costs(blotted, 140)


@pytest.mark.slow
def test_with_the_mistake_batches_stay_at_the_entropy_of_the_digits(mnist):
    rng = np.random.default_rng(0)
    mistake = train_batches(MISTAKE, sampler_of(mnist, rng), 60, rng)
    assert abs(np.mean(mistake.costs[20:]) - 5 * np.log(10)) < 0.4, mistake.costs
    assert abs(np.mean(mistake.no_path) - (1 - 0.9**4)) < 0.05
    rng = np.random.default_rng(0)
    mended = train_batches(MENDED, sampler_of(mnist, rng), 15, rng)
    assert mended.costs[0] > 250 and mended.costs[-1] < 30 and not any(mended.no_path)
