"""The usual mistakes, each told by what gives it away; `diagnose` asks about one after the other."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..labels import can_skip, extend, min_frames
from ..paths.align import align
from .findings import SHOWN, Diagnosis, Fit, count, entries, few, how_closed, how_far, needs


class Batch(NamedTuple):
    """A batch as far as it can be understood."""

    logits: NDArray  # (N, T, C), whatever the layout was
    targets: list[NDArray]
    lengths: NDArray[np.intp] | None  # frames of each; None if what was given makes no sense
    padded: bool  # all targets have the same length, and no target_lengths say how much of it is used

    @property
    def T(self) -> int:
        return self.logits.shape[1]

    @property
    def C(self) -> int:
        return self.logits.shape[2]

    def used(self, n: int) -> NDArray:
        """The logits (T, C) of the frames that are used."""
        return self.logits[n] if self.lengths is None else self.logits[n, :self.lengths[n]]

    def winners(self) -> NDArray[np.float64] | None:
        """In which share of the frames each class (C,) is the likeliest; None for less than 20 frames."""
        rows = np.concatenate([self.used(n) for n in range(len(self.targets))] or [np.empty((0, self.C))])
        if len(rows) < 20 or np.isnan(rows).any():
            return None
        return np.bincount(rows.argmax(axis=1), minlength=self.C) / len(rows)


# ---- labels and the blank


def judge_labels(
    found: Diagnosis, targets: list[NDArray], C: int | None, blank: int, padded: bool,
    frames: NDArray | None, winners: NDArray | None,
) -> None:
    """The blank, and labels that are none; C, frames and winners as far as they are known."""
    if C is not None and not 0 <= blank < C:
        near = blank in (-1, C)
        found.add(
            "blank-off-by-one" if near else "blank", [],
            f"blank is {blank}, the logits have classes 0..{C - 1}.",
            f"Pass the blank's class, {C - 1} if it is the last one.",
        )
        return
    used = np.unique(np.concatenate([*targets, np.empty(0, dtype=np.int64)]))
    end = np.inf if C is None else C
    with_blank = [n for n, target in enumerate(targets) if (target == blank).any()]
    outside = [n for n, target in enumerate(targets) if ((target < 0) | (target >= end)).any()]
    padding = _padding(targets, blank, end) if padded else None
    if padding is not None:
        ends = [n for n, target in enumerate(targets) if target[-1] == padding]
        found.add(
            "padding-in-targets", ends,
            f"{len(ends)} of {len(targets)} targets, all of the same length, end with {padding}, which is no "
            "label.",
            "Pass target_lengths, or cut each target to its labels.",
        )
    elif outside:
        _judge_outside(found, targets, used, C, outside)
    elif with_blank:
        _judge_blanks(found, targets, used, C, blank, with_blank, frames)
    elif winners is not None and used.size:
        k = int(winners.argmax())
        if k != blank and k not in used and winners[k] >= 0.8:
            found.add(
                "blank-off-by-one", [],
                f"blank is {blank}, but class {k}, which no target holds, is the likeliest in "
                f"{winners[k]:.0%} of all frames, as a blank is.",
                f"Pass blank={k}, if that is what the network was trained with.", legal=True,
            )


def _padding(targets: list[NDArray], blank: int, end: float) -> int | None:
    """The value that fills up targets of one length: no label, found in nothing but their ends."""
    for value in Counter(int(target[-1]) for target in targets if target.size):
        if value == blank or not 0 <= value < end:
            runs = [_run(target == value) for target in targets]
            held = [np.count_nonzero(target == value) for target in targets]
            if held == runs and len(set(runs)) > 1:
                return value
    return None


def _run(fills: NDArray[np.bool_]) -> int:
    """How many True stand at the end."""
    return len(fills) if fills.all() else int(np.argmin(fills[::-1]))


def _judge_outside(
    found: Diagnosis, targets: list[NDArray], used: NDArray, C: int | None, wrong: list[int]
) -> None:
    """Labels below 0, or from C on."""
    n = wrong[0]
    u = int(np.argmax((targets[n] < 0) | (targets[n] >= (np.inf if C is None else C))))
    what = f"targets[{n}][{u}] is {targets[n][u]}"
    if C is None:
        found.add("labels", wrong, f"{what}.", "Number the classes from 0 on; cut off padding.")
    elif used.min() >= 0 and used.max() == C:
        found.add(
            "no-room-for-blank", wrong,
            f"{what}, the logits have classes 0..{C - 1}. Labels go up to {C}: with the blank that makes "
            f"{C + 1} classes.",
            f"Give the network {C + 1} outputs, one of them for the blank.",
        )
    else:
        found.add(
            "labels", wrong, f"{what}, the logits have classes 0..{C - 1}.",
            "Number the labels as the network numbers its outputs; cut off padding.",
        )


def _judge_blanks(
    found: Diagnosis, targets: list[NDArray], used: NDArray, C: int | None, blank: int, wrong: list[int],
    frames: NDArray | None,
) -> None:
    """Targets that hold the blank: which of the reasons for that is it?"""
    n = wrong[0]
    place = f"targets[{n}][{int(np.argmax(targets[n] == blank))}] is {blank}, the blank"
    held = sum(int((target == blank).sum()) for target in targets)
    extended = all(
        len(target) % 2 == 1 and (target[::2] == blank).all() and (target[1::2] != blank).all()
        for target in targets
    )
    if extended:
        found.add(
            "labels-contain-blank", wrong,
            f"{place}, as is every other label: blanks have been put between the labels already.",
            "Pass the labels alone; CTC puts in the blanks itself.",
        )
    elif frames is not None and all(len(target) == T for target, T in zip(targets, frames)):
        found.add(
            "labels-contain-blank", wrong,
            f"{place}, and each target has as many labels as frames, like a path, one class a frame.",
            "Pass the labels alone: collapse(path), repeats merged and blanks dropped.",
        )
    elif C is not None and blank != C - 1 and used.max() == C - 2:
        found.add(
            "blank-off-by-one", wrong,
            f"{place}. The targets use classes from {used.min()} to {C - 2}, and never {C - 1}.",
            f"Pass blank={C - 1}; or, if the network's blank is {blank}, renumber the labels.",
        )
    elif blank != 0 and used.min() == 1:
        found.add(
            "blank-off-by-one", wrong,
            f"{place}. The targets use classes from 1 to {used.max()}, and never 0.",
            f"Pass blank=0; or, if the network's blank is {blank}, renumber the labels.",
        )
    else:
        found.add(
            "labels-contain-blank", wrong,
            f"{place}, which stands {count(held, 'time')} in {len(wrong)} of {len(targets)} targets.",
            "A target holds labels only: drop the blanks, or number the labels so that none is the blank.",
        )


# ---- values and lengths


def judge_values(found: Diagnosis, batch: Batch) -> None:
    """NaN, +inf, frames of nothing but -inf; and probabilities."""
    N = len(batch.targets)
    bad = [(n, t) for n in range(N) for t in np.flatnonzero(_unusable(batch.used(n))).tolist()]
    if bad:
        n, t = bad[0]
        row = batch.logits[n, t]
        value = "NaN" if np.isnan(row).any() else "+inf" if (row == np.inf).any() else "nothing but -inf"
        found.add(
            "not-finite", sorted({n for n, _ in bad}),
            f"Frame {t} of sequence {n} holds {value}; {count(len(bad), 'used frame')} cannot be used.",
            "Look for a division by 0, an overflow, or a mask that leaves no class.",
        )
        return
    rows = [rows for rows in map(batch.used, range(N)) if len(rows)]
    if rows and batch.C > 1 and all(map(_are_probabilities, rows)):
        most = np.e / (np.e + batch.C - 1)
        found.add(
            "probabilities", [],
            "No value is negative and every frame sums to 1. The softmax inside flattens that once more: no "
            f"class can have more than {most:.2f}.",
            "Pass the scores from before the softmax, or the logarithm of the probabilities.", legal=True,
        )


def _unusable(rows: NDArray) -> NDArray[np.bool_]:
    return np.isnan(rows).any(axis=1) | (rows == np.inf).any(axis=1) | (rows == -np.inf).all(axis=1)


def _are_probabilities(rows: NDArray) -> bool:
    # Half precision is good for three digits.
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1, dtype=np.float64) - 1) < 2e-3).all())


def judge_lengths(found: Diagnosis, targets: list[NDArray], frames: NDArray, T: int | None) -> None:
    """Are these lengths label counts? Certain where targets do not fit, a suspicion where they do."""
    U = np.array([len(target) for target in targets], dtype=np.intp)
    if (frames != U)[U > 0].any() or U.max(initial=0) < 2 or T == U.max():
        return
    short = [n for n, target in enumerate(targets) if min_frames(target) > frames[n]]
    if np.count_nonzero(U) < 3 and (T is None or not short and T < 20 * U.max()):
        return  # which may be a coincidence
    consequence = "Each target has a single path then, with no blank in it."
    if short:
        consequence = (f"{len(short)} of {count(len(targets), 'target')} cannot fit: a repeat needs a frame "
                       "more, for the blank that parts it from its neighbour.")
    there = f", while the logits have {T} frames" if T is not None else ""
    found.add(
        "lengths-in-labels", short,
        f"Each sequence has as many frames as labels ({few(frames.tolist())}){there}. {consequence}",
        "Count frames, the rows of the network's output that each sequence has, not labels.", legal=not short,
    )


# ---- paths


def judge_fits(
    found: Diagnosis, targets: list[NDArray], frames: NDArray, blank: int, batch: Batch | None
) -> None:
    """Each target against its frames, and against the -inf among its logits."""
    for n, target in enumerate(targets):
        found.fits.append(_fit(n, target, int(frames[n]), blank, batch))
    explained = {"lengths-in-labels", "labels-contain-blank", "padding-in-targets"}
    short = [fit for fit in found.fits if fit.needed > fit.given]
    if short and not explained & {finding.cause for finding in found.errors}:
        lines = [f"Target {fit.n} needs {needs(fit)} but has {fit.given}{how_far(fit, targets)}."
                 for fit in short[:SHOWN]]
        if len(short) > SHOWN:
            lines.append(f"So do {len(short) - SHOWN} more.")
        if all(fit.given == fit.labels for fit in short):
            lines.append("Frames and labels are as many: have frames been counted, or labels?")
        found.add(
            "too-few-frames", [fit.n for fit in short], " ".join(lines),
            "Give it more frames, shortening the sequence less in the network; or leave such targets out, as "
            'ctc_loss does with infeasible="zero".',
        )
    closed = [fit for fit in found.fits if fit.killers]
    if closed:
        assert batch is not None
        fit = closed[0]
        others = f" So it is with {count(len(closed) - 1, 'more target')}." if len(closed) > 1 else ""
        found.add(
            "minus-infinity", [fit.n for fit in closed], how_closed(fit, batch.used(fit.n)) + others,
            f"The least that opens a path: {entries(fit.opening)} above -inf. Look for what puts -inf there: "
            "a mask, or the logarithm of 0.",
        )


def _fit(n: int, target: NDArray, given: int, blank: int, batch: Batch | None) -> Fit:
    repeats = (np.flatnonzero(target[1:] == target[:-1]) + 1).tolist()
    fit = Fit(n, len(target), repeats, len(target) + len(repeats), given)
    if fit.needed > given:
        return fit._replace(dead_frame=given)
    if batch is None or not 0 <= blank < batch.C or (target == blank).any():
        return fit
    rows = batch.used(n)
    return _closed(fit, rows, target, blank) if (rows == -np.inf).any() else fit


def _closed(fit: Fit, rows: NDArray, target: NDArray, blank: int) -> Fit:
    """The fit with what -inf logits did to it, if they leave no path."""
    # Forward over the states that could still finish: where did each path that had come so far end?
    ext = extend(target, blank)
    skips, is_open = can_skip(ext), rows[:, ext] > -np.inf
    T, S = is_open.shape
    still_needed = np.array([_frames_behind(target, s) for s in range(S)])
    alive, killers = np.zeros(S, dtype=np.bool_), []
    for t in range(T):
        reached = alive.copy()
        reached[1:] |= alive[:-1]
        reached[2:] |= alive[:-2] & skips[2:]
        reached[:2] |= t == 0
        reached &= still_needed <= T - 1 - t
        alive = reached & is_open[t]
        killers += [(t, int(c)) for c in np.unique(ext[reached & ~is_open[t]])]
        if not alive.any():
            # The path through the fewest closed entries; the softmax shifts all paths alike.
            path = align(np.where(rows > -np.inf, 0.0, -1.0), target, blank=blank).path
            opening = [(t, int(c)) for t, c in enumerate(path) if rows[t, c] == -np.inf]
            return fit._replace(dead_frame=t, killers=killers, opening=opening)
    return fit


def _frames_behind(target: NDArray, s: int) -> int:
    """The fewest frames that must follow one in state s."""
    u = (s + 1) // 2  # the first label not yet begun
    parted = s % 2 == 1 and u < len(target) and target[u - 1] == target[u]
    return min_frames(target[u:]) + int(parted)
