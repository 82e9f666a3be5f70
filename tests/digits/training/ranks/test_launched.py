"""Whether mpiexec has started a process is told by its environment; without mpiexec nothing is imported."""

import re
import subprocess
import sys

import pytest

from ctc_scratch.digits.training.ranks import launched
from tests.tools.mpiexec import environment

ENVIRONMENTS = {
    "none": ({}, 1, 0),
    "mpich": ({"PMI_RANK": "2", "PMI_SIZE": "3", "PMI_FD": "9"}, 3, 2),
    "open_mpi": ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}, 4, 3),
    "slurm_pmix": ({"PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "2"}, 2, 1),
    "slurm_alone": ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0"}, 1, 0),
    "one_rank": ({"PMI_RANK": "0", "PMI_SIZE": "1"}, 1, 0),
    "no_number": ({"PMI_RANK": "0", "PMI_SIZE": "many"}, 1, 0),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_environment_says_how_many_ranks_there_are(name):
    variables, size, rank = ENVIRONMENTS[name]
    assert (launched.number_of_ranks(variables), launched.rank(variables)) == (size, rank)


def run(code, **variables):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=environment(**variables))


def test_without_mpiexec_mpi4py_is_not_imported():
    """Neither by the modules of the ranks nor by the command."""
    ended = run("import sys; sys.modules['mpi4py'] = None\n"
                "import ctc_scratch.digits.training.ranks.ranks\n"
                "from ctc_scratch.commands.main import main\n"
                "sys.exit(main(['train', '--window', '20']))")
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == "ctc-scratch: error: --window must be from 1 to 14, not 20\n"


def test_under_mpiexec_each_rank_says_that_it_lacks_mpi4py():
    """It cannot ask the others whether they do, too."""
    code = ("import sys; sys.modules['mpi4py'] = None\n"
            "from ctc_scratch.commands.main import main\n"
            "sys.exit(main(['train']))")
    ended = run(code, PMI_SIZE="2", PMI_RANK="1")
    assert ended.returncode == 2
    assert re.fullmatch("ctc-scratch: error: mpiexec has started 2 processes, which need mpi4py and an MPI "
                        "library: pip install mpi4py mpich .*\n", ended.stderr), ended.stderr
