"""`Ranks`: the beginning and the end of a run, and the exchange of gradients in each step.

Every rank takes part in one exchange per step. The message of a rank says whether it has failed, and that of
rank 0 whether the run has ended, so all ranks always know what the others do next.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np

from ....ctc import get_num_threads, set_num_threads
from ...data.rows import RowBatch
from ...errors import RanksError
from ...model.reader import RowReader
from ..gradients import Compute, DivergedError, ShardGradients, edges, on_threads, shard_gradients
from ..train import load_kernels, prepare
from ..trainer import Trainer
from .mpi import NOTHING, Exchange
from .packing import label, pack, unpack
from .same_bits import Facts, compare, names, probe


class Message(NamedTuple):
    """What a rank tells all others in an exchange."""

    content: Any = None         # what this exchange is about
    failure: str = ""           # why this rank cannot go on
    has_diverged: bool = False  # whether that is because training has diverged
    has_ended: bool = False     # from rank 0: the run has ended, and no other exchange follows


class RunEnded(Exception):
    """Rank 0 has ended the run."""


class Ranks:
    """All processes that mpiexec has started; a context manager, at whose end the run ends on all of them.

    Rank 0 passes it to `train` or `resume`; the others call `follow`.

    Parameters
    ----------
    threads : of each rank; None gives each an equal share of the cores that it may use
    different_bits_allowed : whether to train if the ranks do not compute the same bits

    Attributes
    ----------
    rank, size : the number of this rank, and how many there are
    """

    def __init__(self, threads: int | None = None, different_bits_allowed: bool = False):
        self._exchange, self._threads = Exchange(), threads
        self.rank, self.size = self._exchange.rank, self._exchange.size
        self._different_bits_allowed, self._differ = different_bits_allowed, False
        self._block, self._hosts = NOTHING, [""] * self.size

    def __repr__(self) -> str:
        return f"Ranks(rank {self.rank} of {self.size} on {self._exchange.host})"

    # ---- the beginning and the end ------------------------------------------------------------

    def __enter__(self) -> Ranks:
        if self.rank:       # Ctrl-C goes to all ranks, and rank 0 decides when the run ends
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return self

    def __exit__(self, kind, error, traceback) -> None:
        self._exchange.status = 128 + error.signal if hasattr(error, "signal") else 2
        if self.rank == 0 and self._exchange.is_whole:
            self._exchange.all_send(Message(has_ended=True))
            self._exchange.is_over = True

    def begin(self, trainer: Trainer) -> str:
        """On rank 0: give all ranks this trainer, and compare what decides their bits.

        Returns how the ranks differ, if that is allowed, else ''. Raises RanksError if it is not.
        """
        state = trainer.settings, trainer.position(), self._different_bits_allowed
        self._send_place(state)
        machines, threads = len(set(self._hosts)), get_num_threads()
        print(f"{self.size} rank{'s' * (self.size > 1)} on {machines} machine{'s' * (machines > 1)}, "
              f"{threads} thread{'s' * (threads > 1)} each")
        shards = min(trainer.settings.shards, trainer.settings.batch)
        if shards < self.size:
            print(f"only {shards} of them have work, because a batch is cut into {shards} "
                  f"shard{'s' * (shards > 1)}: more --shards give work to more ranks, but change the last "
                  f"bits of the weights")
        return self._join(trainer)

    def follow(self) -> None:
        """On the other ranks: repeat the steps of rank 0 until the run has ended."""
        try:
            settings, position, self._different_bits_allowed = self._send_place(None)
            _, trainer = prepare(settings, settings.data, self.mapper)
            trainer.set_position(position, None)
            with redirect_stdout(None):
                self._join(trainer)
            while True:
                trainer.step()
                trainer.skip_evaluation()
        except RunEnded:
            self._exchange.is_over = True
        except Exception as error:
            if not self._exchange.is_whole:
                raise
            self._wait_for_the_end(error)

    def _send_place(self, state: Any) -> Any:
        """Share the cores among the ranks that may use them; returns the state that rank 0 sends."""
        cores = tuple(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ()
        contents, _ = self._send_all(Message((self._exchange.host, cores, state)))
        places = [(host, cores) for host, cores, _ in contents]
        self._hosts = [host for host, _ in places]
        sharing = Counter(places)[places[self.rank]]
        set_num_threads(self._threads or max(1, get_num_threads() // sharing))
        return contents[0][2]

    def _join(self, trainer: Trainer) -> str:
        """Load the kernels, compare all ranks, and give them the state of rank 0; returns how they differ."""
        self._trainer = trainer
        by_name = self._compare(names(trainer))
        load_kernels(trainer)
        by_probe = self._compare(probe(trainer))
        self._differ = bool(by_name or by_probe)
        self._copy_from_rank_0(trainer.arrays())
        rows = edges(trainer.settings.batch, trainer.settings.shards)
        first, last = self._own(len(rows) - 1)
        trainer.sampler.only = slice(rows[first], rows[last])
        return by_name or by_probe

    def _compare(self, own: Facts) -> str:
        """Compare the facts of this rank with those of all others; see `same_bits.compare`."""
        return compare(self._hosts, self._send_all(Message(own))[0], self._different_bits_allowed)

    def _wait_for_the_end(self, error: Exception) -> None:
        """Tell the others that this rank cannot go on, until rank 0 ends the run."""
        known = isinstance(error, (DivergedError, RanksError, ValueError))
        message = Message(failure=str(error) if known else f"{type(error).__name__}: {error}",
                          has_diverged=isinstance(error, DivergedError))
        while not self._exchange.all_send(message)[0][0].has_ended:
            pass
        self._exchange.is_over = True

    # ---- a step -----------------------------------------------------------------------------

    def mapper(self, model: RowReader, shards: list[RowBatch], compute: Compute = shard_gradients
               ) -> list[ShardGradients]:
        """The gradients of all shards, in their order: this rank computes its own and receives the others."""
        if self._differ:        # else the weights would drift apart
            self._copy_from_rank_0(model.params)
        first, last = self._own(len(shards))
        own = on_threads(model, shards[first:last], compute)
        self._block = block = pack(own, model.params, self._block)
        schedule, labels = self._trainer.schedule, [label(shard) for shard in own]
        contents, blocks = self._send_all(Message((schedule.progress, labels)), block)
        schedule.progress = contents[0][0]      # with a time limit the clock of rank 0 decides
        return [shard for (_, labels), block in zip(contents, blocks)
                for shard in unpack(labels, block, model.params)]

    def _own(self, shards: int) -> tuple[int, int]:
        """The first of this rank's shards, and the one after its last."""
        return shards * self.rank // self.size, shards * (self.rank + 1) // self.size

    def _copy_from_rank_0(self, arrays: dict[str, np.ndarray]) -> None:
        """Give arrays on every rank the values that they have on rank 0."""
        own = [np.frombuffer(array.tobytes(), np.uint8) for array in arrays.values()]
        _, (block, *_) = self._send_all(Message(), NOTHING if self.rank else np.concatenate(own))
        for array in arrays.values():
            values, block = block[:array.nbytes], block[array.nbytes:]
            array[...] = np.frombuffer(values.tobytes(), array.dtype).reshape(array.shape)

    def _send_all(self, message: Message, block: np.ndarray = NOTHING) -> tuple[list[Any], list[np.ndarray]]:
        """Send a message and a block to all ranks; returns the contents of all messages, and all blocks.

        RunEnded if rank 0 has ended the run; DivergedError or RanksError if a rank cannot go on.
        """
        messages, blocks = self._exchange.all_send(message, block)
        if messages[0].has_ended:
            raise RunEnded
        for rank, each in enumerate(messages):
            if each.has_diverged:
                raise DivergedError(each.failure)
            if each.failure:
                raise RanksError(f"rank {rank} on {self._hosts[rank]}: {each.failure}")
        return [each.content for each in messages], blocks
