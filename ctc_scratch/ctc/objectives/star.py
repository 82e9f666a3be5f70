"""Stars: a loss for transcripts that lack words of their recording, at known places or anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..inputs.frames import Layout
from ..inputs.stars import check_stars
from ..loss import Infeasible, Reduction
from .common import ObjectiveResult, check, solve


def star_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, star: Any, star_weight: float = 0.0,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """-ln of the sum over alignments in which starred positions may emit any classes.

    At a starred position the blank state emits at frame t with y_t(blank) + e^w times the sum of y_t(c) over
    all other classes c; w is the star's log-weight. See `inputs/stars.py`; `align` takes the same stars.

    **A path that can be read in several ways counts once for each.** With a star before the label 1, the path
    (1, 1) is "the label twice", and also "a starred frame, then the label". So the loss is not the -ln of a
    probability, and may be negative if w is near 0. A lower w gives less weight to readings with stars.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    star : the starred positions, integers in 0..U (0 before all labels, U after all of them), in any
        collection; or "ends", "everywhere" or None, which is plain CTC. For a batch this holds for all
        targets; a list with an item that is not an integer has one such value for each target.
    star_weight : w <= 0, the log-weight of each starred frame; -inf forbids stars, which is plain CTC

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`.
    ValueError, TypeError
        As in `ctc_loss`; also if a position does not exist, or if the weight is NaN or above 0.

    Notes
    -----
    *Gradient.* loss = -ln Z(u), where u = ln y and a starred state emits with e^u(blank) + the sum of
    e^(w + u(c)). The derivative of ln Z w.r.t. u is the occupancy, in which the posterior of a starred state
    is divided among the classes in proportion to their terms in that sum. With the softmax,
    d loss / d logits = probs - occupancy.

    The other classes are summed in log space, since 1 - y(blank) would lose its digits. Other public
    implementations require that the blank be 0, or add a small number inside a logarithm. A target needs
    labels + repeats frames, as in CTC; between equal labels, a starred frame will do in place of a blank.
    O(T (U + C)) time.

    References
    ----------
    V. Pratap, A. Hannun, G. Synnaeve, R. Collobert, "Star Temporal Classification", NeurIPS 2022. X. Cai and
    others, "W-CTC: a connectionist temporal classification loss with wild cards", ICLR 2022.

    Examples
    --------
    In one frame, the empty target with a star accepts every class; without one, only the blank.

    >>> toy = np.zeros((1, 3))
    >>> float(star_ctc_loss(toy, [], star="ends").loss) == 0.0
    True
    >>> round(float(star_ctc_loss(toy, [], star="ends", star_weight=-np.inf).loss), 6)
    1.098612
    """
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)
    stars = check_stars(star, star_weight, batch.targets, batch.frames.single)

    def objective(log_probs, labels, n, along):
        return batch.minus_log_z(log_probs, labels, along, star=(np.flatnonzero(stars.of(n)), stars.weight))

    return solve(objective, batch)
