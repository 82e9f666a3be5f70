"""`ctc-scratch train` with a fault on one rank, or on "all".

    python -m tests.digits.training.ranks.faulty RANK FAULT train ...

Faults that come while training come in its fifth step.
"""

import os
import sys

import numpy as np

from ctc_scratch.commands.main import main
from ctc_scratch.digits.training import train, trainer
from ctc_scratch.digits.training.gradients import DivergedError
from ctc_scratch.digits.training.ranks import launched, ranks

FORKS = ("os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen")


def later(where, name, what, calls=5):
    """Call `what` in place of the fifth call of a function, and of all that follow."""
    function, count = getattr(where, name), [0]

    def faulty(*arguments, **options):
        count[0] += 1
        return (what if count[0] >= calls else function)(*arguments, **options)

    setattr(where, name, faulty)


def run_out_of_memory(*arguments, **options):
    raise MemoryError("of this rank")


def diverge(*arguments, **options):
    raise DivergedError("this rank has diverged")


def fault_in_a_shard():
    later(ranks, "on_threads", run_out_of_memory)


def fault_in_a_step():
    """After the exchange, when the other ranks have gone on."""
    later(trainer, "clip_by_global_norm", run_out_of_memory)


def divergence():
    later(ranks, "on_threads", diverge)


def other_numpy():
    np.__version__ = "2.0.0"


def other_probe():
    ranks.probe = lambda trainer: {**PROBE(trainer), "a product": "0"}


def missing_digits():
    train.load_data = lambda folder, transpose: (_ for _ in ()).throw(FileNotFoundError("no digits here"))


def end():
    later(ranks, "on_threads", lambda *arguments: os._exit(0))


def forks_are_told():
    """Say on stderr when this process forks after MPI has started."""
    sys.addaudithook(lambda event, _: event in FORKS and "mpi4py.MPI" in sys.modules
                     and print("forked by", event, file=sys.stderr))


PROBE = ranks.probe

if __name__ == "__main__":
    rank, fault, *arguments = sys.argv[1:]
    if rank in ("all", str(launched.rank())):
        globals()[fault]()
    sys.exit(main(arguments))
