"""Every quantity of a lattice, against the enumeration of all paths, on all small problems."""

import itertools
import math
import time

import numba
import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError, ctc_loss, enumeration
from ctc_scratch.ctc.labels import extend, states_of
from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.digits.lessons.uniform import uniform_gamma
from tests.conftest import assert_close
from tests.ctc.paths.enumerated import enumerated, feasible_problems, on_all_small_problems, problems

# ---- the lattice


@on_all_small_problems
def test_number_of_alignments(T, kind):
    for logits, labels, blank in problems(T, kind):
        expected = len(enumerated(logits, labels, blank)[0])
        result = lattice(logits, labels, blank=blank).num_alignments
        assert type(result) is int and result == expected, f"{result} of {labels}, expected {expected}"


@on_all_small_problems
def test_likelihood_gamma_and_occupancy(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        expected = np.logaddexp.reduce(log_probs)
        assert_close(result.log_likelihood, expected, 1e-13, "log-likelihood")
        gamma, occupancy = np.zeros((T, len(result.ext))), np.zeros(result.logits.shape)
        for path, p in zip(paths, probs):
            gamma[np.arange(T), states_of(path, result.blank)] += p
            occupancy[np.arange(T), path] += p
        assert_close(result.gamma, gamma, 1e-13, "gamma")
        assert ((result.gamma > 0) == (gamma > 0)).all(), "impossible states have exactly 0"
        assert_close(result.occupancy, occupancy, 1e-13, "occupancy")


@on_all_small_problems
def test_alpha_and_beta(T, kind):
    """alpha beta at each state is the probability of all paths through it."""
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        through = np.zeros((T, len(result.ext)))
        for path, log_prob in zip(paths, log_probs):
            through[np.arange(T), states_of(path, result.blank)] += math.exp(log_prob)
        assert_close(np.exp(result.log_alpha + result.log_beta), through, 1e-13, "alpha beta")
        if T > 0:  # this fixes the product of alpha and beta; the convention fixes alpha alone
            begun = [result.log_probs[0, c] for c in result.ext[:2]] + [-np.inf] * (len(result.ext) - 2)
            assert_close(result.log_alpha[0], np.array(begun), 1e-15, "alpha of the first frame")


@on_all_small_problems
def test_transition_posteriors(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        xi = np.zeros((3, max(T - 1, 0), len(result.ext)))
        for path, p in zip(paths, probs):
            states = states_of(path, result.blank)
            xi[np.diff(states), np.arange(T - 1), states[:-1]] += p
        assert_close(result.xi, xi, 1e-13, "xi")


@on_all_small_problems
def test_entropy(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        expected = -sum(p * math.log(p) for p in probs if p > 0)
        assert_close(result.entropy, expected, 1e-13, "entropy")
        if len(paths) == 1:
            assert result.entropy == 0.0


@on_all_small_problems
def test_first_frames(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        begins = np.zeros((T, len(result.labels)))
        for path, p in zip(paths, probs):
            states = states_of(path, result.blank)
            for u in range(len(result.labels)):
                begins[np.argmax(states == 2 * u + 1), u] += p
        assert_close(result.first_frames(), begins, 1e-13, "first frames")


@pytest.mark.parametrize("T", [1, 2, 3, 4, 5, 6, 40])
def test_gamma_of_uniform_outputs_in_closed_form(T):
    for U in range(4):
        for labels in itertools.product((1, 2), repeat=U):
            result = lattice(np.zeros((T, 3)), labels)
            if result.num_alignments:
                assert_close(uniform_gamma(labels, T), result.gamma, 1e-13, "gamma")
            else:
                with pytest.raises(ValueError, match="do not fit"):
                    uniform_gamma(labels, T)


# ---- single alignments


@on_all_small_problems
def test_best_and_spans(T, kind):
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        best, spans = result.best(), result.spans()
        assert tuple(best.path) in paths
        assert_close(best.log_prob, log_probs[0], 1e-12, "log-probability")
        assert_close(result.k_best(1)[0].log_prob, best.log_prob, 1e-12, "the first of k")
        states = states_of(best.path, result.blank)
        assert [span.label for span in spans] == result.labels.tolist()
        for u, span in enumerate(spans):
            frames = np.flatnonzero(states == 2 * u + 1)
            assert (span.first, span.last) == (frames[0], frames[-1])
            confidence = np.mean([
                sum(p for path, p in zip(paths, probs) if states_of(path, result.blank)[t] == 2 * u + 1)
                for t in frames
            ])
            assert_close(span.confidence, confidence, 1e-13, "confidence")


def surprise(counts, expected):
    """How many standard deviations chi-square is above what chance gives (Wilson and Hilferty 1931)."""
    order = np.argsort(-expected)
    counts, expected = counts[order], expected[order]
    rare = expected < 5  # pooled, because chi-square needs expectations of at least 5
    if rare.any():
        counts = np.append(counts[~rare], counts[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    degrees = len(counts) - 1
    if degrees == 0 or expected.min() == 0:
        return 0.0
    chi_square = ((counts - expected) ** 2 / expected).sum()
    return ((chi_square / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))


@on_all_small_problems
def test_samples_follow_the_posterior(T, kind, rng):
    n, surprises = 400, []
    for result, paths, log_probs, probs in feasible_problems(T, kind):
        drawn = {path: 0 for path in paths}
        for path in result.sample(n, rng).tolist():
            drawn[tuple(path)] += 1  # a KeyError is a path of probability 0
        counts = np.array(list(drawn.values()))
        if len(paths) > 1:
            surprises.append(surprise(counts, n * probs))
    # Each is about standard normal, and the largest of the about 60 in a test is seldom above 3.
    assert max(surprises, default=0.0) < 4.0, f"worst of {len(surprises)}: {max(surprises)}"
    assert np.sum(surprises) < 3.5 * math.sqrt(len(surprises) + 1)


def test_chi_square_notices_samples_of_a_slightly_different_posterior(rng):
    logits = rng.standard_normal((5, 3))
    paths, log_probs = enumerated(logits, [1, 2], 0)
    probs = np.exp(log_probs) / np.exp(log_probs).sum()
    logits[2, 1] += 0.3
    drawn = lattice(logits, [1, 2]).sample(4000, rng).tolist()
    counts = np.array([drawn.count(list(path)) for path in paths])
    assert surprise(counts, 4000 * probs) > 4.0


@pytest.mark.parametrize("T, labels, shown, alignments", [
    (4, [1, 2], "target=[1, 2]", "15"), (2, [1, 1], "target=[1, 1]", "0"),
    (200, [1, 2] * 15, "U=30", f"about 10^{int(math.log10(math.comb(230, 60)))}"),
])
def test_a_repr_fits_a_line(T, labels, shown, alignments):
    result = lattice(np.zeros((T, 3)), labels)
    expected = f"C=3, {shown}, log_likelihood={result.log_likelihood:.6f}, num_alignments={alignments})"
    assert repr(result) == f"Lattice(T={T}, {expected}"


# ---- what does not fit, and what is empty


@pytest.mark.parametrize("T, labels, closed", [(2, [1, 1], ()), (0, [1], ()), (4, [1, 2], (1, 2, 3))],
                         ids=["too_short", "no_frames", "-inf"])
def test_a_target_without_alignments(T, labels, closed):
    logits = np.zeros((T, 3))
    logits[list(closed), 2] = -np.inf  # this leaves only frame 0 to the second label
    result = lattice(logits, labels)
    assert result.num_alignments == 0 and result.log_likelihood == -np.inf
    assert not result.gamma.any() and not result.xi.any() and not result.occupancy.any()
    for ask in (result.best, result.spans, result.first_frames, lambda: result.entropy,
                lambda: result.k_best(1), lambda: result.sample(1, np.random.default_rng(0))):
        with pytest.raises(InfeasibleTargetError):
            ask()


@pytest.mark.parametrize("T", [0, 1, 3])
def test_an_empty_target_has_one_alignment(T, rng):
    result = lattice(rng.standard_normal((T, 3)), [], blank=2)
    assert result.num_alignments == 1 and result.entropy == 0.0 and result.gamma.sum() == T
    assert result.best().path.tolist() == [2] * T and result.best().spans == []
    assert result.sample(2, rng).tolist() == [[2] * T] * 2
    assert [a.path.tolist() for a in result.k_best(5)] == [[2] * T]
    assert result.first_frames().shape == (T, 0)


@pytest.mark.parametrize("logits, target, options, message", [
    (np.zeros((4, 2, 3)), [1], {}, "targets in one dimension .* for a batch of 2"),
    (np.zeros((4, 3)), [3], {}, r"targets\[0\] is 3, but the logits have classes 0..2"),
    (np.zeros((4, 3)), [1, 0], {}, r"targets\[1\] is 0, the blank"),
    (np.zeros((4, 3)), [1], {"blank": 3}, "blank is 3, but the logits have classes 0..2"),
    (np.full((4, 3), np.nan), [1], {}, r"logits\[t=0, c=0\] is nan"),
], ids=["batch", "range", "blank", "blank_range", "nan"])
def test_bad_input_is_refused(logits, target, options, message):
    with pytest.raises(ValueError, match=message):
        lattice(logits, target, **options)


@pytest.mark.parametrize("k", [0, -1])
def test_a_number_of_alignments_below_1_is_refused(k, rng):
    result = lattice(np.zeros((4, 3)), [1])
    with pytest.raises(ValueError, match=f"k must be at least 1, got {k}"):
        result.k_best(k)
    with pytest.raises(ValueError, match=f"n must be at least 1, got {k}"):
        result.sample(k, rng)


# ---- long


def test_logits_whose_difference_overflows_close_no_path():
    result = lattice(np.array([[1e308, -1e308], [-1e308, 1e308]]), [1])
    assert result.num_alignments == 3 and result.best().path.tolist() == [0, 1] and result.entropy == 0.0


def test_float32_logits_give_what_the_same_numbers_in_float64_give(rng):
    logits = rng.standard_normal((9, 4)).astype(np.float32)
    result, same = lattice(logits, [1, 2, 2]), lattice(logits.astype(np.float64), [1, 2, 2])
    assert result.log_likelihood == same.log_likelihood and (result.gamma == same.gamma).all()


@pytest.mark.alone
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="minutes without compiled kernels")
def test_each_quantity_of_a_long_sequence_takes_less_than_a_second(rng):
    logits, target = 2 * rng.standard_normal((2000, 32)), rng.integers(1, 32, 400)
    closed = logits.copy()
    closed[rng.integers(2000, size=50), 0] = -np.inf
    ctc_loss(logits, target), lattice(logits[:5], target[:2]).best()  # compile first
    result, with_closed = lattice(logits, target), lattice(closed, target)
    answers = {}
    for name, ask in {
        "log_alpha": lambda: result.log_alpha, "log_beta": lambda: result.log_beta,
        "gamma": lambda: result.gamma, "occupancy": lambda: result.occupancy,
        "xi": lambda: result.xi, "entropy": lambda: result.entropy,
        "num_alignments": lambda: result.num_alignments, "counted": lambda: with_closed.num_alignments,
        "best": result.best, "spans": result.spans, "k_best": lambda: result.k_best(10),
        "sample": lambda: result.sample(100, rng), "first_frames": result.first_frames,
    }.items():
        begun = time.process_time()
        answers[name] = ask()
        seconds = time.process_time() - begun
        assert seconds < 1.0, f"{name} took {seconds:.2f} s of processor time"

    log_joint = result.log_alpha + result.log_beta
    at_each_frame = np.logaddexp.reduce(log_joint, axis=1)
    assert_close(at_each_frame, np.full(2000, result.log_likelihood), 1e-9, "likelihood")
    gradient = ctc_loss(logits, target).grad
    assert_close(np.exp(result.log_probs) - result.occupancy, gradient, 1e-12, "gradient")
    entered = result.xi[0].copy()
    entered[:, 1:] += result.xi[1, :, :-1]
    entered[:, 2:] += result.xi[2, :, :-2]
    assert_close(entered, result.gamma[1:], 1e-12, "what enters a state")
    assert_close(result.first_frames().sum(axis=0), np.ones(400), 1e-12, "columns of first frames")
    assert result.num_alignments == enumeration.count_alignments(target, 2000)
    assert 0 < with_closed.num_alignments < result.num_alignments
    assert 0 < result.entropy < math.log(result.num_alignments)

    best, *others = answers["k_best"]
    assert best.path.tolist() == answers["best"].path.tolist()
    assert len({tuple(a.path) for a in others}) == 9 and all(a.log_prob <= best.log_prob for a in others)
    # The entropy is the mean surprisal of samples, here of 100: within 5 standard errors.
    taken = result.log_likelihood - result.log_probs[np.arange(2000), answers["sample"]].sum(axis=1)
    assert abs(taken.mean() - result.entropy) < 5 * taken.std() / 10
    for path in answers["sample"][:3]:
        states = states_of(path)
        assert states[-1] >= 799 and (extend(target)[states] == path).all()
