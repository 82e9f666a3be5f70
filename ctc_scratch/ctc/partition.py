"""`log_partition`: the logarithm of a sum over alignments of any scores, which need not be probabilities.

Arguments are checked by `inputs/`, and the problem is solved by `running/`, as for `ctc_loss`, but without
the softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .inputs.frames import Layout
from .inputs.options import check_choice
from .inputs.targets import check_batch
from .running.plan import Problem
from .running.solver import solve
from .running.workspace import Workspace, check_workspace

__all__ = ["LogPartition", "log_partition"]

Want = Literal["gamma", "occupancy"]
PartitionMethod = Literal["auto", "exact"]


@dataclass(frozen=True, eq=False, repr=False)
class LogPartition:
    """The logarithm of a sum over alignments, and the share of it that passes through each state or class.

    log_z : ln Z, float64, (N,) or a scalar for a single sequence; -inf if no alignment has a score above -inf
    gamma : float64, (T, N, S), or (N, T, S) with layout="NTC", or (T, S) for a single sequence, where S is
        that of the longest target. The share of Z that passes through state s at frame t; 0 where log_z is
        -inf, after the frames of a sequence and after the states of its target. None if not asked for
    occupancy : d ln Z / d scores, in the dtype, shape and layout of the scores: the share of Z whose
        alignments emit class c at frame t; 0 where gamma is. None if not asked for
    """

    log_z: np.float64 | NDArray[np.float64]
    gamma: NDArray[np.float64] | None = None
    occupancy: NDArray[np.floating] | None = None

    def __repr__(self) -> str:
        log_z = np.array2string(np.asarray(self.log_z), precision=6, threshold=6, edgeitems=2, separator=", ")
        arrays = "".join(f", {name}={array.dtype} {array.shape}" for name, array
                         in (("gamma", self.gamma), ("occupancy", self.occupancy)) if array is not None)
        return f"LogPartition(log_z={log_z}{arrays})"


def log_partition(
    scores: ArrayLike,
    target: Any,
    logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    layout: Layout = "TNC",
    method: PartitionMethod = "auto",
    want: Want = "gamma",
    workspace: Workspace | None = None,
) -> LogPartition:
    """ln Z, where Z sums exp(total score) over all alignments of a target; there is no softmax.

    The CTC loss is a difference of two such sums: ln Z of all paths minus ln Z of the
    alignments. Other scores, such as log-probabilities minus a log-prior, make other
    objectives: d ln Z / d scores[t, c] is the occupancy, the sum of gamma[t, s] over the
    states s that emit c.

    Parameters
    ----------
    scores : (T, N, C) float array, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        They may hold -inf. Types are those of `ctc_loss`.
    target : targets in any form that `ctc_loss` takes; for a single sequence, one target (U,)
    logit_lengths, target_lengths : (N,) integers, optional
        Frames used of each sequence, and labels used of each target; masks as in `ctc_loss`.
    blank : which class is the blank
    layout : "TNC" or "NTC", the order of the axes
    method : "auto" or "exact", as in `ctc_loss`
    want : "gamma" or "occupancy", what to return besides log_z
    workspace : memory that is kept from one call to the next

    Returns
    -------
    LogPartition

    Raises
    ------
    ValueError, TypeError
        As in `ctc_loss`; but a target without alignments is no error: its log_z is -inf.

    Notes
    -----
    No bit of the answer depends on the number of threads or on the rest of the batch.
    Gamma takes 8 N T S bytes, and while it is computed, as much memory again as the scores.
    The occupancy takes no more memory than the gradient of `ctc_loss`. The kernel that
    solves eight short sequences side by side always has a softmax and gives no gamma, so
    here each sequence is solved alone. A batch of short sequences takes two to three times
    as long as in `ctc_loss`, one of long sequences about as long.

    Examples
    --------
    If all scores are 0, Z is the number of alignments.

    >>> import numpy as np
    >>> result = log_partition(np.zeros((4, 3)), [1, 2])
    >>> round(float(np.exp(result.log_z)), 9)
    15.0
    >>> result
    LogPartition(log_z=2.70805, gamma=float64 (4, 5))

    In a batch of two, the second target has five alignments; on average, 1.6 of 4 frames emit the blank:

    >>> batch = log_partition(np.zeros((4, 2, 3)), [[1, 2], [1, 1]], want="occupancy")
    >>> np.exp(batch.log_z).round(9).tolist()
    [15.0, 5.0]
    >>> batch.occupancy[:, 1].sum(axis=0).round(9).tolist()
    [1.6, 2.4, 0.0]
    """
    check_choice("method", method, get_args(PartitionMethod))
    check_choice("want", want, get_args(Want))
    check_workspace(workspace)
    frames, packed, blank = check_batch(
        scores, target, logit_lengths, target_lengths, blank, layout, "scores")
    N, S = len(packed.lengths), 2 * int(packed.lengths.max(initial=0)) + 1
    problem = Problem(frames, packed, blank, np.ones(N), normalise=False)
    gamma = occupancy = None
    if want == "gamma":
        gamma, minus_occupancy = np.zeros((*frames.logits.shape[:-1], S)), np.empty_like(frames.rows)
        losses = solve(problem, minus_occupancy, method, workspace, gamma.reshape(len(frames.rows), S)).losses
    else:
        occupancy = np.zeros(frames.logits.shape, frames.logits.dtype)
        rows = occupancy.reshape(frames.rows.shape)
        losses = solve(problem, rows, method, workspace).losses
        np.subtract(0.0, rows, out=rows)  # the gradient of -ln Z is -occupancy
    log_z = 0.0 - losses  # never -0.0
    return LogPartition(log_z[0] if frames.single else log_z, gamma, occupancy)
