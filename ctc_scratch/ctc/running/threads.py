"""The one driver of threads: cut independent samples over a few helpers that wait for work.

Kernels are compiled `nogil` and are never parallel themselves: Numba's OpenMP
layer aborts a forked child and its workqueue layer aborts when two Python
threads enter it. Every sample is computed by itself, so the result does not
depend on how many threads there are.

The calling thread always takes part, and helpers come when they can: if none
does, it has done everything itself. So callers in several threads may share the
helpers, and nobody waits for a thread that has not begun. (A pool of
concurrent.futures would do, but to submit a task takes it longer than a small
batch can spare.)
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

SERIAL_COST = 20_000
"""Below this many lattice cells a hand-over to another thread costs more than it brings."""

TOGETHER_COST = 150_000
"""The same for the certified kernel, which is done with a cell in some 3 ns."""

MOST_THREADS = 1024
"""More have nothing to do, and their stacks fill the memory."""

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_num_threads = min(_cores, MOST_THREADS)
_offers: SimpleQueue | None = None  # where the helpers wait; each takes (shares, results), or None to end
_lock = threading.Lock()
_this_thread = threading.local()


def get_num_threads() -> int:
    """How many threads a batch is cut over; at the start, the number of usable cores."""
    return _num_threads


def set_num_threads(count: int) -> None:
    """Cut batches over `count` threads from now on; 1 keeps everything in the calling thread.

    ValueError if it is no integer from 1 to 1024.
    """
    global _num_threads
    if (isinstance(count, bool) or not isinstance(count, (int, np.integer))
            or not 1 <= count <= MOST_THREADS):
        raise ValueError(f"number of threads must be an integer from 1 to {MOST_THREADS}, got {count!r}")
    with _lock:
        if count != _num_threads:
            _dismiss_helpers()
            _num_threads = int(count)


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
    groups.reverse()

    def some():
        while (group := _pop(groups)) is not None:
            task(group)

    _share(some, lambda: False, len(groups))


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
    else:
        _share(task, ended, K)


def _share(task: Callable[[], None], ended: Callable[[], bool], K: int) -> None:
    """task() here and in those of K - 1 helpers that come before it has returned here."""
    shares, results, begun, finished = [task] * (K - 1), SimpleQueue[Any](), K - 1, False
    offers = _get_offers()
    for _ in range(K - 1):
        offers.put((shares, results))
    try:
        _as_worker(task)
        finished = ended()
    finally:
        while _pop(shares) is not None:  # who comes now finds nothing
            begun -= 1
        errors = [] if finished else [results.get() for _ in range(begun)]
    for error in errors:
        if error is not None:
            raise error


def _help(offers: SimpleQueue) -> None:
    """What a helper does all its life."""
    while (offer := offers.get()) is not None:
        shares, results = offer
        task, error = _pop(shares), None
        if task is not None:
            try:
                _as_worker(task)
            except BaseException as caught:
                error = caught
            results.put(error)
        del offer, shares, results, task, error  # or they would be kept alive till the next offer comes


def _pop(some: list) -> Any:
    """The last of them, which nobody else gets then; None if none is left."""
    try:
        return some.pop()
    except IndexError:
        return None


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


def _as_worker(task: Callable[[], None]) -> None:
    _this_thread.is_worker = True
    try:
        task()
    finally:
        _this_thread.is_worker = False


def _get_offers() -> SimpleQueue:
    """The queue where the helpers wait, one less than threads; one that nobody reads if none can be had."""
    global _offers
    offers = _offers
    if offers is not None:
        return offers
    with _lock:
        if _offers is not None:
            return _offers
        offers = SimpleQueue()
        for k in range(_num_threads - 1):
            try:
                threading.Thread(target=_help, args=(offers,), name=f"ctc_scratch_{k}", daemon=True).start()
            except RuntimeError:  # there are no more threads, or the interpreter is ending
                break
            _offers = offers
        return offers


def _dismiss_helpers() -> None:
    global _offers
    if _offers is not None:
        for _ in range(_num_threads - 1):
            _offers.put(None)
        _offers = None


def _forget_helpers() -> None:
    # They did not come along into the forked child, and the lock may be held by one of them.
    global _offers, _lock
    _offers, _lock = None, threading.Lock()
    _this_thread.is_worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_helpers)
