"""Prefix beam search to read: one sequence, plain Python, a dictionary from prefixes to probabilities.

`beam_kernels` finds the same prefixes in a small part of the time. (Hannun et al. 2014.)
"""

from __future__ import annotations

from typing import Callable

import numpy as np
from numpy.typing import NDArray


def prefix_beam_search(
    log_probs: NDArray, beam_width: int, blank: int = 0, prune: float = np.inf,
    score: Callable[[tuple[int, ...], int], float] | None = None,
) -> list[tuple[tuple[int, ...], float]]:
    """The best prefixes of a beam after all frames, each with its log-score, best first.

    The beam holds two numbers for each prefix: ln of all its paths that end in a blank, and in its
    last label. score(prefix, label) is a language model's, added when the label follows; prefixes
    that are more than `prune` behind the best are dropped. (Hannun et al. 2014.)

    >>> frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    >>> [(prefix, round(float(np.exp(s)), 2)) for prefix, s in prefix_beam_search(frames, beam_width=2)]
    [((1,), 0.64), ((), 0.36)]
    """
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}
    priors: dict[tuple[int, ...], float] = {(): 0.0}
    for y in log_probs:
        after = {prefix: (-np.inf, -np.inf) for prefix in beam}  # first on a tie
        for prefix, (in_blank, in_label) in beam.items():
            either = np.logaddexp(in_blank, in_label)
            for c in range(len(y)):
                if c == blank:
                    _arrive(after, prefix, either + y[c], -np.inf)
                elif prefix[-1:] == (c,):
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
    """Add paths to those that spell the prefix."""
    ends = after.get(prefix, (-np.inf, -np.inf))
    after[prefix] = np.logaddexp(ends[0], in_blank), np.logaddexp(ends[1], in_label)
