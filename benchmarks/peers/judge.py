"""Is an answer right, wrong, NaN, refused, accepted silently, or a crash?"""

from __future__ import annotations

import numpy as np

from ctc_scratch.check.answers import PRECISIONS, Answer, compare
from ctc_scratch.check.cases import Case

VERDICTS = ("right", "wrong", "NaN", "refused", "accepted", "crashed")
"""
right : the answer of the vectors. For a case that must be refused, an error; for an infeasible target, loss
    inf or 0 with gradient 0, or an error
wrong : another number
NaN : a NaN in the loss or the gradient, for a case that need not be refused
refused : an error, although the case has an answer
accepted : any answer to a case that must be refused
crashed : the process ended, or did not answer
"""


def verdict(case: Case, dtype: str, answer: object) -> str:
    """The verdict on an answer: (loss, gradient (T, C)), the text of an exception, or None for a crash."""
    if answer is None:
        return "crashed"
    if isinstance(answer, str):
        return "refused" if case.result == "valid" else "right"
    if case.result == "error":
        return "accepted"
    assert isinstance(answer, tuple)
    loss, grad = answer
    if grad.shape != case.logits.shape:
        return "wrong"
    grad = grad[:case.logit_length]
    if np.isnan(loss) or np.isnan(grad).any():
        return "NaN"
    if case.result == "infeasible":
        return "right" if loss in (np.inf, 0) and not grad.any() else "wrong"
    found = Answer(np.array(loss), case.observed("gradient", grad)[:, None, None])
    expected = Answer(np.array(case.answers["loss"]), case.expected("gradient")[:, None, None])
    return "right" if compare(found, expected, PRECISIONS[dtype]) is None else "wrong"
