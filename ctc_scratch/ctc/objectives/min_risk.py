"""Minimum risk: the expected number of errors over a list of hypotheses, instead of the likelihood."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import as_array, underflow_is_zero
from ..decoding.metrics import edit_distance
from ..hessian import ctc_loss_hvp
from ..inputs.errors import InfeasibleTargetError
from ..inputs.frames import Layout
from ..labels import as_labels, count_repeats
from ..loss import Infeasible, Reduction, reduction_weights, solve_batch
from .common import Batch, ObjectiveResult, check


@underflow_is_zero
def min_risk_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, hypotheses: Sequence[Any],
    costs: Sequence[Any] | None = None,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """The expected cost of hypotheses h_k, each weighted by its share p~_k of their total probability.

        loss = sum over k of p~_k d_k        p~_k = p(h_k | x) / sum over j of p(h_j | x)

    d_k is the edit distance of h_k to the target, or the given cost. So training minimises the expected
    errors in place of -ln p. If labels are words, this is minimum word error rate training.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    hypotheses : for each sequence a list of at least one labelling, such as an n-best list or samples; for a
        single sequence, one such list. Duplicates are merged: each labelling counts once.
    costs : for each sequence the costs of its hypotheses, finite numbers; those of duplicates must agree. By
        default, edit distances to the target

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        With infeasible="raise", if no hypothesis of a sequence fits its frames. The message is about the
        hypothesis that needs the fewest frames.
    ValueError, TypeError
        As in `ctc_loss`; also if hypotheses or costs cannot be used.

    Notes
    -----
    A hypothesis that does not fit its frames has p~ = 0. The target itself need not fit.

    *Gradient.* d ln p~_k = d ln p_k - sum over j of p~_j d ln p_j, so the derivative of the loss is the sum
    of p~_k (d_k - loss) d ln p_k. As d ln p_k / d logits = occupancy_k - probs, it is minus the sum of
    p~_k (d_k - loss) times probs - occupancy_k, the gradient of the CTC loss of h_k.

    One call of `ctc_loss` solves all hypotheses of the batch. Each has a float64 copy of its logits, and a
    gradient: 16 T C bytes per hypothesis.

    References
    ----------
    R. Prabhavalkar and others, "Minimum Word Error Rate Training for Attention-based Sequence-to-Sequence
    Models", ICASSP 2018. M. Shannon, "Optimizing Expected Word Error Rate via Sampling for Speech
    Recognition", Interspeech 2017.

    Examples
    --------
    (1, 2) has 15 alignments and (1) has ten, so (1), which has one error, has 10 / 25 of the probability.

    >>> toy = np.zeros((4, 3))
    >>> round(float(min_risk_ctc_loss(toy, [1, 2], hypotheses=[[1, 2], [1]]).loss), 6)
    0.4
    """
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    frames, N = batch.frames, len(batch.frames.lengths)
    labellings, d = _check_hypotheses(hypotheses, costs, batch)
    starts = np.cumsum([0, *map(len, labellings)])
    owner = np.repeat(np.arange(N), np.diff(starts)).tolist()  # the sequence of each hypothesis
    K, size = len(owner), (frames.lengths.max(initial=0), frames.rows.shape[1])
    problem = [h for one in labellings for h in one], frames.lengths[owner]

    def copies(rows: NDArray) -> NDArray[np.float64]:
        """The frames of each hypothesis (K, T, C), from rows like those of the logits."""
        array = np.zeros((K, *size))
        for k, n in enumerate(owner):
            array[k, :frames.lengths[n]] = frames.rows_of(rows, n)
        return array

    found: Any
    if batch.vectors is None:
        found = solve_batch(copies(frames.rows), *problem, None, layout="NTC", blank=batch.blank,
                            reduction="none", infeasible="inf", want_grad=batch.want_grad)
    else:
        found = ctc_loss_hvp(copies(frames.rows), problem[0], copies(batch.vectors), problem[1], layout="NTC",
                             blank=batch.blank, infeasible="inf")
    all_losses = np.asarray(found.loss)  # (K,)

    losses, weights = np.full(N, np.inf), reduction_weights(batch.targets.lengths, reduction)
    grad = np.zeros(frames.logits.shape, frames.logits.dtype)
    hvp = None if batch.vectors is None else np.zeros(frames.logits.shape)
    for n in range(N):
        ks = slice(starts[n], starts[n + 1])
        nll = all_losses[ks]
        best = int(np.argmin(nll))
        if nll[best] == np.inf:
            continue
        shares = np.exp(nll[best] - nll)
        shares /= shares.sum()
        more = d[n] - d[n][best]  # cost beyond that of the likeliest: small differences keep their digits
        mean = shares @ more
        losses[n] = d[n][best] + mean
        if not batch.want_grad:
            continue
        slopes, factors = found.grad[ks, :frames.lengths[n]], shares * (mean - more)
        slope = np.tensordot(factors, slopes, axes=1)
        frames.rows_of(grad.reshape(frames.rows.shape), n)[:] = weights[n] * slope
        if hvp is not None and batch.vectors is not None:
            a = np.tensordot(slopes, frames.rows_of(batch.vectors, n), axes=2)
            d_factors = shares * (factors @ a) - (a - shares @ a) * factors
            product = np.tensordot(factors, found.hvp[ks, :frames.lengths[n]], axes=1)
            product += np.tensordot(d_factors, slopes, axes=1)
            frames.rows_of(hvp.reshape(frames.rows.shape), n)[:] = weights[n] * product
    impossible = losses == np.inf
    if impossible.any() and infeasible == "raise":
        first = int(np.argmax(impossible))
        repeats, U = min(((count_repeats(h), len(h)) for h in labellings[first]), key=sum)
        raise InfeasibleTargetError(first, U + repeats, int(frames.lengths[first]), repeats)
    if infeasible == "zero":
        losses[impossible] = 0.0
    return batch.result(losses, grad, hvp)


def _check_hypotheses(
    hypotheses: Sequence[Any], costs: Sequence[Any] | None, batch: Batch
) -> tuple[list[list[NDArray[np.intp]]], list[NDArray[np.float64]]]:
    """Check hypotheses and costs, and return the distinct labellings of each sequence with their costs."""
    N, single, C = len(batch.frames.lengths), batch.frames.single, batch.frames.rows.shape[1]
    for name, given in (("hypotheses", hypotheses), ("costs", costs)):
        if given is not None and not single and (not hasattr(given, "__len__") or len(given) != N):
            raise ValueError(f"{name} must be one list for each of {N} sequences, got {given!r:.80}")
    labellings, all_costs = [], []
    for n in range(N):
        place, target = "" if single else f"[{n}]", batch.targets.of(n).tolist()
        some = hypotheses if single else hypotheses[n]
        if not hasattr(some, "__len__") or len(some) == 0:
            raise ValueError(f"hypotheses{place} must be a list of at least one labelling, got {some!r:.80}")
        different: dict[tuple[int, ...], float] = {}
        for k, hypothesis in enumerate(some):
            labels = as_labels(hypothesis, f"hypotheses{place}[{k}]").tolist()
            for u, label in enumerate(labels):
                if not 0 <= label < C or label == batch.blank:
                    raise ValueError(f"hypotheses{place}[{k}][{u}] is {label}; expected classes 0..{C - 1} "
                                     f"without the blank, {batch.blank}")
            different.setdefault(tuple(labels), float(edit_distance(labels, target)))
        if costs is not None:
            _take_costs(costs if single else costs[n], f"costs{place}", some, different)
        labellings.append([np.array(labels, np.intp) for labels in different])
        all_costs.append(np.array(list(different.values())))
    return labellings, all_costs


def _take_costs(
    costs: Any, name: str, hypotheses: Sequence[Any], different: dict[tuple[int, ...], float]
) -> None:
    """Replace the costs in `different` by the given ones, which must agree for equal hypotheses."""
    array = as_array(costs, name)
    if array.shape != (len(hypotheses),):
        raise ValueError(f"{name} must hold one cost for each of {len(hypotheses)} hypotheses, "
                         f"got shape {array.shape}")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got an array of {array.dtype}")
    seen: dict[tuple[int, ...], float] = {}
    for k, cost in enumerate(array.tolist()):
        if not np.isfinite(cost):
            raise ValueError(f"{name}[{k}] is {cost}; a cost is finite")
        labels = tuple(as_labels(hypotheses[k]).tolist())
        if seen.setdefault(labels, cost) != cost:
            raise ValueError(f"{name}[{k}] is {cost}, but an equal hypothesis before it costs {seen[labels]}")
    different.update(seen)
