"""Second derivatives: Hessian-vector products of ln Z and of the CTC loss, Gauss-Newton and Fisher products.

No Hessian is ever formed: it would have (T C)^2 entries. A product with a vector costs a few passes over the
lattice, those of `chain`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_array, underflow_is_zero
from .chain.solve import posterior
from .enumeration import labelling_distribution
from .inputs.frames import Frames, Layout
from .inputs.options import check_choice, check_count
from .inputs.targets import check_batch
from .inputs.values import check_logits, check_values
from .labels import collapse
from .loss import REDUCTIONS, Infeasible, Reduction, ctc_loss, reduction_weights
from .reference import log_softmax
from .running import threads
from .running.workspace import Workspace, check_workspace

MOST_PATHS = 20_000
"""Without samples, the Fisher product enumerates all paths of a sequence; more than this are refused."""


@dataclass(frozen=True, eq=False, repr=False)
class LogPartitionHVP:
    """ln Z of each sequence, its gradient, and its Hessian times a vector.

    log_z : float64, (N,) or a scalar for a single sequence; -inf if there is no alignment
    occupancy : d log_z / d scores, float64 in the shape and layout of the scores; zeros if log_z is -inf
    hvp : the Hessian of log_z times the vectors, float64 in the same shape; zeros if log_z is -inf
    """

    log_z: np.float64 | NDArray[np.float64]
    occupancy: NDArray[np.float64]
    hvp: NDArray[np.float64]

    def __repr__(self) -> str:
        log_z = np.array2string(np.asarray(self.log_z), precision=6, threshold=6, edgeitems=2, separator=", ")
        return f"LogPartitionHVP(log_z={log_z}, hvp={self.hvp.dtype} {self.hvp.shape})"


@dataclass(frozen=True, eq=False, repr=False)
class CTCHVP:
    """The CTC loss, its gradient, and its Hessian times a vector.

    loss, grad : as `ctc_loss` returns them
    hvp : float64 in the shape and layout of the logits
    """

    loss: np.float64 | NDArray[np.float64]
    grad: NDArray[np.floating]
    hvp: NDArray[np.float64]

    def __repr__(self) -> str:
        loss = np.array2string(np.asarray(self.loss), precision=6, threshold=6, edgeitems=2, separator=", ")
        return f"CTCHVP(loss={loss}, hvp={self.hvp.dtype} {self.hvp.shape})"


def log_partition_hvp(
    scores: ArrayLike, targets: Any, vectors: ArrayLike, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: Layout = "TNC",
    workspace: Workspace | None = None,
) -> LogPartitionHVP:
    """ln Z of the alignments of each target, its gradient, and its Hessian times a vector.

    V(path) is the sum of vectors[t, path_t] over the frames. The product is the covariance of V with "the
    path emits class c at frame t", over alignments drawn with probability e^(total score) / Z.

    Parameters
    ----------
    scores : float array, (T, N, C), (N, T, C) with layout="NTC", or (T, C) for one sequence
        Unnormalised log-weights, without a softmax; -inf is legal.
    targets, logit_lengths, target_lengths, blank, layout, workspace : as for `ctc_loss`
    vectors : finite floats in the shape of the scores; each sequence is multiplied with its own part

    Returns
    -------
    LogPartitionHVP

    Raises
    ------
    ValueError, TypeError
        As in `ctc_loss`; also if the vectors have another shape or are not finite. A target without
        alignments is no error: its log_z is -inf, and the rest 0.

    Notes
    -----
    The proof of the certified kernel does not cover second derivatives, so `chain` computes beta in the
    arithmetic of the exact kernel. O(T U) time, two to three times that of the exact kernel for loss and
    gradient. Each thread takes up to 64 MB for the sequence it works on, or, if they are more, the numbers of
    sqrt(T) frames, O(sqrt(T) U).

    Examples
    --------
    The Hessian is symmetric: <u, H v> = <v, H u>.

    >>> rng = np.random.default_rng(0)
    >>> scores, u, v = rng.standard_normal((3, 4, 3))
    >>> a, b = (log_partition_hvp(scores, [1, 2], w).hvp for w in (u, v))
    >>> round(float((a * v).sum() - (b * u).sum()), 12)
    0.0
    """
    check_workspace(workspace)
    frames, packed, blank = check_batch(scores, targets, logit_lengths, target_lengths, blank, layout,
                                        "scores")
    check_values(frames)
    rows = check_vectors(vectors, frames)
    log_z = np.empty(len(frames.lengths))
    occupancy, hvp = np.zeros((2, *frames.logits.shape))

    memory = workspace or Workspace()

    def task(samples):
        for n in samples.tolist():
            found = posterior(frames.rows_of(frames.rows, n), packed.of(n), blank,
                              values=frames.rows_of(rows, n), workspace=memory)
            log_z[n] = found.log_z
            frames.rows_of(occupancy.reshape(rows.shape), n)[:] = found.occupancy
            frames.rows_of(hvp.reshape(rows.shape), n)[:] = found.covariance

    threads.run(task, frames.lengths * (30 * packed.lengths + frames.rows.shape[1]))
    return LogPartitionHVP(log_z[0] if frames.single else log_z, occupancy, hvp)


def ctc_loss_hvp(
    logits: ArrayLike, targets: Any, vectors: ArrayLike, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, reduction: Reduction = "none",
    infeasible: Infeasible = "raise", layout: Layout = "TNC", workspace: Workspace | None = None,
) -> CTCHVP:
    """The CTC loss, its gradient, and its Hessian times a vector.

        Hess(loss) v = y * (v - <y, v>) - Hess(ln Z) v          frame by frame; y = softmax(logits)

    Both parts are positive semi-definite, but their difference, the Hessian of the loss, need not be. Use it
    for Newton-like steps with a check of the curvature, to measure sharpness, and for gradients of gradients.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout, workspace
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; each sequence is multiplied with its own part

    Returns
    -------
    CTCHVP

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if the vectors have another shape or are not finite.

    Examples
    --------
    >>> x = np.zeros((4, 3))
    >>> v = np.eye(4, 3)
    >>> step = 1e-5 * v
    >>> central = (ctc_loss(x + step, [1, 2]).grad - ctc_loss(x - step, [1, 2]).grad) / 2e-5
    >>> float(np.abs(ctc_loss_hvp(x, [1, 2], v).hvp - central).max()) < 1e-10
    True
    """
    plain = ctc_loss(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                     infeasible=infeasible, layout=layout, workspace=workspace)
    frames, packed, blank = check_batch(logits, targets, logit_lengths, target_lengths, blank, layout)
    rows, hvp = check_vectors(vectors, frames), np.zeros(frames.logits.shape)
    weights = reduction_weights(packed.lengths, reduction)

    memory = workspace or Workspace()

    @underflow_is_zero
    def task(samples):
        for n in samples.tolist():
            log_probs, v = log_softmax(frames.rows_of(frames.rows, n)), frames.rows_of(rows, n)
            found = posterior(log_probs, packed.of(n), blank, values=v, workspace=memory)
            if found.covariance is not None and found.log_z > -np.inf:
                product = softmax_product(log_probs, v) - found.covariance
                frames.rows_of(hvp.reshape(rows.shape), n)[:] = weights[n] * product

    threads.run(task, frames.lengths * (30 * packed.lengths + frames.rows.shape[1]))
    return CTCHVP(plain.loss, plain.grad, hvp)


@underflow_is_zero
def gauss_newton_vp(
    logits: ArrayLike, targets: Any, vectors: ArrayLike, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, reduction: Reduction = "none",
    layout: Layout = "TNC",
) -> NDArray[np.float64]:
    """The positive part of the loss's Hessian times a vector: y * (v - <y, v>) at each frame.

    It is the Hessian of the first term of loss = ln(sum over all paths) - ln(sum over alignments). Use it
    where a second-order method needs a positive semi-definite matrix: Gauss-Newton, Levenberg-Marquardt,
    conjugate gradients. The arguments are those of `ctc_loss_hvp`, without `infeasible`: whether a target
    fits does not matter, and its length matters only with reduction="mean". Returns a float64 array in the
    shape of the logits, 0 in padding.

    >>> gauss_newton_vp(np.zeros((1, 2)), [1], [[1.0, 0.0]])
    array([[ 0.25, -0.25]])
    """
    check_choice("reduction", reduction, REDUCTIONS)
    frames, packed, _ = check_batch(logits, targets, logit_lengths, target_lengths, blank, layout)
    check_values(frames)
    rows, product = check_vectors(vectors, frames), np.zeros(frames.logits.shape)
    for n, weight in enumerate(reduction_weights(packed.lengths, reduction)):
        frames.rows_of(product.reshape(rows.shape), n)[:] = weight * softmax_product(
            log_softmax(frames.rows_of(frames.rows, n)), frames.rows_of(rows, n))
    return product


@underflow_is_zero
def fisher_vp(
    logits: ArrayLike, vectors: ArrayLike, logit_lengths: ArrayLike | None = None, *, blank: int = 0,
    layout: Layout = "TNC", rng: np.random.Generator | None = None, samples: int | None = None,
) -> NDArray[np.float64]:
    """The Fisher information of each sequence times a vector: E[g <g, v>], where g = d loss / d logits.

    The expectation is over labellings drawn from the model itself, not over the data. Use it for natural
    gradients. The Fisher information is positive semi-definite, and is also the expected Hessian of the loss.

    Parameters
    ----------
    logits, logit_lengths, blank, layout : as for `ctc_loss`
    vectors : finite floats in the shape of the logits
    samples : how many labellings to draw for each sequence: a path is drawn frame by frame, and collapsed.
        None sums over all labellings, which is possible if C^T <= 20 000.
    rng : the source of randomness, given together with `samples`

    Returns
    -------
    float64 array in the shape of the logits, 0 in padding

    Raises
    ------
    ValueError, TypeError
        As in `ctc_loss`; also if the vectors have another shape or are not finite, if there are too many
        paths to sum over, or if `samples` and `rng` are not given together.

    >>> fisher_vp(np.zeros((1, 2)), [[1.0, 0.0]])
    array([[ 0.25, -0.25]])
    """
    frames = check_logits(logits, logit_lengths, layout)
    rows, product = check_vectors(vectors, frames), np.zeros(frames.logits.shape)
    T, C = int(frames.lengths.max(initial=0)), frames.rows.shape[1]
    if (samples is None) != (rng is None):
        raise ValueError("samples and rng must be given together")
    if samples is not None:
        samples = check_count("samples", samples)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
    elif C**T > MOST_PATHS:
        raise ValueError(f"{T} frames of {C} classes have {C}^{T} paths, more than {MOST_PATHS}: "
                         "give samples and rng")
    for n in range(len(frames.lengths)):
        x, v = frames.rows_of(frames.rows, n), frames.rows_of(rows, n)
        if samples is None or rng is None:
            shares = labelling_distribution(log_softmax(x), blank)
        else:
            shares = _draw_labellings(x, blank, samples, rng)
        batch = np.repeat(np.asarray(x, np.float64)[:, None], len(shares), axis=1)
        grads = ctc_loss(batch, list(map(list, shares)), blank=blank, infeasible="zero").grad
        along = np.array(list(shares.values())) * np.einsum("tkc,tc->k", grads, v)
        frames.rows_of(product.reshape(rows.shape), n)[:] = np.einsum("k,tkc->tc", along, grads)
    return product


def _draw_labellings(
    logits: NDArray, blank: int, samples: int, rng: np.random.Generator
) -> dict[tuple[int, ...], float]:
    """Draw paths frame by frame, collapse them, and return the share of samples that each labelling has."""
    # The largest of logit + Gumbel noise is class c with probability y_c.
    paths = (logits + rng.gumbel(size=(samples, *logits.shape))).argmax(axis=2).tolist()
    return {labels: count / samples for labels, count in Counter(
        tuple(collapse(path, blank)) for path in paths).items()}


@underflow_is_zero
def softmax_product(log_probs: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """y * (v - <y, v>) at each frame, where v is first taken relative to that of the most probable class.

    Otherwise v - <y, v> would cancel where one class has y near 1, and the product is small.
    """
    frames, top = np.arange(len(v)), log_probs.argmax(axis=1)
    y, v = np.exp(log_probs), v - v[frames, top][:, None]
    return y * (v - (y * v).sum(axis=1, keepdims=True))


def check_vectors(vectors: Any, frames: Frames) -> NDArray[np.float64]:
    """The vectors as rows (T * N, C) in the order of the logits' rows; an error unless they are finite."""
    array = as_array(vectors, "vectors")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"vectors must be real numbers, got an array of {array.dtype}")
    if array.shape != frames.logits.shape:
        raise ValueError(f"vectors must have the shape of the {frames.what}, {frames.logits.shape}, "
                         f"got {array.shape}")
    rows = np.ascontiguousarray(array, dtype=np.float64).reshape(frames.rows.shape)
    for n in range(len(frames.lengths) if not np.isfinite(rows).all() else 0):  # padding need not be finite
        for t, c in np.argwhere(~np.isfinite(frames.rows_of(rows, n))).tolist():
            raise ValueError(f"vectors must be finite, got {frames.rows_of(rows, n)[t, c]} at frame {t}, "
                             f"class {c} of sequence {n}")
    return rows
