"""The driver of threads: it divides the samples of a batch among the calling thread and a few helpers.

Kernels are compiled `nogil` and are never parallel themselves: Numba's OpenMP
layer aborts a forked child, and its workqueue layer aborts when two Python
threads enter it. Each sample is computed by itself, so the result does not
depend on the number of threads.

Helpers are threads that wait for work. The calling thread does its share of the
work and whatever no helper has begun by then, so it only waits for helpers that
have begun. Callers in several threads may share the helpers. (A pool of
concurrent.futures would do the same, but submitting a task to it takes too long
for a small batch.)

Helpers end before a fork, because Python 3.12 and later warn of a fork in a
process with several threads. The next batch that is large enough starts new ones,
in the parent and in the child.
"""

from __future__ import annotations

import os
import threading
import time
from queue import SimpleQueue
from typing import Any, Callable

import numpy as np
from numpy.typing import NDArray

SERIAL_COST = 20_000
"""In `run`: with fewer lattice cells than this, waking another thread costs more than it saves."""

TOGETHER_COST = 150_000
"""The same in `run_together`, for the certified kernel, which takes about 3 ns per cell."""

MOST_THREADS = 1024
"""More threads would have nothing to do, and their stacks would fill the memory."""

FORK_WAIT = 1.0
"""A fork waits for helpers to end, but no more seconds than this. A helper that is still at work then works
for another thread, or shares the task that forks; so the process has several threads in any case."""

_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_num_threads = min(_cores, MOST_THREADS)
_offers: SimpleQueue | None = None  # helpers wait here for (shares, results), or for None, which ends one
_helpers: list[threading.Thread] = []   # all that may still be alive, dismissed ones too
_lock = threading.RLock()  # reentrant, because a signal handler may fork while its thread holds it
_this_thread = threading.local()


def get_num_threads() -> int:
    """How many threads a batch is divided among; by default, the number of usable cores."""
    return _num_threads


def set_num_threads(count: int) -> None:
    """Divide batches among `count` threads from now on; with 1, the calling thread does everything.

    ValueError unless it is an integer from 1 to 1024.
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
    """Call task(samples) in several threads, so that each sample 0..N-1 is in exactly one call.

    Parameters
    ----------
    task : a function of an array of sample indices, which may run in several threads
        at once for different samples
    costs : (N,) the cost of each sample in lattice cells, such as T times U

    The first exception of a task is raised here, after all tasks have ended.
    """
    groups = _balance(np.asarray(costs, dtype=np.float64))
    if len(groups) == 1:
        task(groups[0])
        return
    groups.reverse()

    def take_groups():
        while (group := _pop(groups)) is not None:
            task(group)

    _share(take_groups, lambda: False, len(groups))


def run_together(task: Callable[[], None], all_done: Callable[[], bool], pieces: int, cost: float) -> None:
    """Call task() in this thread and in helpers, which divide the pieces of the work among themselves.

    This is for work so short that the time it takes to wake a thread matters: a
    thread that is awake begins at once, and one that wakes up too late finds nothing
    to do and is not waited for.

    Parameters
    ----------
    task : takes and does one piece after another, until all are taken
    all_done : called after task() has returned here; waits for a short time, and says
        whether all pieces are done. If they are, no helper is waited for.
    pieces : how many pieces there are; more threads than that are of no use
    cost : the cost of all pieces together, in lattice cells

    An exception of the task is raised here, after all helpers that have begun have ended.
    """
    K = min(_num_threads, pieces)
    if K < 2 or getattr(_this_thread, "is_worker", False) or cost < TOGETHER_COST:
        task()
    else:
        _share(task, all_done, K)


def _share(task: Callable[[], None], all_done: Callable[[], bool], K: int) -> None:
    """Call task() in this thread, and in those of K - 1 helpers that begin before it returns here."""
    shares, results, begun, finished = [task] * (K - 1), SimpleQueue[Any](), K - 1, False
    offers = _get_offers()
    for _ in range(K - 1):
        offers.put((shares, results))
    try:
        _as_worker(task)
        finished = all_done()
    finally:
        while _pop(shares) is not None:  # a helper that wakes up from now on finds nothing
            begun -= 1
        errors = [] if finished else [results.get() for _ in range(begun)]
    for error in errors:
        if error is not None:
            raise error


def _help(offers: SimpleQueue) -> None:
    """The loop of a helper: take an offer, do its task, report the error or None, until told to end."""
    while (offer := offers.get()) is not None:
        shares, results = offer
        task, error = _pop(shares), None
        if task is not None:
            try:
                _as_worker(task)
            except BaseException as caught:
                error = caught
            results.put(error)
        del offer, shares, results, task, error  # or their arrays would live until the next offer comes


def _pop(items: list) -> Any:
    """Take the last item, which no other thread then gets; None if the list is empty."""
    try:
        return items.pop()
    except IndexError:
        return None


def _balance(costs: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Groups of about equal cost: each sample, the most expensive first, joins the cheapest group."""
    N = len(costs)
    K = min(_num_threads, N)
    # If a task divided its work again, it would wait for threads that wait for it.
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
    """Call task() in a thread that is marked, so that the task's own calls of the driver stay in it."""
    _this_thread.is_worker = True
    try:
        task()
    finally:
        _this_thread.is_worker = False


def _get_offers() -> SimpleQueue:
    """The queue where the helpers wait; starts them if need be, one fewer than there are threads.

    If no thread can be started, nothing reads the queue.
    """
    global _offers
    offers = _offers
    if offers is not None:
        return offers
    with _lock:
        if _offers is not None:
            return _offers
        offers = SimpleQueue()
        _helpers[:] = [helper for helper in _helpers if helper.is_alive()]
        for k in range(_num_threads - 1):
            helper = threading.Thread(target=_help, args=(offers,), name=f"ctc_scratch_{k}", daemon=True)
            try:
                helper.start()
            except RuntimeError:  # the system has no more threads, or the interpreter is ending
                break
            _helpers.append(helper)
            _offers = offers
        return offers


def _dismiss_helpers() -> None:
    """Tell each helper to end as soon as it has done its work."""
    global _offers
    if _offers is not None:
        for _ in range(_num_threads - 1):
            _offers.put(None)
        _offers = None


def _end_helpers() -> None:
    """Before a fork: dismiss the helpers, and wait for them to end, but no longer than FORK_WAIT."""
    with _lock:
        _dismiss_helpers()
        # Each helper is waited for only once: a task that takes long must not delay every fork.
        helpers = [helper for helper in _helpers if helper is not threading.current_thread()]
        _helpers.clear()
    end = time.monotonic() + FORK_WAIT
    for helper in helpers:
        helper.join(max(0.0, end - time.monotonic()))
    # Before Python 3.13, join() returns a moment before the system has removed the thread.
    tasks = [f"/proc/self/task/{helper.native_id}" for helper in helpers if not helper.is_alive()]
    while any(map(os.path.exists, tasks)) and time.monotonic() < end:
        time.sleep(1e-4)


def _forget_helpers() -> None:
    """In the child after a fork: it has no helpers, and the lock may be held by a thread that it lacks."""
    global _offers, _lock
    _offers, _lock = None, threading.RLock()
    _helpers.clear()
    _this_thread.is_worker = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_helpers, after_in_child=_forget_helpers)
