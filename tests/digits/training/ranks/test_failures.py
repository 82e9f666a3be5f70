"""Whatever happens to one rank ends the run on all, with one message, and the last checkpoint is whole."""

import re
import signal
import subprocess
import sys

import pytest

from ctc_scratch.digits.training.checkpoint import read_checkpoint
from tests.digits.training.test_train_faults import in_a_small_disk, needs_mount, read_until
from tests.kill_at_random import finish, wait_for
from tests.tools.mpiexec import MPIEXEC, TRAIN, rank_processes, start
from tests.tools.small_runs import records

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mpiexec")]
FAULTY = [sys.executable, "-m", "tests.digits.training.ranks.faulty"]
SOON = 30       # seconds within which a run must have ended


def fail(ranks, rank, fault, folder, *options):
    """Run with a fault on one rank; returns the exit status, the output and the lines on stderr."""
    process = start(ranks, rank, fault, "train", "--out", folder, *options, program=FAULTY)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, err.splitlines()


@pytest.mark.parametrize("fault", ["fault_in_a_shard", "fault_in_a_step"])
def test_a_rank_that_raises_ends_the_run_in_one_line(tmp_path, options, undisturbed, fault):
    """In its fifth step; or in its fourth, after the exchange, so that rank 0 has taken that step."""
    status, _, said = fail(3, 1, fault, tmp_path / "run", *options)
    again = f"ctc-scratch train --resume {tmp_path / 'run'}"
    assert status == 2 and len(said) == 1, said
    assert re.fullmatch(r"ctc-scratch: error: rank 1 on \S+: MemoryError: of this rank: ended after step 4, "
                        f"the last checkpoint is whole; go on with any number of ranks: {again}", said[0])
    if fault == "fault_in_a_step":
        assert finish(start(0, "--resume", tmp_path / "run")) == undisturbed


def test_a_run_that_diverges_on_one_rank_says_so_once(tmp_path, options):
    status, _, said = fail(2, 1, "divergence", tmp_path / "run", *options)
    assert status == 1 and len(said) == 1, said
    assert "step 5: this rank has diverged: training diverged, try a smaller --rate" in said[0]
    assert [record["said"] for record in records(tmp_path / "run") if "said" in record] == [
        said[0].removeprefix("ctc-scratch: error: ")]


@pytest.mark.parametrize("fault, message", [
    ("other_numpy", r"rank 1 on (\S+) has numpy 2.0.0, rank 0 on \1 has \S+, so their last bits can differ: "
                    "make them equal, or train with --allow-different-bits"),
    ("other_probe", r"rank 1 on (\S+) computes other bits of a product than rank 0 on \1, with the same "
                    "versions, so their last bits can differ: .*"),
    ("missing_digits", r"rank 1 on \S+: FileNotFoundError: no digits here"),
])
def test_a_rank_that_differs_is_refused_before_anything_is_written(tmp_path, options, fault, message):
    status, _, said = fail(2, 1, fault, tmp_path / "run", *options)
    assert status == 2 and len(said) == 1, said
    assert re.fullmatch(f"ctc-scratch: error: {message}", said[0]), said
    assert not any(tmp_path.iterdir())


def test_a_rank_with_another_processor_is_refused(tmp_path, options):
    """Numba on rank 1 compiles for any processor."""
    train = [*TRAIN, "--out", tmp_path / "run", *options]
    generic = ["-env", "NUMBA_CPU_NAME", "generic"]
    ended = subprocess.run([MPIEXEC, "-n", "1", *train, ":", "-n", "1", *generic, *train],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert re.fullmatch(r"ctc-scratch: error: rank 1 on (\S+) has Numba's processor generic, rank 0 on \1 "
                        r"has the host's, so .*\n", ended.stderr), ended.stderr


def test_different_bits_that_are_allowed_are_said_and_recorded(tmp_path, options, undisturbed):
    """Here the bits do not differ, but only the name of a version."""
    status, out, said = fail(2, 1, "other_numpy", tmp_path / "run", *options, "--allow-different-bits")
    assert status == 0 and not said and undisturbed in out
    sentence, = (record["said"] for record in records(tmp_path / "run")
                 if "rank 1" in str(record.get("said")))
    assert sentence in out and "has numpy 2.0.0" in sentence


def test_no_rank_forks_after_mpi_has_started(tmp_path, options, undisturbed):
    status, out, said = fail(2, "all", "forks_are_told", tmp_path / "run", *options)
    assert status == 0 and not said, said
    assert undisturbed in out


def test_ctrl_c_on_mpiexec_ends_all_ranks_after_a_step(tmp_path, options, undisturbed):
    process = start(2, "--out", tmp_path / "run", *options)
    read_until(process, "averaged")
    ranks = rank_processes(process)
    assert sorted(ranks) == [0, 1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SOON)
    wait_for(list(ranks.values()))
    assert process.returncode == 128 + signal.SIGINT
    assert f"go on with it: ctc-scratch train --resume {tmp_path / 'run'}\n" in out
    said = [line for line in err.splitlines() if not line.startswith("[mpiexec@")]
    assert len(said) == 1 and re.fullmatch(r"ctc-scratch: stopped by SIGINT after step \d+", said[0]), err
    assert finish(start(0, "--resume", tmp_path / "run")) == undisturbed


def test_without_mpiexec_its_ranks_end(tmp_path, options):
    process = start(2, "--out", tmp_path / "run", *options)
    read_until(process, "averaged")
    ranks = rank_processes(process)
    process.kill()
    process.communicate(timeout=SOON)
    wait_for(list(ranks.values()))
    assert read_checkpoint(tmp_path / "run" / "checkpoint.npz").header["step"] > 0


@needs_mount
def test_a_full_disk_of_rank_0_ends_all_ranks(tmp_path, digits, options, undisturbed):
    out, err = in_a_small_disk(tmp_path, "140k", f"""
        {MPIEXEC} -n 2 $TRAIN --out run {' '.join(map(str, options))}; echo "status $?"
        mount -o remount,size=64m {tmp_path / 'disk'}
        $TRAIN --resume run; echo "status $?"
        """)
    first, second = out.split("status ")[1:]
    assert first.startswith("2") and second.startswith("0"), out + err
    said = [line for line in err.splitlines() if line.startswith("ctc-scratch")]
    assert len(said) == 1 and "No space left on device: ended after step" in said[0], err
    assert undisturbed in first


def test_wrong_options_are_said_once(tmp_path):
    for arguments in ["--rate x", f"--resume {tmp_path / 'none'}"]:
        process = start(2, *arguments.split())
        _, err = process.communicate(timeout=SOON)
        assert process.returncode == 2
        assert len(err.splitlines()) == 1, err


def test_the_environment_names_the_ranks():
    """`launched` reads what this mpiexec sets."""
    code = ("from ctc_scratch.digits.training.ranks import launched\n"
            "print(f'<{launched.rank()} of {launched.number_of_ranks()}>')")
    out, _ = start(3, "-c", code, program=[sys.executable]).communicate(timeout=SOON)
    assert sorted(re.findall("<.*?>", out)) == ["<0 of 3>", "<1 of 3>", "<2 of 3>"]     # lines may be mixed
