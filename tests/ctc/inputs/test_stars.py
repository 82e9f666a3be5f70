"""Stars: every way to name positions, and what is refused."""

import numpy as np
import pytest

from ctc_scratch import align
from ctc_scratch.ctc.inputs.frames import check_shape
from ctc_scratch.ctc.inputs.stars import check_stars
from ctc_scratch.ctc.inputs.targets import check_targets

TARGETS = [[1, 2], [], [3, 3, 3]]


def starred(star, weight=0.0, targets=TARGETS, single=False):
    """The starred positions of each target."""
    logits = np.zeros((9, 4) if single else (9, len(targets), 4))
    packed = check_targets(targets, None, check_shape(logits), 0)
    stars = check_stars(star, weight, packed, single)
    return [np.flatnonzero(stars.of(n)).tolist() for n in range(1 if single else len(targets))]


@pytest.mark.parametrize("star, expected", [
    (None, [[], [], []]),
    ([], [[], [], []]),
    ("ends", [[0, 2], [0], [0, 3]]),
    ("everywhere", [[0, 1, 2], [0], [0, 1, 2, 3]]),
    ([0], [[0]] * 3),
    ((0, 0), [[0]] * 3),
    ({0}, [[0]] * 3),
    (range(1), [[0]] * 3),
    (np.array([0], np.uint64), [[0]] * 3),
    ({0: "zero"}.keys(), [[0]] * 3),
    (["ends", None, {3, 1}], [[0, 2], [], [1, 3]]),
    (([2, 0], "everywhere", np.arange(4)), [[0, 2], [0], [0, 1, 2, 3]]),
], ids=str)
def test_positions_of_a_batch(star, expected):
    assert starred(star) == expected
    assert starred(star, -np.inf) == [[], [], []]
    assert starred(star, np.float32(-2)) == expected and starred(star, -7) == expected


@pytest.mark.parametrize("star, expected", [
    (None, []), ("ends", [0, 3]), ("everywhere", [0, 1, 2, 3]), ([1, 2], [1, 2]), ((3,), [3]), (set(), []),
], ids=str)
def test_positions_of_one_sequence(star, expected):
    assert starred(star, targets=[3, 1, 3], single=True) == [expected]


@pytest.mark.parametrize("star, error, message", [
    ("middle", ValueError, "star must be 'ends' or 'everywhere', got 'middle'"),
    ([0, 4], ValueError, r"star holds position 4, but target 0 has positions 0\.\.3 \(U = 3 labels\)"),
    ([-1], ValueError, r"star holds position -1, but target 0 has positions 0\.\.3 "),
    ([2**63], ValueError, "star holds position 9223372036854775808, but target 0 has"),
    ([1.0], TypeError, "star must hold integers, got an array of float64"),
    ([True, False], TypeError, "star must hold integers, got an array of bool"),
    (["ends"], TypeError, "star must hold integers, got an array of <U4"),
    ([[0, 1]], ValueError, r"star must be a collection of positions, 'ends', .* got \[\[0, 1\]\]"),
    (0, ValueError, "star must be a collection of positions, 'ends', 'everywhere' or None, got 0"),
    ({"a"}, TypeError, "star must hold integers"),
], ids=str)
def test_bad_positions_of_one_sequence(star, error, message):
    with pytest.raises(error, match=f"^{message}"):
        align(np.zeros((9, 4)), [3, 1, 3], star=star)


@pytest.mark.parametrize("star, error, message", [
    ([0, 2], ValueError, r"star holds position 2, but target 1 has positions 0\.\.0 \(U = 0 labels\)"),
    (["ends", {1}, None], ValueError, r"star\[1\] holds position 1, but target 1 has positions 0\.\.0 "),
    (["ends", None, "start"], ValueError, r"star\[2\] must be 'ends' or 'everywhere', got 'start'"),
    (["ends", None], ValueError, "star has length 2 for a batch of 3; a list holds integers"),
    ([[0], [0.0], [0]], TypeError, r"star\[1\] must hold integers, got an array of float64"),
    ([[0], 0, [0]], ValueError, r"star\[1\] must be a collection of positions, .* got 0"),
], ids=str)
def test_bad_positions_of_a_batch_name_the_target(star, error, message):
    with pytest.raises(error, match=f"^{message}"):
        align(np.zeros((9, 3, 4)), TARGETS, star=star)


@pytest.mark.parametrize("weight, error, message", [
    (0.5, ValueError, "star_weight must be at most 0, got 0.5"),
    (np.nan, ValueError, "star_weight must be at most 0, got nan"),
    (np.inf, ValueError, "star_weight must be at most 0, got inf"),
    ("0", TypeError, "star_weight must be a real number, got '0'"),
    (True, TypeError, "star_weight must be a real number, got True"),
    (None, TypeError, "star_weight must be a real number, got None"),
], ids=str)
@pytest.mark.parametrize("star", [None, "ends"])
def test_bad_weights(star, weight, error, message):
    with pytest.raises(error, match=f"^{message}"):
        align(np.zeros((9, 4)), [3, 1, 3], star=star, star_weight=weight)
