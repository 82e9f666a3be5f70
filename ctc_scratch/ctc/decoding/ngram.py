"""A small language model: how likely each label is behind the last few.

    P(c | h) = [ count(h c) + T(h) P(c | h') ] / [ count(h) + T(h) ]

h are the last n - 1 labels, h' all of them but the first, count(h) how often h was seen with
something behind it, and T(h) how many different things these were: the more different ones, the
more the shorter context is asked (Witten and Bell 1991). Behind the empty context stands the
uniform distribution. The end of a sequence counts as one more label, and the beginning as a context
of its own, so that lengths and first labels are learnt, too.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Hashable, Sequence

import numpy as np

from ..inputs.options import check_count, check_not_negative
from ..labels import as_labels

BEGIN, END = "begin", "end"  # no labels, which are integers


class NGram:
    """An n-gram model of label sequences, for `prefix_beam_search`.

    Parameters
    ----------
    sequences : to learn from, each a sequence of labels
    order : n, how many labels a count spans
    labels : all there are, so that none has probability 0; those that were seen, if left out
    weight : what ln P is multiplied by in `score` and `end`
    bonus : nats that `score` adds for each label; makes up for a weight that shortens the readings

    Raises
    ------
    ValueError, TypeError
        No label at all, one that is no integer or none of `labels`, an order below 1, a negative
        weight, a bonus that is not finite.

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
        if not self.labels:
            raise ValueError("an n-gram model needs labels: the sequences hold none, and none are given")
        for label in sorted(seen - set(self.labels)):
            raise ValueError(f"label {label} occurs in a sequence, but is none of the labels {self.labels}")

        self._counts: defaultdict[tuple, Counter] = defaultdict(Counter)
        for sequence in learnt:
            following: list[Any] = [*sequence, END]
            for u, c in enumerate(following):
                context = self._context(sequence[:u])
                for begin in range(len(context) + 1):
                    self._counts[context[begin:]][c] += 1

    def prob(self, prefix: Sequence[int], label: Hashable) -> float:
        """P(label | prefix); END in place of the label: that nothing follows."""
        if label != END and label not in self.labels:
            raise ValueError(f"label {label} is none of the labels {self.labels}")
        context = self._context(tuple(prefix))
        prob = 1.0 / (len(self.labels) + 1)
        for begin in range(len(context), -1, -1):  # the shortest context first
            following = self._counts.get(context[begin:])
            if following is not None:
                different = len(following)
                prob = (following[label] + different * prob) / (following.total() + different)
        return prob

    def score(self, prefix: Sequence[int], label: int) -> float:
        """What the search adds when `label` follows `prefix`, nats."""
        return self.weight * math.log(self.prob(prefix, label)) + self.bonus

    def end(self, prefix: Sequence[int]) -> float:
        """What the search adds when nothing follows any more, nats."""
        return self.weight * math.log(self.prob(prefix, END))

    def log_prob(self, sequence: Sequence[int]) -> float:
        """ln P of a whole sequence, its end included."""
        following: list[Any] = [*sequence, END]
        return math.fsum(math.log(self.prob(sequence[:u], c)) for u, c in enumerate(following))

    def _context(self, prefix: tuple) -> tuple:
        """The last n - 1 of BEGIN and the prefix."""
        whole = (BEGIN, *prefix)
        return whole[max(0, len(whole) - self.order + 1):]


def _check_bonus(bonus: Any) -> float:
    if isinstance(bonus, bool) or not isinstance(bonus, (int, float, np.integer, np.floating)):
        raise TypeError(f"bonus must be a real number, got {bonus!r}")
    if not math.isfinite(bonus):
        raise ValueError(f"bonus must be finite, got {bonus}")
    return float(bonus)
