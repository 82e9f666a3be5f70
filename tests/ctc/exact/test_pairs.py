"""Sums of many terms keep their digits."""

import math

import numpy as np

from ctc_scratch.compiled.bits import EMPTY
from ctc_scratch.compiled.exp import exp_row
from ctc_scratch.ctc.exact.pairs import fold
from tests.conftest import assert_close


def test_row_totals_do_not_lose_digits_with_many_classes(rng):
    row = 3 * rng.standard_normal(20_001)
    exp_row(row, row.max())
    correct = math.fsum(row), math.fsum(row[::2]), math.fsum(row[1::2])
    halves = row.copy()
    fold(row, 1)
    fold(halves, 2)
    assert_close([row[0], *halves[:2]] / np.array(correct), np.ones(3), 4e-16, "sums over exact sums")
    row = np.array([0.0, EMPTY, -1e300, -709.0])
    exp_row(row, 0.0)
    assert row.tolist() == [1, 0, 0, 0]
