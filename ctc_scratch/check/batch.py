"""The right answers for a batch: the reference for each sample, then lengths, infeasible targets, reduction.

T frames, N samples, C classes. Every wrong twin in `twins` is this file or `reference.py` with one place
changed, so both are kept plain.
"""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

from ..arrays import underflow_is_zero
from ..ctc.reference import log_softmax, loss_and_grad


@underflow_is_zero
def derivative(logits: NDArray, labels: Sequence[int], blank: int, variable: str) -> tuple[float, NDArray]:
    """The loss of one sample, and its gradient (T, C) w.r.t. the "logits", "log_probs" or "probs".

    d loss / d log_probs = -occupancy = d loss / d logits - probs;  d loss / d probs = -occupancy / probs.
    """
    loss, grad = loss_and_grad(logits, labels, blank)
    if loss < np.inf and variable != "logits":
        grad = grad - np.exp(log_softmax(logits))
    if variable == "probs":
        grad = grad / np.exp(log_softmax(logits))
    return loss, grad


def solve(logits: NDArray, targets: NDArray, logit_lengths: NDArray, target_lengths: NDArray, *, blank: int,
          variable: str = "logits", reduction: str = "none", infeasible: str = "inf"
          ) -> tuple[Any, NDArray[np.float64]]:
    """The losses (N,) and the gradient (T, N, C) of their sum; or the reduced loss and its gradient.

    logits : (T, N, C), padded after `logit_lengths` (N,) frames
    targets : (N, U), padded after `target_lengths` (N,) labels
    """
    T, N, C = logits.shape
    losses, grad = np.zeros(N), np.zeros((T, N, C))
    for n in range(N):
        frames = logits[:logit_lengths[n], n]
        labels = targets[n, :target_lengths[n]].tolist()
        losses[n], grad[:len(frames), n] = derivative(frames, labels, blank, variable)
    fits = losses < np.inf
    if infeasible == "raise" and not fits.all():
        raise ValueError("a target does not fit its frames")
    if infeasible == "zero":
        losses = np.where(fits, losses, 0.0)
    weights = np.ones(N)
    if reduction == "mean":
        weights = 1 / (N * np.maximum(target_lengths, 1))
    if reduction == "batchmean":
        weights = np.full(N, 1 / N)
    grad = grad * weights[:, None]
    return (losses if reduction == "none" else np.sum(weights * losses)), grad
