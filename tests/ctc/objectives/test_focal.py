"""The focal loss where p is 0, 1 or nearly so, and in between."""

import mpmath
import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.objectives import focal_ctc_loss
from tests.conftest import assert_close

POWERS = [0.0, 1e-3, 0.5, 1.0, 3.0]
one_or_all = pytest.mark.parametrize("per_label", [False, True])


@one_or_all
@pytest.mark.parametrize("power", POWERS)
def test_a_certain_target_has_no_loss(power, per_label):
    logits = np.full((3, 3), -np.inf)
    logits[[0, 1, 2], [1, 0, 2]] = 0.0
    found = focal_ctc_loss(logits, [1, 2], power=power, per_label=per_label)
    assert found.loss == 0 and not found.grad.any()


@one_or_all
@pytest.mark.parametrize("power", POWERS)
def test_a_hopeless_target_has_the_loss_of_ctc(power, per_label):
    logits = np.zeros((2, 3))
    logits[:, 1:] = -5000.0
    arguments = logits, [1, 2]
    found, plain = focal_ctc_loss(*arguments, power=power, per_label=per_label), ctc_loss(*arguments)
    assert found.loss == plain.loss and (found.grad == plain.grad).all()


@one_or_all
@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("gap", [1e-8, 0.1, 5.0, 700.0])
def test_loss_and_gradient_have_full_accuracy_at_any_p(power, per_label, gap):
    """Labels (1, 2) in two frames: in each, the label has a logit `gap` above that of the other label."""
    logits = np.array([[-np.inf, gap, 0.0], [-np.inf, 0.0, gap]])
    found = focal_ctc_loss(logits, [1, 2], power=power, per_label=per_label)
    with mpmath.workdps(400):
        share = 2 if per_label else 1
        y = 1 / (1 + mpmath.exp(-mpmath.mpf(gap)))
        loss = -2 * mpmath.log(y)
        rest = 1 - mpmath.exp(-loss / share)
        value = rest**power * loss
        factor = rest**power + power * rest ** (power - 1) * mpmath.exp(-loss / share) * loss / share
        slope = factor * (y - 1)
    assert_close(found.loss, float(value), 1e-14, "loss")
    assert_close(found.grad[0, 1], float(slope), 1e-14, "gradient")
