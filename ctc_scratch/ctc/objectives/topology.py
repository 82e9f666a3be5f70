"""Other topologies: CTC with some of its moves forbidden, or without merging repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..chain.states import Topology
from ..inputs.frames import Layout
from ..labels import count_repeats
from ..loss import Infeasible, Reduction
from .common import ObjectiveResult, check, solve


def topology_ctc_loss(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, skip: bool = True, stay_on_labels: bool = True,
    collapse: bool = True,
    blank: int = 0, reduction: Reduction = "none", infeasible: Infeasible = "raise", layout: Layout = "TNC",
    vectors: ArrayLike | None = None, want_grad: bool = True,
) -> ObjectiveResult:
    """-ln of the sum over the alignments that use only some moves of CTC, or do not merge repeats.

    | moves | name |
    |---|---|
    | all | CTC |
    | collapse=False | ctc_merge_repeated=False of TensorFlow 1, minimal-CTC (Laptev and others) |
    | stay_on_labels=False | selfless-CTC (Laptev and others): each label lasts one frame |
    | skip=False | a blank between all labels |

    The modified topology of k2 is none of these: there a label may last several frames, yet no blank is
    needed between equal labels, so a path can be read in several ways. The losses of Keras and TensorFlow 2
    have no such options.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, reduction, infeasible, layout
        As for `ctc_loss`.
    vectors : finite floats in the shape of the logits; if given, `hvp` is the Hessian of the loss times them
    want_grad : False leaves out the gradient, and saves the time for it; not with vectors
    skip : whether the blank between two labels that differ may be left out
    stay_on_labels : whether a label may last longer than one frame
    collapse : whether repeats of a label are merged; if not, each frame of a label is a label of its own:
        labels last one frame, whatever `stay_on_labels` is, and equal neighbours need no blank between them

    Returns
    -------
    ObjectiveResult

    Raises
    ------
    InfeasibleTargetError
        As in `ctc_loss`; it counts the labels and the blanks that these moves need between them.
    ValueError, TypeError
        As in `ctc_loss`; also if an option is not a bool.

    Notes
    -----
    *Gradient.* loss = -ln Z(u), where u = ln y and Z sums e^(total u) over the alignments that are left. The
    derivative of ln Z w.r.t. u is the occupancy of these alignments. With the softmax,
    d loss / d logits = probs - occupancy.

    With all moves, and with collapse=False and skip=True, each path spells exactly one target, so the
    probabilities of all targets sum to 1. Otherwise some paths spell none, and the sum is below 1.

    References
    ----------
    A. Laptev, S. Majumdar, B. Ginsburg, "CTC Variations Through New WFST Topologies", 2021
    (arXiv 2110.03098).

    Examples
    --------
    Of the 15 alignments of (1, 2), six have one frame per label, and five have a blank between the labels.

    >>> toy = np.zeros((4, 3))
    >>> for moves in [{}, {"stay_on_labels": False}, {"skip": False}, {"collapse": False}]:
    ...     print(moves, round(81 * float(np.exp(-topology_ctc_loss(toy, [1, 2], **moves).loss)), 6))
    {} 15.0
    {'stay_on_labels': False} 6.0
    {'skip': False} 5.0
    {'collapse': False} 6.0
    """
    for name, value in (("skip", skip), ("stay_on_labels", stay_on_labels), ("collapse", collapse)):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name} must be True or False, got {value!r}")
    topology = Topology(bool(skip), bool(stay_on_labels), bool(collapse))
    batch = check(logits, targets, logit_lengths, target_lengths, blank=blank, reduction=reduction,
                  infeasible=infeasible, layout=layout, vectors=vectors, want_grad=want_grad)

    def objective(log_probs, labels, n, along):
        return batch.minus_log_z(log_probs, labels, along, topology=topology)

    def blanks_needed(labels: NDArray[np.intp]) -> int:
        if not topology.skip:
            return max(len(labels) - 1, 0)
        return count_repeats(labels) if topology.collapse else 0

    return solve(objective, batch, blanks_needed)
