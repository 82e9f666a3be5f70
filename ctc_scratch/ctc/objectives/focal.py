"""Focal loss: sequences that are read well count for less, so the others weigh more in training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import underflow_is_zero
from ..hessian import ctc_loss_hvp
from ..inputs.frames import Layout
from ..inputs.options import check_not_negative, check_real
from ..loss import Infeasible, Reduction, reduction_weights, solve_batch
from .common import ObjectiveResult, check


@underflow_is_zero
def focal_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, power: float, per_label: bool = False,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """The CTC loss times (1 - q)^power, where q = p(target | x), or p^(1 / max(U, 1)) with per_label=True.

    For a long target p is near 0 even in a good network, so the factor (1 - p)^power is near 1 and has no
    effect. With per_label=True, q is the geometric mean of p per label, which is comparable for all lengths.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    power : a finite number, at least 0; 0 is plain CTC
    per_label : whether q is the geometric mean of p per label, or p itself

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if the power is negative or not finite.

    Notes
    -----
    *Gradient.* Let L = -ln p and h = L / U', where U' is 1, or max(U, 1) with per_label=True; so q = e^-h and
    dq / dL = -q / U'. Then d loss / dL = (1 - q)^power + power (1 - q)^(power - 1) q L / U'
    = (1 - q)^power (1 + power q h / (1 - q)), which multiplies the gradient probs - occupancy of L.

    *Second derivative.* With r = 1 - q and a = q h / r, the second derivative of the loss w.r.t. L is
    power q r^(power - 1) (2 - h + (power - 1) a) / U', and

        hvp = (d loss / dL) Hess(L) v + (second derivative) g <g, v>        g = the gradient of L

    *Limits.* 1 - q is computed as -expm1(-h), which is exact to rounding near q = 1. q h / (1 - q) lies
    between 0 and 1: it is 1 in the limit p = 1 and 0 in the limit p = 0. So for every power > 0, also below
    1, loss and gradient are 0 at p = 1, and those of CTC where q underflows; power 0 is CTC everywhere.
    Nothing is NaN. L comes from `ctc_loss`, with an absolute error of about 1e-15 near p = 1, and loss and
    gradient inherit it.

    References
    ----------
    T.-Y. Lin and others, "Focal Loss for Dense Object Detection", ICCV 2017. X. Feng, H. Yao, S. Zhang,
    "Focal CTC Loss for Chinese Optical Character Recognition on Unbalanced Datasets", Complexity 2019.

    Examples
    --------
    p = 15 / 81, so the loss is multiplied by (66 / 81)^2.

    >>> toy = np.zeros((4, 3))
    >>> plain, focal = (float(focal_ctc_loss(toy, [1, 2], power=g).loss) for g in (0, 2))
    >>> round(focal / plain, 6), round((66 / 81) ** 2, 6)
    (0.663923, 0.663923)
    """
    power = check_real("power", check_not_negative("power", power))
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    found: Any
    if vectors is None:
        found = solve_batch(logits, targets, logit_lengths, target_lengths, blank=blank, reduction="none",
                            infeasible=infeasible, layout=layout, want_grad=want_grad)
    else:
        found = ctc_loss_hvp(logits, targets, vectors, logit_lengths, target_lengths, blank=blank,
                             infeasible=infeasible, layout=layout)
    losses = np.atleast_1d(found.loss)
    feasible, shares = losses < np.inf, np.maximum(batch.targets.lengths, 1) if per_label else 1
    h = np.where(feasible, losses, 1.0) / shares
    q, rest = np.exp(-h), -np.expm1(-h)  # rest is 1 - q
    ratio = np.divide(q * h, rest, out=np.ones_like(h), where=rest > 0)
    weights = reduction_weights(batch.targets.lengths, reduction)
    first = weights * rest**power * (1 + power * ratio)  # d loss / dL
    second = weights * power * q * rest**power * (2 - h + (power - 1) * ratio)  # its derivative, times rest
    second = np.divide(second, rest * shares, out=np.zeros_like(h), where=rest > 0)
    frames, hvp = batch.frames, None if vectors is None else found.hvp
    grad = found.grad if batch.want_grad else np.zeros(frames.logits.shape, frames.logits.dtype)
    for n in range(len(losses)):
        slope = frames.rows_of(grad.reshape(frames.rows.shape), n)
        if hvp is not None and batch.vectors is not None:
            product, along = frames.rows_of(hvp.reshape(frames.rows.shape), n), slope.astype(np.float64)
            product *= first[n]
            product += second[n] * (along * frames.rows_of(batch.vectors, n)).sum() * along
        slope *= first[n]
    return batch.result(np.where(feasible, rest**power * np.where(feasible, losses, 0.0), np.inf), grad, hvp)
