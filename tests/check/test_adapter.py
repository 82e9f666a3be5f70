"""How an implementation is called: inputs, layouts, the blank, tensors of other libraries, wrong shapes."""

from dataclasses import replace

import numpy as np
import pytest

from ctc_scratch.check import Adapter, check_ctc
from ctc_scratch.check.adapter import as_adapter
from ctc_scratch.check.answers import PRECISIONS, Answer, Difference, as_numpy, compare
from ctc_scratch.check.problems import Problem, one
from ctc_scratch.ctc import reference

LOGITS = np.array([[0.5, 0, -1], [1, 2, 3.0]])


class Tensor:
    """As a tensor of torch on a GPU: NumPy cannot read it before it is detached and moved."""

    def __init__(self, array, steps=("detach", "cpu")):
        self._array, self._steps = array, steps

    def __getattr__(self, name):
        if self._steps and name == self._steps[0]:
            return lambda: Tensor(self._array, self._steps[1:])
        if name == "numpy" and not self._steps:
            return lambda: self._array
        raise AttributeError(name)


def asked(adapter, problem):
    """The arguments that an adapter's function is called with."""
    calls = []

    def fn(*arguments, **options):
        calls.append((arguments, options))
        return 0.0

    replace(adapter, loss=fn).call(problem)
    return calls[0]


def test_one_sequence():
    (logits, target), options = asked(Adapter(len), one(LOGITS, 1))
    assert (logits == LOGITS).all() and target.tolist() == [1] and options == {}


@pytest.mark.parametrize("name, expected", [
    ("log_probs", reference.log_softmax(LOGITS)), ("probs", np.exp(reference.log_softmax(LOGITS)))])
def test_log_probs_and_probs(name, expected):
    (inputs, _), _ = asked(Adapter(len, input=name), one(LOGITS, 1))
    assert (inputs == expected).all()


@pytest.mark.parametrize("layout", ["TNC", "NTC"])
def test_a_batch_is_padded(layout):
    problem = Problem((LOGITS, LOGITS[:1]), ((1, 2), ()), padding=1)
    (logits, targets, T, U), _ = asked(Adapter(len, layout=layout), problem)
    logits = logits if layout == "TNC" else logits.swapaxes(0, 1)
    assert logits.shape == (3, 2, 3) and T.tolist() == [2, 1] and U.tolist() == [2, 0]
    assert (logits[:2, 0] == LOGITS).all() and (logits[:1, 1] == LOGITS[:1]).all()
    assert (np.abs(logits[1:, 1]) == 7).all() and targets.tolist() == [[1, 2, 1], [1, 1, 1]]


@pytest.mark.slow
def test_the_blank_is_passed_if_the_function_takes_it():
    blanks = set()

    def fn(logits, target, blank):
        blanks.add((blank, logits.shape[1]))
        return reference.loss_and_grad(logits, target, blank)

    assert check_ctc(fn).ok and {0, 1} < {blank for blank, _ in blanks}
    assert any(blank == C - 1 > 0 for blank, C in blanks)
    assert not check_ctc(lambda logits, target: reference.loss_and_grad(logits, target), blank=1).ok


def test_the_blank_changes_places():
    problem = one(LOGITS, 1).with_blank(2)
    assert problem.targets == ((1,),) and (problem.logits[0] == LOGITS[:, [2, 1, 0]]).all()
    problem = one(LOGITS, 1).with_blank(1)
    assert problem.targets == ((0,),) and (problem.logits[0] == LOGITS[:, [1, 0, 2]]).all()
    wide = one(LOGITS, 1).with_blank(4)
    assert wide.logits[0].shape == (2, 5) and (wide.logits[0][:, 4] == LOGITS[:, 0]).all()
    assert reference.loss_and_grad(wide.logits[0], [1], 4)[0] == pytest.approx(
        reference.loss_and_grad(LOGITS, [1])[0], abs=1e-12)


def test_tensors_are_made_and_read():
    def fn(logits, target):
        assert isinstance(logits, Tensor) and isinstance(target, Tensor)
        loss, grad = reference.loss_and_grad(as_numpy(logits), as_numpy(target).astype(int))
        return Tensor(np.array(loss)), Tensor(grad)

    assert check_ctc(fn, tensor=Tensor, skip=("published test vectors",)).ok


@pytest.mark.parametrize("found, message", [
    ((0.0, np.zeros((3, 2))), "the gradient has shape (3, 2), expected (2, 3)"),
    (np.zeros(2), "the loss has shape (2,), expected ()"),
    ("text", "could not convert string to float"),
    (None, "the loss is None"),
])
def test_an_answer_of_the_wrong_form_is_an_error(found, message):
    answer = Adapter(lambda logits, target: found).call(one(LOGITS, 1))
    assert message in answer.error


def test_a_function_that_writes_into_its_input_spoils_only_its_own():
    def fn(logits, target):
        logits[:] = 0
        return 0.0

    problem = one(LOGITS, 1)
    Adapter(fn).call(problem)
    assert (problem.logits[0] == LOGITS).all() and LOGITS.any()


def test_options_replace_those_of_an_adapter():
    adapter = as_adapter(Adapter(len, blank=3), skip=("long",))
    assert adapter.blank == 3 and adapter.skip == ("long",)


# ---- comparisons


@pytest.mark.parametrize("loss, expected, agrees", [
    (1.0, 1.0 + 5e-10, True), (1.0, 1.0 + 2e-9, False), (1000.0, 1000.0 + 5e-7, True), (1e-12, 0.0, True),
    (np.inf, np.inf, True), (np.inf, 1.0, False), (np.nan, 1.0, False), (1.0, np.inf, False),
    (-np.inf, np.inf, False)])
def test_losses_are_compared_by_their_size(loss, expected, agrees):
    found = compare(Answer(np.array(loss)), Answer(np.array(expected)), PRECISIONS["float64"])
    assert (found is None) == agrees


def test_the_worst_entry_is_named():
    right = Answer(np.zeros(1), np.zeros((2, 1, 3)))
    grad = np.zeros((2, 1, 3))
    grad[0, 0, 1], grad[1, 0, 2] = 1e-6, -0.5
    found = compare(Answer(np.zeros(1), grad), right, PRECISIONS["float64"])
    assert found == Difference("gradient", (1, 2), -0.5, 0.0, 0.5)
    assert str(found) == "gradient[1, 2] is -0.5, expected 0"


def test_an_error_differs_from_an_answer():
    answer, error = Answer(np.zeros(1)), Answer(error="ValueError: no")
    assert "is ValueError: no, expected no error" in str(compare(error, answer, PRECISIONS["float64"]))
    assert "is no error, expected ValueError: no" in str(compare(answer, error, PRECISIONS["float64"]))
    assert compare(error, error, PRECISIONS["float64"]) is None
