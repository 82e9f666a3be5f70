"""How far decoded labels are from the true ones: edit distance and the rates made from it."""

from __future__ import annotations

from typing import Sequence

from ..labels import as_labels

Labels = Sequence[int]


def edit_distance(hypothesis: Labels, reference: Labels) -> int:
    """The fewest insertions, deletions and substitutions between two label sequences (Levenshtein).

    >>> edit_distance([1, 2, 3], [1, 3, 3, 4])
    2
    """
    return _distances(hypothesis, reference)[-1][-1]


def edits(hypothesis: Labels, reference: Labels) -> list[tuple[int | None, int | None]]:
    """A shortest list of edits between the two, as pairs (hypothesis label, reference label).

    A match or a substitution has both labels. An insertion, a label that only the hypothesis has, is a
    pair (label, None); a deletion, a label that only the reference has, is (None, label).

    >>> edits([1, 2], [1, 3, 2])
    [(1, 1), (None, 3), (2, 2)]
    """
    cost = _distances(hypothesis, reference)
    i, j = len(cost) - 1, len(cost[0]) - 1
    pairs: list[tuple[int | None, int | None]] = []
    while i > 0 or j > 0:
        if i > 0 and j > 0 and cost[i][j] == cost[i - 1][j - 1] + (hypothesis[i - 1] != reference[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((int(hypothesis[i]), int(reference[j])))
        elif i > 0 and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            pairs.append((int(hypothesis[i]), None))
        else:
            j -= 1
            pairs.append((None, int(reference[j])))
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
    labels = sum(len(r) for r in references)
    if labels == 0:
        return 0.0 if edited == 0 else float("inf")
    return edited / labels


def sequence_accuracy(hypotheses: Sequence[Labels], references: Sequence[Labels]) -> float:
    """The share of sequences without any error; 1 if there are no sequences.

    >>> sequence_accuracy([[1, 2], [3]], [[1, 2], [3, 4]])
    0.5
    """
    _check_pairs(hypotheses, references)
    if len(references) == 0:
        return 1.0
    right = sum(_listed("hypothesis", h) == _listed("reference", r) for h, r in zip(hypotheses, references))
    return right / len(references)


def _distances(hypothesis: Labels, reference: Labels) -> list[list[int]]:
    """cost[i][j]: the edit distance of the first i hypothesis labels to the first j reference labels."""
    hypothesis, reference = _listed("hypothesis", hypothesis), _listed("reference", reference)
    cost = [list(range(len(reference) + 1))]
    for i, h in enumerate(hypothesis, start=1):
        above, row = cost[-1], [i]
        for j, r in enumerate(reference, start=1):
            row.append(min(above[j - 1] + (h != r), above[j] + 1, row[-1] + 1))
        cost.append(row)
    return cost


def _listed(name: str, labels: Labels) -> list[int]:
    return as_labels(labels, name).tolist()


def _check_pairs(hypotheses: Sequence[Labels], references: Sequence[Labels]) -> None:
    for name, sequences in (("hypotheses", hypotheses), ("references", references)):
        if not hasattr(sequences, "__len__") or isinstance(sequences, str):
            raise TypeError(f"{name} must be a sequence of labellings, got {sequences!r:.80}")
    if len(hypotheses) != len(references):
        raise ValueError(f"hypotheses and references go in pairs, "
                         f"got {len(hypotheses)} and {len(references)}")
