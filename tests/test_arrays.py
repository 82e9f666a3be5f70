"""Arrays of other libraries that NumPy cannot read are refused by every entry point, with the remedy."""

import numpy as np
import pytest
import torch

import ctc_scratch as ctc
from ctc_scratch.arrays import before_mask
from ctc_scratch.nn.layers import check_frames, check_lengths


class Refusing:
    """An array-like whose conversion fails with an error of its own."""

    def __array__(self, *_, **__):
        raise RuntimeError("not today")


def unreadable(shape):
    """Name, values and a part of the expected message, for values of this shape."""
    masked = np.ma.masked_equal(np.arange(np.prod(shape)).reshape(shape), 0)  # not the end, but the beginning
    return [
        ("gradient", torch.ones(shape, requires_grad=True), r"requires a gradient; pass .*\.detach\(\)"),
        ("bfloat16", torch.ones(shape, dtype=torch.bfloat16), r"no bfloat16; pass .*\.float\(\)"),
        ("masked", masked, "a masked array, whose mask"),
        ("refusing", Refusing(), "from .*Refusing: pass a NumPy array"),
    ]


ZEROS = np.zeros((6, 2, 5))
CALLS = {  # each with the shape of the argument, and the name that the message gives it
    "ctc_loss": ((6, 5), "logits", lambda x: ctc.ctc_loss(x, [1, 2])),
    "log_partition": ((6, 5), "scores", lambda x: ctc.log_partition(x, [1, 2])),
    "greedy_decode": ((6, 5), "logits", ctc.greedy_decode),
    "prefix_beam_search": ((6, 5), "logits", ctc.prefix_beam_search),
    "map_decode": ((6, 5), "logits", ctc.map_decode),
    "align": ((6, 5), "logits", lambda x: ctc.align(x, [1, 2])),
    "lattice": ((6, 5), "logits", lambda x: ctc.lattice(x, [1, 2])),
    "entropy_ctc_loss": ((6, 5), "logits", lambda x: ctc.entropy_ctc_loss(x, [1, 2], weight=1)),
    "prior": ((5,), "prior", lambda p: ctc.prior_ctc_loss(ZEROS, [[1], [2]], prior=p, weight=1)),
    "running prior": ((6, 5), "logits", lambda x: ctc.RunningPrior(5, 0.9).update(x)),
    "risk": ((6,), "risk", lambda r: ctc.bayes_risk_ctc_loss(ZEROS, [[1], [2]], risk=r)),
    "costs": ((2,), r"costs\[0\]", lambda d: ctc.min_risk_ctc_loss(
        ZEROS, [[1], [2]], hypotheses=[[[1], [2]], [[1]]], costs=[d, [1]])),
    "hypotheses": ((2,), r"hypotheses\[0\]", lambda h: ctc.min_risk_ctc_loss(
        ZEROS[:, 0], [1], hypotheses=[h])),
    "log_partition_hvp": ((6, 5), "scores", lambda x: ctc.log_partition_hvp(x, [1, 2], ZEROS[:, 0])),
    "ctc_loss_hvp": ((6, 5), "logits", lambda x: ctc.ctc_loss_hvp(x, [1, 2], ZEROS[:, 0])),
    "fisher_vp": ((3, 5), "logits", lambda x: ctc.fisher_vp(x, ZEROS[:3, 0])),
    "vectors": ((6, 5), "vectors", lambda v: ctc.gauss_newton_vp(ZEROS[:, 0], [1, 2], v)),
    "targets": ((2,), "targets", lambda y: ctc.ctc_loss(ZEROS[:, 0], y)),
    "padded targets": ((2, 2), r"targets(\[0\])?", lambda y: ctc.ctc_loss(ZEROS, y)),
    "one of the targets": ((2,), r"targets\[1\]", lambda y: ctc.ctc_loss(ZEROS, [[1], y])),
    "logit_lengths": ((2,), "logit_lengths", lambda n: ctc.ctc_loss(ZEROS, [[1], [2]], n)),
    "target_lengths": ((2,), "target_lengths", lambda n: ctc.ctc_loss(ZEROS, [[1], [2]], [6, 6], n)),
    "decoded lengths": ((2,), "lengths", lambda n: ctc.greedy_decode(ZEROS, n)),
    "targets of log_partition": ((2,), r"targets\[1\]", lambda y: ctc.log_partition(ZEROS, [[1], y])),
    "lengths of log_partition": ((2,), "logit_lengths", lambda n: ctc.log_partition(ZEROS, [[1], [2]], n)),
    "targets of align": ((2,), "targets", lambda y: ctc.align(ZEROS[:, 0], y)),
    "targets of lattice": ((2,), "targets", lambda y: ctc.lattice(ZEROS[:, 0], y)),
    "collapse": ((2,), "path", ctc.collapse),
    "extend": ((2,), "labels", ctc.extend),
    "min_frames": ((2,), "labels", ctc.min_frames),
    "edit_distance": ((2,), "hypothesis", lambda y: ctc.edit_distance(y, [1])),
    "label_error_rate": ((2,), "reference", lambda y: ctc.label_error_rate([[1]], [y])),
    "layers": ((2, 3), "x", lambda x: check_frames("x", x, (None, 3), np.dtype(np.float32))),
    "lengths of layers": ((2,), "lengths", lambda n: check_lengths(n, 5, 2)),
}


@pytest.mark.parametrize("shape, name, call", CALLS.values(), ids=CALLS)
def test_the_message_names_the_argument_and_the_remedy(shape, name, call):
    for kind, values, message in unreadable(shape):
        with pytest.raises(TypeError, match=f"^{name} (cannot be read|must not be) .*{message}"):
            call(values)


@pytest.mark.parametrize("call", [
    lambda x: ctc.diagnose(x, [1, 2]),
    lambda y: ctc.diagnose(ZEROS, y),
    lambda y: ctc.diagnose(ZEROS, [[1], y]),
    lambda n: ctc.diagnose(ZEROS, [[1], [2]], n),
    lambda n: ctc.diagnose(ZEROS, [[1], [2]], [6, 6], n),
], ids=["logits", "targets", "one target", "logit_lengths", "target_lengths"])
def test_diagnose_reports_what_it_cannot_read(call):
    for kind, values, message in unreadable((6, 5) if "x" in call.__code__.co_varnames else (2,)):
        diagnosis = call(values)
        assert diagnosis.findings, kind
        assert any(word in str(diagnosis) for word in ("cannot be read", "masked array")), kind


def test_an_object_column_of_lists_is_refused_with_the_remedy():
    column = np.empty(2, object)
    column[:] = [[1], [2, 1]]
    with pytest.raises(TypeError, match=r"^targets must hold integers.*pass list\(targets\)"):
        ctc.ctc_loss(ZEROS, column)
    assert np.isfinite(ctc.ctc_loss(ZEROS, list(column)).loss).all()


def test_a_mask_that_masks_nothing_is_no_mask():
    plain = ctc.ctc_loss(ZEROS[:, 0], [1, 2])
    masked = ctc.ctc_loss(np.ma.masked_invalid(ZEROS[:, 0]), np.ma.array([1, 2]))
    assert masked.loss == plain.loss and type(masked.grad) is np.ndarray


@pytest.mark.parametrize("labels, expected", [
    (np.ma.array([3, 4, 9, 9], mask=[0, 0, 1, 1]), [3, 4]), (np.ma.array([3, 4], mask=[1, 1]), []),
    (np.ma.array([3, 4], mask=[0, 0]), [3, 4]),
], ids=["end", "all", "nothing"])
def test_labels_end_where_the_mask_begins(labels, expected):
    assert list(before_mask(labels, "labels")) == expected
    assert ctc.min_frames(labels) == len(expected)
    assert ctc.extend(labels)[1::2].tolist() == expected and ctc.collapse(labels) == expected
    assert ctc.edit_distance(labels, expected) == 0 == ctc.edit_distance(expected, labels)


@pytest.mark.parametrize("mask", [[1, 0, 0], [0, 1, 0], [1, 0, 1]], ids=str)
def test_a_mask_before_the_end_is_refused(mask):
    with pytest.raises(TypeError, match="^labels must not be .* unless it masks the end of a sequence"):
        before_mask(np.ma.array([1, 2, 3], mask=mask), "labels")


def test_rates_count_labels_before_the_mask():
    """Masked labels are neither errors nor labels: 1 error in 3 labels."""
    hypotheses = np.ma.array([[1, 9, 9], [2, 3, 9]], mask=[[0, 1, 1], [0, 0, 1]])
    references = np.ma.array([[1, 8, 8], [2, 2, 8]], mask=[[0, 1, 1], [0, 0, 1]])
    assert ctc.label_error_rate(hypotheses, references) == 1 / 3
    assert ctc.sequence_accuracy(hypotheses, references) == 0.5
    words = np.ma.array(["the", "cat", "sat"], mask=[0, 0, 1])
    assert ctc.label_error_rate([words], [["the", "cat"]]) == 0.0


def test_tensors_that_numpy_can_read_are_read():
    for call, number in ((ctc.ctc_loss, "loss"), (ctc.log_partition, "log_z")):
        read = call(torch.zeros(6, 5), torch.tensor([1, 2]))
        assert getattr(read, number) == getattr(call(np.zeros((6, 5), np.float32), [1, 2]), number)
