"""Is an answer right, wrong, NaN, refused, accepted silently, or a crash?"""

from __future__ import annotations

import numpy as np

from ctc_scratch.check.answers import PRECISIONS, Answer, compare
from ctc_scratch.check.cases import Case

VERDICTS = ("right", "wrong", "NaN", "refused", "accepted", "crashed")
"""
right : what the vectors say. A case that must be refused is refused; an infeasible target has loss inf or 0,
    with gradient 0, or raises an error
wrong : another number
NaN : there is NaN in the loss or in the gradient of a case that may be answered
refused : an error, although the case has an answer
accepted : a case that must be refused has an answer, whatever it is
crashed : the process ended, or did not answer
"""


def verdict(case: Case, dtype: str, answer: object) -> str:
    """answer : (loss, gradient (T, C)), the text of an exception, or None for a crash"""
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
