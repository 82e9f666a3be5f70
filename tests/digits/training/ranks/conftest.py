"""What tests that start mpiexec need: the program, and the weights of a run without it."""

import pytest

from tests.kill_at_random import finish
from tests.tools.mpiexec import MPIEXEC, start

OPTIONS = ("--steps 40 --evaluations 2 --digits 1-2 --test-digits 2 --hidden 8 --vertical 1 --window 4 "
           "--batch 9 --shards 4 --optimiser muon --average 0.9 --objective prior --weight 0.1 --wave 0.5 "
           "--plain 0.2 --close 0.5 --margin 5 --blur 1 --save-every 0.1").split()
"""A run in which everything takes part that one rank could get wrong; the shards have different sizes."""


@pytest.fixture(scope="session")
def mpiexec():
    """The program, which the wheel of mpich installs beside Python."""
    pytest.importorskip("mpi4py", reason="the extra mpi is not installed")
    if not MPIEXEC.exists():
        pytest.skip(f"there is no {MPIEXEC}: pip install mpich")
    return MPIEXEC


@pytest.fixture(scope="session")
def options(digits):
    return [*OPTIONS, "--data", digits]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, options):
    """The SHA-256 of the weights of a run on one thread of one process."""
    return finish(start(0, "--out", tmp_path_factory.mktemp("undisturbed") / "run", "--threads", 1, *options))
