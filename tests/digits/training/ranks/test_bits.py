"""Any number of ranks and threads gives the same weights, also if a run is resumed with another number.

    python -m tests.digits.training.ranks.test_bits     # the default model, 200 steps
"""

import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.kill_at_random import finish, killed_runs
from tests.tools.mpiexec import MPIEXEC, start
from tests.tools.small_runs import records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mpiexec")]
MPI4PY = [sys.executable, "-m", "mpi4py", "-m", "ctc_scratch", "train"]


def weights(ranks, threads, folder, *options, **how):
    return finish(start(ranks, "--out", folder, "--threads", threads, *options, **how))


@pytest.mark.parametrize("ranks, threads", [(0, 2), (3, 2)])
def test_ranks_and_threads_do_not_change_a_bit(tmp_path, options, undisturbed, ranks, threads):
    assert weights(ranks, threads, tmp_path / "run", *options) == undisturbed
    metrics = [{key: value for key, value in record.items() if key != "seconds"}
               for record in records(tmp_path / "run")]
    assert not any("rank" in str(record.get("said")) for record in metrics)


def test_more_ranks_than_shards_are_told_and_change_no_bit(tmp_path, options, undisturbed):
    """Of five ranks one has no shard. mpi4py starts the program, and MPI before it."""
    process = start(5, "--out", tmp_path / "run", *options, program=MPI4PY)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "5 ranks on 1 machine, 1 thread each\n" in out
    assert out.count("only 4 of them have work, because a batch is cut into 4 shards") == 1
    assert re.search(r"weights after step 40: SHA-256 (\w+)", out)[1] == undisturbed
    assert out.count("training in") == out.count("SHA-256") - out.count("kept") == 1, "rank 0 alone prints"


def test_killed_ranks_end_all_and_any_number_goes_on_to_the_same_bits(tmp_path, options, undisturbed):
    hashes, resumable = killed_runs(tmp_path, list(map(str, options)), 2, 1.0, np.random.default_rng(5), 3)
    assert hashes == {undisturbed} and resumable


def main():
    """Print the SHA-256 of the weights for each number of ranks and of threads."""
    options = "--steps 200 --shards 4 --evaluations 2".split()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for ranks, threads in [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1), (4, 1), (2, 2)]:
            name = f"mpiexec -n {ranks}" if ranks else "no mpiexec"
            run = Path(folder, f"{ranks}-{threads}")
            sha = found[ranks, threads] = weights(ranks, threads, run, *options)
            print(f"{name:12}  threads {threads}  {sha}", flush=True)
    return len(set(found.values())) != 1


if __name__ == "__main__":
    assert MPIEXEC.exists(), f"no {MPIEXEC}: pip install mpich"
    sys.exit(main())
