"""Mistakes that `python -m tests.fuzz` has found, each reduced to its smallest case."""

import numpy as np
import pytest

from ctc_scratch.ctc import (
    Workspace,
    ctc_loss,
    diagnose,
    edit_distance,
    greedy_decode,
    lattice,
    log_partition,
    prefix_beam_search,
)

TOY = np.zeros((4, 3))


def unaligned(array):
    """The same numbers at an odd address."""
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    raw[...] = array
    assert not raw.flags.aligned
    return raw


def test_a_loss_is_not_negative_where_float32_probabilities_add_up_to_more_than_1():
    likely = np.array([[0, 20], [0, 20]], np.float32)  # y = (2e-9, 1): three paths, 1 + 4e-9 together
    for logits in (likely, np.repeat(likely, 50, axis=0)):
        for reduction in ("none", "sum", "mean"):
            assert ctc_loss(logits, [1], reduction=reduction).loss >= 0


def test_arrays_at_odd_addresses_are_copied_and_not_compiled_for():
    expected = ctc_loss(TOY, [1, 2])
    result = ctc_loss(unaligned(TOY), unaligned(np.array([1, 2])))
    assert result.loss == expected.loss and np.array_equal(result.grad, expected.grad)
    with pytest.raises(ValueError, match="out must be C-contiguous, writeable, aligned"):
        ctc_loss(TOY, [1, 2], out=unaligned(TOY))


@pytest.mark.parametrize("form", [list, tuple, np.array])
def test_diagnose_takes_joined_targets_in_every_form_that_ctc_loss_takes(form):
    logits, joined = np.zeros((4, 2, 3)), form([1, 2, 2])
    assert ctc_loss(logits, joined, target_lengths=[1, 2]).loss.shape == (2,)
    assert not diagnose(logits, joined, target_lengths=[1, 2]).findings
    found = diagnose(logits, joined)
    assert found.errors and "target_lengths are missing" in found.errors[0].what
    assert not diagnose(logits[:, :0], np.empty(0, int), target_lengths=[]).findings
    assert not diagnose(logits[:, :0], [], [], []).findings
    assert not diagnose(np.zeros((0, 0, 3)), []).findings


class Model:
    """A language model that gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer

    def score(self, prefix, label):
        return self.answer


@pytest.mark.parametrize("depth", [700.5, 744.74, 746.0, 1e4])
def test_a_hypothesis_of_subnormal_probability_keeps_its_digits(depth):
    """e^-744.74 as a float64 is off by 0.3 nats: it rounds to the smallest number there is."""
    _, other = prefix_beam_search([[0.0, -depth]], beam_width=2, top=2)
    assert other.labels == [1] and abs(other.log_prob / depth + 1) < 1e-15


RAGGED = [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize("call, error, message", [
    (lambda: ctc_loss(RAGGED, [1]), ValueError, "logits must be an array, but its parts differ in length"),
    (lambda: greedy_decode(RAGGED), ValueError, "logits must be an array"),
    (lambda: log_partition(RAGGED, [1]), ValueError, "scores must be an array"),
    (lambda: log_partition(np.full((2, 3), np.nan), [1]), ValueError, r"scores\[t=0, c=0\] is nan"),
    (lambda: log_partition(TOY.astype(complex), [1]), TypeError, "scores must be real numbers"),
    (lambda: ctc_loss(TOY[:, None], [[1]], RAGGED), ValueError, "logit_lengths must be an array"),
    (lambda: ctc_loss(TOY, [1], method=np.array(["auto", "log"])), ValueError, "method must be 'auto'"),
    (lambda: ctc_loss(TOY, [1], reduction=["none"]), ValueError, "reduction must be 'none'"),
    (lambda: ctc_loss(TOY, [1], workspace=np.empty(9)), TypeError, "workspace must be a Workspace"),
    (lambda: ctc_loss(TOY, [1], workspace=Workspace), TypeError, "workspace must be a Workspace"),
    (lambda: lattice(TOY, [1]).sample(2, None), TypeError, "rng must be a numpy.random.Generator, got None"),
    (lambda: prefix_beam_search(TOY, language_model=Model(None)), TypeError, "language_model.score gave"),
    (lambda: prefix_beam_search(TOY, language_model=Model("1")), TypeError, "language_model.score gave"),
    (lambda: edit_distance(3, [1]), TypeError, "hypothesis must be a sequence of integers, .*got 3"),
    (lambda: edit_distance([1], None), TypeError, "reference must be a sequence of integers, .*got None"),
])
def test_the_message_names_the_wrong_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()
