"""Counters that several threads share without a lock, to divide the pieces of some work.

A progress record counts pieces. A thread takes piece k = count(progress, TAKEN, 1), works on it, and
then calls count(progress, DONE, 1).
"""

import threading
from typing import Any

import numba
import numba.extending
import numpy as np
from numba import types
from numpy.typing import NDArray

from .cache import cached_njit
from .vector import python_twin

intrinsic: Any = numba.extending.intrinsic  # Any: mypy would ask callers for the context that Numba adds

# nogil: a thread that waits must not hold up the threads it waits for.
kernel = cached_njit(nogil=True)

TAKEN, DONE, FAILED = np.uintp(0), np.uintp(1), np.uintp(2)
"""Entries of a progress record: how many pieces are taken, how many done, how many of them failed."""


def new_progress() -> NDArray[np.int64]:
    """A progress record with all entries 0."""
    return np.zeros(3, np.int64)


_counting = threading.Lock()


def _count(numbers, k, increment):
    with _counting:
        numbers[k] += increment
        return numbers[k] - increment


@python_twin(_count)
@intrinsic
def count(context, numbers, k, increment):
    """Add to numbers[k] in one atomic step, and return its old value."""

    def codegen(context, builder, signature, arguments):
        array, k, increment = arguments
        data = context.make_array(numbers)(context, builder, array).data
        return builder.atomic_rmw("add", builder.gep(data, [k]), increment, "seq_cst")

    return types.int64(numbers, k, types.int64), codegen


@kernel
def spin_until_done(progress, pieces, looks):
    """Look at the record at most `looks` times; True as soon as all pieces are done, else False."""
    for _ in range(looks):
        if count(progress, DONE, 0) == pieces:
            return True
    return False
