"""Tasks that run side by side, each with one BLAS thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from ...ctc.running import threads


def run_tasks(task: Callable, parts: Sequence, sizes: list[int]) -> list:
    """What task(part) gives for each part, run side by side, each with one BLAS thread.

    Parts are shared out by their `sizes`, the pixels to be read or the weights to be changed.

    The products of an LSTM are so small that a second BLAS thread slows them
    down; it pays to give each thread a task of its own.
    """
    found: list = [None] * len(parts)

    def some(samples):
        for k in samples:
            found[k] = task(parts[k])

    with _libraries().limit(limits=1, user_api="blas"):
        threads.run(some, costs=100 * np.array(sizes))  # a pixel costs about 100 lattice cells, a weight too
    return found


@cache
def _libraries() -> ThreadpoolController:
    """To look for the loaded libraries takes half a millisecond, too long for every step."""
    return ThreadpoolController()
