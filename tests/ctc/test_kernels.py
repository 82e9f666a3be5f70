"""Each readable kernel against its twin in `reference`: same name, same arguments, same results."""

import inspect

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss, kernels, reference
from ctc_scratch.ctc.labels import can_skip, extend
from tests.conftest import assert_close

TWINS = [name for name, function in vars(reference).items()
         if inspect.isfunction(function) and function.__module__ == reference.__name__ and name[0] != "_"]
PROBLEMS = pytest.mark.parametrize("T, labels, blank", [
    (6, [1, 1], 0), (3, [], 0), (9, [2, 1, 3, 3], 0), (9, [0, 1, 1], 3),
], ids=["repeat", "empty", "more", "last class is blank"])


def arguments_of(function):
    """The names of the positional arguments of a function, without *args."""
    parameters = inspect.signature(getattr(function, "py_func", function)).parameters.values()
    return [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]


def test_the_reference_has_every_function_of_the_recursion():
    assert {"log_softmax", "forward", "backward", "log_likelihood", "gamma", "occupancy",
            "loss_and_grad"} <= set(TWINS)


@pytest.mark.parametrize("name", TWINS)
def test_each_function_has_a_twin_with_the_same_arguments(name):
    """A kernel has further arguments after these: the arrays that it fills."""
    arguments = arguments_of(getattr(reference, name))
    its_arguments = arguments_of(getattr(kernels, name))
    assert its_arguments[:len(arguments)] == arguments


def test_twins_stand_in_the_same_order():
    order = [name for name in vars(kernels) if name in TWINS]
    assert order == TWINS


@PROBLEMS
def test_states_emit_and_skip_as_the_extended_labels_say(T, labels, blank):
    ext, target = extend(labels, blank), np.array(labels, np.intp)
    states = range(len(ext))
    assert [kernels.emitted(target, blank, s) for s in states] == ext.tolist()
    assert [bool(kernels.can_skip(target, s)) for s in states] == can_skip(ext).tolist()


@PROBLEMS
def test_each_kernel_equals_its_twin(rng, T, labels, blank):
    logits, target, S = rng.standard_normal((T, 4)), np.array(labels, np.intp), 2 * len(labels) + 1
    problem = reference.log_softmax(logits), labels, blank
    its_problem = problem[0], target, blank

    log_probs, log_alpha, log_beta = np.empty((T, 4)), np.empty((T, S)), np.empty((T, S))
    kernels.log_softmax(logits, log_probs)
    assert_close(log_probs, problem[0], 1e-14, "log_probs")
    kernels.forward(*its_problem, log_alpha)
    assert_close(log_alpha, reference.forward(*problem), 1e-13, "log_alpha")
    kernels.backward(*its_problem, log_beta)
    assert_close(log_beta, reference.backward(*problem), 1e-13, "log_beta")

    log_alpha[:], gamma, occupancy, grad = np.nan, np.empty((T, S)), np.empty((T, 4)), np.empty((T, 4))
    assert_close(kernels.log_likelihood(*its_problem, log_alpha), reference.log_likelihood(*problem), 1e-13,
                 "log-likelihood")
    kernels.gamma(*its_problem, log_alpha, gamma)
    assert_close(gamma, reference.gamma(*problem), 1e-13, "gamma")
    kernels.occupancy(*its_problem, log_alpha, gamma, occupancy)
    assert_close(occupancy, reference.occupancy(*problem), 1e-13, "occupancy")

    loss, expected = reference.loss_and_grad(logits, labels, blank)
    its_loss = kernels.loss_and_grad(logits, target, blank, log_probs, log_alpha, gamma, grad)
    assert_close(its_loss, loss, 1e-13, "loss")
    assert_close(grad, expected, 1e-13, "gradient")


@pytest.mark.parametrize("T, labels, loss", [(2, [1, 1], np.inf), (0, [1], np.inf), (0, [], 0.0)],
                         ids=["too short", "no frame", "nothing"])
def test_without_a_path_or_a_frame_the_gradient_is_0(T, labels, loss):
    logits, target, S = np.zeros((T, 3)), np.array(labels, np.intp), 2 * len(labels) + 1
    arrays = [np.full((T, size), 7.0) for size in (3, S, S, 3)]
    assert kernels.loss_and_grad(logits, target, 0, *arrays) == loss
    assert reference.loss_and_grad(logits, labels)[0] == loss
    assert not arrays[-1].any()


def test_log_space_stays_accurate_at_losses_of_thousands_of_nats(rng):
    """exp(log alpha + log beta) would underflow at every frame."""
    logits, labels = rng.standard_normal((900, 9)), [1, 2, 2, 3]
    result, exact = (ctc_loss(logits, labels, method=method) for method in ("log", "exact"))
    assert exact.loss > 1800
    assert_close(result.loss, exact.loss, 1e-9, "loss")
    assert_close(result.grad, exact.grad, 1e-9, "gradient")
