"""The labellings that a decoder finds: their scores, exact probabilities, and where their labels stand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..loss import ctc_loss
from ..paths.align import Span, spans_of
from ..paths.band import Band, band_of, best_states, classes_used, log_probs_of, log_sum

LOWEST = -700.0
"""A ln y below this is left to `ctc_loss`: as a number it would be subnormal, and lack digits."""

NEARLY_CERTAIN = -0.01
"""A ln P above this is left to `ctc_loss`, which sums what lacks to certainty."""


class Emissions(NamedTuple):
    """What frames say of labels: ln y (T, K) of the classes used, which each label is, where it can be."""

    log_probs: NDArray[np.float64]
    columns: NDArray[np.intp]
    band: Band


@dataclass(frozen=True, eq=False)
class Posteriors:
    """The frames that a search has taken.

    logits : (T, C) float64
    norms : (T, 2) largest logit of each frame, and ln of the sum of exp(logit - largest)
    blank : which class is the blank
    """

    logits: NDArray[np.float64]
    norms: NDArray[np.float64]
    blank: int
    _last: list[tuple[list[int], Emissions]] = field(default_factory=list, repr=False)

    def log_prob(self, labels: list[int], least: float = -math.inf) -> float:
        """ln P(labels | x), at most 0, of labels that fit the frames.

        least : what it is known to be at least
        """
        if len(self.logits) > 0:
            log_probs, columns, band = self._emissions(labels)
            if (log_probs[log_probs > -np.inf] < LOWEST).any():
                return exact_log_prob(self.logits, labels, self.blank)
            found = log_sum(log_probs, columns, band, least)
            if found < NEARLY_CERTAIN:
                return found
        return exact_log_prob(self.logits, labels, self.blank)

    def log_probs(self) -> NDArray[np.float64]:
        """ln y (T, C) of all classes."""
        return (self.logits - self.norms[:, :1]) - self.norms[:, 1:]

    def log_best_path(self) -> float:
        """ln of the probability of the likeliest path, which takes the likeliest class of each frame."""
        return 0.0 - float(self.norms[:, 1].sum())

    def spans(self, labels: list[int]) -> list[Span]:
        """Where each label stands on the likeliest alignment."""
        log_probs, columns, band = self._emissions(labels)
        states = best_states(log_probs, -self.norms[:, 1], columns, band)
        assert states is not None, "labels that were found have a path"
        return spans_of(states, log_probs, columns, labels)

    def _emissions(self, labels: list[int]) -> Emissions:
        # Asked for twice in a row, as a rule; those of all hypotheses would be much to keep.
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
    with np.errstate(over="ignore"):  # a logit that is 1e308 below another one: a probability of 0
        log_totals = np.log(np.exp(scores - tops[:, None]).sum(axis=1))
    return Posteriors(scores, np.stack([tops, log_totals], axis=1), blank)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A labelling that a search has found.

    labels : list of its U labels
    log_score : what the search ranks by: ln of the probability of those of its paths that the search
        has seen, and what the language model adds
    log_prob : ln P(labels | x), exact, at most 0
    spans : where each label stands on the likeliest alignment, a `Span` each, in order
    posteriors : the frames

    log_prob and spans are worked out when they are first asked for.
    """

    labels: list[int]
    log_score: float
    posteriors: Posteriors = field(repr=False)
    _seen: float = field(repr=False)  # ln of the probability of those paths: log_prob is no less

    @cached_property
    def log_prob(self) -> float:
        return self.posteriors.log_prob(self.labels, self._seen)

    @cached_property
    def spans(self) -> list[Span]:
        return self.posteriors.spans(self.labels)


def exact_log_prob(logits: NDArray, labels: list[int], blank: int) -> float:
    """ln P(labels | x), at most 0."""
    return min(0.0, -float(ctc_loss(logits, labels, blank=blank, infeasible="inf").loss))
