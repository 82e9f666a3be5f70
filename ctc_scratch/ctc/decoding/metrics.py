"""How far decoded labels are from the true ones: edit distance and the rates made from it.

A labelling is a sequence of integers, a string (its characters are the labels) or a sequence of words.
"""

from __future__ import annotations

from typing import Iterator, Sequence, Union

import numpy as np

from ...arrays import as_array, before_mask
from ..labels import as_labels

Labels = Union[Sequence[int], Sequence[str]]
Label = Union[int, str]


def edit_distance(hypothesis: Labels, reference: Labels) -> int:
    """The fewest insertions, deletions and substitutions between two labellings (Levenshtein).

    >>> edit_distance([1, 2, 3], [1, 3, 3, 4])
    2
    >>> edit_distance("kitten", "sitting")
    3
    """
    ours, true = _pair(hypothesis, reference)
    if not true:
        return len(ours)
    distance, last = len(true), len(true) - 1
    for _, more, less in _rows(ours, true):
        distance += (more >> last) - (less >> last)
    return distance


def edits(hypothesis: Labels, reference: Labels) -> list[tuple[Label | None, Label | None]]:
    """A shortest list of edits between the two, as pairs (hypothesis label, reference label).

    A match or a substitution has both labels. An insertion, a label that only the hypothesis has, is a
    pair (label, None); a deletion, a label that only the reference has, is (None, label).

    >>> edits([1, 2], [1, 3, 2])
    [(1, 1), (None, 3), (2, 2)]
    """
    ours, true = _pair(hypothesis, reference)
    rows = list(_rows(ours, true))
    i, j = len(ours), len(true)
    pairs: list[tuple[Label | None, Label | None]] = []
    while i > 0 and j > 0:
        free, more, _ = (places >> (j - 1) & 1 for places in rows[i - 1])
        h, r = ours[i - 1], true[j - 1]
        if h == r or not free:  # a match or a substitution lies on a shortest path
            pairs.append((h, r))
            i, j = i - 1, j - 1
        elif more:
            pairs.append((h, None))
            i -= 1
        else:
            pairs.append((None, r))
            j -= 1
    pairs += [(h, None) for h in reversed(ours[:i])] + [(None, r) for r in reversed(true[:j])]
    return pairs[::-1]


def label_error_rate(hypotheses: Sequence[Labels], references: Sequence[Labels]) -> float:
    """The edits in all sequences, divided by the number of all reference labels.

    This is Graves 2006, eq. 1, taken over the whole set. Insertions count, so it can exceed 1. If there
    is no reference label, it is 0 if there is no hypothesis label either, and inf otherwise.

    >>> label_error_rate([[1, 2], [3]], [[1, 2], [3, 4]])
    0.25
    """
    _check_pairs(hypotheses, references)
    edited = sum(edit_distance(h, r) for h, r in zip(hypotheses, references))
    labels = sum(len(before_mask(r, "reference")) for r in references)
    if labels == 0:
        return 0.0 if edited == 0 else float("inf")
    return edited / labels


def character_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """CER: the `label_error_rate` of texts whose labels are their characters, spaces included.

    >>> character_error_rate(["the cat"], ["the cart"])
    0.125
    """
    return label_error_rate(_texts("hypotheses", hypotheses), _texts("references", references))


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """WER: the `label_error_rate` of texts whose labels are their words, split at white space.

    >>> word_error_rate(["the cat sat"], ["the cart sat down"])
    0.5
    """
    return label_error_rate([text.split() for text in _texts("hypotheses", hypotheses)],
                            [text.split() for text in _texts("references", references)])


def sequence_accuracy(hypotheses: Sequence[Labels], references: Sequence[Labels]) -> float:
    """The share of sequences without any error; 1 if there are no sequences.

    >>> sequence_accuracy([[1, 2], [3]], [[1, 2], [3, 4]])
    0.5
    """
    _check_pairs(hypotheses, references)
    if len(references) == 0:
        return 1.0
    right = sum(h == r for h, r in map(_pair, hypotheses, references))
    return right / len(references)


def _rows(hypothesis: list, reference: list) -> Iterator[tuple[int, int, int]]:
    """The table of edit distances, row by row, as sets of places.

    cost[i][j] is the distance from the first i hypothesis labels to the first j reference labels. Neighbours
    in this table differ by at most 1, so a few sets of places j describe a row completely. Each set is a
    Python integer with bit j - 1 for place j; one addition then carries a match along a whole run of places.
    For i = 1, 2, ... this yields the sets of places j where cost[i][j] is

        equal to cost[i-1][j-1],      one more than cost[i-1][j],      one less than cost[i-1][j].

    A row takes about a dozen operations on integers of len(reference) bits (Myers, "A fast bit-vector
    algorithm for approximate string matching based on dynamic programming", J. ACM 1999; in the form of
    Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances", 2003).
    """
    places: dict[Label, int] = {}
    for j, label in enumerate(reference):
        places[label] = places.get(label, 0) | 1 << j
    everywhere = (1 << len(reference)) - 1
    rises, falls = everywhere, 0  # where cost[i][j] is one more, one less, than cost[i][j-1]; cost[0][j] = j
    for label in hypothesis:
        match = places.get(label, 0)
        equal = ((((match & rises) + rises) ^ rises) | match | falls) & everywhere
        more, less = (falls | ~(equal | rises)) & everywhere, equal & rises
        yield equal, more, less
        left_more = more << 1 | 1  # where cost[i][j-1] is one more than cost[i-1][j-1]; cost[i][0] = i
        rises, falls = (less << 1 | ~(equal | left_more)) & everywhere, equal & left_more


def _pair(hypothesis: Labels, reference: Labels) -> tuple[list, list]:
    """Both labellings as lists of integers, or both as lists of strings."""
    pair = _listed("hypothesis", hypothesis), _listed("reference", reference)
    if all(pair) and isinstance(pair[0][0], str) != isinstance(pair[1][0], str):
        kinds = ["strings" if isinstance(labels[0], str) else "integers" for labels in pair]
        raise TypeError(f"the hypothesis holds {kinds[0]}, the reference {kinds[1]}: nothing could be equal")
    return pair


def _listed(name: str, labels: Labels) -> list:
    labels = before_mask(labels, name)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "UO":
        labels = labels.tolist()
    if isinstance(labels, str):
        return list(labels)
    if isinstance(labels, (list, tuple)) and len(labels) and all(isinstance(word, str) for word in labels):
        return list(labels)
    numbers = labels if isinstance(labels, (list, tuple)) else as_array(labels, name)
    try:
        return as_labels(numbers, name).tolist()
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must be a sequence of integers, a string or a sequence of words, "
                          f"got {labels!r:.80}") from None


def _texts(name: str, texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str) or not hasattr(texts, "__len__"):
        raise TypeError(f"{name} must be a sequence of strings, got {texts!r:.80}")
    for n, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{n}] must be a string, got {text!r:.80}")
    return list(texts)


def _check_pairs(hypotheses: Sequence[Labels], references: Sequence[Labels]) -> None:
    for name, sequences in (("hypotheses", hypotheses), ("references", references)):
        if not hasattr(sequences, "__len__") or isinstance(sequences, str):
            raise TypeError(f"{name} must be a sequence of labellings, got {sequences!r:.80}")
    if len(hypotheses) != len(references):
        raise ValueError(f"hypotheses and references go in pairs, "
                         f"got {len(hypotheses)} and {len(references)}")
