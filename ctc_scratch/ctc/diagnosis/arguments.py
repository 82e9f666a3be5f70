"""Reads the arguments of `diagnose` as far as they make sense, and adds a finding where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import as_array, before_mask
from ..inputs.frames import without_mask
from ..inputs.options import is_integer
from .findings import Diagnosis, few

FEWEST_FRAMES = 20
"""With fewer frames than this, the share of frames in which a class is the most likely says little."""


class GivenBatch(NamedTuple):
    """A batch as far as the arguments make sense.

    logits : (N, T, C) whatever the layout was
    targets : the labels of each sequence, empty where they make no sense; None if there is not one for each
        sequence, or they cannot be read
    lengths : (N,) the number of frames of each sequence, 0 where it makes no sense; None if none does
    padded : whether all targets have the same length without target_lengths, so that some may be padded
    unclear : the indices of sequences whose target or length makes no sense
    """

    logits: NDArray
    targets: list[NDArray] | None
    lengths: NDArray[np.intp] | None
    padded: bool
    unclear: set[int]

    @property
    def N(self) -> int:
        return self.logits.shape[0]

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
        rows = np.concatenate([self.used(n) for n in range(self.N)] or [np.empty((0, self.C))])
        if len(rows) < FEWEST_FRAMES or np.isnan(rows).any():
            return None
        return np.bincount(rows.argmax(axis=1), minlength=self.C) / len(rows)


def read_blank(diagnosis: Diagnosis, blank: Any) -> int | None:
    """The blank as an integer, with a finding if it is of another type; None if its value is not whole."""
    if not is_integer(blank):
        diagnosis.add("arguments", [], f"blank must be an integer, got {blank!r:.80}.",
                      "Pass the class of the blank, often 0.")
        if not isinstance(blank, (bool, float, np.floating)) or not _are_whole(np.float64(blank)):
            return None
    return int(blank)


def read_array(diagnosis: Diagnosis, values: Any, name: str) -> NDArray | None:
    """The values as an array; None if they are None or, with a finding, if they cannot be read."""
    try:
        return None if values is None else as_array(values, name)
    except (TypeError, ValueError) as error:
        diagnosis.add("arguments", [], f"{error}.", f"Pass an array of numbers as {name}.")
        return None


def read_mask(diagnosis: Diagnosis, logits: Any, lengths: Any, layout: Any) -> tuple[Any, Any]:
    """The logits without a mask over their padding, and the lengths: those given, or those of the mask."""
    try:
        return without_mask(logits, lengths, layout)
    except (TypeError, ValueError) as error:
        diagnosis.add("arguments", [], f"{error}.", "Mask the frames after the end of each sequence only.")
        return np.ma.getdata(logits), lengths


def read_logits(diagnosis: Diagnosis, logits: Any) -> NDArray | None:
    """The logits as an array with two or three axes; None, with a finding, if that is not possible."""
    array = read_array(diagnosis, () if logits is None else logits, "logits")
    if array is None:
        return None
    if array.dtype.kind not in "fiu" or array.ndim not in (2, 3) or array.shape[-1] == 0:
        diagnosis.add(
            "shape", [], f"logits are an array of {array.dtype} and shape {array.shape}.",
            "Pass real numbers of shape (T, N, C), (N, T, C) or (T, C).",
        )
        return None
    return array


def read_batch(
    diagnosis: Diagnosis, logits: NDArray, targets: Any, logit_lengths: Any, target_lengths: Any, layout: Any
) -> GivenBatch:
    """The batch, as far as it can be understood; what is wrong with it is added to `diagnosis`."""
    lengths = read_array(diagnosis, logit_lengths, "logit_lengths")
    U = read_array(diagnosis, target_lengths, "target_lengths")
    single = _is_one_target(diagnosis, targets)
    if logits.ndim == 2:
        logits, layout = logits[None], "NTC"
        targets = [targets] if single else targets
    else:
        layout = _layout(diagnosis, layout, logits, targets)
        logits = logits.swapaxes(0, 1) if layout == "TNC" else logits
        if single and len(targets) > 0:
            targets = as_array(targets, "targets")  # all targets, concatenated
    labels: list[NDArray] | None = None
    unclear: set[int] = set()
    if single is not None and (U is not None or target_lengths is None):
        lengths, U = _exchanged_back(diagnosis, targets, lengths, U)
        labels, unclear = read_targets(diagnosis, targets, U)
    if lengths is not None:
        lengths = lengths.reshape(-1)
        if lengths.size == 0:
            lengths = lengths.astype(np.intp)  # numpy makes [] a float array
    if labels is not None:
        logits = _with_batch_first(diagnosis, logits, len(labels), lengths, layout)
    N, T, _ = logits.shape
    if labels is not None and len(labels) != N:
        unclear = set(range(max(len(labels), N)))   # nothing says which target belongs to which sequence
    if lengths is not None:
        lengths, wrong = _read_lengths(diagnosis, lengths, N, T)
        unclear |= wrong
    elif logit_lengths is None:
        lengths = np.full(N, T)
    padded = labels is not None and U is None and len({len(target) for target in labels}) == 1
    return GivenBatch(logits, labels, lengths, padded, unclear)


def _is_one_target(diagnosis: Diagnosis, targets: Any) -> bool | None:
    """The answer of `is_one_target`; None, with a finding, if these are not targets."""
    try:
        return is_one_target(targets)
    except Exception as error:      # a container of another library may raise anything
        diagnosis.add("shape", [], f"targets cannot be read: {error}.", "Pass N sequences of integers.")
        return None


def _layout(diagnosis: Diagnosis, layout: Any, logits: NDArray, targets: Any) -> str:
    """The layout; if it is not valid, adds a finding and guesses it from the number of targets."""
    if isinstance(layout, str) and layout in ("TNC", "NTC"):
        return layout
    diagnosis.add("arguments", [], f"layout must be 'TNC' or 'NTC', got {layout!r:.80}.",
                  'Pass layout="TNC" if the first axis of the logits is time, "NTC" if it is the batch.')
    return "NTC" if hasattr(targets, "__len__") and len(logits) == len(targets) else "TNC"


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
    diagnosis: Diagnosis, targets: Any, frames: NDArray | None, labels: NDArray | None
) -> tuple[NDArray | None, NDArray | None]:
    """logit_lengths and target_lengths; exchanged, with a finding, if they fit the targets only so."""
    given = frames, labels
    if frames is None or labels is None or frames.dtype.kind not in "fiu" or labels.dtype.kind not in "fiu":
        return given
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
    return labels, frames


def read_targets(
    diagnosis: Diagnosis, targets: Any, target_lengths: NDArray | None
) -> tuple[list[NDArray] | None, set[int]]:
    """Targets in any form as a list of integer arrays, and the indices of those that make no sense.

    Targets that make no sense are empty in the list and have a finding. The list is None, with a finding,
    if nothing can be read.
    """
    U = None if target_lengths is None else target_lengths.reshape(-1)
    if U is not None and U.size and U.dtype.kind not in "iu":
        diagnosis.add("arguments", [], f"target_lengths must hold integers, got {U.dtype}.",
                      "Pass the number of labels of each target as target_lengths.")
        if not _are_whole(U):
            return None, set()
        U = U.astype(np.int64)
    try:
        if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype != object:
            if U is None or U.sum() != len(targets):
                given = "are missing" if U is None else f"add up to {U.sum()}"
                diagnosis.add(
                    "shape", [],
                    f"targets hold {len(targets)} values in one dimension, but target_lengths {given}.",
                    "Pass target_lengths that add up to the number of values.",
                )
                return None, set()
            targets, U = np.split(targets, np.cumsum(U))[:-1], None
        names = [f"targets[{n}]" for n in range(len(targets))]
        arrays = [as_array(before_mask(target, name), name) for target, name in zip(targets, names)]
    except (TypeError, ValueError) as error:
        diagnosis.add("shape", [], f"targets cannot be read: {error}.", "Pass N sequences of integers.")
        return None, set()
    rows, unclear = [array.reshape(-1) for array in arrays], set()
    nested = [n for n, array in enumerate(arrays) if array.ndim > 1]
    if nested:
        diagnosis.add(
            "arguments", nested, f"targets[{nested[0]}] has shape {arrays[nested[0]].shape}.",
            "Pass one sequence of integers for each target.")
    if U is not None:
        wrong = [n for n, (held, used) in enumerate(zip(rows, U)) if not 0 <= used <= len(held)]
        if wrong or len(U) != len(rows):
            diagnosis.add(
                "lengths", wrong,
                f"target_lengths are {few(U.tolist())}, but the targets hold "
                f"{few([len(row) for row in rows])} values.",
                "Pass the number of labels of each target as target_lengths.",
            )
            if len(U) != len(rows):
                return None, set()
            unclear.update(wrong)
        rows = [held[:used] for held, used in zip(rows, U)]
    wrong = [n for n, row in enumerate(rows) if row.size and row.dtype.kind not in "iu" and n not in unclear]
    if wrong:
        dtype = rows[wrong[0]].dtype
        held = "objects, or integers beyond 64 bits" if dtype == object else f"{dtype}, not integers"
        diagnosis.add(
            "labels", wrong, f"targets[{wrong[0]}] holds {held}.",
            "Labels are class numbers: convert them to integers.",
        )
        unclear.update(n for n in wrong if not _are_whole(rows[n]))
    return [np.empty(0, np.int64) if n in unclear else row.astype(np.int64)
            for n, row in enumerate(rows)], unclear


def _are_whole(values: NDArray | np.float64) -> bool:
    """Whether these are floats that are whole numbers below 2**53."""
    return values.dtype.kind == "f" and bool((np.abs(values) < 2**53).all() and (values % 1 == 0).all())


def _with_batch_first(
    diagnosis: Diagnosis, logits: NDArray, M: int, lengths: NDArray | None, layout: str
) -> NDArray:
    """The logits (N, T, C) for M targets; with two axes exchanged, and a finding, if they fit only so."""
    N, T, C = logits.shape
    longest = int(lengths.max(initial=0)) if lengths is not None and lengths.dtype.kind in "iu" else 0
    if M == T and (M != N or T < longest <= N):
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
        return logits.swapaxes(1, 2)
    if M != N:
        diagnosis.add(
            "shape", [], f"{M} targets for logits of {N} sequences (layout {layout}).",
            "Pass one target for each sequence.",
        )
    return logits


def _read_lengths(
    diagnosis: Diagnosis, lengths: NDArray, N: int, T: int
) -> tuple[NDArray[np.intp] | None, set[int]]:
    """logit_lengths as far as they are usable, and the indices of those that are not, with a finding."""
    if lengths.dtype.kind not in "iu" or len(lengths) != N:
        diagnosis.add(
            "lengths", [], f"logit_lengths are {len(lengths)} values of {lengths.dtype} for {N} sequences.",
            "Pass one whole number for each sequence.",
        )
        if len(lengths) != N or not _are_whole(lengths):
            return None, set()
        lengths = lengths.astype(np.int64)
    wrong = np.flatnonzero((lengths < 0) | (lengths > T)).tolist()
    if not wrong:
        return lengths.astype(np.intp), set()
    longest = int(lengths.max())
    factor = round(longest / max(T, 1))
    if factor >= 2 and lengths.min() >= 0 and abs(longest / factor - T) <= 2:
        part = {2: "half", 3: "a third", 4: "a quarter"}.get(factor, f"1/{factor}")
        diagnosis.add(
            "lengths-before-subsampling", wrong,
            f"logit_lengths go up to {longest}, but the logits have {T} frames, about {part} of that.",
            f"Count frames after the layers that shorten the sequence: about length / {factor}.",
        )
        return None, set()
    n = wrong[0]
    diagnosis.add(
        "lengths", wrong, f"logit_lengths[{n}] is {lengths[n]}, but the logits have {T} frames.",
        "Pass how many frames of each sequence are used, 0 to T.",
    )
    lengths = lengths.astype(np.intp)
    lengths[wrong] = 0
    return lengths, set(wrong)
