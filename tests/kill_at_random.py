"""Kill a run at random moments, resume it, and compare its weights with those of an undisturbed run.

    python -m tests.kill_at_random --moments 20
    python -m tests.kill_at_random --moments 20 --ranks 4

A kill can fall anywhere: while Python starts, before there is a folder, within a step, within an
evaluation, or while a checkpoint is being written. Each process has one to three threads, at random. If
a run ends before it can be killed, its weights are compared as well, and a new run is started. With --ranks
each process is an mpiexec with at most as many ranks, at random, and one of them is killed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.tools.mpiexec import TRAIN, has_ended, mpiexec, rank_processes

OPTIONS = ("--steps 200 --evaluations 7 --average 0.99 --shards 3 --vertical 8 --optimiser muon "
           "--save-every 0.1").split()


MOST_WAIT = 30
"""Seconds within which all ranks must have ended after one was killed."""


def train(*arguments: str, ranks: int = 0) -> subprocess.Popen:
    """Start a training process, or an mpiexec with ranks; stdout and stderr come in one stream."""
    return subprocess.Popen([*mpiexec(ranks), *TRAIN, *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def begin(process: subprocess.Popen) -> None:
    """Wait until a process begins to train, or has ended."""
    for line in process.stdout:
        if line.startswith(("training in", "going on after")):
            return


def finish(process: subprocess.Popen) -> str:
    """Wait for a process to end and return the SHA-256 that it prints; RuntimeError if it failed."""
    out, err = process.communicate()
    sha = re.search(r"weights after step \d+: SHA-256 (\w{64})", out)
    if process.returncode or not sha:
        raise RuntimeError(f"exit status {process.returncode}:\n{out}\n{err or ''}")
    return sha[1]


def undisturbed_run(folder: Path, options: list[str]) -> tuple[str, float]:
    """The SHA-256 of a run that nothing interrupts, and how many seconds its steps take."""
    process = train("--out", str(folder), *options)
    begin(process)
    start = time.monotonic()
    return finish(process), time.monotonic() - start


def killed_runs(folder: Path, options: list[str], moments: int, longest: float,
                rng: np.random.Generator, most_ranks: int = 0) -> tuple[set[str], int]:
    """Start a run, kill it and resume it, in turns, until `moments` kills are done; then let it end.

    Returns
    -------
    The SHA-256 of every run that ended, and how many kills left a folder to resume.
    """
    ended: list[str] = []
    kills = resumable = 0
    while True:
        name = folder / f"killed-{len(ended)}"
        how = ["--resume", str(name)] if name.exists() else ["--out", str(name), *options]
        ranks = int(rng.integers(1, most_ranks, endpoint=True)) if most_ranks else 0
        process = train(*how, "--threads", str(rng.integers(1, 3, endpoint=True)), ranks=ranks)
        if kills < moments and _kill(process, longest, rng):
            kills += 1
            resumable += name.exists()
            print(f"kill {kills}: {_where(name)}{f', {ranks} ranks' * bool(ranks)}", flush=True)
            continue
        ended.append(finish(process))
        if kills == moments:
            return set(ended), resumable


def _kill(process: subprocess.Popen, longest: float, rng: np.random.Generator) -> bool:
    """Kill a process within `longest` seconds from now or from its first step; False if it ends before."""
    if rng.random() < 0.5:
        begin(process)
    try:
        process.wait(rng.uniform(0, longest))
    except subprocess.TimeoutExpired:
        ranks = list(rank_processes(process).values())
        os.kill(rng.choice(ranks) if ranks else process.pid, signal.SIGKILL)
        process.communicate(timeout=MOST_WAIT)
        wait_for(ranks)
        return True
    return False


def wait_for(processes: list[int]) -> None:
    """Wait until these processes have ended; TimeoutError after MOST_WAIT seconds."""
    end = time.monotonic() + MOST_WAIT
    while not all(map(has_ended, processes)):
        if time.monotonic() > end:
            raise TimeoutError(f"processes {processes} have not ended")
        time.sleep(0.01)


def _where(folder: Path) -> str:
    """How far a killed run had come, and which files it had not finished."""
    metrics = folder / "metrics.jsonl"
    steps = re.findall(r'"step": (\d+)', metrics.read_text()) if metrics.exists() else []
    unfinished = [path.name for path in folder.glob("*.unfinished")]
    return " ".join([f"after step {steps[-1]}" if steps else "before the first record", *unfinished])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="how often to kill (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default: 0)")
    parser.add_argument("--ranks", type=int, default=0, help="the most ranks (default: 0, no mpiexec)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        expected, longest = undisturbed_run(Path(folder, "undisturbed"), OPTIONS)
        hashes, resumable = killed_runs(Path(folder), OPTIONS, options.moments, longest,
                                        np.random.default_rng(options.seed), options.ranks)
    print(f"undisturbed              {expected}")
    print(f"killed {options.moments:3d} times,\nresumed {resumable:3d} times")
    print("\n".join(f"ended with               {sha}" for sha in sorted(hashes)))
    return not (resumable and hashes == {expected})


if __name__ == "__main__":
    sys.exit(main())
