"""The exact exp against arbitrary precision."""

import math

import numpy as np
from mpmath import mp, mpf

from ctc_scratch.compiled.exp import exp_row, exp_split


def test_exp_split_is_right_to_the_last_bit():
    """m 2^n = e^(x - top) within 2^-52, also where the difference x - top is not a float64."""
    rng, worst = np.random.default_rng(3), 0.0
    for size in (1e-3, 1.0, 700.0, 2.0**20, 2.0**40):
        for x, top in zip(-size * rng.random(60), size * rng.random(60)):
            m, n = exp_split(x, top)
            assert 0.7 < m < 1.42
            with mp.workprec(200):
                ratio = mpf(float(m)) * mpf(2) ** int(n) / mp.exp(mpf(x) - mpf(top))
                worst = max(worst, float(abs(ratio - 1)))
    print(f"exp_split: {worst:.2e}")
    assert worst <= 2.0**-52


def test_half_way_between_two_reductions_both_are_right():
    """Where x is (n + 1/2) ln 2, the exponent may be n or n + 1, and the remainder is as large as can be."""
    halves = -(np.arange(0, 1000, 37) + 0.5) * math.log(2.0)
    for x in (*halves, *np.nextafter(halves, -1e4), *np.nextafter(halves, 0)):
        m, n = exp_split(x, 0.0)
        row = np.array([x])
        exp_row(row, 0.0)
        with mp.workprec(200):
            right = mp.exp(mpf(x))
            assert abs(mpf(float(m)) * mpf(2) ** int(n) / right - 1) <= 2.0**-52
            assert abs(mpf(float(row[0])) / right - 1) <= 2.0**-52
