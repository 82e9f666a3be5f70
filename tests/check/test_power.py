"""The small test vectors find mistakes: every broken twin of the reference gets one of them wrong."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ctc_scratch.check.cases import load_cases
from ctc_scratch.ctc import reference

SOURCE = Path(reference.__file__).read_text(encoding="utf-8")
CASES = [case for case in load_cases("toy", "core") if case.result != "error" and case.logits.size <= 16]

# Code of the reference.
SKIPS, EXT = "skips = can_skip(ext)", "ext = extend(labels, blank)"
START, MOVES = "log_alpha[0, :2] = log_probs[0, ext[:2]]", "log_add(stay, step, skip) + log_probs"
END = "float(np.logaddexp.reduce(forward(log_probs, labels, blank)[-1, -2:]))"
SOFTMAX = "logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))"
LOSS = "0.0 - log_likelihood(log_probs, labels, blank)"
GRAD = "np.exp(log_probs) - occupancy(log_probs, labels, blank)"
OCCUPANCY = "np.add.at(posterior.T, extend(labels, blank), gamma(log_probs, labels, blank).T)"

# For each twin, which code of the reference is replaced, and by what.
TWINS = {
    "skips equal labels": (SKIPS, "skips = np.arange(len(ext)) % 2 == 1"),
    "never skips": (SKIPS, "skips = np.zeros(len(ext), bool)"),
    "blank assumed 0": (EXT, "ext = extend(labels, 0)"),
    "starts only in the blank": (START, "log_alpha[0, :1] = log_probs[0, ext[:1]]"),
    "starts anywhere": (START, "log_alpha[0] = log_probs[0, ext]"),
    "ends only in the last state": (END, END.replace("-2:", "-1:")),
    "ends only in the last label": (END, END.replace("-2:", "-2:-1")),
    "loss inf at U = 0": (END, f"{END} if len(labels) else -np.inf"),
    "beta ends only in the blank": ("log_beta[-1, -2:] = 0.0", "log_beta[-1, -1:] = 0.0"),
    "beta lacks a frame": ("for t in range(T - 2, -1, -1):", "for t in range(T - 3, -1, -1):"),
    "alpha lacks a frame": ("for t in range(1, T):", "for t in range(1, T - 1):"),
    "step forgotten": (MOVES, "log_add(stay, skip) + log_probs"),
    "best path for the sum": (MOVES, "np.maximum.reduce([stay, step, skip]) + log_probs"),
    "sign of the gradient": (GRAD, "occupancy(log_probs, labels, blank) - np.exp(log_probs)"),
    "gradient w.r.t. log-probs": (GRAD, "-occupancy(log_probs, labels, blank)"),
    "occupancy overwritten, not summed": (
        OCCUPANCY, "posterior.T[extend(labels, blank)] = gamma(log_probs, labels, blank).T"),
    "softmax left in an infeasible sample": ("loss, np.zeros_like(logits)", "loss, np.exp(log_probs)"),
    "no softmax": ("log_probs = log_softmax(logits)", "log_probs = logits"),
    "probabilities clamped": (SOFTMAX, f"np.maximum({SOFTMAX}, -18)"),
    "-1e5 for -inf": (SOFTMAX, f"np.maximum({SOFTMAX}, -1e5)"),
    "float32 inside": ("alpha = np.full((T, S), -np.inf)", "alpha = np.full((T, S), -np.inf, np.float32)"),
    "loss per label": (LOSS, f"({LOSS}) / max(len(labels), 1)"),
}


def module(text):
    twin = ModuleType("twin")
    twin.__package__ = reference.__package__  # for its relative imports
    exec(compile(text, "twin", "exec"), twin.__dict__)
    return twin


def first_fault(twin):
    """The id of the first case with a wrong loss or gradient; None if there is none."""
    for case in CASES:
        with np.errstate(all="ignore"):
            try:
                loss, grad = twin.loss_and_grad(case.used_logits, case.used_target, case.blank)
            except IndexError:
                return case.id
        expected = case.expected("gradient") if case.result == "valid" else np.zeros(grad.size)
        same = loss == case.answers["loss"] or abs(loss - case.answers["loss"]) <= 1e-9
        if not same or not (np.abs(grad.ravel() - expected) <= 1e-9).all():
            return case.id


def test_the_reference_itself_has_no_fault():
    assert first_fault(module(SOURCE)) is None


@pytest.mark.parametrize("name", TWINS)
def test_a_wrong_twin_gets_a_small_case_wrong(name):
    right, wrong = TWINS[name]
    assert right in SOURCE
    assert first_fault(module(SOURCE.replace(right, wrong))) is not None
