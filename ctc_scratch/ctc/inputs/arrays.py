"""Arrays from whatever the caller passes, with errors that say which argument is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import as_array


def as_integers(values: Any, name: str) -> NDArray:
    """The values as an array of integers, whose integer type is kept."""
    array = as_array(values, name)
    if array.size == 0:
        return array.astype(np.intp)  # NumPy makes [] an array of floats
    if array.dtype.kind not in "iu":
        remedy = f"; pass list({name})" if array.dtype == object and array.ndim == 1 else ""
        raise TypeError(f"{name} must hold integers, got an array of {array.dtype}{remedy}")
    return array


def as_lengths(lengths: ArrayLike, name: str, N: int, single: bool) -> NDArray[np.intp]:
    """One integer for each of N sequences; a single sequence may have a plain number."""
    array = as_integers(lengths, name)
    if single and array.ndim == 0:
        array = array[None]
    if array.shape != (N,):
        raise ValueError(f"{name} must have shape ({N},), one for each sequence, got {array.shape}")
    return array.astype(np.intp)
