"""Label priors: divide the probability of each class by its frequency, so that blanks do not prevail."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import as_array, underflow_is_zero
from ..inputs.frames import Layout, check_shape
from ..inputs.options import check_count, check_real
from ..inputs.values import check_values
from ..loss import Infeasible, Reduction
from ..reference import log_softmax
from .common import ObjectiveResult, check, solve


def prior_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, prior: ArrayLike, weight: float,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """-ln of the sum over alignments of the product over frames of y_t(c) / prior(c)^weight.

    Once most outputs are blank, one more blank costs little, so CTC training ends in spikes. Divided by the
    prior, a blank counts for less, and labels last longer, so that their first and last frames become
    meaningful.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    prior : (C,) positive numbers that sum to 1, such as `RunningPrior.prior`. It is treated as a
        constant: no gradient passes through it.
    weight : a finite number; 0 is plain CTC, 1 divides by the prior once

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if the prior is not a distribution, or if the weight is not finite.

    Notes
    -----
    *Gradient.* The scores are u = ln y - weight ln prior, and loss = -ln Z(u). The derivative of ln Z w.r.t.
    u is the occupancy of the weighted lattice, and so is the derivative w.r.t. ln y. With the softmax,
    d loss / d logits = probs - occupancy.

    The loss is not the -ln of a probability, so it may be negative. The CTC loss of torch cannot be used for
    such scores: it takes its input for log-probabilities when it computes the gradient. O(T U) time, like
    `ctc_loss`.

    References
    ----------
    A. Zeyer, R. Schlueter, H. Ney, "Why does CTC result in peaky behavior?", 2021 (arXiv 2105.14849).
    R. Huang and others, "Less Peaky and More Accurate CTC Forced Alignment by Label Priors", ICASSP 2024.

    Examples
    --------
    With a uniform prior, each of the four frames is multiplied by 3.

    >>> toy = np.zeros((4, 3))
    >>> plain, other = (prior_ctc_loss(toy, [1, 2], prior=np.full(3, 1 / 3), weight=w) for w in (0, 1))
    >>> round(float(plain.loss - other.loss), 6), round(float(4 * np.log(3)), 6)
    (4.394449, 4.394449)
    >>> bool(np.allclose(plain.grad, other.grad))
    True
    """
    weight = check_real("weight", weight)
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    shift = weight * np.log(_check_prior(prior, batch.frames.rows.shape[1]))

    def objective(log_probs, labels, n, along):
        return batch.minus_log_z(log_probs - shift, labels, along)

    return solve(objective, batch)


def _check_prior(prior: ArrayLike, C: int) -> NDArray[np.float64]:
    array = as_array(prior, "prior")
    if array.dtype.kind not in "fiu":
        raise TypeError(f"prior must be real numbers, got an array of {array.dtype}")
    if array.shape != (C,):
        raise ValueError(f"prior must have shape ({C},), one number for each class, got {array.shape}")
    array = array.astype(np.float64)
    for c in np.flatnonzero(~((array > 0) & (array < np.inf))):
        raise ValueError(f"prior[{c}] is {array[c]}; expected positive numbers that sum to 1")
    if abs(array.sum() - 1) > 1e-6:
        raise ValueError(f"prior sums to {array.sum()}; expected positive numbers that sum to 1")
    return array


class RunningPrior:
    """A running average of y over the frames of all batches, to be passed to `prior_ctc_loss`.

    C : the number of classes
    decay : from 0 to below 1; `update` sets
        prior = decay * prior + (1 - decay) * (mean of y over the frames of the batch)
    prior : (C,) the current average; uniform before the first batch, whose mean then replaces it
    is_new : whether no batch has been added yet

    >>> running = RunningPrior(3, decay=0.9)
    >>> running.update(np.log([[0.5, 0.25, 0.25]]))
    >>> running.update(np.log([[1.0, 1.0, 2.0]]))
    >>> running.prior.round(6).tolist()
    [0.475, 0.25, 0.275]
    """

    def __init__(self, C: int, decay: float) -> None:
        C, self.decay = check_count("C", C), check_real("decay", decay)
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be from 0 to below 1, got {decay}")
        self.prior = np.full(C, 1.0 / C)
        self.is_new = True

    @underflow_is_zero
    def update(
        self, logits: ArrayLike, logit_lengths: ArrayLike | None = None, layout: Layout = "TNC"
    ) -> None:
        """Include the frames of a batch, given as to `ctc_loss`; padding is never read.

        A class whose probability underflows to 0 in all frames so far keeps the smallest normal float as its
        prior. A batch without frames changes nothing.
        """
        frames = check_shape(logits, logit_lengths, layout)
        C = frames.rows.shape[1]
        if C != len(self.prior):
            raise ValueError(f"the logits have {C} classes, the prior {len(self.prior)}")
        check_values(frames)
        count = int(frames.lengths.sum())
        if count == 0:
            return
        total = np.zeros(C)
        for n in range(len(frames.lengths)):
            total += np.exp(log_softmax(frames.rows_of(frames.rows, n))).sum(axis=0)
        decay = 0.0 if self.is_new else self.decay
        prior = np.maximum(decay * self.prior + (1 - decay) * total / count, np.finfo(np.float64).tiny)
        self.prior, self.is_new = prior / prior.sum(), False
