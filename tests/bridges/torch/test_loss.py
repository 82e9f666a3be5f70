"""The losses for tensors: one toy problem, and the forms of arguments."""

import numpy as np
import torch

from ctc_scratch.torch import ctc_loss_from_logits


def test_the_toy_problem():
    """15 of the 81 paths spell (1, 2); the mean divides by two labels."""
    logits = torch.zeros(4, 1, 3, dtype=torch.float64, requires_grad=True)
    loss = ctc_loss_from_logits(logits, torch.tensor([[1, 2]]), [4], [2])
    loss.backward()
    np.testing.assert_allclose(loss.item(), -np.log(15 / 81) / 2, rtol=1e-14)
    assert logits.grad.dtype == torch.float64 and logits.grad.abs().sum() > 0.1
