"""A small language model: how likely each label is after the last few labels.

    P(c | h) = [ count(h c) + D(h) P(c | h') ] / [ count(h) + D(h) ]

The context h is the last n - 1 labels, and h' is h without its first label. count(h) is how often h was
seen with a label after it, and D(h) how many different labels came there. The more different labels
follow a context, the more weight the shorter context gets (Witten and Bell 1991). If h is empty,
the uniform distribution takes the place of P(c | h').

The end of a sequence counts as one more label after the last, and its beginning as one more before the
first, so that lengths and first labels are learnt, too.

If h was never seen, P(c | h) = P(c | h'). So the label after any prefix is predicted from the longest
context that was seen, and one table of scores per such context is enough for a search
(`NGram.scores_for`).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..inputs.options import check_count, check_not_negative
from ..labels import as_labels

BEGIN, END = "begin", "end"
"""Stand for the beginning and the end of a sequence; they differ from all labels, which are integers."""

MOST_KEPT = 2**22
"""`scores_for` keeps about this many numbers, 8 bytes each; then it drops them all and starts again."""


class NGram:
    """An n-gram model of label sequences, for `prefix_beam_search`.

    Parameters
    ----------
    sequences : the sequences of labels to learn from
    order : n; each label is predicted from the n - 1 labels before it
    labels : all labels that may occur, the alphabet (default: the labels that occur in `sequences`)
        A search over any other label is refused before it begins, as the model has no probability for it.
        For logits of C classes with blank 0 pass range(1, C): unseen labels then have a probability, too.
    weight : the factor of ln P in `score` and `end`
    bonus : nats that `score` adds per label, to balance a weight that favours short labellings

    Raises
    ------
    ValueError, TypeError
        There is no label at all, a label is not an integer or not one of `labels`, the order is below 1,
        the weight is negative, or the bonus is not finite.

    References
    ----------
    I. Witten, T. Bell, "The zero-frequency problem: estimating the probabilities of novel events in
    adaptive text compression", IEEE Transactions on Information Theory 37(4), 1991.

    Examples
    --------
    >>> model = NGram([[1, 2, 1, 2], [1, 2]], order=2)
    >>> round(model.prob((1,), 2), 3), round(model.prob((1,), 1), 3), round(model.prob((), 1), 3)
    (0.841, 0.091, 0.788)
    """

    def __init__(
        self, sequences: Iterable[Sequence[int]], order: int = 3, *, labels: Iterable[int] | None = None,
        weight: float = 1.0, bonus: float = 0.0,
    ) -> None:
        self.order, self.bonus = check_count("order", order), _check_bonus(bonus)
        self.weight = check_not_negative("weight", weight)
        if not isinstance(sequences, Iterable):
            raise TypeError(f"sequences must be sequences of labels, got {sequences!r:.80}")
        learnt = [tuple(as_labels(sequence, f"sequences[{n}]").tolist())
                  for n, sequence in enumerate(sequences)]
        seen = {c for sequence in learnt for c in sequence}
        given = list(labels) if isinstance(labels, Iterable) else labels
        self.labels = sorted(seen if labels is None else {*as_labels(given).tolist()})
        self._places = {label: k for k, label in enumerate(self.labels)}
        if not self.labels:
            raise ValueError("an n-gram model needs labels: the sequences hold none, and none are given")
        for label in sorted(seen - self._places.keys()):
            raise ValueError(f"label {label} occurs in a sequence, but is none of the labels {self.labels}")

        self._counts: defaultdict[tuple, Counter] = defaultdict(Counter)
        for sequence in learnt:
            following: list[Any] = [*sequence, END]
            for u, c in enumerate(following):
                context = self._context(sequence[:u])
                for begin in range(len(context) + 1):
                    self._counts[context[begin:]][c] += 1
        self._totals = {context: following.total() for context, following in self._counts.items()}

    def __repr__(self) -> str:
        return (f"NGram(order={self.order}, {len(self.labels)} labels, weight={self.weight:g}, "
                f"bonus={self.bonus:g})")

    def prob(self, prefix: Sequence[int], label: Hashable) -> float:
        """P(label | prefix); with END as the label, the probability that nothing follows."""
        if label != END and label not in self._places:
            raise ValueError(f"label {label} is none of the labels {self.labels}")
        context = self._context(tuple(prefix))
        prob = 1.0 / (len(self.labels) + 1)
        for begin in range(len(context), -1, -1):  # the shortest context first
            following = self._counts.get(context[begin:])
            if following is not None:
                different = len(following)
                prob = (following[label] + different * prob) / (self._totals[context[begin:]] + different)
        return prob

    def score(self, prefix: Sequence[int], label: int) -> float:
        """What the search adds to the log-score when `label` follows `prefix`, in nats."""
        return self.weight * math.log(self.prob(prefix, label)) + self.bonus

    def end(self, prefix: Sequence[int]) -> float:
        """What the search adds to the log-score when nothing follows `prefix`, in nats."""
        return self.weight * math.log(self.prob(prefix, END))

    def scores_for(self, labels: NDArray[np.intp]) -> Callable[[tuple[int, ...]], NDArray[np.float64]]:
        """A function that takes a prefix and returns the `score` of each of these labels after it.

        Raises
        ------
        ValueError
            The model does not know one of the labels.
        """
        own = getattr(self.score, "__func__", None), getattr(self.prob, "__func__", None)
        if own != (NGram.score, NGram.prob):  # a subclass with scores of its own may know more labels
            return lambda prefix: np.array([self.score(prefix, c) for c in labels.tolist()])
        unknown = [c for c in labels.tolist() if c not in self._places]
        if unknown:
            raise ValueError(
                f"the language model does not know label {unknown[0]}, a class of the logits (it knows "
                f"{len(self.labels)} labels; {len(unknown)} of the {len(labels)} here are not among them): "
                f"make it with NGram(..., labels=all classes but the blank)")
        places = np.array([self._places[c] for c in labels.tolist()], np.intp)
        probs: dict[tuple, NDArray[np.float64]] = {}
        scores: dict[tuple, NDArray[np.float64]] = {}

        def after(prefix: tuple[int, ...]) -> NDArray[np.float64]:
            context = self._context(prefix)
            while context and context not in self._counts:
                context = context[1:]
            if context not in scores:
                if (len(probs) + len(scores)) * len(self.labels) > MOST_KEPT:
                    probs.clear()
                    scores.clear()
                logs = np.array(list(map(math.log, self._probs(context, probs).tolist())))  # as in `score`
                scores[context] = (self.weight * logs + self.bonus)[places]
            return scores[context]

        return after

    def _probs(self, context: tuple, known: dict[tuple, NDArray[np.float64]]) -> NDArray[np.float64]:
        """P(label | context) of all labels, rounded as in `prob`; the results are kept in `known`."""
        if context not in known:
            shorter = self._probs(context[1:], known) if context else np.full(
                len(self.labels), 1.0 / (len(self.labels) + 1))
            following, counts = self._counts.get(context, Counter()), np.zeros(len(self.labels))
            for label, count in following.items():
                if label != END:
                    counts[self._places[label]] = count
            if following:
                different = len(following)
                shorter = (counts + different * shorter) / (self._totals[context] + different)
            known[context] = shorter
        return known[context]

    def log_prob(self, sequence: Sequence[int]) -> float:
        """ln P of a whole sequence, its end included."""
        following: list[Any] = [*sequence, END]
        return math.fsum(math.log(self.prob(sequence[:u], c)) for u, c in enumerate(following))

    def _context(self, prefix: tuple) -> tuple:
        """The last n - 1 labels of the prefix, with BEGIN as one more label before the first."""
        whole = (BEGIN, *prefix)
        return whole[max(0, len(whole) - self.order + 1):]


def _check_bonus(bonus: Any) -> float:
    if isinstance(bonus, bool) or not isinstance(bonus, (int, float, np.integer, np.floating)):
        raise TypeError(f"bonus must be a real number, got {bonus!r}")
    if not math.isfinite(bonus):
        raise ValueError(f"bonus must be finite, got {bonus}")
    return float(bonus)
