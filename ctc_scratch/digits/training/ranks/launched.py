"""Whether `mpiexec` has started this process, how many others, and its rank, from environment variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Variables that hold the number of processes: of MPICH, Intel MPI and Slurm (PMI), and of Open MPI."""

RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")
"""Variables that hold the rank of this process."""


def number_of_ranks(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes were started together; 1 if this one was started by itself.

    >>> number_of_ranks({"PMI_RANK": "1", "PMI_SIZE": "4"})
    4
    >>> number_of_ranks({})
    1
    """
    sizes = [environment[name] for name in SIZES if name in environment]
    if not sizes and "PMIX_RANK" in environment:    # PMIx alone names no size, but Slurm does
        sizes = [environment.get("SLURM_STEP_NUM_TASKS", "1")]
    return max([1, *(int(size) for size in sizes if size.isdecimal())])


def rank(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those that were started together, from 0."""
    if number_of_ranks(environment) == 1:
        return 0
    return next((int(environment[name]) for name in RANKS if environment.get(name, "").isdecimal()), 0)


def is_launched() -> bool:
    """Whether training is to use MPI: there are several processes, or `python -m mpi4py` runs this one."""
    return number_of_ranks() > 1 or "mpi4py.MPI" in sys.modules
