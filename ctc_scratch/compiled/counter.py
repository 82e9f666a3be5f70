"""A counter that several threads share without a lock."""

import threading
from typing import Any

import numba
import numba.extending
from numba import types

from .vector import plain_python

intrinsic: Any = numba.extending.intrinsic

_counting = threading.Lock()


def _count(numbers, k, more):
    with _counting:
        numbers[k] += more
        return numbers[k] - more


@plain_python(_count)
@intrinsic
def count(context, numbers, k, more):
    """numbers[k] += more, in one go that no other thread can come between; what it was before."""

    def codegen(context, builder, signature, arguments):
        array, k, more = arguments
        data = context.make_array(numbers)(context, builder, array).data
        return builder.atomic_rmw("add", builder.gep(data, [k]), more, "seq_cst")

    return types.int64(numbers, k, types.int64), codegen
