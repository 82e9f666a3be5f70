"""ctc_loss against torch's CTC loss in float64, on the same (rounded) logits."""

import numpy as np
import pytest
import torch

from ctc_scratch.ctc import ctc_loss
from tests.conftest import assert_close

TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}


def torch_ctc(problem, reduction, **options):
    logits = torch.tensor(problem.logits.astype(np.float64), requires_grad=True)
    losses = torch.nn.functional.ctc_loss(
        logits.log_softmax(2),
        torch.tensor(np.concatenate([*problem.targets, [0]]).astype(np.int64))[:-1],
        torch.tensor(problem.logit_lengths),
        torch.tensor([len(target) for target in problem.targets]),
        blank=problem.blank, reduction=reduction, **options,
    )
    losses.sum().backward()
    return losses.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("shape", [
    dict(T=1, N=3, C=2, U=1), dict(T=12, N=5, C=3, U=6), dict(T=30, N=4, C=11, U=5),
    dict(T=60, N=3, C=28, U=25), dict(T=60, N=2, C=5, U=30, labels=1), dict(T=25, N=6, C=6, U=12, labels=2),
    dict(T=20, N=3, C=4, U=8, ragged=False),
], ids=["T=1", "small", "digits", "letters", "one-label", "repeats", "full"])
def test_loss_and_gradient_equal_torch(make_problem, dtype, reduction, shape):
    for scale in (0.5, 1.0, 4.0):
        for blank in {0, shape["C"] // 2, shape["C"] - 1}:
            problem = make_problem(**shape, scale=scale, blank=blank, dtype=dtype)
            loss, grad = torch_ctc(problem, reduction)
            result = ctc_loss(problem.logits, problem.targets, problem.logit_lengths,
                              blank=blank, reduction=reduction)
            tolerance, width = TOLERANCE[dtype], "double" if dtype == np.float64 else "single"
            assert result.grad.dtype == dtype
            assert_close(result.loss / np.maximum(loss, 1e-9), loss / np.maximum(loss, 1e-9), tolerance,
                         f"{width} loss, relative")
            assert_close(result.grad, grad, tolerance, f"{width} gradient")


def test_zeroed_infeasible_targets_equal_torchs_zero_infinity(make_problem):
    problem = make_problem(T=8, N=6, C=4, U=5)
    problem.targets[2], problem.logit_lengths[2] = np.array([1, 1, 1, 2]), 5  # needs 6
    loss, grad = torch_ctc(problem, "none", zero_infinity=True)
    result = ctc_loss(problem.logits, problem.targets, problem.logit_lengths, infeasible="zero")
    assert loss[2] == result.loss[2] == 0 and not result.grad[:, 2].any()
    assert_close(result.loss, loss, 1e-10, "loss")
    assert_close(result.grad, grad, 1e-10, "gradient")
