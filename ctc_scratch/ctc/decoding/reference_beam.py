"""Prefix beam search in its readable form: one sequence, plain Python, a dictionary of prefixes.

`beam_kernels` does the same, compiled, on a prefix tree. The tests compare the two, prefix by prefix.
"""

from __future__ import annotations

from typing import Callable

import numpy as np
from numpy.typing import NDArray

from ...arrays import underflow_is_zero


@underflow_is_zero
def prefix_beam_search(
    log_probs: NDArray, beam_width: int, blank: int = 0, prune: float = np.inf,
    score: Callable[[tuple[int, ...], int], float] | None = None,
) -> list[tuple[tuple[int, ...], float]]:
    """The best prefixes after all frames, each with its log-score, best first (Hannun et al. 2014).

    The beam maps each prefix to two numbers: ln of the sum of all its paths that end in a blank, and of
    all its paths that end in its last label.

    Parameters
    ----------
    log_probs : (T, C) float array
        ln y, as `reference.log_softmax` gives it.
    beam_width : how many prefixes are kept after each frame
    blank : which class is the blank
    prune : nats; prefixes that score worse than the best one by more than this are dropped
    score : a language model; score(prefix, label) is added when the label follows the prefix

    >>> frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> [(prefix, round(float(np.exp(s)), 2)) for prefix, s in prefix_beam_search(frames, beam_width=2)]
    [((1,), 0.64), ((), 0.36)]
    """
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    priors: dict[tuple[int, ...], float] = {(): 0.0}
    for y in log_probs:
        after = {prefix: (-np.inf, -np.inf) for prefix in beam}  # the old prefixes come first on a tie
        for prefix, (in_blank, in_label) in beam.items():
            either = np.logaddexp(in_blank, in_label)
            for c in range(len(y)):
                if c == blank:
                    _arrive(after, prefix, either + y[c], -np.inf)
                elif prefix[-1:] == (c,):  # the label goes on, or it comes again after a blank
                    _arrive(after, prefix, -np.inf, in_label + y[c])
                    _arrive(after, (*prefix, c), -np.inf, in_blank + y[c])
                else:
                    _arrive(after, (*prefix, c), -np.inf, either + y[c])
        for prefix in after:
            if prefix not in priors:
                last = score(prefix[:-1], prefix[-1]) if score else 0.0
                priors[prefix] = priors[prefix[:-1]] + last
        scores = {prefix: np.logaddexp(*ends) + priors[prefix] for prefix, ends in after.items()}
        ranked = sorted(after, key=lambda prefix: -scores[prefix])[:beam_width]
        beam = {
            prefix: after[prefix] for prefix in ranked
            if scores[prefix] > -np.inf and scores[prefix] >= scores[ranked[0]] - prune
        }
    return [(prefix, float(np.logaddexp(*ends) + priors[prefix])) for prefix, ends in beam.items()]


def _arrive(after: dict, prefix: tuple[int, ...], in_blank: float, in_label: float) -> None:
    """Add to the two sums of a prefix what arrives at it in this frame."""
    ends = after.get(prefix, (-np.inf, -np.inf))
    after[prefix] = np.logaddexp(ends[0], in_blank), np.logaddexp(ends[1], in_label)
