"""The logits of a batch as `Frames`: shape, type, layout and lengths are checked here, values in `values`."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import REFUSED, as_array
from .arrays import as_lengths
from .options import check_choice

Layout = Literal["TNC", "NTC"]
LAYOUTS = get_args(Layout)


class Frames(NamedTuple):
    """The logits of a batch, seen as rows that a kernel can walk in either layout.

    Frame t of sequence n is rows[n * n_stride + t * t_stride].
    """

    logits: NDArray  # C-contiguous float32 or float64, in the caller's layout
    rows: NDArray  # (T * N, C), a view of logits
    tops: NDArray  # (T * N,) the largest logit of each used row; empty until they are computed
    lengths: NDArray[np.intp]  # (N,) frames used
    n_stride: int
    t_stride: int
    single: bool  # (T, C) was given
    padded: bool  # lengths are given, so some frames may be padding
    what: str  # the caller's name for the logits

    def at(self, t: int, n: int) -> NDArray:
        """The logits (C,) of one frame."""
        return self.rows[n * self.n_stride + t * self.t_stride]

    def rows_of(self, rows: NDArray, n: int) -> NDArray:
        """The used rows (T, C) of sequence n, from an array (T * N, C) in the order of `self.rows`."""
        return rows[n * self.n_stride:][:: self.t_stride][: self.lengths[n]]


def check_shape(
    logits: ArrayLike, lengths: ArrayLike | None = None, layout: str = "TNC", name: str = "logit_lengths",
    what: str = "logits",
) -> Frames:
    """Unnormalised scores (T, N, C), (N, T, C) or (T, C) as `Frames`, checked except for their values.

    float32 and float64 are kept, float16 becomes float32, integers and longer
    floats become float64. Arrays that are not C-contiguous, aligned and in native
    byte order are copied. `name` is what the caller calls the lengths, `what` the
    logits.
    """
    check_choice("layout", layout, LAYOUTS)
    logits, lengths = without_mask(logits, lengths, layout, name, what)
    logits = as_array(logits, what)
    if logits.dtype.kind not in "fiu":
        raise TypeError(f"{what} must be real numbers, got an array of {logits.dtype}")
    kept = logits.dtype.kind == "f" and logits.dtype.itemsize <= 4
    dtype = np.float32 if kept else np.float64
    if logits.dtype != dtype or not logits.flags.carray:  # np.require is slow even if it changes nothing
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
        used = as_lengths(lengths, name, N, single)
        for n in np.flatnonzero((used < 0) | (used > T)):
            raise ValueError(f"{name}[{n}] is {used[n]}, the logits have {T} frames")
    rows, tops = logits.reshape(T * N, C), np.empty(0, dtype=logits.dtype)
    return Frames(logits, rows, tops, used, n_stride, t_stride, single, lengths is not None, what)


def without_mask(
    logits: Any, lengths: ArrayLike | None, layout: str, name: str = "logit_lengths", what: str = "logits"
) -> tuple[Any, ArrayLike | None]:
    """The logits without their mask, and the lengths: those given, or else those that follow from the mask.

    Raises TypeError unless the mask covers the frames after the end of each sequence, in all classes, and
    nothing else; ValueError if lengths are given that differ from those of the mask.
    """
    if isinstance(logits, (list, tuple)) and any(map(np.ma.is_masked, logits)):
        raise TypeError(f"{what} must not be a list of masked arrays; pass np.ma.stack({what})")
    if not isinstance(logits, np.ma.MaskedArray) or logits.ndim not in (2, 3) or not np.ma.is_masked(logits):
        return logits, lengths
    mask = np.ma.getmaskarray(logits)
    if mask.ndim == 2:
        mask = mask[None]
    elif layout == "TNC":
        mask = mask.swapaxes(0, 1)  # (N, T, C)
    N, T, _ = mask.shape
    unmasked = T - np.count_nonzero(mask.all(axis=2), axis=1)
    padding = np.arange(T) >= unmasked[:, None]  # (N, T)
    for n in np.flatnonzero((mask != padding[:, :, None]).any(axis=(1, 2))):
        raise TypeError(f"{what} {REFUSED}, unless it masks all classes of the last frames of a sequence and "
                        f"nothing else, unlike in sequence {n}; pass plain numbers, and lengths")
    if lengths is not None:
        given = as_lengths(lengths, name, N, logits.ndim == 2)
        for n in np.flatnonzero(given != unmasked):
            raise ValueError(f"{name}[{n}] is {given[n]}, the mask of {what} leaves {unmasked[n]} frames")
    return logits.data, unmasked


def check_out(out: Any, frames: Frames) -> NDArray:
    """The array for the gradient: `out`, or a new one if that is None. It may hold anything."""
    if out is None:
        return np.empty(frames.logits.shape, frames.logits.dtype)
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
    """Set all frames of `out` that are padding to 0."""
    if frames.padded:
        rows = out.reshape(frames.rows.shape)
        T = len(rows) // max(len(frames.lengths), 1)
        for n in np.flatnonzero(frames.lengths < T):
            rows[n * frames.n_stride:][:: frames.t_stride][frames.lengths[n]:T] = 0.0
