"""Two machines that share nothing but a network: the same weights, and a rank that is killed ends the run."""

import os
import signal

import pytest

from tests.digits.training.test_train_faults import read_until
from tests.kill_at_random import finish, wait_for
from tests.tools.mpiexec import rank_processes
from tests.tools.two_machines import bytes_sent, can_be_made, two_machines

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mpiexec"),
              pytest.mark.skipif(not can_be_made(), reason="this user cannot make network namespaces")]


def test_two_machines_give_the_same_weights_and_end_together(tmp_path, options, undisturbed):
    """A run begins on two machines, loses a rank, and goes on with three ranks on two machines."""
    with two_machines(tmp_path) as start:
        process = start(2, "--out", tmp_path / "run", *options)
        assert "2 ranks on 2 machines" in read_until(process, "machines")[0]
        read_until(process, "averaged")
        ranks = rank_processes(process)
        os.kill(ranks[1], signal.SIGKILL)
        process.communicate(timeout=30)
        assert process.returncode != 0
        wait_for(list(ranks.values()))

        assert finish(start(3, "--resume", tmp_path / "run")) == undisturbed
        gradients = 40 * 10_000     # bytes: more than 40 steps without gradients could send
        assert all(bytes_sent(f"ctc{os.getpid()}{letter}") > gradients for letter in "ab")
