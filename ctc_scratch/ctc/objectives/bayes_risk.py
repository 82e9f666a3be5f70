"""Bayes risk: alignments are weighted by the frames at which their labels end, to favour chosen frames."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import as_array
from ..chain.derivatives import derivatives_along
from ..chain.solve import posterior
from ..inputs.frames import Layout
from ..inputs.options import check_real
from ..loss import Infeasible, Reduction
from .common import ObjectiveResult, check, solve


def bayes_risk_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *,
    risk: Callable[[int], ArrayLike] | ArrayLike | None = None, weight: float = 1.0,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """-(1 / U) sum over labels u of ln (sum over t of r_t M_u(t)), the Bayes-risk CTC loss.

    M_u(t) is the probability of the alignments whose label u ends at frame t, and r_t is their weight, called
    the risk: frames with a high r are favoured. A risk that falls with t favours labels that end early. For
    each label, the sum of M_u(t) over t is p(target | x), so r = 1 gives plain CTC. A target without labels
    has the loss of plain CTC.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    risk : a function of T that returns r, (T,) numbers from 1e-100 to 1e100; or an array of such numbers, of
        which a sequence of T frames uses the first T. By default r_t = e^(-weight t / T).
    weight : how fast the default risk falls, a finite number; 0 is plain CTC. Not used if `risk` is given.

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if a risk is too short or out of range, or if the weight is not finite.

    Notes
    -----
    *Gradient.* Let leave_u(t) = M_u(t) / Z be the posterior that label u ends at frame t, and R_u the sum
    over t of r_t leave_u(t). Then loss = -ln Z - the mean of ln R_u. R_u is the mean over alignments of r at
    the end of label u, so its derivative w.r.t. the scores ln y is the covariance of that r with "class c at
    frame t". Together, d loss / d scores = -(occupancy + the covariance of V / U), where V is the sum over u
    of r / R_u, with r taken at the end of label u.

    *Second derivative.* Occupancy and covariance are differentiated along the change of ln y; R_u, by which V
    divides, changes with it: see `chain/derivatives.py`.

    M_u(t) is summed over the moves out of the label: step, skip, and the end after the last frame. ESPnet
    instead subtracts the paths that stay from all paths, which loses digits where staying is likely.
    O(T U) time and memory.

    References
    ----------
    J. Tian and others, "Bayes Risk CTC: Controllable CTC Alignment in Sequence-to-Sequence Tasks", ICLR 2023
    (arXiv 2210.07499).

    Examples
    --------
    With r = 2 everywhere, each logarithm grows by ln 2.

    >>> toy = np.zeros((4, 3))
    >>> plain, doubled = (float(bayes_risk_ctc_loss(toy, [1, 2], risk=r).loss) for r in ([1] * 4, [2] * 4))
    >>> round(plain - doubled, 6), round(float(np.log(2)), 6)
    (0.693147, 0.693147)
    """
    weight = check_real("weight", weight)
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    lengths = sorted(set(batch.frames.lengths.tolist()))
    if risk is None:
        with np.errstate(over="ignore", under="ignore"):  # a risk of inf or 0 is refused
            risks = {T: _check_risk(np.exp(-weight * np.arange(T) / max(T, 1)), T) for T in lengths}
    else:
        risks = {T: _check_risk(risk(T) if callable(risk) else risk, T, callable(risk)) for T in lengths}

    def objective(log_probs, labels, n, along):
        T, U = len(log_probs), len(labels)
        if U == 0:
            return batch.minus_log_z(log_probs, labels, along)
        found = posterior(log_probs, labels, batch.blank, leave=risks[T], want_grad=batch.want_grad,
                          want=[] if along is None else ["xi"], workspace=batch.workspace)
        if found.log_z == -np.inf:
            return np.inf, found.occupancy, None
        value = -found.log_z - np.log(found.leaving).mean()
        if not batch.want_grad:
            return value, found.occupancy, None
        slope = -(found.occupancy + found.covariance / U)
        if along is None:
            return value, slope, None
        d_occupancy, d_covariance = derivatives_along(found, labels, batch.blank, along, leave=risks[T])
        return value, slope, -(d_occupancy + d_covariance / U)

    return solve(objective, batch)


def _check_risk(risk: ArrayLike, T: int, exact: bool = True) -> NDArray[np.float64]:
    """Check the risk for a sequence of T frames and return T numbers; if `exact`, it must have no more."""
    array = as_array(risk, "risk")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"risk must be real numbers, got an array of {array.dtype}")
    if array.ndim != 1 or len(array) < T or (exact and len(array) > T):
        raise ValueError(f"risk has shape {array.shape} for a sequence of {T} frames")
    for t in np.flatnonzero(~((array[:T] >= 1e-100) & (array[:T] <= 1e100))):
        raise ValueError(f"risk[{t}] is {array[t]} for T={T}; expected numbers from 1e-100 to 1e100")
    return array[:T].astype(np.float64)
