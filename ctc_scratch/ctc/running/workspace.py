"""Memory that one call of `ctc_loss` leaves to the next."""

from __future__ import annotations

from threading import get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

CACHE_LINE = 8
"""Numbers in a cache line. Vectors that begin with a line are read and written in half the time."""


def _aligned(size: int) -> NDArray[np.float64]:
    """An array of arbitrary numbers that begins with a cache line."""
    numbers = np.empty(size + CACHE_LINE - 1)
    first = -(numbers.__array_interface__["data"][0] // numbers.itemsize) % CACHE_LINE
    return numbers[first:first + size]


class Workspace:
    """Memory for `ctc_loss` to use again, so that a training loop does not allocate it in each step.

    It grows to what the largest call needs. Several threads may share one.

    >>> from ctc_scratch import Workspace, ctc_loss
    >>> workspace, grad = Workspace(), np.empty((4, 3))
    >>> for step in range(3):
    ...     result = ctc_loss(np.zeros((4, 3)), [1, 2], workspace=workspace, out=grad)
    >>> result.grad is grad
    True
    """

    def __init__(self) -> None:
        # Free arrays by the thread that used them last, whose core may still have them in its cache.
        # pop and popitem of a dict need no lock, which a fork could copy while it is held.
        self._free: dict[int, NDArray[np.float64]] = {}

    def _take(self, size: int) -> NDArray[np.float64]:
        """An array of at least `size` arbitrary numbers, for the caller alone until it is given back."""
        numbers = self._free.pop(get_ident(), None)
        if numbers is None:
            try:
                numbers = self._free.popitem()[1]
            except KeyError:  # no array is free
                pass
        return numbers if numbers is not None and len(numbers) >= size else _aligned(size)

    def _give(self, numbers: NDArray[np.float64]) -> None:
        """Take back an array that `_take` handed out."""
        self._free[get_ident()] = numbers

    def __repr__(self) -> str:
        arrays = list(self._free.values())  # a copy in one step: other threads may use the workspace
        megabytes = sum(numbers.nbytes for numbers in arrays) / 1e6
        return f"Workspace({len(arrays)} free array{'s' * (len(arrays) != 1)}, {megabytes:.1f} MB)"


def check_workspace(workspace: Any) -> None:
    """An error unless the argument `workspace` is a `Workspace` or None."""
    if not isinstance(workspace, (Workspace, type(None))):
        raise TypeError(f"workspace must be a Workspace, got {workspace!r}")
