"""Are all logits finite? Looked at by several threads together, in the call that computes the loss."""

import numpy as np

from ...compiled.cache import cached_njit
from ...compiled.counter import count

# nogil: several threads look together. error_model: no test for division by zero.
kernel = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"}, no_cfunc_wrapper=True)

LOOK = 2**14  # numbers that a thread looks at before it counts again

place = np.uintp


@kernel
def all_finite(rows, looks):
    """Whether no number is NaN or infinite; to be called by any threads at once, each gets the answer.

    looks (3,), zeros: how many blocks of numbers are taken, how many done, how many were not finite.
    """
    numbers = rows.reshape(-1)
    blocks = (len(numbers) + LOOK - 1) // LOOK
    while True:
        k = count(looks, place(0), 1)
        if k >= blocks:
            break
        finite = True
        for i in range(place(k * LOOK), place(min((k + 1) * LOOK, len(numbers)))):
            finite &= abs(numbers[i]) < np.inf
        if not finite:
            count(looks, place(2), 1)
        count(looks, place(1), 1)
    while count(looks, place(1), 0) < blocks:  # microseconds: others are amid their last block
        pass
    return count(looks, place(2), 0) == 0
