"""Signals, a second process and full disks: the run prints one clear line, and resumes to the same bits.

Most tests here start whole processes; `tests/digits/training/test_train_resume.py` tests within one process.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.digits.training import run_folder as run_module
from ctc_scratch.digits.training import train as training
from ctc_scratch.digits.training.checkpoint import read_checkpoint
from ctc_scratch.digits.training.train import StoppedError, resume, train
from ctc_scratch.digits.training.trainer import Trainer
from tests.kill_at_random import finish

OPTIONS = ("--steps 250 --evaluations 25 --digits 1-3 --test-digits 2 --hidden 4 --batch 8 --window 14 "
           "--save-every 0").split()


# ---- signals ------------------------------------------------------------------------------


def start(*arguments, **how):
    return subprocess.Popen([sys.executable, "-m", "ctc_scratch", "train", *map(str, arguments)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def read_until(process, words):
    """Read the lines of a process up to the first one with these words, and return them."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"no {words!r} in {lines}; {process.stderr.read()}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, digits):
    """The SHA-256 of the weights of a run that nothing interrupted."""
    return finish(start("--out", tmp_path_factory.mktemp("undisturbed") / "run", "--data", digits, *OPTIONS))


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_a_signal_ends_a_process_which_says_how_to_go_on(tmp_path, digits, undisturbed, number):
    folder = tmp_path / "run"
    process = start("--out", folder, "--data", digits, *OPTIONS)
    lines = read_until(process, "averaged")     # the table has begun, so output is not buffered
    assert f"training in {folder}/\n" in lines
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == 128 + number
    assert f"go on with it: ctc-scratch train --resume {folder}\n" in out
    assert re.fullmatch(rf"ctc-scratch: stopped by {number.name} after step \d+\n", err), err
    assert finish(start("--resume", folder)) == undisturbed


def raise_signals(monkeypatch, where, name, *flags):
    """Send SIGTERM before the k-th call of a function if the k-th flag is 1."""
    left, function = list(flags), getattr(where, name)

    def signalled(*arguments, **options):
        if left and left.pop(0):
            signal.raise_signal(signal.SIGTERM)
        return function(*arguments, **options)

    monkeypatch.setattr(where, name, signalled)


@pytest.mark.slow
def test_a_second_signal_ends_a_run_at_once_and_loses_nothing(small, tmp_path, monkeypatch):
    """The first signal comes within a step, the second while the checkpoint after it is being written."""
    with monkeypatch.context() as patch:
        raise_signals(patch, Trainer, "step", 0, 0, 0, 0, 1)      # the first step loads the kernels
        raise_signals(patch, os, "fsync", *12 * [0], 1)
        with pytest.raises(StoppedError, match=f"stopped by SIGTERM at once; go on .*: ctc-scratch train "
                                               f"--resume {tmp_path / 'run'}"):
            train(small)
    assert not list((tmp_path / "run").glob("*.unfinished"))
    left = {name: read_checkpoint(tmp_path / "run" / name).header["step"]
            for name in (run_module.CHECKPOINT, run_module.PREVIOUS)}
    assert left[run_module.CHECKPOINT] == left[run_module.PREVIOUS] + 1 > 1
    resume(tmp_path / "run")
    expected = small_sha(tmp_path / "run")
    train(training.Settings(**{**vars(small), "out": str(tmp_path / "other")}))
    assert small_sha(tmp_path / "other") == expected


def small_sha(folder):
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])["sha256"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["load_kernels", "create"])
def test_a_signal_before_the_first_step_leaves_nothing(small, tmp_path, monkeypatch, capsys, what):
    where, function = (training, what) if what == "load_kernels" else (run_module, "write_checkpoint")
    raise_signals(monkeypatch, where, function, 1)
    arguments = ["train", "--out", small.out, "--data", small.data, "--hidden", "16", "--test-digits", "2"]
    assert main(arguments) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == ("ctc-scratch: stopped by SIGTERM before the first step: "
                                       "nothing is written\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("what", ["draw", "show_readings", "test"])
def test_a_signal_after_the_last_step_says_how_to_go_on(small, tmp_path, monkeypatch, what):
    with monkeypatch.context() as patch:
        raise_signals(patch, run_module.RunFolder, what, 1)
        with pytest.raises(StoppedError, match="at once; go on from the last checkpoint: .* --resume"):
            train(small)
    resume(tmp_path / "run")
    assert small_sha(tmp_path / "run")


def test_a_signal_that_is_ignored_stays_so(monkeypatch):
    """SIGINT is ignored under nohup, and in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with training._StopSignals() as stop:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) == stop._handle
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# ---- a second process, output -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.alone
def test_a_second_run_on_a_folder_is_refused_and_the_first_goes_on(tmp_path, digits, undisturbed, capsys):
    folder = tmp_path / "run"
    first = start("--out", folder, "--data", digits, *OPTIONS)
    read_until(first, "averaged")
    first.send_signal(signal.SIGSTOP)     # so that it cannot end before the second one starts
    assert main(["train", "--resume", str(folder)]) == 2
    assert main(["train", "--resume", str(folder / run_module.PREVIOUS)]) == 2
    assert main(["train", "--out", str(folder)]) == 2
    first.send_signal(signal.SIGCONT)
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all("is being trained by another process: wait until it ends" in line for line in errors[:2])
    assert "exists: a run is never overwritten" in errors[2]
    assert finish(first) == undisturbed


@pytest.mark.slow
@pytest.mark.alone
def test_a_closed_pipe_ends_the_run_and_loses_nothing(tmp_path, digits, undisturbed):
    """As in `ctc-scratch train | head`."""
    folder = tmp_path / "run"
    process = start("--out", folder, "--data", digits, *OPTIONS)
    read_until(process, "averaged")
    process.stdout.close()
    error = process.stderr.read().splitlines()[-1]
    process.stderr.close()
    assert process.wait() == 2
    assert "its output: Broken pipe: ended after step" in error and f"--resume {folder}" in error
    assert finish(start("--resume", folder)) == undisturbed


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_cannot_be_written_gives_an_error_of_one_line():
    command = [sys.executable, "-m", "ctc_scratch", "diagnose", "--target", "1", "--frames", "3"]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.stderr == "ctc-scratch: error: the output: No space left on device\n"
    assert ended.returncode == 2


# ---- disks --------------------------------------------------------------------------------

NAMESPACE = ["unshare", "--map-root-user", "--mount"]
needs_mount = pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode,
    reason="this machine allows no mounts")


def in_a_small_disk(tmp_path, size, script):
    """Run shell commands in tmp_path/disk, a disk of this size that no other process sees."""
    disk = tmp_path / "disk"
    disk.mkdir()
    commands = f"set -u; mount -t tmpfs -o size={size} tmpfs {disk}; cd {disk}\n{script}"
    ended = subprocess.run([*NAMESPACE, "sh", "-c", commands], capture_output=True, text=True,
                           env={**os.environ, "TRAIN": f"{sys.executable} -m ctc_scratch train"})
    return ended.stdout, ended.stderr


@pytest.mark.slow
@needs_mount
def test_a_disk_that_runs_full_loses_nothing(tmp_path, digits, undisturbed):
    """A file system of its own has room for two checkpoints, but not for three."""
    out, err = in_a_small_disk(tmp_path, "600k", f"""
        $TRAIN --out run --data {digits} {' '.join(OPTIONS)}; echo "status $?"; ls run
        mount -o remount,size=64m {tmp_path / 'disk'}
        $TRAIN --resume run; echo "status $?"
        """)
    first, second = out.split("status ")[1:]
    assert first.splitlines()[0] == "2" and "checkpoint.npz" in first and "unfinished" not in first, out + err
    assert re.search(r"ctc-scratch: error: run: No space left on device: ended after step \d+, the last "
                     r"checkpoint is whole; make room, then go on: ctc-scratch train --resume run\n", err)
    assert second.startswith("0") and undisturbed in first, out + err


@pytest.mark.slow
@needs_mount
def test_a_disk_that_is_full_from_the_start_is_left_as_it_was(tmp_path, digits):
    out, err = in_a_small_disk(tmp_path, "100k", f'$TRAIN --out run --data {digits}; echo "status $?"; ls -A')
    assert out.endswith("status 2\n"), out
    assert err == "ctc-scratch: error: --out run cannot be made: No space left on device\n"


@pytest.mark.slow
@needs_mount
def test_a_disk_that_cannot_be_written_to_is_named(tmp_path, digits, undisturbed):
    out, err = in_a_small_disk(tmp_path, "64m", f"""
        $TRAIN --out run --data {digits} --steps 9 --evaluations 0 --hidden 16; echo "status $?"
        mount -o remount,ro {tmp_path / 'disk'}
        $TRAIN --out other --data {digits}; echo "status $?"
        $TRAIN --resume run; echo "status $?"
        mount -o remount,rw {tmp_path / 'disk'}
        $TRAIN --resume run; echo "status $?"
        """)
    assert re.findall(r"status (\d+)", out) == ["0", "2", "2", "0"], err
    assert len(set(re.findall(r"SHA-256 (\w+)", out))) == 1
    errors = [line for line in err.splitlines() if "error:" in line]
    assert re.search("--out other cannot be made: .* is not a folder that can be written to", errors[0])
    assert re.search("run/metrics.jsonl: Read-only file system: ended after step 9, the last checkpoint is "
                     "whole; once that is mended, go on: ctc-scratch train --resume run", errors[1])
    assert len(errors) == 2
