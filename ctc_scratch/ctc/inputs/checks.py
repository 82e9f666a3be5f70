"""What the public functions accept, and what they say when they do not.

Everything is checked here, before any kernel runs: a kernel trusts its caller. Only whether all logits
are finite `ctc_loss` leaves to the certified kernel, whose threads look at them together; if not, it
does nothing, and `find_tops` says what is wrong.
Each message names the value, its place and what was expected.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...compiled.cache import cached_njit
from ..running import threads
from .finite import all_finite

FEW_CLASSES = 64
"""Up to so many, all logits are looked at as one: if all are finite none can be wrong."""

BITS = {
    4: (np.int32, np.uint32, np.float32(-np.inf).view(np.uint32)),
    8: (np.int64, np.uint64, np.float64(-np.inf).view(np.uint64)),
}
"""For numbers of 4 and 8 bytes, what takes them for integers, and what -inf is then."""

NOWHERE = np.iinfo(np.intp).max
"""A frame behind all frames."""


class InfeasibleTargetError(ValueError):
    """A target that no path through its frames can spell.

    Attributes
    ----------
    index : which sequence of the batch (0 for a single one)
    required : frames the target needs, labels + repeats
    available : frames it has; where they suffice, -inf logits closed every path
    repeats : labels equal to their left neighbour
    """

    def __init__(self, index: int, required: int, available: int, repeats: int) -> None:
        super().__init__(index, required, available, repeats)
        self.index, self.required, self.available, self.repeats = index, required, available, repeats

    def __str__(self) -> str:
        U, r = self.required - self.repeats, self.repeats
        needs = f"{_count(self.required, 'frame')} ({_count(U, 'label')} + {_count(r, 'repeat')})"
        if self.available < self.required:
            return f"target {self.index} needs {needs} but has {self.available}"
        return (
            f"target {self.index} has probability 0: its {_count(self.available, 'frame')} would do, "
            f"it needs {needs}, but -inf logits close every path"
        )


class Frames(NamedTuple):
    """Logits of a batch, whatever the layout: rows that kernels can walk.

    Frame t of sequence n is rows[n * n_stride + t * t_stride].
    """

    logits: NDArray  # C-contiguous float32 or float64, in the caller's layout
    rows: NDArray  # (T * N, C), a view of logits
    tops: NDArray  # (T * N,) the largest logit of each used row; empty where nobody had to look for it
    lengths: NDArray[np.intp]  # (N,) frames used
    n_stride: int
    t_stride: int
    single: bool  # (T, C) was given
    padded: bool  # lengths were given, so that some frames may be padding
    what: str  # the caller's name of the logits

    def at(self, t: int, n: int) -> NDArray:
        """The logits (C,) of one frame."""
        return self.rows[n * self.n_stride + t * self.t_stride]

    def rows_of(self, rows: NDArray, n: int) -> NDArray:
        """The used rows (T, C) of sequence n, of the logits or of something like them."""
        return rows[n * self.n_stride:][:: self.t_stride][: self.lengths[n]]


class Targets(NamedTuple):
    """Checked targets of a batch, end to end: target n is labels[offsets[n]:offsets[n + 1]]."""

    labels: NDArray[np.intp]
    offsets: NDArray[np.intp]  # (N + 1,)
    lengths: NDArray[np.intp]  # (N,) U
    repeats: NDArray[np.intp]  # (N,) labels equal to their left neighbour


def check_logits(
    logits: ArrayLike, lengths: ArrayLike | None = None, layout: str = "TNC", name: str = "logit_lengths",
    what: str = "logits",
) -> Frames:
    """Unnormalised scores (T, N, C), (N, T, C) or (T, C), and the frames used of each, as `Frames`.

    Everything is checked: what follows is `check_shape`, then `check_values`.
    """
    return check_values(check_shape(logits, lengths, layout, name, what))


def check_shape(
    logits: ArrayLike, lengths: ArrayLike | None = None, layout: str = "TNC", name: str = "logit_lengths",
    what: str = "logits",
) -> Frames:
    """The same for a caller that looks at the values itself.

    float32 and float64 are kept, float16 becomes float32, integers and longer
    floats float64. Arrays that are not C-contiguous, aligned and in native byte order
    are copied. `name` is what the caller calls the lengths, `what` the logits.
    """
    check_choice("layout", layout, ("TNC", "NTC"))
    logits = _as_array(logits, what)
    if logits.dtype.kind not in "fiu":
        raise TypeError(f"{what} must be real numbers, got an array of {logits.dtype}")
    kept = logits.dtype.kind == "f" and logits.dtype.itemsize <= 4
    dtype = np.float32 if kept else np.float64
    if logits.dtype != dtype or not logits.flags.carray:  # np.require takes its time even to do nothing
        logits = np.require(logits, dtype, ["C", "A"])
    if logits.ndim not in (2, 3):
        raise ValueError(f"{what} must have shape ({', '.join(layout)}) or (T, C), got {logits.shape}")
    single = logits.ndim == 2
    if logits.shape[-1] == 0:
        raise ValueError(f"{what} have no classes: shape {logits.shape}")
    if single:
        (T, C), N = logits.shape, 1
        n_stride, t_stride = T, 1
    elif layout == "TNC":
        T, N, C = logits.shape
        n_stride, t_stride = 1, N
    else:
        N, T, C = logits.shape
        n_stride, t_stride = T, 1
    if lengths is None:
        used = np.full(N, T, dtype=np.intp)
    else:
        used = _check_lengths(lengths, name, N, single)
        for n in np.flatnonzero((used < 0) | (used > T)):
            raise ValueError(f"{name}[{n}] is {used[n]}, the logits have {T} frames")
    rows, tops = logits.reshape(T * N, C), np.empty(0, dtype=logits.dtype)
    return Frames(logits, rows, tops, used, n_stride, t_stride, single, lengths is not None, what)


def check_values(frames: Frames) -> Frames:
    """NaN, +inf and frames of nothing but -inf are errors where they are used; padding may hold anything."""
    # Long rows come in from memory once only, so what is wanted of them is found together.
    if frames.rows.shape[1] > FEW_CLASSES or not all_finite(frames.rows, np.zeros(3, np.int64)):
        frames = find_tops(frames)
    return frames


def find_tops(frames: Frames) -> Frames:
    """The frames with their `tops`, the largest logit of each used row; an error if one cannot be used."""
    rows, what, found = frames.rows, frames.what, []
    tops = np.empty(len(rows), rows.dtype)
    signed, unsigned, minus_infinity = BITS[rows.itemsize]
    bits, unsigned_bits, top_bits = rows.view(signed), rows.view(unsigned), tops.view(signed)

    def task(samples):
        found.append(_first_bad(samples, bits, unsigned_bits, minus_infinity, frames.n_stride,
                                frames.t_stride, frames.lengths, tops, top_bits))

    threads.run(task, frames.lengths * (rows.shape[1] / 16))
    t, n = min(found)
    if t == NOWHERE:
        return frames._replace(tops=tops)
    row = frames.at(t, n)
    wrong = np.isnan(row) | (row == np.inf)
    c = int(np.argmax(wrong))
    place = f"t={t}" if frames.single else f"t={t}, n={n}"
    if wrong[c]:
        raise ValueError(f"{what}[{place}, c={c}] is {row[c]}; a logit is finite, or -inf for probability 0")
    raise ValueError(f"{what}[{place}] is -inf in every class c=0..{len(row) - 1}: no class is left to emit")


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """An option that is one of a few words."""
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def check_count(name: str, value: Any) -> int:
    """A number of things, at least 1."""
    if not _is_int(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def check_not_negative(name: str, value: Any) -> float:
    """A real number from 0 on, inf included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return float(value)


def check_out(out: Any, frames: Frames) -> NDArray:
    """The array for the gradient; one of zeros if there is none."""
    if out is None:
        return np.zeros_like(frames.logits)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, got {type(out).__name__}")
    shape, dtype = frames.logits.shape, frames.logits.dtype
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out must be {dtype} of shape {shape}, got {out.dtype} of shape {out.shape}")
    if not (out.flags.carray and out.dtype.isnative):
        raise ValueError("out must be C-contiguous, writeable, aligned and in native byte order")
    if np.may_share_memory(out, frames.logits):
        raise ValueError("out must not share memory with the logits, which are still needed")
    return out


def clear_padding(out: NDArray, frames: Frames) -> None:
    """All 0 where a frame is padding."""
    if frames.padded:
        rows = out.reshape(frames.rows.shape)
        T = len(rows) // max(len(frames.lengths), 1)
        for n in np.flatnonzero(frames.lengths < T):
            rows[n * frames.n_stride:][:: frames.t_stride][frames.lengths[n]:T] = 0.0


def check_blank(blank: Any, C: int) -> int:
    """The blank as an int, one of the classes 0..C-1."""
    if not _is_int(blank):
        raise TypeError(f"blank must be an integer, got {blank!r}")
    if not 0 <= blank < C:
        raise ValueError(f"blank is {blank}, but the logits have classes 0..{C - 1}")
    return int(blank)


def check_targets(
    targets: Any, target_lengths: ArrayLike | None, frames: Frames, blank: int
) -> Targets:
    """Targets in any of the three forms `ctc_loss` takes, every label a class that is not the blank."""
    N, C = len(frames.lengths), frames.rows.shape[1]
    labels, lengths = _join(targets, target_lengths, N, frames.single)
    offsets, repeats = np.zeros(N + 1, dtype=np.intp), np.zeros(N, dtype=np.intp)
    small = labels
    if labels.dtype.kind != "i":  # unsigned, or Python integers of any size: compared before they are cast
        fits = (labels >= 0) & (labels < C)
        small = np.full(labels.shape, -1, np.intp)
        small[fits] = labels[fits]
    if small.dtype != np.intp or not small.flags.carray:
        small = np.require(small, np.intp, ["C", "A"])
    n = _first_bad_target(small, lengths, C, blank, offsets, repeats)
    if n >= 0:
        target = labels[offsets[n]:offsets[n + 1]]
        u = int(np.argmax((target < 0) | (target >= C) | (target == blank)))
        place = f"[{u}]" if frames.single else f"[{n}][{u}]"
        if target[u] == blank:
            raise ValueError(f"targets{place} is {blank}, the blank: a target holds labels only")
        raise ValueError(f"targets{place} is {target[u]}, but the logits have classes 0..{C - 1}")
    return Targets(small, offsets, lengths, repeats)


def first_infeasible(
    infeasible: NDArray[np.bool_], frames: Frames, targets: Targets
) -> InfeasibleTargetError:
    """The error for the first sequence of those marked (N,)."""
    n = int(np.argmax(infeasible))
    repeats = int(targets.repeats[n])
    return InfeasibleTargetError(
        n, int(targets.lengths[n]) + repeats, int(frames.lengths[n]), repeats
    )


@cached_njit(nogil=True)
def _extremes(signed, unsigned, r):
    """The bits of the largest number in row r, and the largest bits: those above -inf's are negative NaNs.

    Positive numbers are in the order of their bits, negative ones in the opposite
    order. Of integers LLVM takes a maximum in lanes, of floats it does not.
    """
    most, highest = signed[r, 0], unsigned[r, 0]
    for c in range(1, signed.shape[1]):
        most = max(most, signed[r, c])
        highest = max(highest, unsigned[r, c])
    if most < 0:
        for c in range(signed.shape[1]):
            most = min(most, signed[r, c])
    return most, highest


@cached_njit(nogil=True)
def _first_bad(samples, signed, unsigned, minus_infinity, n_stride, t_stride, lengths, tops, top_bits):
    """The first frame t, n that cannot be used, or NOWHERE; into tops the largest logit of each row.

    Rows and tops are given as their bits, tops as they are too.
    """
    T = 0
    for n in samples:
        T = max(T, lengths[n])
    for t in range(T):
        for n in samples:
            if t < lengths[n]:
                r = np.uintp(n * n_stride + t * t_stride)
                top_bits[r], highest = _extremes(signed, unsigned, r)
                if highest > minus_infinity or not -np.inf < tops[r] < np.inf:
                    return t, n
    return NOWHERE, 0


@cached_njit(nogil=True)
def _first_bad_target(labels, lengths, C, blank, offsets, repeats):
    """The first target with a label that is none, or -1; where each begins and how many repeats it has."""
    for n in range(len(repeats)):
        offsets[n + 1] = offsets[n] + lengths[n]
        for k in range(offsets[n], offsets[n + 1]):
            if labels[k] < 0 or labels[k] >= C or labels[k] == blank:
                return n
            repeats[n] += k > offsets[n] and labels[k] == labels[k - 1]
    return -1


def _join(
    targets: Any, target_lengths: ArrayLike | None, N: int, single: bool
) -> tuple[NDArray, NDArray[np.intp]]:
    """All labels end to end and how many each target has, from any of the three forms."""
    if single:
        targets = [targets]
    elif not isinstance(targets, (list, tuple)) or (targets and all(map(_is_int, targets))):
        targets = _as_integers(targets, "targets")
        if targets.ndim not in (1, 2):
            raise ValueError(f"targets must be (N, U) or joined (sum of U,), got shape {targets.shape}")
    joined = isinstance(targets, np.ndarray) and targets.ndim == 1
    if joined and target_lengths is None:
        raise ValueError(
            f"targets in one dimension ({len(targets)} values) for a batch of {N} need target_lengths"
        )
    if not joined and len(targets) != N:
        raise ValueError(
            f"{len(targets)} targets for a batch of {N}; layout='TNC' has time first, layout='NTC' the batch"
        )
    lengths = None
    if target_lengths is not None:
        lengths = _check_lengths(target_lengths, "target_lengths", N, single)
        for n in np.flatnonzero(lengths < 0):
            raise ValueError(f"target_lengths[{n}] is {lengths[n]}")

    if joined:
        assert lengths is not None
        if lengths.sum() != len(targets):
            raise ValueError(f"target_lengths add up to {lengths.sum()}, targets hold {len(targets)} values")
        return targets, lengths
    if isinstance(targets, np.ndarray):
        held = np.full(N, targets.shape[1])
        if lengths is None:
            return targets.reshape(-1), held
    else:
        names = ["targets"] if single else [f"targets[{n}]" for n in range(N)]
        targets = [_as_labels(target, name) for target, name in zip(targets, names)]
        held = np.array([len(target) for target in targets], dtype=np.intp)
    if lengths is None:
        lengths = held
    for n in np.flatnonzero(lengths > held):
        raise ValueError(f"target_lengths[{n}] is {lengths[n]}, target {n} holds {held[n]} values")
    if isinstance(targets, np.ndarray):
        return targets[np.arange(targets.shape[1]) < lengths[:, None]], lengths
    parts = [target[:U] for target, U in zip(targets, lengths.tolist())]
    if any(part.dtype == np.uint64 for part in parts):  # numpy would meet other integers in float64
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts) if parts else np.empty(0, np.intp), lengths


def _as_labels(target: Any, name: str) -> NDArray:
    try:
        sequence = _as_integers(target, name)
    except ValueError:  # numpy's word for a ragged list
        raise ValueError(f"{name} must be a flat sequence of integers, got {target!r}") from None
    if sequence.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {sequence.shape}")
    return sequence


def _as_array(values: Any, name: str) -> NDArray:
    try:
        return np.asarray(values)
    except ValueError:  # NumPy's word for a ragged list does not say whose
        raise ValueError(f"{name} must be an array, but its parts differ in length: {values!r:.80}") from None


def _as_integers(values: Any, name: str) -> NDArray:
    array = _as_array(values, name)
    if array.size == 0:
        return array.astype(np.intp)  # numpy makes [] a float array
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got an array of {array.dtype}")
    return array


def _check_lengths(lengths: ArrayLike, name: str, N: int, single: bool) -> NDArray[np.intp]:
    array = _as_integers(lengths, name)
    if single and array.ndim == 0:
        array = array[None]
    if array.shape != (N,):
        raise ValueError(f"{name} must have shape ({N},), one for each sequence, got {array.shape}")
    return array.astype(np.intp)


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
