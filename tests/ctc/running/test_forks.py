"""At a fork no idle helper is alive, a busy one delays it only briefly, and both processes can go on."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from ctc_scratch.ctc import ctc_loss, get_num_threads, set_num_threads
from ctc_scratch.ctc.running import threads

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork here"),
    # Some tests fork while a thread is at work, or under pytest-xdist, which has threads of its own.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*JAX is multithreaded:RuntimeWarning"),  # where it is installed
]


@pytest.fixture(autouse=True)
def restore_threads():
    before = get_num_threads()
    yield
    set_num_threads(before)


def _child(arguments, queue):
    queue.put(ctc_loss(*arguments).loss)


def test_a_forked_child_computes_too(make_problem):
    """A forked child has no helpers, so it must start its own."""
    set_num_threads(2)
    problem = make_problem(T=120, N=17, C=12, U=30)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    expected = ctc_loss(*arguments).loss  # starts the parent's helpers
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(arguments, queue))
    child.start()
    loss = queue.get(timeout=60)
    child.join(timeout=60)
    assert child.exitcode == 0 and np.array_equal(loss, expected)


FORKS = """
import os, threading
import numpy as np

def names():
    return [thread.name for thread in threading.enumerate()]

os.register_at_fork(before=lambda: at_fork.append(names()))     # runs after hooks registered later
from ctc_scratch.ctc.running import threads

threads.set_num_threads(4)
for _ in range(30):
    at_fork, seen = [], []
    threads.run(seen.extend, np.full(20, 1e6))
    assert sorted(seen) == list(range(20)) and len(names()) == 4, names()
    pid = os.fork()
    if pid == 0:
        seen = []
        threads.run(seen.extend, np.full(20, 1e6))
        os._exit(0 if sorted(seen) == list(range(20)) and len(names()) == 4 else 1)
    if os.path.exists("/proc/self/task"):
        assert len(os.listdir("/proc/self/task")) == 1, "the system still has a thread"
    assert at_fork == [["MainThread"]], at_fork
    assert os.waitpid(pid, 0)[1] == 0
"""


def test_no_helper_is_alive_at_a_fork():
    """Python 3.12 and later warn of a fork if the system knows of a second thread; here that is an error."""
    # BLAS would have threads of its own.
    ended = subprocess.run([sys.executable, "-W", "error", "-c", FORKS], capture_output=True, text=True,
                           env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}, timeout=300)
    assert (ended.returncode, ended.stderr) == (0, "")


def fork_a_child_that_ends():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_fork_does_not_wait_long_for_a_helper_that_works(monkeypatch):
    monkeypatch.setattr(threads, "FORK_WAIT", 0.05)
    set_num_threads(2)
    meet, go_on, ended = threading.Barrier(3, timeout=30), threading.Event(), []

    def task():
        meet.wait()
        assert go_on.wait(30)
        ended.append(threading.current_thread())

    caller = threading.Thread(target=threads.run_together, args=(task, lambda: False, 5, 1e6))
    caller.start()
    meet.wait()     # now the caller and its helper are in the task
    fork_a_child_that_ends()
    assert threads._offers is None and caller.is_alive()
    fork_a_child_that_ends()
    go_on.set()
    caller.join(timeout=30)
    assert not caller.is_alive() and len(set(ended)) == 2


def test_a_task_may_fork(monkeypatch):
    """Both threads fork while they are in the task: neither waits for itself, or for long for the other."""
    monkeypatch.setattr(threads, "FORK_WAIT", 0.05)
    set_num_threads(2)
    meet, ended = threading.Barrier(2, timeout=30), []

    def task():
        meet.wait()
        fork_a_child_that_ends()
        ended.append(threading.current_thread())

    threads.run_together(task, lambda: False, pieces=2, cost=1e6)
    assert len(set(ended)) == 2


def test_batches_are_right_while_another_thread_forks():
    set_num_threads(3)
    errors = []

    def fork_often():
        try:
            for _ in range(20):
                fork_a_child_that_ends()
        except BaseException as error:
            errors.append(error)

    other = threading.Thread(target=fork_often)
    other.start()
    batches = 0
    while other.is_alive() or batches < 20:
        seen = []
        threads.run(seen.extend, np.full(20, 1e6))
        assert sorted(seen) == list(range(20))
        batches += 1
    assert not errors
