"""One row learnt by heart: with all frames its cost falls to about 1 nat."""

import numpy as np
import pytest

from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.lessons.example import first_row
from ctc_scratch.digits.lessons.memorise import CLIP, memorise


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def row(mnist):
    return first_row(mnist)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [7, 0])
def test_with_all_frames_the_cost_falls_from_about_301_to_about_1(row, seed):
    image, digits = row
    moments = memorise(image, digits, 140, CLIP, 0.1, np.random.default_rng(seed))
    costs = [moment.cost for moment in moments]
    assert 285 < costs[0] < 315 and 0.1 < costs[99] < 3, costs[::10]
