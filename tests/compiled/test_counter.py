"""Threads that count together take each piece once, and know when all are done."""

import threading

import numba
import numpy as np

from ctc_scratch.compiled.counter import DONE, FAILED, TAKEN, count, new_progress, spin_until_done


@numba.njit(nogil=True)
def take_pieces(progress, pieces, taken):
    """Mark each piece that this thread takes; returns how many."""
    own = 0
    while True:
        k = count(progress, TAKEN, 1)
        if k >= pieces:
            return own
        taken[k] += 1
        own += 1
        count(progress, DONE, 1)


def test_each_piece_is_taken_once():
    pieces = 1000 if numba.config.DISABLE_JIT else 200_000
    progress, taken, meet = new_progress(), np.zeros(pieces, np.int8), threading.Barrier(4, timeout=60)
    take_pieces(new_progress(), 0, taken)  # compiled before they start

    def task():
        meet.wait()
        take_pieces(progress, pieces, taken)

    threads = [threading.Thread(target=task) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (taken == 1).all()
    assert (progress[DONE], progress[TAKEN], progress[FAILED]) == (pieces, pieces + 4, 0)


def test_spinning_ends_when_all_pieces_are_done_or_no_look_is_left():
    progress = new_progress()
    progress[DONE] = 3
    assert spin_until_done(progress, 3, 1)
    assert not spin_until_done(progress, 4, 100)
    assert not spin_until_done(progress, 3, 0)
    waits = []
    waiting = threading.Thread(target=lambda: waits.append(spin_until_done(progress, 4, 10**12)))
    waiting.start()
    progress[DONE] = 4
    waiting.join(timeout=60)
    assert waits == [True]
