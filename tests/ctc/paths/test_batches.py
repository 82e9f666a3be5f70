"""`align` and `lattice` give each sequence of a batch what it gets alone and without its padding."""

import numba
import numpy as np
import pytest

from ctc_scratch import align, get_num_threads, lattice, set_num_threads
from ctc_scratch.ctc import InfeasibleTargetError

both = pytest.mark.parametrize("function", [align, lattice])


def same_bits(one, other):
    if isinstance(one, tuple):  # alignments
        return one.path.tobytes() == other.path.tobytes() and one[1:] == other[1:]
    return all(
        np.asarray(a).dtype == np.asarray(b).dtype and np.shape(a) == np.shape(b) and np.all(a == b)
        for a, b in [(one.logits, other.logits), (one.labels, other.labels), (one.blank, other.blank),
                     (one.gamma, other.gamma), (one.log_likelihood, other.log_likelihood)])


def forms_of(targets):
    """The three forms of targets, each with target_lengths."""
    lengths = [len(target) for target in targets]
    padded = np.full((len(targets), max(lengths) + 2), -7)
    for row, target in zip(padded, targets):
        row[:len(target)] = target
    return [(targets, None), (padded, lengths), (np.concatenate(targets), lengths)]


@both
@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_has_the_bits_of_its_sequences(make_problem, function, blank, dtype):
    logits, targets, lengths, _ = make_problem(12, 5, 6, 4, scale=2.0, blank=blank, dtype=dtype)
    expected = [function(logits[:T, n].copy(), targets[n], blank=blank) for n, T in enumerate(lengths)]
    for n, T in enumerate(lengths):
        logits[T:, n] = np.nan  # padding may hold anything
    batch_first = np.ascontiguousarray(logits.swapaxes(0, 1))
    for given, target_lengths in forms_of(targets):
        for batch, layout in ((logits, "TNC"), (batch_first, "NTC"), (logits.swapaxes(0, 1), "NTC")):
            found = function(batch, given, lengths, target_lengths, blank=blank, layout=layout)
            assert type(found) is list and len(found) == 5
            for n in range(5):
                assert same_bits(found[n], expected[n]), f"sequence {n}, layout {layout}"


@both
def test_one_sequence_may_have_lengths(rng, function):
    logits = rng.standard_normal((9, 4))
    assert same_bits(function(logits, [1, 2, 2, 3], 7, 3), function(logits[:7], [1, 2, 2]))
    assert same_bits(function(logits, [1, 2], layout="NTC"), function(logits, [1, 2]))


@both
def test_a_batch_of_one_and_an_empty_batch_are_lists(rng, function):
    logits = rng.standard_normal((5, 1, 3))
    one, = function(logits, [[1, 2]])
    assert same_bits(one, function(logits[:, 0], [1, 2]))
    assert function(logits[:, :0], []) == []


def test_alignments_do_not_depend_on_the_number_of_threads(make_problem):
    T, N = (400, 24) if not numba.config.DISABLE_JIT else (200, 40)
    logits, targets, lengths, _ = make_problem(T, N, 30, 20)
    threads = get_num_threads()
    try:
        set_num_threads(1)
        expected = align(logits, targets, lengths)
        set_num_threads(4)
        assert all(map(same_bits, align(logits, targets, lengths), expected))
    finally:
        set_num_threads(threads)


def test_an_error_of_align_names_the_sequence():
    logits = np.zeros((4, 3, 3))
    with pytest.raises(InfeasibleTargetError, match=r"^target 2 needs 3 frames .* but has 2$"):
        align(logits, [[1], [2], [1, 1]], [4, 4, 2])
    logits[:, 1, 2] = -np.inf
    with pytest.raises(InfeasibleTargetError, match="^target 1 has probability 0: it has 4 frames") as caught:
        align(logits, [[1], [2], [1, 2]])
    assert (caught.value.index, caught.value.required, caught.value.available) == (1, 1, 4)


@pytest.mark.parametrize("ask", [
    lambda x: x.best(), lambda x: x.spans(), lambda x: x.entropy, lambda x: x.k_best(1),
], ids=["best", "spans", "entropy", "k_best"])
def test_a_lattice_without_alignments_names_its_sequence(ask):
    logits = np.zeros((4, 3, 3))
    logits[:, 1, 2] = -np.inf
    possible, closed, short = lattice(logits, [[1], [2], [1, 1]], [4, 4, 2])
    ask(possible)
    for result, message in ((closed, "target 1 has probability 0"), (short, "target 2 needs 3 .* has 2")):
        assert result.num_alignments == 0
        with pytest.raises(InfeasibleTargetError, match=f"^{message}"):
            ask(result)


@both
def test_bad_input_names_the_sequence(function):
    logits = np.zeros((4, 2, 3))
    logits[3, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"^logits\[t=3, n=1, c=0\] is nan"):
        function(logits, [[1], [2]])
    function(logits, [[1], [2]], [4, 3])
    with pytest.raises(ValueError, match=r"^targets\[1\]\[0\] is 0, the blank"):
        function(logits, [[1], [0]], [4, 3])
    with pytest.raises(ValueError, match=r"^logit_lengths\[0\] is 5, the logits have 4 frames"):
        function(logits, [[1], [2]], [5, 3])
    with pytest.raises(ValueError, match=r"^target_lengths\[1\] is 2, target 1 holds 1"):
        function(logits, [[1], [2]], [4, 3], [1, 2])
    with pytest.raises(ValueError, match="^layout must be"):
        function(logits, [[1], [2]], layout="NCT")
