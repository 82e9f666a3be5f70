"""torch's CTC loss and gradient, for the benchmarks in which it is a contender."""

from __future__ import annotations

from typing import Callable

import torch
from numpy.typing import NDArray


def on_torch(logits: NDArray, targets: NDArray) -> Callable[[], tuple[NDArray, NDArray]]:
    """A function that runs torch's log_softmax, ctc_loss and backward, in the dtype of the logits.

    Parameters
    ----------
    logits : (T, N, C) array
    targets : (N, U) integer array

    Returns
    -------
    call : a function that returns the losses (N,) and the gradient w.r.t. the logits (T, N, C)
    """
    leaf, labels = torch.tensor(logits, requires_grad=True), torch.tensor(targets)
    (T, N, _), U = logits.shape, targets.shape[1]
    lengths = torch.full((N,), T), torch.full((N,), U)

    def call():
        leaf.grad = None
        losses = torch.nn.functional.ctc_loss(leaf.log_softmax(2), labels, *lengths, reduction="none")
        losses.sum().backward()
        return losses.detach().numpy(), leaf.grad.numpy()

    return call
