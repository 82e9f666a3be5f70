"""The workspace of the kernel for long sequences: its size, and what it held before, change no bit."""

import numba
import numpy as np
import pytest

from benchmarks.tools.families import draw
from ctc_scratch.ctc.certified import banded
from tests.ctc.certified.unjudged import by_banded

PLAIN = numba.config.DISABLE_JIT
SHAPES = [(1, 0), (1, 1), (7, 3), (8, 4), (9, 0), (9, 9), (64, 17), (65, 32)]
SHAPES += [] if PLAIN else [(200, 100), (777, 31)]
LONG = [(1003, 400), (3000, 20), (2500, 1000)]  # T must be many times sqrt(T) to have many segments


def assert_same_bits(answers, what):
    for answer in answers[1:]:
        for name in answer._fields:
            one, other = getattr(answers[0], name), getattr(answer, name)
            assert np.array_equal(one, other), f"{what}: {name} differs"


def problems(shapes):
    """Yield a name, logits and labels: narrow bands and wide ones, few classes and many."""
    for T, U in shapes:
        for name, C in (("normal", 6), ("normal", 4 * U + 9), ("peaky", 12)):
            if 2 * U <= T:
                yield f"{name}, T={T}, U={U}, C={C}", *draw(name, T, U, C=C)
            else:
                rng = np.random.default_rng(T)
                yield f"tight, T={T}, U={U}, C={C}", rng.standard_normal((T, C)), 1 + np.arange(U) % 2


@pytest.mark.parametrize("shapes", [
    pytest.param(SHAPES, id="short"),
    pytest.param(LONG, id="long", marks=pytest.mark.slow)])
def test_segments_change_no_bit(shapes):
    """Beta is kept for all frames, or computed again for a few segments, or for as many as there may be."""
    for what, logits, labels in problems(shapes):
        answers = [by_banded(logits, labels, budget=budget) for budget in (2**24, 20_000, 1)]
        assert_same_bits(answers, what)
        assert answers[0].gap < 1e-12, what


@pytest.mark.parametrize(
    "garbage", [(np.nan, -1), (np.inf, 2**31 - 1), (1e300, -2**31), (-1e-300, 12_345)], ids=str)
def test_what_the_workspace_held_before_changes_no_bit(garbage):
    for what, logits, labels in problems(SHAPES):
        for budget in (2**18, 1):
            answers = [by_banded(logits, labels, budget=budget, garbage=held) for held in ((0.0, 0), garbage)]
            assert_same_bits(answers, f"{what}, budget {budget}")


def test_a_smaller_problem_never_needs_more_memory():
    for budget in (1, 2**18):
        for T in (1, 8, 9, 500):
            for U in (0, 7, 8, 40):
                for C in (3, 50, 400):
                    sizes = banded.workspace_size(T, U, C, budget)
                    for more in ((T + 1, U, C), (T, U + 1, C), (T, U, C + 1)):
                        assert all(a <= b for a, b in zip(sizes, banded.workspace_size(*more, budget)))
