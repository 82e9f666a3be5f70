"""The same numbers in other forms: memory layouts, byte orders, lists, integer types."""

from __future__ import annotations

import numpy as np


def dress(draw, array, lists=True):
    """The same numbers, perhaps with another memory layout, read-only, as a subclass, or as nested lists."""
    form = draw.weighted(plain=40, fortran=10, strided=10, reversed=10, swapped=6, frozen=10, transposed=6,
                         unaligned=4, list=6, matrix=2, broadcast=6)
    array = np.asarray(array)
    if form == "fortran":
        return np.asfortranarray(array)
    if form == "strided" and array.ndim:
        wider = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), 77, array.dtype)
        wider[..., 1::2] = array
        return wider[..., 1::2]
    if form == "reversed" and array.ndim:
        axis = draw.randrange(array.ndim)
        return np.flip(np.flip(array, axis).copy(), axis)
    if form == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if form == "frozen":
        array = array.copy()
        array.flags.writeable = False
        return array
    if form == "transposed":
        return array.T.copy().T
    if form == "unaligned" and not array.dtype.hasobject:
        raw = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype)
        raw = raw.reshape(array.shape)
        raw[...] = array
        return raw
    if form == "broadcast":
        part = array  # where all entries along an axis are equal, one is kept and repeated with stride 0
        for axis in range(array.ndim):
            once = part.take(range(min(1, part.shape[axis])), axis)
            part = once if part.size and (part == once).all() else part
        return np.broadcast_to(part, array.shape)
    if form == "list" and lists and 0 < array.size < 300:  # an empty list would lose the shape
        return array.tolist()
    if form == "matrix" and array.ndim == 2:
        return array.view(Subclass)
    return array.copy()


class Subclass(np.ndarray):
    """A subclass of ndarray, as users define them."""


def dress_integers(draw, values, most):
    """Integers up to `most` as a list, a tuple or an array of an integer type that holds them."""
    form = draw.weighted(list=3, tuple=1, array=4)
    if form == "list":
        return list(values)
    if form == "tuple":
        return tuple(values)
    types = [np.int64, np.int32, np.int16, np.uint64, np.uint32]
    types += [np.uint8] if most < 256 else []
    return dress(draw, np.array(values, dtype=draw.choice(types)), lists=False)
