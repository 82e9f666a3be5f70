"""The kernel for long sequences against 256-bit truth: all sizes around blocks of eight, and real inputs."""

import itertools

import numba
import numpy as np
import pytest

from benchmarks.tools.families import FAMILIES, draw
from ctc_scratch.ctc import ctc_loss, log_partition
from ctc_scratch.ctc.labels import min_frames
from tests.conftest import assert_close
from tests.ctc.certified.unjudged import by_banded
from tests.tools import truth

PLAIN = numba.config.DISABLE_JIT
FRAMES = [*range(1, 10), 15, 16, 17, 63, 64, 65]
LABELS = [0, 1, 7, 8, 9, 15, 16, 17, 31]


def assert_true(logits, labels, what, **options):
    """The kernel's answer is the truth, and its gap no wider than rounding."""
    answer = by_banded(logits, labels, **options)
    true = truth.solve(logits, labels, **options)
    off = 1e-12 if logits.dtype == np.float64 else 1e-5
    assert abs(answer.gap) < 1e-13, f"{what}: gap {answer.gap:.1e}"
    assert_close(answer.loss, float(true.loss), off * max(1.0, abs(float(true.loss))), f"{what}: loss")
    assert_close(answer.gamma, true.gamma, off, f"{what}: gamma")
    assert_close(answer.grad, true.grad, off, f"{what}: gradient")


def targets(rng, T, C):
    """Targets of each length in LABELS, with and without repeats, and some that fit T frames only just."""
    for U in (*(LABELS if T < 60 else (0, 8, 17)), T - 1, T):
        for classes in (C, 3):  # three classes make many repeats
            labels = rng.integers(1, classes, U)
            while min_frames(labels) > T:
                labels = labels[:-1]
            yield labels
    yield 1 + np.arange(T) % 2
    yield np.ones((T + 1) // 2, int)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("T", FRAMES)
def test_every_size_around_the_blocks_of_eight(rng, T, dtype):
    """As few classes as make each of them a column, and so many that only those of the target are columns."""
    for classes in ("few", "many"):
        for labels in {tuple(labels): labels for labels in targets(rng, T, 5)}.values():
            C = 5 if classes == "few" else 4 * (len(labels) + 1) + 3
            logits = (2 * rng.standard_normal((T, C))).astype(dtype)
            assert_true(logits, labels, f"T={T}, labels {labels.tolist()}, {classes} classes")


@pytest.mark.parametrize("classes", ["few", "many"])
def test_any_class_may_be_the_blank(rng, classes):
    for U in (0, 3, 9):
        C = 6 if classes == "few" else 4 * (U + 1) + 5
        for blank in (1, C - 1):
            labels = rng.choice([c for c in range(C) if c != blank], U)
            assert_true(rng.standard_normal((30, C)), labels, f"U={U}, blank {blank}", blank=blank)


@pytest.mark.parametrize("C", [1, 2, 7, 8, 9, 16, 17])
def test_any_number_of_classes(rng, C):
    """Classes are turned in blocks of eight; the last block may overlap the one before it."""
    for T in (5, 8, 21):
        labels = rng.integers(1, C, 6) if C > 1 else []
        while min_frames(labels) > T:
            labels = labels[:-1]
        assert_true(3 * rng.standard_normal((T, C)) - 3.0, labels, f"T={T}, C={C}", normalise=C > 1)


@pytest.mark.parametrize("dtype", [pytest.param(np.float64, marks=pytest.mark.slow), np.float32])
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name in ("normal", "peaky") else pytest.mark.slow) for name in FAMILIES])
def test_the_inputs_that_people_have(name, dtype):
    shapes = [(40, 20), (100, 9), (161, 33)][:1 if PLAIN else 3]
    for (T, U), C in itertools.product(shapes, (6, 50)):
        logits, labels = draw(name, T, U, C=C, dtype=dtype)
        assert_true(logits, labels, f"{name}, T={T}, U={U}, C={C}")


@pytest.mark.skipif(PLAIN, reason="takes minutes in plain Python")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_long_sequence_is_certified_and_agrees_with_exact(name):
    """States that matter are then many powers of two away from those that a single exponent would keep."""
    for T, U in ((1000, 100), (1003, 450)):
        logits, labels = draw(name, T, U, dtype=np.float64)
        result, exact = ctc_loss(logits, labels), ctc_loss(logits, labels, method="exact")
        assert not result.exact and result.bound < 1e-11
        assert_close(result.loss / exact.loss, 1.0, 1e-12, f"{name}: relative loss")
        assert_close(result.grad, exact.grad, 1e-12, f"{name}: gradient")
        assert_close(result.grad, exact.grad, result.bound + exact.bound, f"{name}: gradient, by its bound")


def test_a_class_that_is_impossible_for_a_while(rng):
    """-inf: labels cannot be entered, or not be left, and paths wait for many frames."""
    for first, stop in ((0, 20), (20, 43), (40, 60)):
        for c in (1, 2):
            logits = rng.standard_normal((60, 4))
            logits[first:stop, c] = -np.inf
            what = f"class {c} impossible from {first} to {stop}"
            assert_true(logits, [1, 2, 2, 1, 3, 1, 2, 3, 1, 1, 3], what)
    logits = rng.standard_normal((30, 3))
    logits[10:20, 0] = -np.inf
    assert_true(logits, [1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2], "no blank for a while")


def test_no_path_is_possible():
    """The target fits, but the logits forbid it: the kernel proves nothing, and the exact one finds inf."""
    logits = np.zeros((40, 3))
    logits[:, 2] = -np.inf
    assert not 0 <= by_banded(logits, [1, 2]).gap < 1
    result = ctc_loss(np.pad(logits, ((0, 3000), (0, 0))) + [0, 0, -np.inf], [1, 2], infeasible="zero")
    assert result.exact and not result.grad.any()


@pytest.mark.parametrize("scale", [0.3, 3, 10])
def test_log_partition_of_scores_that_are_not_normalised(rng, scale):
    """With -inf entries; gamma sums to 1 at every frame. Of 40 classes, only the target's are columns."""
    long = 110 if PLAIN else 1100
    for T, U, C, shift in ((3, 1, 3, 0.0), (50, 8, 4, -7.0), (120, 40, 30, 300.0), (long, 40, 12, 20.0),
                           (20, 3, 40, 5.0)):
        scores = scale * rng.standard_normal((T, C)) + shift
        scores[rng.random((T, C)) < 0.1] = -np.inf
        scores[:, 0] = shift
        labels = rng.integers(1, C, U)
        result, exact = log_partition(scores, labels), log_partition(scores, labels, method="exact")
        answer = by_banded(scores, labels, normalise=False)
        assert answer.gap < 1e-13
        assert_close(answer.grad.sum(axis=1), -np.ones(T), 1e-13, "the gradient is -occupancy")
        assert_close(result.log_z, exact.log_z, 1e-12 * max(1.0, abs(exact.log_z)), "log_z")
        assert_close(result.gamma, exact.gamma, 1e-12, "gamma")
        assert_close(result.gamma.sum(axis=1), np.ones(T), 1e-13, "sum of gamma")
