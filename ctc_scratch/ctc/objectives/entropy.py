"""Entropy: a regulariser that keeps the posterior over alignments from settling on one of them (EnCTC)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..chain.derivatives import derivatives_along
from ..chain.solve import posterior
from ..inputs.frames import Layout
from ..inputs.options import check_real
from ..loss import Infeasible, Reduction
from .common import ObjectiveResult, check, solve


def entropy_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, weight: float, blank: int = 0, reduction: Reduction = "none",
    infeasible: Infeasible = "raise", layout: Layout = "TNC", vectors: ArrayLike | None = None,
    want_grad: bool = True,
) -> ObjectiveResult:
    """The CTC loss minus `weight` times the entropy of the distribution over alignments.

        loss = -ln p(target | x) - weight H
        H = -sum over alignments of q ln q        q = p(alignment | target, x)

    CTC training makes q peaky: early on, one alignment gets nearly all the probability, and the others are no
    longer explored. A positive weight rewards a distribution that is spread over several alignments (Liu, Jin
    and Zhang 2018, eq. 7).

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    weight : lambda, a finite number of either sign; 0 is plain CTC

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if the weight is not finite.

    Notes
    -----
    *Gradient.* Let u = ln y, and Z(u) the sum over alignments. ln q(path) = sum of u along the path - ln Z,
    so H = ln Z - sum of occupancy u. Its derivative is occupancy - occupancy - (d occupancy / du) u
    = -Hess(ln Z) u, so d loss / du = -occupancy + weight Hess(ln Z) u. The softmax adds probs.

    *Second derivative.* The slope is differentiated along the change of u. It holds the covariance of u, so
    this takes third cumulants: see `chain/derivatives.py`.

    H is computed from the shares of all moves, as a sum of positive terms. The formula above would subtract
    numbers as large as the loss. Implementations that do so, or add a small number inside the logarithm, lose
    H where it is small. O(T U) time; memory as for `log_partition_hvp`.

    References
    ----------
    H. Liu, S. Jin, C. Zhang, "Connectionist Temporal Classification with Maximum Entropy Regularization",
    NeurIPS 2018.

    Examples
    --------
    15 alignments, all equally likely, have the entropy ln 15.

    >>> toy = np.zeros((4, 3))
    >>> plain, more = (float(entropy_ctc_loss(toy, [1, 2], weight=w).loss) for w in (0, 0.1))
    >>> round((plain - more) / 0.1, 6), round(float(np.log(15)), 6)
    (2.70805, 2.70805)
    """
    weight = check_real("weight", weight)
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)

    def objective(log_probs, labels, n, along):
        u = np.where(log_probs == -np.inf, 0.0, log_probs)
        found = posterior(log_probs, labels, batch.blank, values=u, want_grad=batch.want_grad,
                          want=["entropy"] if along is None else ["entropy", "xi"], workspace=batch.workspace)
        value = -found.log_z - weight * found.entropy
        if not batch.want_grad:
            return value, found.occupancy, None
        slope = weight * found.covariance - found.occupancy
        if along is None:
            return value, slope, None
        d_occupancy, d_covariance = derivatives_along(found, labels, batch.blank, along, values=u)
        return value, slope, weight * d_covariance - d_occupancy

    return solve(objective, batch)
