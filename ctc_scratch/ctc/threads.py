"""The one driver of threads: cut independent samples over a thread pool.

Kernels are compiled `nogil` and are never parallel themselves: Numba's OpenMP
layer aborts a forked child and its workqueue layer aborts when two Python
threads enter it. Every sample is computed by itself, so the result does not
depend on how many threads there are.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import numpy as np
from numpy.typing import NDArray

SERIAL_COST = 20_000
"""Below this many lattice cells a hand-over to another thread costs more than it brings."""

TOGETHER_COST = 150_000
"""The same for the certified kernel, which is done with a cell in some 3 ns."""

_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()
_this_thread = threading.local()


def get_num_threads() -> int:
    """How many threads a batch is cut over; at the start, the number of usable cores."""
    return _num_threads


def set_num_threads(count: int) -> None:
    """Cut batches over `count` threads from now on; 1 keeps everything in the calling thread."""
    global _num_threads, _pool
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ValueError(f"number of threads must be a positive integer, got {count!r}")
    with _pool_lock:
        # The old pool ends by itself once no batch holds it any more.
        _num_threads, _pool = int(count), None


def run(task: Callable[[NDArray[np.intp]], None], costs: NDArray) -> None:
    """Call task(samples) so that every sample 0..N-1 is in exactly one call.

    Parameters
    ----------
    task : function of an integer array of sample indices; it must be safe to
        run in several threads for disjoint samples
    costs : (N,) what each sample costs, in lattice cells (T times U, say)

    The first exception of a task is raised here, after all tasks have ended.
    """
    groups = _balance(np.asarray(costs, dtype=np.float64))
    if len(groups) == 1:
        task(groups[0])
        return
    pool, futures, mine = _get_pool(), [], groups[:1]  # the calling thread takes a share too
    try:
        for group in groups[1:]:
            try:
                futures.append(pool.submit(_as_worker, task, group))
            except RuntimeError as refusal:
                if "shutdown" not in str(refusal):
                    raise
                mine.append(group)  # the interpreter is ending, and only the threads it waits for go on
        for group in mine:
            _as_worker(task, group)
    finally:
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error


def run_together(task: Callable[[], None], ended: Callable[[], bool], most: int, cost: float) -> None:
    """Call task() here and in up to most - 1 other threads at once, which share out among themselves.

    For work so short that it counts how long a thread takes to wake up: whoever is awake begins, and
    who comes when all is done finds nothing to do and is not waited for.

    Parameters
    ----------
    task : does what no other thread has taken, until nothing is left
    ended : looks for a short while whether all that was taken is done, too; only then may a thread
        be left behind
    cost : of it all, in lattice cells

    An exception of the task is raised here, after all other threads have ended.
    """
    K = min(_num_threads, most)
    if K < 2 or getattr(_this_thread, "is_worker", False) or cost < TOGETHER_COST:
        task()
        return
    pool, futures, offer, finished = _get_pool(), [], [task], False
    try:
        for _ in range(K - 1):
            try:
                futures.append(pool.submit(_accept, offer))
            except RuntimeError as refusal:
                if "shutdown" not in str(refusal):
                    raise
        _as_worker(task)
        finished = ended()
    finally:
        offer.clear()  # who comes too late finds nothing, and keeps no arrays alive while it waits
        errors = [] if finished else [future.exception() for future in futures if not future.cancel()]
    for error in errors:
        if error is not None:
            raise error


def _accept(offer: list[Callable[[], None]]) -> None:
    for task in offer[:]:
        _as_worker(task)


def _balance(costs: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Groups of samples of about equal cost, dearest samples placed first."""
    N = len(costs)
    K = min(_num_threads, N)
    # A task that cuts its work again would wait for threads that wait for it.
    nested = getattr(_this_thread, "is_worker", False)
    if K < 2 or nested or costs.sum() < SERIAL_COST:
        return [np.arange(N)]
    loads = np.zeros(K)
    members: list[list[int]] = [[] for _ in range(K)]
    for n in np.argsort(-costs, kind="stable"):
        k = int(np.argmin(loads))
        loads[k] += costs[n]
        members[k].append(int(n))
    return [np.sort(np.array(group, dtype=np.intp)) for group in members]


def _as_worker(task: Callable[..., None], *arguments) -> None:
    _this_thread.is_worker = True
    try:
        task(*arguments)
    finally:
        _this_thread.is_worker = False


def _get_pool() -> ThreadPoolExecutor:
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(_num_threads - 1, 1), thread_name_prefix="ctc_scratch")
        return _pool


def _forget_pool() -> None:
    # Its threads did not come along into the forked child, and its locks may be held by them.
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()
    _this_thread.is_worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
