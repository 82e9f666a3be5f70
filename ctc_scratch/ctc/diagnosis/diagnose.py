"""Why a target does not fit its frames, or a batch is not what it was meant to be.

`diagnose` takes what `ctc_loss` takes and never raises for what is wrong with it: it says what is
wrong, where, which usual mistake that looks like, and what to change. `diagnose_lengths` needs no
logits, only how many frames each target has: a single target, or a whole data set.

An *error* is what `ctc_loss` would refuse or give probability 0. A *suspicion* is legal, and yet
seldom meant: logits that are probabilities already, or lengths that are label counts where these
happen to be possible. What no usual mistake explains is asked of the checks of `ctc_loss` itself:
their word is the finding then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.options import check_blank, check_count
from ..inputs.targets import check_targets
from ..inputs.values import check_logits
from .findings import Diagnosis, few
from .mistakes import Batch, judge_fits, judge_labels, judge_lengths, judge_values

ANY = 2**62
"""Classes enough for every label."""


def diagnose(
    logits: ArrayLike, targets: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: str = "TNC",
) -> Diagnosis:
    """What is wrong with a batch, in words; the arguments are those of `ctc_loss`.

    Parameters
    ----------
    logits, targets, logit_lengths, target_lengths, blank, layout : as `ctc_loss` takes them

    Returns
    -------
    Diagnosis
        With no findings for a batch that `ctc_loss` takes and in which nothing is strange.

    Notes
    -----
    Errors are told by what cannot be. Suspicions are told by coincidence: that three lengths or
    more all equal their label counts, say. They may be wrong where data is strange.

    Examples
    --------
    Three labels, one of them a repeat, need four frames. Lengths were counted in labels:

    >>> import numpy as np
    >>> print(diagnose(np.zeros((9, 1, 3)), [[1, 1, 2]], [3]))
    1 sequence: 3 labels, 1 repeat (at label 1), 4 frames needed, 3 there
    <BLANKLINE>
    ERROR lengths-in-labels: lengths are counted in labels, not in frames
      Each sequence has as many frames as labels (3), while the logits have 9
      frames. 1 of 1 target cannot fit: a repeat needs a frame more, for the blank
      that parts it from its neighbour.
      -> Count frames, the rows of the network's output that each sequence has, not
      labels.
    <BLANKLINE>
    1 error, 0 suspicions.
    """
    found = Diagnosis()

    def judge() -> None:
        batch = _read(found, logits, targets, logit_lengths, target_lengths, layout)
        if batch is None:
            return
        judge_labels(found, batch.targets, batch.C, blank, batch.padded, batch.lengths, batch.winners())
        if batch.lengths is not None:
            judge_values(found, batch)
            judge_lengths(found, batch.targets, batch.lengths, batch.T)
            if not {"labels", "not-finite"} & {finding.cause for finding in found.errors}:
                judge_fits(found, batch.targets, batch.lengths, blank, batch)

    def check() -> None:
        frames = check_logits(logits, logit_lengths, layout)
        check_targets(targets, target_lengths, frames, check_blank(blank, frames.rows.shape[1]))

    return _completed(found, judge, check)


def diagnose_lengths(
    targets: Any, frames: Any, *, blank: int = 0, classes: int | None = None
) -> Diagnosis:
    """What is wrong with targets and the numbers of frames they have, without any logits.

    Parameters
    ----------
    targets : N integer sequences, or one
    frames : N integers, the frames of each, or one for all of them
    blank : which class is the blank
    classes : C, if labels are to be compared with it

    Returns
    -------
    Diagnosis

    >>> print(diagnose_lengths([1, 1, 2], 4))
    1 sequence: 3 labels, 1 repeat (at label 1), 4 frames needed, 4 there
    It fits; nothing strange found.
    """
    found = Diagnosis()

    def judge() -> None:
        labels = _read_targets(found, [targets] if _is_flat(targets) else targets, None)
        if labels is None:
            return
        lengths = _read_frames(frames)
        if lengths.size == 1:
            lengths = np.repeat(lengths, len(labels))
        if lengths.dtype.kind not in "iu" or len(lengths) != len(labels) or (lengths < 0).any():
            found.add(
                "lengths", [], f"{len(labels)} targets and frames {few(lengths.tolist())}.",
                "Give each target a whole number of frames, from 0 on.",
            )
            return
        judge_labels(found, labels, classes, blank, False, lengths, None)
        judge_lengths(found, labels, lengths, None)
        judge_fits(found, labels, lengths, blank, None)

    def check() -> None:
        check_blank(blank, ANY if classes is None else check_count("classes", classes))
        _is_flat(targets), _read_frames(frames)

    return _completed(found, judge, check)


def _completed(found: Diagnosis, judge: Callable[[], None], check: Callable[[], None]) -> Diagnosis:
    """What judge() finds; where it finds no error, or stumbles, also what check() raises."""
    stumbled = None
    try:
        judge()
    except Exception as error:  # of things that are no batch at all; check() has the words for them
        stumbled = error
    if stumbled or not found.errors:
        try:
            check()
        except (TypeError, ValueError) as refusal:
            found.add("arguments", [], f"{refusal}.", "Pass what the docstring of ctc_loss asks for.")
        else:
            if stumbled:
                raise stumbled
    return found


# ---- reading the arguments


def _read(
    found: Diagnosis, logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any, layout: str
) -> Batch | None:
    """The batch, as far as it can be understood, or None; what is wrong with it is in `found`."""
    logits = np.asarray(logits)
    if logits.dtype.kind not in "fiu" or logits.ndim not in (2, 3) or logits.shape[-1] == 0:
        found.add(
            "shape", [], f"logits are an array of {logits.dtype} and shape {logits.shape}.",
            "Pass real numbers of shape (T, N, C), (N, T, C) or (T, C).",
        )
        return None
    if logits.ndim == 2:
        logits, layout = logits[None], "NTC"
        targets = [targets] if _is_flat(targets) else targets
    else:
        logits = logits.swapaxes(0, 1) if layout == "TNC" else logits
        if len(targets) > 0 and _is_flat(targets):
            targets = np.asarray(targets)  # all joined
    logit_lengths, target_lengths = _unexchanged(found, targets, logit_lengths, target_lengths)
    labels = _read_targets(found, targets, target_lengths)
    if labels is None:
        return None
    lengths = None if logit_lengths is None else np.asarray(logit_lengths).reshape(-1)
    if lengths is not None and lengths.size == 0:
        lengths = lengths.astype(np.intp)  # numpy makes [] a float array
    sorted_out = _with_batch_first(found, logits, len(labels), lengths, layout)
    if sorted_out is None:
        return None
    T = sorted_out.shape[1]
    if lengths is None:
        lengths = np.full(len(labels), T)
    elif not _lengths_fit(found, lengths, len(labels), T):
        lengths = None
    padded = target_lengths is None and len({len(target) for target in labels}) == 1
    return Batch(sorted_out, labels, lengths, padded)


def _is_flat(targets: Any) -> bool:
    """One target, not several."""
    if not hasattr(targets, "__len__") or isinstance(targets, (str, bytes, Mapping, Set)):
        raise TypeError(f"targets must be sequences of integers, got {targets!r:.80}")
    return len(targets) == 0 or np.ndim(targets[0]) == 0


def _read_frames(frames: Any) -> NDArray:
    try:
        return np.asarray(frames).reshape(-1)
    except ValueError:  # NumPy's word for a ragged list does not say whose
        raise ValueError(f"frames must be N integers, or one, got {frames!r:.80}") from None


def _unexchanged(found: Diagnosis, targets: Any, logit_lengths: Any, target_lengths: Any) -> tuple[Any, Any]:
    """Both lengths; the other way round, and said so, where only that fits the targets."""
    given = logit_lengths, target_lengths
    if logit_lengths is None or target_lengths is None:
        return given
    frames, labels = np.asarray(logit_lengths), np.asarray(target_lengths)
    joined = isinstance(targets, np.ndarray) and targets.ndim == 1
    held = np.array([len(targets)] if joined else [np.size(target) for target in targets])
    if frames.shape != labels.shape or not (joined or held.shape == labels.shape):
        return given
    if joined:
        right, exchanged = labels.sum() == held[0], frames.sum() == held[0]
    else:
        right, exchanged = (labels <= held).all(), (frames <= held).all()
    if right or not exchanged:
        return given
    found.add(
        "lengths-exchanged", [],
        f"target_lengths are {few(labels.tolist())}, which the targets do not hold; logit_lengths are "
        f"{few(frames.tolist())}, which they do.",
        "Pass logit_lengths, counted in frames, before target_lengths, counted in labels.",
    )
    return target_lengths, logit_lengths


def _read_targets(found: Diagnosis, targets: Any, target_lengths: Any) -> list[NDArray] | None:
    """Targets in any form as a list of arrays, or None."""
    U = None if target_lengths is None else np.asarray(target_lengths).reshape(-1)
    try:
        if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype != object:
            if U is None or U.sum() != len(targets):
                given = "are missing" if U is None else f"add up to {U.sum()}"
                found.add(
                    "shape", [],
                    f"targets hold {len(targets)} values in one dimension, target_lengths {given}.",
                    "Pass target_lengths that add up to the number of values.",
                )
                return None
            targets, U = np.split(targets, np.cumsum(U))[:-1], None
        rows = [np.asarray(target).reshape(-1) for target in targets]
    except (TypeError, ValueError) as error:
        found.add("shape", [], f"targets cannot be read: {error}.", "Pass N sequences of integers.")
        return None
    if U is not None:
        wrong = [n for n, (held, used) in enumerate(zip(rows, U)) if not 0 <= used <= len(held)]
        if wrong or len(U) != len(rows):
            found.add(
                "lengths", wrong,
                f"target_lengths are {few(U.tolist())}, the targets hold {few([len(row) for row in rows])} "
                "values.",
                "Pass the number of labels of each target as target_lengths.",
            )
            return None
        rows = [held[:used] for held, used in zip(rows, U)]
    wrong = [n for n, row in enumerate(rows) if row.size and row.dtype.kind not in "iu"]
    if wrong:
        found.add(
            "labels", wrong, f"targets[{wrong[0]}] holds {rows[wrong[0]].dtype}, not integers.",
            "Labels are class numbers: convert them to integers.",
        )
        return None
    return [row.astype(np.int64) for row in rows]


def _with_batch_first(
    found: Diagnosis, logits: NDArray, M: int, lengths: NDArray | None, layout: str
) -> NDArray | None:
    """logits (N, T, C) for M targets, axes put right, and said so, where that makes them fit."""
    N, T, C = logits.shape
    longest = int(lengths.max(initial=0)) if lengths is not None and lengths.dtype.kind in "iu" else 0
    if M == T and longest <= N and (M != N or longest > T):
        shape, other = ((T, N, C), "NTC") if layout == "TNC" else ((N, T, C), "TNC")
        reason = f"there are {M} targets" if M != N else f"lengths go up to {longest}"
        found.add(
            "time-batch-exchanged", [],
            f"logits of shape {shape} in layout {layout} are {N} sequences of {T} frames, but {reason}.",
            f'Pass layout="{other}", or exchange the first two axes.',
        )
        return logits.swapaxes(0, 1)
    if M == N and longest > T and longest == C:
        found.add(
            "classes-not-last", [],
            f"lengths go up to {longest}, the logits have {T} frames, and {C} values on their last axis, "
            "where the classes should be.",
            "Move the classes to the last axis: logits.transpose(0, 2, 1) of (N, C, T), say.",
        )
        return None
    if M != N:
        found.add(
            "shape", [], f"{M} targets for logits of {N} sequences (layout {layout}).",
            "Pass a target for each sequence.",
        )
        return None
    return logits


def _lengths_fit(found: Diagnosis, lengths: NDArray, N: int, T: int) -> bool:
    """Whether logit_lengths can be used."""
    if lengths.dtype.kind not in "iu" or len(lengths) != N:
        found.add(
            "lengths", [], f"logit_lengths are {len(lengths)} values of {lengths.dtype} for {N} sequences.",
            "Pass one whole number for each sequence.",
        )
        return False
    wrong = np.flatnonzero((lengths < 0) | (lengths > T)).tolist()
    if not wrong:
        return True
    longest = int(lengths.max())
    factor = round(longest / max(T, 1))
    if factor >= 2 and lengths.min() >= 0 and abs(longest / factor - T) <= 2:
        part = {2: "half", 3: "a third", 4: "a quarter"}.get(factor, f"1/{factor}")
        found.add(
            "lengths-before-subsampling", wrong,
            f"logit_lengths go up to {longest}, the logits have {T} frames, {part} of that.",
            f"Count frames behind the layers that shorten the sequence: about length / {factor}.",
        )
    else:
        n = wrong[0]
        found.add(
            "lengths", wrong, f"logit_lengths[{n}] is {lengths[n]}, the logits have {T} frames.",
            "Pass how many frames of each sequence are used, 0 to T.",
        )
    return False
