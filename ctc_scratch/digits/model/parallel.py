"""Run tasks side by side on threads, each with a single BLAS thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from ...ctc.running import threads

Part = TypeVar("Part")
Result = TypeVar("Result")


def run_tasks(task: Callable[[Part], Result], parts: Sequence[Part], sizes: Sequence[int]) -> list[Result]:
    """Call task(part) for each part on several threads; returns the results in the order of the parts.

    The matrix products of an LSTM are so small that a second BLAS thread slows them down. It is faster
    to give each thread a task of its own.

    Parameters
    ----------
    sizes : the work in each part, in pixels to read or weights to change; it decides which thread gets
        which parts
    """
    results: list[Any] = [None] * len(parts)

    def run_some(indices: np.ndarray) -> None:
        for k in indices:
            results[k] = task(parts[k])

    with _libraries().limit(limits=1, user_api="blas"):
        # A pixel or a weight costs about as much as 100 cells of a lattice.
        threads.run(run_some, costs=100 * np.array(sizes))
    return results


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS libraries that are loaded. Looking for them takes half a millisecond, so it is done once."""
    return ThreadpoolController()
