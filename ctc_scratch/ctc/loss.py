"""ctc_loss: the loss of a batch and its gradient, in four steps: check, pack, kernel, reduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .inputs.errors import InfeasibleTargetError
from .inputs.frames import Frames, check_out, check_shape, clear_padding
from .inputs.options import check_blank, check_choice
from .inputs.targets import Targets, check_targets, first_infeasible
from .running.plan import Problem
from .running.solver import METHODS, solve
from .running.workspace import Workspace

__all__ = ["CTCResult", "InfeasibleTargetError", "LogPartition", "Workspace", "ctc_loss", "log_partition"]


@dataclass(frozen=True, eq=False)
class CTCResult:
    """What `ctc_loss` returns; read it by field, more will be added.

    loss : float64, (N,) for reduction "none", else a scalar; a scalar too for one sequence
    grad : d loss / d logits, in the dtype, shape and layout of the logits
    bound : float64 (N,), 0-dimensional for one sequence; how far each answer can be off: the
        likelihood relatively, every state's posterior gamma (so every unreduced
        gradient entry, before it is rounded to its dtype) absolutely. For float32
        logits it holds for the given emissions exp(x - max) / sum as float32 has
        them, each perturbed by at most (3 + min(C, 67) + ln C + |x - max|) 2^-24 of
        itself, where min(C, 67) + ln C is for the sum and seldom needed. nan with method="log",
        which proves nothing.
    exact : bool (N,), 0-dimensional for one sequence; which samples the exact kernel has done
    """

    loss: Any
    grad: NDArray
    bound: Any
    exact: Any


def ctc_loss(
    logits: ArrayLike,
    targets: Any,
    logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    reduction: str = "none",
    infeasible: str = "raise",
    layout: str = "TNC",
    method: str = "auto",
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
    targets : a list of N integer sequences; or a padded (N, U) integer array,
        with `target_lengths`; or all targets joined in one dimension, with
        `target_lengths`; or one 1-D target for one sequence
        Labels 0..C-1 without the blank.
    logit_lengths : (N,) integers, optional
        Frames used of each sequence, counted from the first; all T if left out.
        What lies behind them is never read and has gradient 0.
    target_lengths : (N,) integers, optional
        Labels used of each target.
    blank : which class is the blank
    reduction : "none", "sum", "batchmean" (the plain mean over N) or "mean"
        (each loss divided by max(U, 1), then the mean; what torch calls mean).
        The means of an empty batch are 0.
    infeasible : what to do with a target of probability 0, because it does not
        fit its frames or because -inf logits close every path: "raise", or give
        it the loss "inf" or "zero"; its gradient is then exactly 0
    layout : "TNC" or "NTC"
    method : "auto": the fast kernel, which proves its answer, and the exact one
        where the proof is not good enough; "exact": always that one; "log": the
        log-space kernel, the one to read
    workspace : memory to use again from call to call
    out : C-contiguous array of the gradient's shape and dtype, which it is written
        to; it must not be the logits

    Returns
    -------
    CTCResult

    Raises
    ------
    InfeasibleTargetError
        With infeasible="raise"; it has .index, .required, .available, .repeats.
    ValueError, TypeError
        For anything else out of range, shape or type, before anything is computed.

    Notes
    -----
    O(T U) time for a sequence, beside O(T C) for the softmax; the memory beside
    the gradient is O(sqrt(T) U + T min(U, C)). The answer does not depend on the
    number of threads nor on the rest of the batch, to the last bit. -inf is a
    legal logit, a probability of exactly 0; a used frame of nothing else is an
    error, as are NaN and +inf.

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
    >>> result.grad.shape
    (4, 3)
    """
    check_choice("reduction", reduction, ("none", "sum", "batchmean", "mean"))
    check_choice("infeasible", infeasible, ("raise", "inf", "zero"))
    check_choice("method", method, METHODS)
    if not isinstance(workspace, (Workspace, type(None))):
        raise TypeError(f"workspace must be a Workspace, got {workspace!r}")
    frames, packed, blank = _check(logits, targets, logit_lengths, target_lengths, blank, layout)
    too_short = frames.lengths < packed.lengths + packed.repeats
    if infeasible == "raise" and np.count_nonzero(too_short):
        raise first_infeasible(too_short, frames, packed)
    grad = check_out(out, frames)
    weights = _weights(packed, reduction)
    problem = Problem(frames, packed, blank, weights)
    losses, bounds, exact, no_path = solve(problem, grad.reshape(frames.rows.shape), method, workspace)
    if out is not None:
        clear_padding(grad, frames)
    np.maximum(losses, 0.0, out=losses)  # ln p of what is all but certain may round to above 0
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


def _check(
    logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any, blank: Any, layout: str,
    what: str = "logits",
) -> tuple[Frames, Targets, int]:
    """The arguments, packed for the kernels and checked, but for the values of the first, named `what`."""
    frames = check_shape(logits, logit_lengths, layout, what=what)
    blank = check_blank(blank, frames.rows.shape[1])
    return frames, check_targets(targets, target_lengths, frames, blank), blank


def _weights(packed: Targets, reduction: str) -> NDArray[np.float64]:
    """What each loss is multiplied by (N,) on its way into the reduced one."""
    N = len(packed.lengths)
    if reduction == "batchmean":
        return np.full(N, 1.0 / max(N, 1))
    if reduction == "mean":
        return 1.0 / (max(N, 1) * np.maximum(packed.lengths, 1))
    return np.ones(N)


@dataclass(frozen=True, eq=False)
class LogPartition:
    """What `log_partition` returns.

    log_z : ln Z, float64; -inf if no alignment has a score above -inf
    gamma : (T, S) float64, the share of Z that passes through state s at frame t; 0 if log_z is -inf
    """

    log_z: Any
    gamma: NDArray[np.float64]


def log_partition(
    scores: ArrayLike, target: ArrayLike, *, blank: int = 0, method: str = "auto"
) -> LogPartition:
    """ln Z, Z = sum over all alignments of the target of exp(its summed scores): no softmax, no prior.

    The primitive under `ctc_loss`, whose loss is the ln Z of all paths less that
    of the alignments. With scores that are log-probabilities less a log-prior, or
    anything else, it makes other objectives: d ln Z / d scores[t, c] is the sum of
    gamma[t, s] over the states s that emit c.

    Parameters
    ----------
    scores : (T, C) float array, -inf allowed
    target : (U,) integers, without the blank
    blank : which class is the blank
    method : "auto" or "exact", as in `ctc_loss`

    Returns
    -------
    LogPartition

    Raises
    ------
    ValueError, TypeError
        As `ctc_loss`; a target without alignments is no error here.

    Examples
    --------
    All scores 0: Z counts alignments.

    >>> import numpy as np
    >>> result = log_partition(np.zeros((4, 3)), [1, 2])
    >>> round(float(np.exp(result.log_z)), 9), result.gamma.shape
    (15.0, (4, 5))
    """
    check_choice("method", method, ("auto", "exact"))
    frames, packed, blank = _check(scores, target, None, None, blank, "TNC", "scores")
    if not frames.single:
        raise ValueError(f"scores must have shape (T, C), got {frames.logits.shape}")
    gamma = np.zeros((len(frames.rows), 2 * len(packed.labels) + 1))
    problem = Problem(frames, packed, blank, np.ones(1), normalise=False)
    losses = solve(problem, np.empty_like(frames.rows), method, gamma=gamma).losses
    if losses[0] == np.inf:
        gamma[:] = 0.0
    return LogPartition(-losses[0], gamma)
