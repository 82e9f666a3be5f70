"""The one file that imports mpi4py: every rank sends a message and a block of bytes to all others.

MPI starts when an `Exchange` is made, and never before. No process may fork from then on: a child would share
the connections of its parent.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import time
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import RanksError
from .launched import number_of_ranks

FIRST = 512
"""How many bytes each rank sends first: the sizes of its message and block, then the message's beginning."""

LOOK, NAP = 1e-3, 1e-4
"""A rank that waits for others polls without a pause for LOOK seconds, then every NAP seconds. The blocking
calls of MPI never pause; with them, a step takes three times as long where ranks share a core."""

MOST_START = 30
"""All ranks must start MPI within this many seconds; a process that has failed before then never does."""

NOTHING = np.empty(0, np.uint8)


class Exchange:
    """The connection of this rank to all others.

    Attributes
    ----------
    rank, size : the number of this rank, and how many there are
    host : name of the machine
    is_whole : False once an exchange has failed; no other one is possible then
    is_over : set it to True when all ranks know that no exchange follows. If this process ends before
        that, it ends all ranks, whatever they are doing.
    status : the exit status of `mpiexec` in that case
    """

    def __init__(self) -> None:
        with _killed_after(MOST_START):
            try:
                import mpi4py

                mpi4py.rc.thread_level = "funneled"     # only the main thread calls MPI
                from mpi4py import MPI
            except (ImportError, RuntimeError) as error:    # RuntimeError: mpi4py finds no MPI library
                raise RanksError(f"mpiexec has started {number_of_ranks()} processes, which need mpi4py and "
                                 f"an MPI library: pip install mpi4py mpich ({error})") from None
        self._mpi, self._comm = MPI, MPI.COMM_WORLD
        self.is_over, self.status = False, 2
        atexit.register(self._end_all_ranks)
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self.host = MPI.Get_processor_name()
        self.is_whole = True
        self._received = NOTHING
        if self.size < number_of_ranks():
            self.is_over = True
            raise RanksError(f"mpiexec has started {number_of_ranks()} processes, but the MPI library of "
                             f"mpi4py sees {self.size}: mpiexec and mpi4py belong to different libraries")

    def __repr__(self) -> str:
        return f"Exchange(rank {self.rank} of {self.size} on {self.host})"

    def all_send(self, message: Any, block: np.ndarray = NOTHING) -> tuple[list[Any], list[np.ndarray]]:
        """Send a message and a block to all ranks; returns those of all ranks, in the order of the ranks.

        Every rank must call this, and waits until all have.

        Parameters
        ----------
        message : any object that can be pickled. A small one takes no longer than an empty one.
        block : (size,) uint8 array; its size may differ from rank to rank

        Returns
        -------
        messages, blocks
            The blocks are views into one buffer, which the next call overwrites.
        """
        with self._whole_or_broken():
            pickled = np.frombuffer(pickle.dumps(message), np.uint8)
            first = np.zeros(FIRST, np.uint8)
            sizes = first[:16].view(np.int64)
            sizes[:] = len(pickled), len(block)
            head, tail = pickled[:FIRST - 16], pickled[FIRST - 16:]
            first[16:16 + len(head)] = head
            firsts = np.empty((self.size, FIRST), np.uint8)
            self._wait_for(self._comm.Iallgather(first, firsts))

            message_sizes, block_sizes = firsts[:, :16].copy().view(np.int64).T
            tails = self._gather(tail, np.maximum(message_sizes - (FIRST - 16), 0))
            messages = [pickle.loads(np.concatenate([first[16:], tail])[:size].tobytes())
                        for first, tail, size in zip(firsts, tails, message_sizes)]
            if len(self._received) < block_sizes.sum():
                self._received = np.empty(block_sizes.sum(), np.uint8)
            return messages, self._gather(block, block_sizes, self._received)

    def _end_all_ranks(self) -> None:
        """As this process ends: without the others, MPI would wait for them for ever."""
        if not self.is_over:
            self._comm.Abort(self.status)

    def _gather(self, mine: np.ndarray, sizes: np.ndarray, buffer: np.ndarray | None = None
                ) -> list[np.ndarray]:
        """Gather the arrays of all ranks, of these sizes, into the buffer or a new one; returns views."""
        ends = np.cumsum(sizes)
        if ends[-1]:
            buffer = np.empty(ends[-1], np.uint8) if buffer is None else buffer
            self._wait_for(self._comm.Iallgatherv(mine, [buffer[:ends[-1]], sizes.tolist()]))
        return np.split(NOTHING if buffer is None else buffer[:ends[-1]], ends[:-1])

    def _wait_for(self, request: Any) -> None:
        """Wait until a request is complete, and leave the core to other processes meanwhile."""
        start = time.monotonic()
        while not request.Test():
            if time.monotonic() - start < LOOK:
                os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
            else:
                time.sleep(NAP)

    @contextmanager
    def _whole_or_broken(self):
        """A context that leaves `is_whole` False if an error ends it; MPI's errors become a RanksError."""
        self.is_whole = False
        try:
            yield
        except self._mpi.Exception as error:
            raise RanksError(f"rank {self.rank} on {self.host} has lost the others ({error})") from error
        self.is_whole = True


@contextmanager
def _killed_after(seconds: int):
    """A context in which the system ends this process after so many seconds, or at a Ctrl-C.

    While MPI waits for all processes to start, Python calls none of its own signal handlers.
    """
    if not hasattr(signal, "alarm"):
        yield
        return
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGALRM, signal.SIGINT)
              if signal.getsignal(number) != signal.SIG_IGN}
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
