"""Reads the arguments of `diagnose` as far as they make sense, and adds a finding where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import as_array, before_mask
from ..inputs.frames import without_mask
from .findings import Diagnosis, few

FEWEST_FRAMES = 20
"""With fewer frames than this, the share of frames in which a class is the most likely says little."""


class GivenBatch(NamedTuple):
    """A batch as far as the arguments make sense.

    logits : (N, T, C) whatever the layout was
    targets : the labels of each sequence
    lengths : (N,) the number of frames of each sequence; None if the argument makes no sense
    padded : all targets have the same length, and no target_lengths say how much of it is used
    """

    logits: NDArray
    targets: list[NDArray]
    lengths: NDArray[np.intp] | None
    padded: bool

    @property
    def T(self) -> int:
        return self.logits.shape[1]

    @property
    def C(self) -> int:
        return self.logits.shape[2]

    def used(self, n: int) -> NDArray:
        """The logits (T, C) of the frames of sequence n that are used."""
        return self.logits[n] if self.lengths is None else self.logits[n, :self.lengths[n]]

    def winners(self) -> NDArray[np.float64] | None:
        """The share of frames in which each class (C,) is the most likely; None if there are too few."""
        rows = np.concatenate([self.used(n) for n in range(len(self.targets))] or [np.empty((0, self.C))])
        if len(rows) < FEWEST_FRAMES or np.isnan(rows).any():
            return None
        return np.bincount(rows.argmax(axis=1), minlength=self.C) / len(rows)


def read_batch(
    diagnosis: Diagnosis, logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any, layout: str
) -> GivenBatch | None:
    """The batch, or None if it cannot be understood; what is wrong with it is added to `diagnosis`."""
    logits, logit_lengths = without_mask(logits, logit_lengths, layout)
    logits = as_array(logits, "logits")
    if logits.dtype.kind not in "fiu" or logits.ndim not in (2, 3) or logits.shape[-1] == 0:
        diagnosis.add(
            "shape", [], f"logits are an array of {logits.dtype} and shape {logits.shape}.",
            "Pass real numbers of shape (T, N, C), (N, T, C) or (T, C).",
        )
        return None
    if logits.ndim == 2:
        logits, layout = logits[None], "NTC"
        targets = [targets] if is_one_target(targets) else targets
    else:
        logits = logits.swapaxes(0, 1) if layout == "TNC" else logits
        if len(targets) > 0 and is_one_target(targets):
            targets = as_array(targets, "targets")  # all targets, concatenated
    logit_lengths, target_lengths = _exchanged_back(diagnosis, targets, logit_lengths, target_lengths)
    labels = read_targets(diagnosis, targets, target_lengths)
    if labels is None:
        return None
    lengths = None if logit_lengths is None else as_array(logit_lengths, "logit_lengths").reshape(-1)
    if lengths is not None and lengths.size == 0:
        lengths = lengths.astype(np.intp)  # numpy makes [] a float array
    batch_first = _with_batch_first(diagnosis, logits, len(labels), lengths, layout)
    if batch_first is None:
        return None
    T = batch_first.shape[1]
    if lengths is None:
        lengths = np.full(len(labels), T)
    elif not _lengths_fit(diagnosis, lengths, len(labels), T):
        lengths = None
    padded = target_lengths is None and len({len(target) for target in labels}) == 1
    return GivenBatch(batch_first, labels, lengths, padded)


def is_one_target(targets: Any) -> bool:
    """Whether these are the labels of one target, rather than several targets."""
    if not hasattr(targets, "__len__") or isinstance(targets, (str, bytes, Mapping, Set)):
        raise TypeError(f"targets must be sequences of integers, got {targets!r:.80}")
    return len(targets) == 0 or np.ndim(targets[0]) == 0


def read_frames(frames: Any) -> NDArray:
    """Numbers of frames as an array (N,)."""
    try:
        return as_array(frames, "frames").reshape(-1)
    except ValueError:  # NumPy's message about a ragged list does not name the argument
        raise ValueError(f"frames must be N integers, or one, got {frames!r:.80}") from None


def _exchanged_back(
    diagnosis: Diagnosis, targets: Any, logit_lengths: Any, target_lengths: Any
) -> tuple[Any, Any]:
    """logit_lengths and target_lengths; exchanged, with a finding, if only that fits the targets."""
    given = logit_lengths, target_lengths
    if logit_lengths is None or target_lengths is None:
        return given
    frames, labels = as_array(logit_lengths, "logit_lengths"), as_array(target_lengths, "target_lengths")
    concatenated = isinstance(targets, np.ndarray) and targets.ndim == 1
    held = np.array([len(targets)] if concatenated else [np.size(target) for target in targets])
    if frames.shape != labels.shape or not (concatenated or held.shape == labels.shape):
        return given
    if concatenated:
        right, exchanged = labels.sum() == held[0], frames.sum() == held[0]
    else:
        right, exchanged = (labels <= held).all(), (frames <= held).all()
    if right or not exchanged:
        return given
    diagnosis.add(
        "lengths-exchanged", [],
        f"target_lengths are {few(labels.tolist())}, which do not fit the targets; logit_lengths are "
        f"{few(frames.tolist())}, which do.",
        "Pass logit_lengths, counted in frames, before target_lengths, counted in labels.",
    )
    return target_lengths, logit_lengths


def read_targets(diagnosis: Diagnosis, targets: Any, target_lengths: Any) -> list[NDArray] | None:
    """Targets in any form as a list of integer arrays; None, with a finding, if that is impossible."""
    U = None if target_lengths is None else as_array(target_lengths, "target_lengths").reshape(-1)
    try:
        if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype != object:
            if U is None or U.sum() != len(targets):
                given = "are missing" if U is None else f"add up to {U.sum()}"
                diagnosis.add(
                    "shape", [],
                    f"targets hold {len(targets)} values in one dimension, but target_lengths {given}.",
                    "Pass target_lengths that add up to the number of values.",
                )
                return None
            targets, U = np.split(targets, np.cumsum(U))[:-1], None
        names = [f"targets[{n}]" for n in range(len(targets))]
        rows = [as_array(before_mask(target, name), name).reshape(-1) for target, name in zip(targets, names)]
    except (TypeError, ValueError) as error:
        diagnosis.add("shape", [], f"targets cannot be read: {error}.", "Pass N sequences of integers.")
        return None
    if U is not None:
        wrong = [n for n, (held, used) in enumerate(zip(rows, U)) if not 0 <= used <= len(held)]
        if wrong or len(U) != len(rows):
            diagnosis.add(
                "lengths", wrong,
                f"target_lengths are {few(U.tolist())}, but the targets hold "
                f"{few([len(row) for row in rows])} values.",
                "Pass the number of labels of each target as target_lengths.",
            )
            return None
        rows = [held[:used] for held, used in zip(rows, U)]
    wrong = [n for n, row in enumerate(rows) if row.size and row.dtype.kind not in "iu"]
    if wrong:
        diagnosis.add(
            "labels", wrong, f"targets[{wrong[0]}] holds {rows[wrong[0]].dtype}, not integers.",
            "Labels are class numbers: convert them to integers.",
        )
        return None
    return [row.astype(np.int64) for row in rows]


def _with_batch_first(
    diagnosis: Diagnosis, logits: NDArray, M: int, lengths: NDArray | None, layout: str
) -> NDArray | None:
    """logits (N, T, C) for M targets; with N and T exchanged, and a finding, if only that fits."""
    N, T, C = logits.shape
    longest = int(lengths.max(initial=0)) if lengths is not None and lengths.dtype.kind in "iu" else 0
    if M == T and longest <= N and (M != N or longest > T):
        shape, other = ((T, N, C), "NTC") if layout == "TNC" else ((N, T, C), "TNC")
        reason = f"there are {M} targets" if M != N else f"lengths go up to {longest}"
        diagnosis.add(
            "time-batch-exchanged", [],
            f"logits of shape {shape} in layout {layout} are {N} sequences of {T} frames, but {reason}.",
            f'Pass layout="{other}", or exchange the first two axes.',
        )
        return logits.swapaxes(0, 1)
    if M == N and longest > T and longest == C:
        diagnosis.add(
            "classes-not-last", [],
            f"lengths go up to {longest}, but the logits have {T} frames, and {C} values on their last axis, "
            "where the classes should be.",
            "Move the classes to the last axis, for example with logits.transpose(0, 2, 1) if the logits are "
            "(N, C, T).",
        )
        return None
    if M != N:
        diagnosis.add(
            "shape", [], f"{M} targets for logits of {N} sequences (layout {layout}).",
            "Pass one target for each sequence.",
        )
        return None
    return logits


def _lengths_fit(diagnosis: Diagnosis, lengths: NDArray, N: int, T: int) -> bool:
    """Whether logit_lengths can be used; if not, a finding says why."""
    if lengths.dtype.kind not in "iu" or len(lengths) != N:
        diagnosis.add(
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
        diagnosis.add(
            "lengths-before-subsampling", wrong,
            f"logit_lengths go up to {longest}, but the logits have {T} frames, about {part} of that.",
            f"Count frames after the layers that shorten the sequence: about length / {factor}.",
        )
    else:
        n = wrong[0]
        diagnosis.add(
            "lengths", wrong, f"logit_lengths[{n}] is {lengths[n]}, but the logits have {T} frames.",
            "Pass how many frames of each sequence are used, 0 to T.",
        )
    return False
