"""What a decoder returns: labellings with their scores, exact probabilities and the frames of each label.

Most callers look at the best hypothesis only, so probabilities and positions are computed on demand, from
the frames that the hypotheses of one sequence share (`Posteriors`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..loss import ctc_loss
from ..paths.align import MOST_SHOWN, Span, spans_of
from ..paths.band import Band, band_of, best_states, classes_used, log_probs_of, log_sum

LOWEST_LOG_PROB = -700.0
"""If some ln y is below this, `ctc_loss` computes ln P: y itself would be subnormal and lack digits."""

LARGEST_SUM = -0.01
"""If ln P is above this, `ctc_loss` computes it: near certainty it sums 1 - P, which keeps more digits."""


class Emissions(NamedTuple):
    """The emissions and the states that the labels of one hypothesis use.

    log_probs : (T, K) ln y of the classes that it uses, the blank first
    columns : (U,) the column of each label
    band : the states that can be reached and can still finish
    """

    log_probs: NDArray[np.float64]
    columns: NDArray[np.intp]
    band: Band


@dataclass(frozen=True, eq=False, repr=False)
class Posteriors:
    """The frames of one sequence, from which the probability and positions of any labels are computed.

    logits : (T, C) float64
    norms : (T, 2) the largest logit of each frame, and ln of the sum of exp(logit - largest)
    blank : which class is the blank
    """

    logits: NDArray[np.float64]
    norms: NDArray[np.float64]
    blank: int
    _last: list[tuple[list[int], Emissions]] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Posteriors(T={self.logits.shape[0]}, C={self.logits.shape[1]}, blank={self.blank})"

    def log_prob(self, labels: list[int], least: float = -math.inf) -> float:
        """ln P(labels | x), at most 0. The labels must fit the frames.

        least : a lower bound of the result, -inf if none is known
        """
        if len(self.logits) > 0:
            log_probs, columns, band = self._emissions(labels)
            if (log_probs[log_probs > -np.inf] < LOWEST_LOG_PROB).any():
                return exact_log_prob(self.logits, labels, self.blank)
            log_prob = log_sum(log_probs, columns, band, least)
            if log_prob < LARGEST_SUM:  # False for nan, a sum that is not proved
                return log_prob
        return exact_log_prob(self.logits, labels, self.blank)

    def log_probs(self) -> NDArray[np.float64]:
        """ln y (T, C) of all classes at all frames."""
        return (self.logits - self.norms[:, :1]) - self.norms[:, 1:]

    def log_best_path(self) -> float:
        """ln of the probability of the likeliest path: it takes the likeliest class of each frame."""
        return 0.0 - float(self.norms[:, 1].sum())

    def spans(self, labels: list[int]) -> list[Span]:
        """The frames of each label on the likeliest alignment, in order."""
        log_probs, columns, band = self._emissions(labels)
        states = best_states(log_probs, -self.norms[:, 1], columns, band)
        assert states is not None, "a labelling that was decoded has a path"
        return spans_of(states, log_probs, columns, labels)

    def _emissions(self, labels: list[int]) -> Emissions:
        # log_prob and spans often ask for the same labels in turn. Only the last answer is kept, because the
        # answers for all hypotheses together would take a lot of memory.
        for known, emissions in self._last[:]:
            if known is labels:
                return emissions
        classes, columns = classes_used(np.array(labels, np.intp), self.blank, self.logits.shape[1])
        log_probs = log_probs_of(self.logits, self.norms, classes)
        emissions = Emissions(log_probs, columns, band_of(columns, len(log_probs)))
        self._last[:] = [(labels, emissions)]
        return emissions


def posteriors_of(logits: ArrayLike, blank: int) -> Posteriors:
    """The posteriors of one sequence, logits (T, C)."""
    scores = np.array(logits, np.float64)
    tops = scores.max(axis=1)
    # A difference of -inf, from logits of +-1e308, is a probability of 0; so is what underflows.
    with np.errstate(over="ignore", under="ignore"):
        log_totals = np.log(np.exp(scores - tops[:, None]).sum(axis=1))
    return Posteriors(scores, np.stack([tops, log_totals], axis=1), blank)


@dataclass(frozen=True, eq=False, repr=False)
class Hypothesis:
    """A labelling that a decoder found.

    labels : list of its U labels
    log_score : the number by which a beam search ranks it: ln of the summed probability of those of its
        paths that the search kept, plus what the language model adds
    log_prob : ln P(labels | x), the sum over all its paths, at most 0
    spans : a `Span` for each label, in order: its frames on the likeliest alignment
    posteriors : the frames of the sequence, which all its hypotheses share

    log_prob and spans are computed when they are first asked for.
    """

    labels: list[int]
    log_score: float
    posteriors: Posteriors
    _seen: float  # ln of the probability of the paths that the decoder kept, a lower bound of log_prob

    def __repr__(self) -> str:
        return f"Hypothesis({labels_text(self.labels)}, log_score={self.log_score:.6f})"

    @cached_property
    def log_prob(self) -> float:
        return self.posteriors.log_prob(self.labels, self._seen)

    @cached_property
    def spans(self) -> list[Span]:
        return self.posteriors.spans(self.labels)


def labels_text(labels: list[int]) -> str:
    """labels=[...] for a repr, or only their number U if the list would not fit a line."""
    return f"labels={labels}" if len(labels) <= MOST_SHOWN else f"U={len(labels)}"


def exact_log_prob(logits: NDArray, labels: list[int], blank: int) -> float:
    """ln P(labels | x) by `ctc_loss`, at most 0; -inf if the labels do not fit."""
    return min(0.0, -float(ctc_loss(logits, labels, blank=blank, infeasible="inf").loss))
