"""One prefix beam search: its memory, its language model, what it has found.

`beam_kernels` does the frames, `decode` the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..inputs.options import check_blank, check_count, check_not_negative
from ..loss import ctc_loss
from ..paths.align import Span, spans_of
from ..paths.band import Band, band_of, best_states, classes_used, log_probs_of, log_sum
from . import beam_kernels
from .beam_kernels import BEAM, FRESH, NODES, TOTAL, Scratch, State

FIRST_NODES = 4096
"""Prefixes that a search has room for at first; where more than half are needed at a time it grows."""


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


class Settings(NamedTuple):
    """How to search, checked."""

    beam_width: int
    blank: int
    prune: float  # nats, inf for none
    score: Callable | None  # of the language model
    end: Callable | None


def check_settings(C: int, beam_width: Any, blank: Any, prune: Any, language_model: Any) -> Settings:
    """The options of a search over C classes."""
    check_count("beam_width", beam_width)
    blank = check_blank(blank, C)
    limit = math.inf if prune is None else check_not_negative("prune", prune)
    score = end = None
    if language_model is not None:
        score, end = getattr(language_model, "score", None), getattr(language_model, "end", None)
        if not callable(score):
            raise TypeError(f"language_model must have a method score(prefix, label), got {language_model!r}")
    return Settings(int(beam_width), blank, limit, score, end)


def check_top(top: Any, beam_width: int) -> None:
    """How many hypotheses are asked for: no more than the beam holds."""
    check_count("top", top)
    if top > beam_width:
        raise ValueError(f"top is {top}, but a beam of width {beam_width} holds no more than that")


class Search:
    """A prefix beam search over one sequence of C classes, which takes its frames in any pieces."""

    def __init__(self, C: int, settings: Settings) -> None:
        self.C, self.settings = C, settings
        W, asks = settings.beam_width, settings.score is not None
        K, room = C if asks else min(C, W + 1), max(FIRST_NODES, 4 * W)
        self._state = State(
            tree=np.empty((room, 5), np.intp), priors=np.empty(room),
            label_priors=np.empty((room if asks else 0, C)),
            nodes=np.empty(W, np.intp), logs=np.empty((W, 3)), counts=np.array([1, 1, 0]),
        )
        self._scratch = Scratch(
            log_probs=np.empty(C), likely=np.empty(K, np.intp), likely_log_probs=np.empty(K),
            owner=np.full(C, -1), links=np.empty((W, 2), np.intp), stayed=np.empty((W, 3)),
            scores=np.empty(W), moves=np.empty(W, np.intp), next_nodes=np.empty(W, np.intp),
            next_logs=np.empty((W, 3)),
        )
        # In no frames at all the empty prefix has probability 1, and it ends in no label.
        self._state.tree[0], self._state.priors[0] = (-1, -1, -1, -1, 0), 0.0
        self._state.nodes[0], self._state.logs[0] = 0, (0.0, -np.inf, 0.0)
        self._ask()

    def advance(self, rows: NDArray, first: int, stride: int, T: int) -> NDArray[np.float64]:
        """Take the frames rows[first], rows[first + stride], ..., T of them; returns their norms (T, 2)."""
        norms, t = np.empty((T, 2)), 0
        while t < T:
            # New prefixes have to be put to the language model before they can be extended.
            some = T - t if self.settings.score is None else 1
            taken = beam_kernels.advance(
                rows, first + t * stride, stride, some, self.settings.blank, self.settings.prune, self._state,
                self._scratch, norms[t:],
            )
            t += taken
            if taken < some:
                self._grow()
            else:
                self._ask()
        return norms

    def hypotheses(
        self, top: int, logits: NDArray[np.float64], norms: NDArray[np.float64]
    ) -> list[Hypothesis]:
        """The best labellings of the frames so far, which are the logits (T, C), with their norms (T, 2)."""
        posteriors = Posteriors(logits, norms, self.settings.blank)
        found = []
        for j in range(self._state.counts[BEAM]):
            node = self._state.nodes[j]
            seen = float(self._state.logs[j, TOTAL])
            score = seen + float(self._state.priors[node])
            if self.settings.end is not None or j < top:
                labels = self._spell(node)
                if self.settings.end is not None:
                    score += _sound(self.settings.end(tuple(labels)), "end", labels)
                found.append(Hypothesis(labels, score, posteriors, seen))
        found.sort(key=lambda hypothesis: -hypothesis.log_score)  # keeps the order of equals
        return found[:top]

    def _spell(self, node: int) -> list[int]:
        """The labels of a node's prefix."""
        labels = np.empty(len(self._state.tree), np.intp)
        U = beam_kernels.spell(self._state.tree, node, labels)
        return labels[len(labels) - U:].tolist()

    def _ask(self) -> None:
        """Have the language model score every label behind each prefix that is new."""
        score, blank = self.settings.score, self.settings.blank
        if score is not None:
            for node in range(self._state.counts[FRESH], self._state.counts[NODES]):
                prefix = tuple(self._spell(node))
                self._state.label_priors[node] = [
                    0.0 if c == blank else _sound(score(prefix, c), "score", [*prefix, c])
                    for c in range(self.C)
                ]

    def _grow(self) -> None:
        """Room for twice as many prefixes."""
        tree, priors, label_priors = (
            np.concatenate([array, np.empty_like(array)]) for array in self._state[:3]
        )
        self._state = self._state._replace(tree=tree, priors=priors, label_priors=label_priors)


def _sound(value: Any, method: str, labels: list[int]) -> float:
    """What the language model says, if that is a score."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"language_model.{method} gave {value!r} for the labels {labels}, not a number")
    if not value < math.inf:
        raise ValueError(f"language_model.{method} gave {value} for the labels {labels}; "
                         f"a score is finite, or -inf for what cannot be")
    return float(value)
