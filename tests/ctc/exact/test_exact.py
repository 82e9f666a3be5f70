"""The exact kernel against the definition, against arbitrary precision and against itself.

Comparisons with arbitrary precision print their errors; `pytest -rP` shows them.
"""

import itertools
import math
import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from mpmath import mp, mpf

from ctc_scratch.ctc import enumeration, exact
from ctc_scratch.ctc.labels import collapse, min_frames
from tests.conftest import assert_close
from tests.tools import truth

LOSS, GRAD = 1e-12, 1e-12  # relative, absolute


def solve(logits, labels, blank=0, weight=1.0, **options):
    """Loss and gradient of one sequence by the exact kernel; the gradient is 0 where nothing is written."""
    labels = np.asarray(labels, dtype=np.intp)
    losses, grad = np.full(1, np.nan), np.zeros_like(logits)
    exact.solve_samples(np.arange(1), logits, len(logits), 1, np.array([len(logits)]), labels,
                        np.array([0, len(labels)]), blank, np.array([weight]), losses, grad, **options)
    return losses[0], grad


def solve_gamma(logits, labels, blank=0, **options):
    gamma = np.full((len(logits), 2 * len(labels) + 1), np.nan)
    loss, _ = solve(logits, labels, blank, gamma=gamma, **options)
    return loss, gamma


def check(name, logits, labels, blank=0, bits=256, **options):
    """Assert that the kernel agrees with the truth within LOSS and GRAD; return the truth."""
    expected = truth.solve(logits, labels, blank, bits=bits, **options)
    loss, grad = solve(logits, labels, blank, **options)
    errors = {"loss": truth.relative_error(loss, expected.loss),
              "gradient": float(np.abs(grad - expected.grad).max(initial=0.0))}
    print(f"{name}: loss {loss:.6g}, relative error {errors['loss']:.1e}, gradient {errors['gradient']:.1e}")
    assert errors["loss"] <= LOSS, f"{name}: loss {loss!r}, expected {float(expected.loss)!r}"
    assert_close(grad, expected.grad, GRAD, f"{name}: gradient")
    return expected


def draw(rng, T, C, U, scale=1.0, labels=None):
    """Logits (T, C) and U labels from 1 to `labels`, or to C - 1, shortened until they fit."""
    target = rng.integers(1, (labels or C - 1) + 1, size=U)
    while min_frames(target) > T:
        target = target[:-1]
    return scale * rng.standard_normal((T, C)), target


def counterexample(T=400, U=150):
    """A problem for which textbook rescaling returns 4487.7 or inf, without a warning."""
    label = np.where(np.arange(T) < T // 2, 1e-4, 1e-30)
    return np.log(np.stack([1 - 2 * label, label, label], axis=1)), np.arange(U) % 2 + 1


# ---- the definition


@pytest.mark.parametrize("T", range(6))
@pytest.mark.parametrize("C", [1, 2, 3])
def test_loss_and_gradient_equal_enumeration(rng, T, C):
    """All labellings of U <= 3, for every blank; logits are normal, large, or partly -inf."""
    for U, blank in itertools.product(range(4), range(C)):
        for labels in itertools.product([c for c in range(C) if c != blank], repeat=U):
            for scale, holes in ((1, 0.0), (8, 0.0), (1, 0.35)):
                logits = scale * rng.standard_normal((T, C))
                logits[rng.random((T, C)) < holes] = -np.inf
                logits[np.arange(T), rng.integers(C, size=T)] = 0.5  # a frame keeps one class
                loss, grad = enumeration.loss_and_grad(logits, labels, blank)
                its_loss, its_grad = solve(logits, labels, blank)
                assert_close(its_loss, loss, 1e-13 * min(max(loss, 1), 1e3), f"loss of {labels}")
                assert_close(its_grad, grad, 1e-12, f"gradient of {labels}")


@pytest.mark.parametrize("labels", [(), (1,), (1, 1), (1, 1, 1)], ids=str)
def test_every_pattern_of_minus_inf(labels):
    """T=4, C=2: each frame has both classes or one of them, in all 3^4 combinations."""
    for rows in itertools.product([(-np.inf, 0.0), (0.3, -np.inf), (0.0, 0.7)], repeat=4):
        logits = np.array(rows)
        loss, grad = enumeration.loss_and_grad(logits, labels)
        its_loss, its_grad = solve(logits, labels)
        assert its_loss >= 0
        assert_close(its_loss, loss, 1e-14, f"loss at {rows}")
        assert_close(its_grad, grad, 1e-14, f"gradient at {rows}")
        assert not its_grad[logits == -np.inf].any(), "probability 0 has gradient 0"


# ---- the truth


@pytest.mark.parametrize("scale", [1, 5, 20, 100, 1e3, 1e4, 1e8, 1e15], ids="{:.0e}".format)
@pytest.mark.parametrize("normalise", [True, False], ids=["softmax", "scores"])
def test_logits_of_any_scale(rng, scale, normalise):
    for T, C, U, labels in ((60, 6, 12, None), (40, 3, 25, 1), (30, 40, 28, None)):
        check(f"scale {scale:g}, T={T}", *draw(rng, T, C, U, scale, labels), normalise=normalise)


@pytest.mark.slow
def test_the_counterexample_to_rescaling():
    logits, labels = counterexample()
    assert 1271.82 < float(check("counterexample", logits, labels).loss) < 1271.83


@pytest.mark.parametrize("labels", [[1] * 30, [1, 2] * 30, [1, 1, 2] * 20, [2]],
                         ids=["repeats", "changes", "both", "one"])
@pytest.mark.parametrize("slack", [0, 1, 7])
def test_targets_that_barely_fit(rng, labels, slack):
    T = min_frames(labels) + slack
    for scale in (1, 50):
        logits = scale * rng.standard_normal((T, 4))
        check(f"slack {slack}", logits, labels)
        check(f"slack {slack}, scores", logits, labels, normalise=False)
        assert solve(logits[:min_frames(labels) - 1], labels)[0] == np.inf


@pytest.mark.parametrize("scale", [1, 100])
def test_minus_inf_entries(rng, scale):
    kinds = set()
    for share in (0.05, 0.2, 0.5):
        for _ in range(4):
            logits, labels = draw(rng, 40, 5, 12, scale)
            logits[rng.random(logits.shape) < share] = -np.inf
            logits[np.arange(40), rng.integers(5, size=40)] = 0.0
            expected = check(f"-inf in {share:.0%}", logits, labels)
            kinds.add(expected.loss == mp.inf)
    assert kinds == {True, False}, "feasible and infeasible targets must both be drawn"


@pytest.mark.parametrize("name", ["bumps", "wide rows", "cliffs", "offset"])
def test_adversarial_logits(rng, name):
    T, C = 120, 5
    logits, labels = draw(rng, T, C, 40)
    if name == "bumps":  # only blanks are likely, then they are all but impossible
        logits[:60] += 600 * (np.arange(C) == 0)
        logits[60:] -= 600 * (np.arange(C) == 0)
    elif name == "wide rows":
        logits *= 10.0 ** rng.integers(-8, 5, size=(T, 1))
    elif name == "cliffs":
        logits[rng.random(logits.shape) < 0.5] -= 745.0
    else:  # x - max rounds: 53 bits do not hold the difference
        logits = rng.choice([1e15 + 0.125, 1e-3, 0.7, 1e15 - 3.5, 1e15], size=(T, C))
    check(name, logits, labels)


@pytest.mark.slow
def test_long_sequences(rng):
    check("T=3000", *draw(rng, 3000, 4, 8, scale=20))
    for peak in (6, 8, 9, 10, 16):  # likelihoods on both sides of 1/2, where the formula of the loss changes
        path = np.repeat([0, 1, 0, 2, 2, 0, 1], 70)
        logits = 0.5 * rng.standard_normal((len(path), 3))
        logits[np.arange(len(path)), path] += peak
        check(f"T={len(path)}, peak {peak}", logits, collapse(path))


@pytest.mark.slow
@pytest.mark.parametrize("T, U, C", [(1000, 300, 4), (20_000, 300, 30)])
def test_uniform_logits_have_a_loss_in_closed_form(T, U, C):
    """Binomial(T + U - r, 2U) of the C^T paths are alignments, an integer of hundreds of digits or more."""
    labels = np.arange(U) // 2 % 2 + 1
    paths = math.comb(T + U - (min_frames(labels) - U), 2 * U)
    loss, _ = solve(np.full((T, C), 3.7), labels)
    with mp.workprec(256):
        error = truth.relative_error(loss, T * mp.log(C) - mp.log(mpf(paths)))
    print(f"uniform, T={T}: loss {loss:.6g}, relative error {error:.1e}")
    assert error < LOSS


@pytest.mark.parametrize("peak", [3, 10, 30, 100, 300, 690])
@pytest.mark.parametrize("C", [2, 3, 8])
def test_nearly_certain_targets_keep_every_digit_of_a_tiny_loss(rng, peak, C):
    """Losses down to 1e-298: 1 - p is summed, not computed by subtraction."""
    for path in ([1, 1], [0, 0, 0], [0, C - 1, C - 1, 0, 1, 1, 0, 0, 1, 0, 0, C - 1]):
        path = np.repeat(path, 2)
        logits = 0.1 * rng.standard_normal((len(path), C))
        logits[np.arange(len(path)), path] += peak
        check(f"certain {peak}", logits, collapse(path), bits=1100)
        logits[::2, 1:] -= peak / 2  # uneven: every second frame is more certain
        check(f"uneven {peak}", logits, collapse(path), bits=1100)


@pytest.mark.parametrize("entries", [
    {(1, 0): 0.0, (1, 1): 0.0, (1, 2): 0.0, (1, 5): -20.0, (2, 3): -25.0},
    {(1, 1): 0.0, (1, 5): -2.0, (1, 4): -3.0},
    {(1, 2): 0.0, (1, 1): -5.0, (1, 0): -9.0},
    {(1, 0): 0.0, (1, 3): -30.0, (1, 1): -40.0, (1, 2): -41.0},
    {(1, 3): -1.0, (1, 4): -2.0, (1, 5): -3.0, (1, 0): 1.0, (1, 2): 2.0},
], ids=["all likely", "one likely", "in turn", "others between", "others too"])
def test_the_lost_mass_is_right_where_a_state_has_three_moves(entries):
    """Label 1 can stay, step and skip, into the three most probable classes of a frame or into others."""
    logits = np.full((3, 6), -50.0)
    for (t, c), value in {(0, 1): 0.0, (2, 2): 0.0, **entries}.items():
        logits[t, c] = value
    assert 0 < check("three ways", logits, [1, 2], bits=512).loss < math.log(2)


def test_a_certain_target_has_loss_zero():
    logits = np.full((7, 3), -np.inf)
    logits[np.arange(7), [0, 1, 1, 0, 1, 2, 2]] = 5.0
    loss, grad = solve(logits, [1, 1, 2])
    assert loss == 0 and not np.signbit(loss) and not grad.any()
    assert solve(logits, [1, 2])[0] == np.inf


@pytest.mark.parametrize("size", [1e17, 1e30, 1e100, 1e300, 1.7e308], ids=str)
def test_huge_logits_give_finite_answers(rng, size):
    for normalise in (True, False):
        logits, labels = draw(rng, 12, 3, 4)
        logits = np.clip(size / 3 * logits, -size, size)
        loss, grad = solve(logits, labels, normalise=normalise)
        expected = truth.solve(logits, labels, normalise=normalise, bits=256).loss
        assert np.isfinite(loss) and np.isfinite(grad).all() and np.abs(grad).max() <= 1 + 1e-12
        if size <= 1e300:
            assert truth.relative_error(loss, expected) < 1e-13, (loss, expected)


@pytest.mark.parametrize("normalise", [True, False], ids=["softmax", "scores"])
def test_gamma_is_the_posterior_of_the_states(rng, normalise):
    for T, C, U in ((1, 2, 1), (30, 4, 9), (25, 2, 6), (6, 3, 0)):
        logits, labels = draw(rng, T, C, U, scale=4)
        loss, gamma = solve_gamma(logits, labels, normalise=normalise)
        expected = truth.solve(logits, labels, normalise=normalise)
        assert_close(gamma, expected.gamma, 1e-14, "gamma")
        assert_close(gamma.sum(axis=1), np.ones(T), 1e-14, "sum of gamma")
        if not normalise:
            grad = solve(logits, labels, normalise=False)[1]
            assert_close(grad.sum(axis=1), -np.ones(T), 1e-14, "the gradient w.r.t. scores is -occupancy")


@pytest.mark.parametrize("T", [1, 2, 3, 50, 101])
def test_checkpoints_change_no_bit(rng, T):
    for C, U in ((4, T // 2), (2, T // 3), (5, 0)):
        logits, labels = draw(rng, T, C, U, scale=3)
        whole, blocks = solve(logits, labels), solve(logits, labels, budget=0)
        assert whole[0] == blocks[0] and (whole[1] == blocks[1]).all()
        whole, blocks = solve_gamma(logits, labels), solve_gamma(logits, labels, budget=0)
        assert (whole[1] == blocks[1]).all()
    logits[np.arange(T), 0] += 40.0  # nearly certain, so the loss has the other formula
    assert 0 < solve(logits, [])[0] == solve(logits, [], budget=0)[0] < 0.5


def test_float32_logits_are_promoted_exactly(rng):
    for scale in (1, 1e3, 1e30):
        logits, labels = draw(rng, 50, 6, 12, scale)
        logits = logits.astype(np.float32)
        loss, grad = solve(logits, labels)
        its_loss, its_grad = solve(logits.astype(np.float64), labels)
        assert loss == its_loss and grad.dtype == np.float32 and (grad == its_grad.astype(np.float32)).all()


def test_batches_address_rows_as_the_kernels_do(rng):
    """The frames of the sequences are interleaved; only frames of the given samples are written to."""
    T, N, C, blank = 20, 5, 4, 2
    logits = rng.standard_normal((T, N, C))
    targets = [[0, 1], [3, 3, 1], [], [0] * 12, [1, 3]]
    lengths, weights = np.array([20, 11, 0, 15, 7]), np.array([1.0, 0.25, 3.0, 1.0, -2.0])
    logits[11:, 1] = np.nan  # padding
    labels = np.array(sum(targets, []), dtype=np.intp)
    offsets = np.cumsum([0] + [len(target) for target in targets])
    losses, grad = np.full(N, 7.0), np.full((T, N, C), 7.0)
    exact.solve_samples(np.array([4, 1, 2, 3]), logits.reshape(T * N, C), 1, N, lengths, labels, offsets,
                        blank, weights, losses, grad.reshape(T * N, C))
    assert losses[0] == 7 and losses[2] == 0 and losses[3] == np.inf
    assert (grad[:, [0, 2, 3]] == 7).all() and (grad[11:, 1] == 7).all() and (grad[7:, 4] == 7).all()
    for n in (1, 4):
        alone = np.ascontiguousarray(logits[:lengths[n], n])
        loss, its_grad = solve(alone, targets[n], blank, weight=weights[n])
        assert losses[n] == loss and (grad[:lengths[n], n] == its_grad).all()
        expected = weights[n] * truth.solve(alone, targets[n], blank).grad
        assert_close(its_grad, expected, 1e-13, "weighted gradient")


@pytest.mark.slow
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="an hour in plain Python")
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads peak memory from /proc")
def test_a_long_target_stays_below_64_megabytes():
    """T=20 000, U=2 000: how much the memory of a new process grows at most during the call."""
    code = (
        "import re, numpy as np\n"
        "from tests.ctc.exact.test_exact import draw, solve\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "memory = lambda what: int(re.search(what + r':\\s*(\\d+) kB', status())[1]) / 1e3\n"
        "rng = np.random.default_rng(0)\n"
        "solve(*draw(rng, 50, 32, 9)), solve(*draw(rng, 50, 32, 9), budget=0)\n"
        "logits, labels = draw(rng, 20_000, 32, 2_000)\n"
        "before = memory('VmRSS')\n"
        "loss, grad = solve(logits, labels)\n"
        "assert np.isfinite(loss) and abs(grad.sum(axis=1)).max() < 1e-12\n"
        "print(memory('VmHWM') - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    print(f"{float(run.stdout):.0f} MB")
    assert 1 < float(run.stdout) < 64
