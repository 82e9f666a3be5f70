"""ctc_loss: the loss of a batch and its gradient, in four steps: check, pack, kernel, reduce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kernels, threads
from .checks import (
    Frames,
    InfeasibleTargetError,
    Targets,
    check_blank,
    check_logits,
    check_targets,
    first_infeasible,
)

__all__ = ["CTCResult", "InfeasibleTargetError", "ctc_loss"]


@dataclass(frozen=True, eq=False)
class CTCResult:
    """What `ctc_loss` returns; read it by field, more will be added.

    loss : float64, (N,) for reduction "none", else a scalar; a scalar too for one sequence
    grad : d loss / d logits, in the dtype, shape and layout of the logits
    """

    loss: Any
    grad: NDArray


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
    O(T U) time and memory for a sequence, beside O(T C) for the softmax. -inf is
    a legal logit, a probability of exactly 0; a used frame of nothing else is an
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
    frames, packed, blank = _check(
        logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
    )
    weights = _weights(packed, reduction)
    losses, grad = _run(frames, packed, blank, weights)
    impossible = losses == np.inf
    if impossible.any():
        if infeasible == "raise":
            raise first_infeasible(impossible, frames, packed)
        if infeasible == "zero":
            losses[impossible] = 0.0
    return CTCResult(_reduce(losses, weights, reduction, frames.single), grad)


def _check(
    logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any,
    blank: Any, reduction: str, infeasible: str, layout: str,
) -> tuple[Frames, Targets, int]:
    """The arguments, checked and packed for the kernels."""
    if reduction not in ("none", "sum", "batchmean", "mean"):
        raise ValueError(f"reduction must be 'none', 'sum', 'batchmean' or 'mean', got {reduction!r}")
    if infeasible not in ("raise", "inf", "zero"):
        raise ValueError(f"infeasible must be 'raise', 'inf' or 'zero', got {infeasible!r}")
    frames = check_logits(logits, logit_lengths, layout)
    blank = check_blank(blank, frames.rows.shape[1])
    packed = check_targets(targets, target_lengths, frames, blank)
    too_short = frames.lengths < packed.lengths + packed.repeats
    if infeasible == "raise" and too_short.any():
        raise first_infeasible(too_short, frames, packed)
    return frames, packed, blank


def _weights(packed: Targets, reduction: str) -> NDArray[np.float64]:
    """What each loss is multiplied by (N,) on its way into the reduced one."""
    N = len(packed.lengths)
    if reduction == "batchmean":
        return np.full(N, 1.0 / max(N, 1))
    if reduction == "mean":
        return 1.0 / (max(N, 1) * np.maximum(packed.lengths, 1))
    return np.ones(N)


def _run(
    frames: Frames, packed: Targets, blank: int, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray]:
    """Each sequence's loss (N,), inf where no path exists, and the weighted gradient."""
    losses = np.empty(len(frames.lengths))
    grad = np.zeros_like(frames.logits)  # padding and infeasible targets keep the 0

    def task(samples: NDArray[np.intp]) -> None:
        kernels.batch(
            samples, frames.rows, frames.n_stride, frames.t_stride, frames.lengths,
            packed.labels, packed.offsets, blank, weights, losses, grad.reshape(frames.rows.shape),
        )

    threads.run(task, costs=frames.lengths * (2 * packed.lengths + 1 + frames.rows.shape[1]))
    return losses, grad


def _reduce(losses: NDArray[np.float64], weights: NDArray[np.float64], reduction: str, single: bool) -> Any:
    if reduction == "none":
        return losses[0] if single else losses
    return np.dot(weights, losses)
