"""The common mistakes with labels, the blank, values and lengths, and how each is recognised."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from ..labels import min_frames
from .arguments import GivenBatch
from .findings import Diagnosis, count, few, places

LEAST_BLANK_SHARE = 0.8
"""A class that is the most likely one in this share of all frames, and in no target, may be the blank."""

SUM_TOLERANCE = 2e-3
"""How far from 1 the sum of probabilities may be: half precision has three digits."""


# ---- labels and the blank


def find_label_mistakes(
    diagnosis: Diagnosis, targets: list[NDArray], C: int | None, blank: int | None, padded: bool,
    frames: NDArray | None, winners: NDArray | None,
) -> list[NDArray]:
    """Adds findings about a wrong blank and wrong labels; returns the targets without padding.

    C, blank, frames and winners are None if unknown.
    """
    if C is not None and blank is not None and not 0 <= blank < C:
        near = blank in (-1, C)
        diagnosis.add(
            "blank-off-by-one" if near else "blank", [],
            f"blank is {blank}, but the logits have classes 0..{C - 1}.",
            f"Pass the blank's class, {C - 1} if it is the last one.",
        )
        blank = None
    elif blank is not None and blank < 0:
        diagnosis.add("blank", [], f"blank is {blank}, but classes are numbered from 0.",
                      "Pass the blank's class, often 0.")
        blank = None
    end = np.inf if C is None else C
    padding = _padding(targets, blank, end) if padded else None
    if padding is not None:
        runs = [_count_last(target == padding) if target.size else 0 for target in targets]
        diagnosis.add(
            "padding-in-targets", [n for n, run in enumerate(runs) if run],
            f"{np.count_nonzero(runs)} of {len(targets)} targets, all of the same length, end with "
            f"{padding}, which is not a label.",
            "Pass target_lengths, or cut each target to its labels.",
        )
        targets = [target[:len(target) - run] for target, run in zip(targets, runs)]
    used = np.unique(np.concatenate([*targets, np.empty(0, dtype=np.int64)]))
    outside = [n for n, target in enumerate(targets) if ((target < 0) | (target >= end)).any()]
    with_blank = [n for n, target in enumerate(targets) if blank is not None and blank in target]
    if outside:
        _find_labels_outside(diagnosis, targets, used, C, outside)
    if with_blank and blank is not None:
        _find_blanks_in_targets(diagnosis, targets, used, C, blank, with_blank, frames)
    elif blank is not None and winners is not None and used.size:
        k = int(winners.argmax())
        if k != blank and k not in used and winners[k] >= LEAST_BLANK_SHARE:
            diagnosis.add(
                "blank-off-by-one", [],
                f"blank is {blank}, but class {k}, which no target holds, is the most likely one in "
                f"{winners[k]:.0%} of all frames, as the blank usually is.",
                f"Pass blank={k}, if the network was trained with it.", legal=True,
            )
    return targets


def _padding(targets: list[NDArray], blank: int | None, end: float) -> int | None:
    """The value that pads targets to one length: it is not a label and occurs at their ends only."""
    for value in Counter(int(target[-1]) for target in targets if target.size):
        if value == blank or not 0 <= value < end:
            runs = [_count_last(target == value) for target in targets]
            held = [np.count_nonzero(target == value) for target in targets]
            if held == runs and len(set(runs)) > 1:
                return value
    return None


def _count_last(matches: NDArray[np.bool_]) -> int:
    """The length of the run of True at the end."""
    return len(matches) if matches.all() else int(np.argmin(matches[::-1]))


def _find_labels_outside(
    diagnosis: Diagnosis, targets: list[NDArray], used: NDArray, C: int | None, wrong: list[int]
) -> None:
    """Adds a finding about labels below 0, or C and above."""
    n = wrong[0]
    u = int(np.argmax((targets[n] < 0) | (targets[n] >= (np.inf if C is None else C))))
    what = f"targets[{n}][{u}] is {targets[n][u]}"
    if C is None:
        diagnosis.add("labels", wrong, f"{what}.", "Number the classes from 0; cut off padding.")
    elif used.min() >= 0 and used.max() == C:
        diagnosis.add(
            "no-room-for-blank", wrong,
            f"{what}, but the logits have classes 0..{C - 1}. Labels go up to {C}: with the blank that makes "
            f"{C + 1} classes.",
            f"Give the network {C + 1} outputs, one of them for the blank.",
        )
    else:
        diagnosis.add(
            "labels", wrong, f"{what}, but the logits have classes 0..{C - 1}.",
            "Number the labels as the network numbers its outputs; cut off padding.",
        )


def _find_blanks_in_targets(
    diagnosis: Diagnosis, targets: list[NDArray], used: NDArray, C: int | None, blank: int, wrong: list[int],
    frames: NDArray | None,
) -> None:
    """Adds a finding about targets that hold the blank, with the most plausible reason."""
    n = wrong[0]
    where = f"targets[{n}][{int(np.argmax(targets[n] == blank))}] is {blank}, the blank"
    held = sum(int((target == blank).sum()) for target in targets)
    extended = all(
        len(target) % 2 == 1 and (target[::2] == blank).all() and (target[1::2] != blank).all()
        for target in targets
    )
    if extended:
        diagnosis.add(
            "labels-contain-blank", wrong,
            f"{where}, as is every other label: blanks have already been put between the labels.",
            "Pass the labels alone; CTC inserts the blanks itself.",
        )
    elif frames is not None and all(len(target) == T for target, T in zip(targets, frames)):
        diagnosis.add(
            "labels-contain-blank", wrong,
            f"{where}, and each target has as many labels as frames, like a path, with one class per frame.",
            "Pass the labels alone: collapse(path), repeats merged and blanks dropped.",
        )
    elif C is not None and blank != C - 1 and used.max() == C - 2:
        diagnosis.add(
            "blank-off-by-one", wrong,
            f"{where}. The targets use classes from {used.min()} to {C - 2}, and never {C - 1}.",
            f"Pass blank={C - 1}; or, if the network's blank is {blank}, renumber the labels.",
        )
    elif blank != 0 and used.min() == 1:
        diagnosis.add(
            "blank-off-by-one", wrong,
            f"{where}. The targets use classes from 1 to {used.max()}, and never 0.",
            f"Pass blank=0; or, if the network's blank is {blank}, renumber the labels.",
        )
    else:
        diagnosis.add(
            "labels-contain-blank", wrong,
            f"{where}, which occurs {count(held, 'time')} in {len(wrong)} of {len(targets)} targets.",
            "A target holds labels only: drop the blanks, or number the labels so that none is the blank.",
        )


# ---- values and lengths


def find_value_mistakes(diagnosis: Diagnosis, batch: GivenBatch) -> None:
    """Adds findings about NaN, +inf, frames that are all -inf, and logits that are probabilities."""
    sequences = [batch.used(n) for n in range(batch.N)]
    bad = {}
    for kind, holds in [
        ("NaN", lambda rows: np.isnan(rows).any(axis=1)),
        ("+inf", lambda rows: (rows == np.inf).any(axis=1)),
        ("only -inf", lambda rows: (rows == -np.inf).all(axis=1)),
    ]:
        frames = [(n, t) for n, rows in enumerate(sequences) for t in np.flatnonzero(holds(rows)).tolist()]
        if frames:
            bad[kind] = frames
    if bad:
        diagnosis.add(
            "not-finite", sorted({n for frames in bad.values() for n, _ in frames}),
            " ".join(f"{kind} in {count(len(frames), 'frame')}: {places(frames)}."
                     for kind, frames in bad.items()),
            "Look for a division by 0, an overflow, or a mask that leaves no class.",
        )
    usable = [rows[~unusable(rows)] for rows in sequences]
    usable = [rows for rows in usable if len(rows)]
    if usable and batch.C > 1 and all(map(_are_probabilities, usable)):
        most = np.e / (np.e + batch.C - 1)
        diagnosis.add(
            "probabilities", [],
            "No value is negative and every frame sums to 1. ctc_loss takes a softmax itself; this second "
            f"one flattens the probabilities: no class can get more than {most:.2f}.",
            "Pass the scores from before the softmax, or the logarithms of the probabilities.", legal=True,
        )


def unusable(rows: NDArray) -> NDArray[np.bool_]:
    """Which frames of the logits (T, C) have no softmax."""
    return np.isnan(rows).any(axis=1) | (rows == np.inf).any(axis=1) | (rows == -np.inf).all(axis=1)


def _are_probabilities(rows: NDArray) -> bool:
    sums = rows.sum(axis=1, dtype=np.float64)
    return bool((rows >= 0).all() and (np.abs(sums - 1) < SUM_TOLERANCE).all())


def find_label_counts_as_lengths(
    diagnosis: Diagnosis, targets: list[NDArray], frames: NDArray, T: int | None
) -> None:
    """Adds a finding if lengths equal label counts: an error if a target does not fit, else a suspicion."""
    U = np.array([len(target) for target in targets], dtype=np.intp)
    if (frames != U)[U > 0].any() or U.max(initial=0) < 2 or T == U.max():
        return
    short = [n for n, target in enumerate(targets) if min_frames(target) > frames[n]]
    if np.count_nonzero(U) < 3 and (T is None or not short and T < 20 * U.max()):
        return  # too few lengths: this may be a coincidence
    consequence = "Each target then has a single path, which has no blank in it."
    if short:
        consequence = (f"{len(short)} of {count(len(targets), 'target')} cannot fit: a repeat needs one "
                       "more frame, for the blank that separates it from its neighbour.")
    there = f", while the logits have {T} frames" if T is not None else ""
    diagnosis.add(
        "lengths-in-labels", short,
        f"Each sequence has as many frames as labels ({few(frames.tolist())}){there}. {consequence}",
        "Pass the number of frames (rows of the network's output) of each sequence, not its number of "
        "labels.",
        legal=not short,
    )
