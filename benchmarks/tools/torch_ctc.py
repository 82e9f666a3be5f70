"""The loss and the gradient that torch gives, for the benchmarks that have it as a contender."""

from __future__ import annotations

from typing import Callable

from numpy.typing import NDArray


def on_torch(logits: NDArray, targets: NDArray) -> Callable[[], tuple[NDArray, NDArray]]:
    """log_softmax, ctc_loss and backward in the dtype of the logits: a function to be timed.

    Parameters
    ----------
    logits : (T, N, C) array
    targets : (N, U) integer array

    Returns
    -------
    call : gives the losses (N,) and the gradient w.r.t. the logits (T, N, C)
    """
    import torch  # here, because benchmarks.scaling starts processes that do without

    leaf, labels = torch.tensor(logits, requires_grad=True), torch.tensor(targets)
    (T, N, _), U = logits.shape, targets.shape[1]
    lengths = torch.full((N,), T), torch.full((N,), U)

    def call():
        leaf.grad = None
        losses = torch.nn.functional.ctc_loss(leaf.log_softmax(2), labels, *lengths, reduction="none")
        losses.sum().backward()
        return losses.detach().numpy(), leaf.grad.numpy()

    return call
