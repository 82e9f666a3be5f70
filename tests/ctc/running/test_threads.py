"""The driver of threads: each sample once, the same bits on any number of threads, safe to nest."""

import subprocess
import sys
import threading
import time
import weakref
from queue import SimpleQueue

import numpy as np
import pytest

from ctc_scratch.ctc import (
    ctc_loss,
    ctc_loss_hvp,
    get_num_threads,
    log_partition_hvp,
    set_num_threads,
)
from ctc_scratch.ctc.running import threads

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def restore_threads():
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_sample_runs_exactly_once(rng, count):
    set_num_threads(count)
    costs = rng.integers(1, 100_000, size=23)
    seen, names = np.zeros(23, dtype=int), set()

    def task(samples):
        seen[samples] += 1
        names.add(threading.current_thread().name)
        time.sleep(0.05)  # a thread that comes late still finds something to do

    threads.run(task, costs)
    assert seen.tolist() == [1] * 23
    assert (len(names) > 1) == (count > 1)


class Heap:
    """Pieces that threads take one after the other until none is left."""

    def __init__(self, pieces):
        self.lock, self.left, self.taken = threading.Lock(), list(range(pieces)), []

    def take(self):
        while True:
            with self.lock:
                if not self.left:
                    return
                self.taken.append((self.left.pop(), threading.current_thread()))


def test_threads_divide_the_pieces_among_themselves():
    set_num_threads(3)
    heap, meet = Heap(20), threading.Barrier(3, timeout=30)

    def task():
        meet.wait()
        heap.take()

    threads.run_together(task, lambda: False, pieces=20, cost=1e6)
    assert sorted(piece for piece, _ in heap.taken) == list(range(20))


@pytest.mark.parametrize("pieces, cost", [(1, 1e6), (20, 10)])
def test_one_piece_or_little_work_stays_in_the_calling_thread(pieces, cost):
    set_num_threads(4)
    names = []
    threads.run_together(lambda: names.append(threading.current_thread()), lambda: True, pieces, cost)
    assert names == [threading.current_thread()]


def test_a_helper_that_comes_when_all_is_done_is_not_waited_for():
    set_num_threads(2)
    busy, heap, held = threading.Event(), Heap(5), SimpleQueue()
    threads._get_offers().put(([lambda: busy.wait(30)], held))
    try:
        threads.run_together(heap.take, lambda: not heap.left, pieces=5, cost=1e6)
        assert held.empty()
        assert {thread for _, thread in heap.taken} == {threading.current_thread()}
    finally:
        busy.set()


def test_a_helper_that_has_begun_is_waited_for():
    set_num_threads(2)
    begun, ended, caller = threading.Event(), [], threading.current_thread()

    def task():
        if threading.current_thread() is caller:
            assert begun.wait(30)
        else:
            begun.set()
            time.sleep(0.2)
            ended.append(True)

    threads.run_together(task, lambda: False, pieces=2, cost=1e6)
    assert ended


def test_an_error_in_a_thread_that_has_begun_is_raised():
    set_num_threads(2)
    caller, begun = threading.current_thread(), threading.Event()

    def task():
        if threading.current_thread() is caller:
            assert begun.wait(30)
        else:
            begun.set()
            raise RuntimeError("of the other")

    with pytest.raises(RuntimeError, match="of the other"):
        threads.run_together(task, lambda: False, pieces=2, cost=1e6)


def test_an_error_of_the_caller_is_raised_when_the_others_have_ended():
    set_num_threads(2)
    caller, begun, ended = threading.current_thread(), threading.Event(), []

    def task():
        if threading.current_thread() is caller:
            assert begun.wait(30)
            raise RuntimeError("of the caller")
        begun.set()
        time.sleep(0.2)
        ended.append(True)

    with pytest.raises(RuntimeError, match="of the caller"):
        threads.run_together(task, lambda: True, pieces=2, cost=1e6)
    assert ended


def test_a_helper_keeps_nothing_of_its_last_task():
    """It would keep the arrays of a batch alive until the next batch."""
    set_num_threads(2)
    meet, numbers = threading.Barrier(2, timeout=30), np.zeros(3)
    gone = weakref.ref(numbers)

    def task(numbers=numbers):
        meet.wait()

    threads.run_together(task, lambda: False, pieces=2, cost=1e6)
    del task, numbers
    end = time.monotonic() + 30
    while gone() is not None and time.monotonic() < end:
        time.sleep(0.001)
    assert gone() is None


def test_if_no_thread_can_be_started_the_caller_does_everything(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    set_num_threads(3)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen = []
    threads.run(seen.extend, np.full(7, 1e6))
    assert sorted(seen) == list(range(7)) and threads._offers is None  # or else offers would pile up


def test_a_change_of_the_number_of_threads_ends_the_old_ones():
    before = threading.active_count()
    for count in (4, 2, 6, 1):
        set_num_threads(count)
        threads.run(lambda samples: None, np.full(20, 1e6))
    end = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.001)
    assert threading.active_count() <= before


def test_groups_are_balanced_by_cost():
    set_num_threads(2)
    costs = np.array([60_000.0, 10_000, 20_000, 30_000])
    assert sorted(costs[group].sum() for group in threads._balance(costs)) == [60_000, 60_000]


def test_little_work_stays_in_the_calling_thread():
    set_num_threads(4)
    names = []
    threads.run(lambda samples: names.append(threading.current_thread()), np.ones(10))
    assert names == [threading.current_thread()]


@pytest.mark.parametrize("function", [
    ctc_loss,
    lambda x, y, T: ctc_loss_hvp(x, y, x[::-1], T),
    lambda x, y, T: log_partition_hvp(x, y, x[::-1], T),
], ids=["ctc_loss", "ctc_loss_hvp", "log_partition_hvp"])
def test_the_result_does_not_depend_on_the_number_of_threads(make_problem, monkeypatch, function):
    monkeypatch.setattr(threads, "TOGETHER_COST", 0)
    problem = make_problem(T=120, N=17, C=12, U=30)
    results = []
    for count in (1, 2, 3, 7):
        set_num_threads(count)
        results.append(vars(function(problem.logits, problem.targets, problem.logit_lengths)))
    for result in results[1:]:
        for name, array in result.items():
            assert np.array_equal(array, results[0][name]), name


def test_an_error_in_a_worker_is_raised():
    set_num_threads(2)

    def task(samples):
        if 1 in samples:
            raise RuntimeError("sample 1")

    with pytest.raises(RuntimeError, match="sample 1"):
        threads.run(task, np.full(2, 1e6))


def test_nested_runs_do_not_wait_for_themselves():
    set_num_threads(2)
    seen = []

    def task(samples):
        threads.run(seen.extend, np.full(4, 1e6))

    outer = threading.Thread(target=threads.run, args=(task, np.full(2, 1e6)), daemon=True)
    outer.start()
    outer.join(timeout=30)
    assert not outer.is_alive() and sorted(seen) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_concurrent_callers_get_the_same_bits(make_problem, monkeypatch):
    monkeypatch.setattr(threads, "TOGETHER_COST", 0)
    problem = make_problem(T=120, N=17, C=12, U=30)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    expected, results = ctc_loss(*arguments), []
    callers = [threading.Thread(target=lambda: results.append(ctc_loss(*arguments))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 4 and all(np.array_equal(r.grad, expected.grad) for r in results)


AFTER_THE_END = """
import atexit, threading
import numpy as np
from ctc_scratch import ctc_loss, set_num_threads

set_num_threads(2)
logits, targets = np.zeros((200, 32, 20)), [[1, 2, 3] * 10] * 32
expected = ctc_loss(logits, targets).loss           # starts the helpers

def late(name):
    print(name, bool((ctc_loss(logits, targets).loss == expected).all()))

def wait_for_the_end():
    threading.main_thread().join()
    late("thread")

atexit.register(late, "atexit")
threading.Thread(target=wait_for_the_end).start()
"""


@pytest.mark.slow
def test_a_thread_goes_on_after_the_end_of_the_main_one():
    ended = subprocess.run([sys.executable, "-c", AFTER_THE_END], capture_output=True, text=True)
    assert ended.stdout.split() == ["thread", "True", "atexit", "True"], ended.stderr
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", 1025, 10**15])
def test_a_bad_number_of_threads_is_refused(count):
    with pytest.raises(ValueError, match="integer from 1 to 1024"):
        set_num_threads(count)
