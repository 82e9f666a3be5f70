"""Checks that logits are finite, or -inf for probability 0, and that each frame has a possible class.

There are two passes. `all_finite` is the quick one, which the threads that compute the
loss can run just before: if it returns True, all logits are usable. If it returns False,
or if rows are long, `find_tops` goes through the used rows. It finds the largest logit
of each row, which the softmax needs, and raises an error about the first bad frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...compiled.cache import cached_njit
from ...compiled.counter import DONE, FAILED, TAKEN, count, new_progress
from ..running import threads
from .frames import Frames, check_shape

# nogil: several threads look at the logits together.
kernel = cached_njit(nogil=True)
# error_model: no test for division by zero. contract: as everywhere in the fast kernel.
quick = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"}, no_cfunc_wrapper=True)

FEW_CLASSES = 64
"""Up to this many classes, `all_finite` runs first; longer rows are read only once, by `find_tops`."""

BLOCK = 2**14
"""How many numbers a thread inspects before it takes the next block."""

BITS = {
    4: (np.int32, np.uint32, np.float32(-np.inf).view(np.uint32)),
    8: (np.int64, np.uint64, np.float64(-np.inf).view(np.uint64)),
}
"""For floats of 4 and 8 bytes: the signed and unsigned integers of that size, and the bits of -inf."""

NO_FRAME = np.iinfo(np.intp).max
"""A frame number greater than all others."""


def check_logits(
    logits: ArrayLike, lengths: ArrayLike | None = None, layout: str = "TNC", name: str = "logit_lengths",
    what: str = "logits",
) -> Frames:
    """Unnormalised scores as `Frames`, with everything checked: `check_shape`, then `check_values`."""
    return check_values(check_shape(logits, lengths, layout, name, what))


def check_piece(logits: ArrayLike, C: int | None) -> Frames:
    """The next frames (T, C) of a stream, whose earlier pieces had C classes, if there were any."""
    frames = check_logits(logits)
    if not frames.single:
        raise ValueError(f"a stream takes the frames (T, C) of one sequence, got {frames.logits.shape}")
    if C is not None and frames.rows.shape[1] != C:
        raise ValueError(f"a stream that began with {C} classes got {frames.rows.shape[1]}")
    return frames._replace(rows=frames.rows[:frames.lengths[0]])  # a mask may end the piece


def check_values(frames: Frames) -> Frames:
    """An error if a used frame holds NaN or +inf, or nothing but -inf; padding may hold anything."""
    # Long rows should come from memory only once, so they are checked in the pass that finds their tops.
    if frames.rows.shape[1] > FEW_CLASSES or not all_finite(frames.rows, new_progress()):
        frames = find_tops(frames)
    return frames


def find_tops(frames: Frames) -> Frames:
    """The frames with their `tops`, the largest logit of each used row; an error if a row is not usable."""
    rows, what, first_bad = frames.rows, frames.what, []
    tops = np.empty(len(rows), rows.dtype)
    signed, unsigned, minus_infinity = BITS[rows.itemsize]
    bits, unsigned_bits, top_bits = rows.view(signed), rows.view(unsigned), tops.view(signed)

    def task(samples: NDArray[np.intp]) -> None:
        first_bad.append(_first_bad_frame(samples, bits, unsigned_bits, minus_infinity, frames.n_stride,
                                          frames.t_stride, frames.lengths, tops, top_bits))

    threads.run(task, frames.lengths * (rows.shape[1] / 16))
    t, n = min(first_bad)
    if t == NO_FRAME:
        return frames._replace(tops=tops)
    row = frames.at(t, n)
    wrong = np.isnan(row) | (row == np.inf)
    c = int(np.argmax(wrong))
    place = f"t={t}" if frames.single else f"t={t}, n={n}"
    if wrong[c]:
        raise ValueError(f"{what}[{place}, c={c}] is {row[c]}; a logit is finite, or -inf for probability 0")
    raise ValueError(f"{what}[{place}] is -inf in every class c=0..{len(row) - 1}: no class is left to emit")


@quick
def all_finite(rows, progress):
    """Whether no number is NaN or infinite.

    Any number of threads may call this with one progress record: they divide the
    blocks among themselves, and each waits until all are done and returns the same answer.
    """
    numbers = rows.reshape(-1)
    blocks = (len(numbers) + BLOCK - 1) // BLOCK
    while True:
        k = count(progress, TAKEN, 1)
        if k >= blocks:
            break
        finite = True
        for i in range(np.uintp(k * BLOCK), np.uintp(min((k + 1) * BLOCK, len(numbers)))):
            finite &= abs(numbers[i]) < np.inf
        if not finite:
            count(progress, FAILED, 1)
        count(progress, DONE, 1)
    while count(progress, DONE, 0) < blocks:  # for microseconds: other threads finish their last block
        pass
    return count(progress, FAILED, 0) == 0


@kernel
def _extremes(signed, unsigned, r):
    """The bits of the largest number in row r, and the largest bits, read as unsigned integers.

    Positive numbers are in the order of their bits, negative ones in the opposite
    order; unsigned bits above those of -inf are a negative NaN. LLVM vectorises the
    maximum of integers, but not that of floats.
    """
    most, highest = signed[r, 0], unsigned[r, 0]
    for c in range(1, signed.shape[1]):
        most = max(most, signed[r, c])
        highest = max(highest, unsigned[r, c])
    if most < 0:
        for c in range(signed.shape[1]):
            most = min(most, signed[r, c])
    return most, highest


@kernel
def _first_bad_frame(samples, signed, unsigned, minus_infinity, n_stride, t_stride, lengths, tops, top_bits):
    """The first frame (t, n) that is not usable, or (NO_FRAME, 0); fills tops with each row's largest logit.

    The rows are given as their bits, tops as floats and as bits.
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
    return NO_FRAME, 0
