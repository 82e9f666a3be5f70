"""`ctc_loss`: the loss of a batch and its gradient.

Arguments are checked by `inputs/`, and the problem is solved by `running/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .inputs.errors import InfeasibleTargetError
from .inputs.frames import Layout, check_out, clear_padding
from .inputs.options import check_choice
from .inputs.targets import check_batch, first_infeasible
from .running.plan import Problem
from .running.solver import METHODS, solve
from .running.workspace import Workspace, check_workspace

__all__ = ["CTCResult", "InfeasibleTargetError", "Workspace", "ctc_loss"]


Reduction = Literal["none", "sum", "batchmean", "mean"]
Infeasible = Literal["raise", "inf", "zero"]
Method = Literal["auto", "exact", "log"]
REDUCTIONS, INFEASIBLE = get_args(Reduction), get_args(Infeasible)


@dataclass(frozen=True, eq=False, repr=False)
class CTCResult:
    """The loss of a batch, its gradient, and bounds on their errors; use the names, as fields may be added.

    loss : float64, (N,) with reduction "none"; a scalar with the others and for a single sequence
    grad : d loss / d logits, in the dtype, shape and layout of the logits
    bound : float64, (N,) or a scalar for a single sequence. A bound on the relative error of the
        likelihood, on the absolute error of the posterior gamma of every state, and so on that
        of every gradient entry, before reduction and before rounding to its dtype. For float32
        logits it takes the emissions exp(x - max) / sum as float32 computes them; the relative
        error of each is at most (3 + min(C, 67) + ln C + |x - max|) 2^-24, where the sum
        contributes min(C, 67) + ln C in the worst case, and far less as a rule. NaN with
        method="log", which proves no bound.
    exact : bool, (N,) or a scalar for a single sequence; whether the exact kernel solved it
    """

    loss: np.float64 | NDArray[np.float64]
    grad: NDArray[np.floating]
    bound: np.float64 | NDArray[np.float64]
    exact: np.bool_ | NDArray[np.bool_]

    def __repr__(self) -> str:
        loss = np.array2string(np.asarray(self.loss), precision=6, threshold=6, edgeitems=2, separator=", ")
        return (f"CTCResult(loss={loss}, grad={self.grad.dtype} {self.grad.shape}, "
                f"bound<={np.max(self.bound, initial=0.0):.1e}, "
                f"exact={np.count_nonzero(self.exact)} of {np.size(self.exact)})")


def ctc_loss(
    logits: ArrayLike,
    targets: Any,
    logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    reduction: Reduction = "none",
    infeasible: Infeasible = "raise",
    layout: Layout = "TNC",
    method: Method = "auto",
    workspace: Workspace | None = None,
    out: NDArray | None = None,
) -> CTCResult:
    """The CTC loss -ln p(target | softmax(logits)) of a batch, and its gradient w.r.t. the logits.

    loss = -ln sum over all alignments of prod_t y_t (Graves 2006, eq. 3 and 8);
    d loss / d logits = probs - occupancy (eq. 16).

    Parameters
    ----------
    logits : (T, N, C) float array, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        Unnormalised scores; the softmax over C is taken inside. float32 and
        float64 are kept, float16 is computed as float32, integers as float64.
        Never written to.
    targets : integers in 0..C-1, without the blank, in one of three forms
        A list of N sequences; or a padded (N, U) array, with `target_lengths`; or all
        targets joined in one dimension, with `target_lengths`. For a single sequence,
        one target (U,).
    logit_lengths : (N,) integers, optional
        How many frames of each sequence are used, from the first on; by default all T.
        The frames after them are padding: never read, with gradient 0.
    target_lengths : (N,) integers, optional
        How many labels of each target are used. Masked arrays need neither lengths, if their masks
        cover the padding and nothing else: all classes of the last frames, the end of a target.
    blank : which class is the blank
    reduction : "none", "sum", "batchmean" (the plain mean over N) or "mean"
        (each loss divided by max(U, 1), then the mean; what torch calls mean).
        The means of an empty batch are 0.
    infeasible : what to do with a target of probability 0, which does not fit its
        frames or whose every path is closed by -inf logits: "raise" an error, or
        return the loss "inf" or "zero", with a gradient of exactly 0
    layout : "TNC" or "NTC", the order of the axes
    method : "auto" (the certified kernel, which is fast and bounds its own error, and the
        exact kernel where that bound is not good enough), "exact" (the exact kernel
        only) or "log" (the log-space kernel, which is written to be read)
    workspace : memory that is kept from one call to the next
    out : a C-contiguous array of the gradient's shape and dtype, to which the gradient
        is written; it must not share memory with the logits

    Returns
    -------
    CTCResult

    Raises
    ------
    InfeasibleTargetError
        With infeasible="raise"; see its attributes index, required, available, repeats.
    ValueError, TypeError
        If any other argument has a wrong value, shape or type; before anything is computed.

    Notes
    -----
    A sequence takes O(T U) time, and O(T C) for the softmax; besides the gradient it
    takes O(sqrt(T) U + T min(U, C)) memory. No bit of the answer depends on the
    number of threads or on the rest of the batch. -inf is a legal logit, for a
    probability of exactly 0; a used frame that holds nothing else is an error, and
    so are NaN and +inf.

    References
    ----------
    A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal
    Classification", ICML 2006. A. Graves, "Supervised Sequence Labelling with
    Recurrent Neural Networks", Springer 2012, chapter 7.

    Examples
    --------
    Four frames and three classes, all equally likely: 15 of the 81 paths spell (1, 2).

    >>> import numpy as np
    >>> result = ctc_loss(np.zeros((4, 3)), [1, 2])
    >>> round(float(result.loss), 6), round(float(-np.log(15 / 81)), 6)
    (1.686399, 1.686399)
    >>> result  # doctest: +ELLIPSIS
    CTCResult(loss=1.686399, grad=float64 (4, 3), bound<=...e-15, exact=0 of 1)
    """
    check_choice("method", method, METHODS)
    check_workspace(workspace)
    return solve_batch(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                       infeasible=infeasible, layout=layout, method=method, workspace=workspace, out=out)


def solve_batch(
    scores: ArrayLike, targets: Any, lengths: ArrayLike | None, target_lengths: ArrayLike | None, *,
    blank: int, reduction: Reduction, infeasible: Infeasible, layout: Layout = "TNC", method: Method = "auto",
    workspace: Workspace | None = None, out: NDArray | None = None, normalise: bool = True,
    want_grad: bool = True, names: tuple[str, str] = ("logits", "logit_lengths"),
) -> CTCResult:
    """`ctc_loss` with two more choices, for callers in this package.

    normalise : False leaves out the softmax: the loss is -ln Z of scores of any kind (see `log_partition`)
    want_grad : False leaves out the gradient, and the result has one of shape (0, C)
    names : what the caller calls the scores and their lengths
    """
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("infeasible", infeasible, INFEASIBLE)
    frames, packed, blank = check_batch(scores, targets, lengths, target_lengths, blank, layout, *names)
    too_short = frames.lengths < packed.lengths + packed.repeats
    if infeasible == "raise" and np.count_nonzero(too_short):
        raise first_infeasible(too_short, frames, packed)
    grad = check_out(out, frames) if want_grad else np.empty((0, frames.rows.shape[1]), frames.rows.dtype)
    weights = reduction_weights(packed.lengths, reduction)
    problem = Problem(frames, packed, blank, weights, normalise)
    rows = grad.reshape(frames.rows.shape) if want_grad else grad
    losses, bounds, exact, no_path = solve(problem, rows, method, workspace)
    if want_grad:
        clear_padding(grad, frames)
    if normalise:
        np.maximum(losses, 0.0, out=losses)  # where p is nearly 1, ln p may round to above 0
    if no_path:
        impossible = losses == np.inf
        if infeasible == "raise":
            raise first_infeasible(impossible, frames, packed)
        if infeasible == "zero":
            losses[impossible] = 0.0
    loss = np.dot(weights, losses) if reduction != "none" else losses[0] if frames.single else losses
    if frames.single:
        return CTCResult(loss, grad, bounds[0], exact[0])
    return CTCResult(loss, grad, bounds, exact)


def reduction_weights(target_lengths: NDArray[np.intp], reduction: str) -> NDArray[np.float64]:
    """The weight (N,) of each loss in the reduced loss."""
    N = len(target_lengths)
    if reduction == "batchmean":
        return np.full(N, 1.0 / max(N, 1))
    if reduction == "mean":
        return 1.0 / (max(N, 1) * np.maximum(target_lengths, 1))
    return np.ones(N)
