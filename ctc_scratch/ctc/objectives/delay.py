"""Delay penalty: alignments that enter their labels early get more weight, for streaming recognition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..chain.solve import posterior
from ..inputs.frames import Layout
from ..inputs.options import check_real
from ..loss import Infeasible, Reduction
from .common import ObjectiveResult, check, solve


@dataclass(frozen=True, eq=False, repr=False)
class DelayResult(ObjectiveResult):
    """An `ObjectiveResult`, and the expected frame at which each label is entered.

    delays : a list of N float64 arrays (U,): the expected frame, from 0 to T - 1, at which label u is
        entered, under the weighted distribution over alignments; NaN for a target without alignments
    """

    delays: list[NDArray[np.float64]] = field(kw_only=True)


def delay_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, weight: float,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> DelayResult:
    """-ln of the sum over alignments of p(alignment) e^(weight * sum over labels of ((T - 1) / 2 - t_u)).

    t_u is the frame at which the alignment enters label u, and T the length of the sequence. With a positive
    weight, alignments whose labels come before the middle count for more than later ones.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    weight : lambda, per frame and label, a finite number; 0 is plain CTC, a negative one favours late labels.
        In an untrained network a large weight pushes all labels to the first frames: raise it slowly.

    Returns
    -------
    DelayResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if the weight is not finite.

    Notes
    -----
    *Gradient.* Let u = ln y. Then loss = -ln Z(u), where Z sums e^(total u) over alignments, each times its
    weight, which is a constant. The derivative of ln Z w.r.t. u is the occupancy under the weighted
    distribution. With the softmax, d loss / d logits = probs - occupancy.

    The expected frame of label u is the sum over t of t times the posterior of a move into the label at frame
    t: xi_t of the step and of the skip. The loss is not the -ln of a probability, so it may be negative.
    O(T U) time and memory.

    References
    ----------
    W. Kang and others, "Delay-penalized CTC implemented based on Finite State Transducer", Interspeech 2023
    (arXiv 2305.11539).

    Examples
    --------
    >>> toy = np.zeros((4, 3))
    >>> for weight in (0.0, 1.0):
    ...     print(delay_ctc_loss(toy, [1, 2], weight=weight).delays[0].round(3).tolist())
    [0.4, 2.2]
    [0.077, 1.53]
    """
    weight = check_real("weight", weight)
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    delays = [np.full(U, np.nan) for U in batch.targets.lengths.tolist()]

    def objective(log_probs, labels, n, along):
        frame = np.arange(len(log_probs))
        found = posterior(log_probs, labels, batch.blank, workspace=batch.workspace,
                          enter=weight * ((len(frame) - 1) / 2 - frame), values=along, want=["xi"])
        if found.log_z > -np.inf:
            xi = found.xi[:-1]  # the moves into the frames
            entered = xi[:, 1, :-1:2]  # (T, U) by a step from the blank before the label
            entered[:, 1:] += xi[:, 2, 1:-2:2]  # or by a skip from the label before it
            delays[n] = frame @ entered
        return -found.log_z, -found.occupancy, None if along is None else -found.covariance

    result = solve(objective, batch)
    return DelayResult(result.loss, result.grad, result.hvp, delays=delays)
