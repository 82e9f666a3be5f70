"""Run the tests of mutated modules, in two copies of the project at the same time."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import resource
import signal
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.tools.mutants import Mutation


class Trial(NamedTuple):
    """A mutation whose tests are running, in one of the copies."""

    mutation: Mutation
    folder: Path
    original: bytes
    process: Any
    deadline: float


def run_tests(folder: Path, path: str, arguments: list[str], seconds: float | None) -> None:
    """Run the tests in this folder and exit with the status of pytest; called in a forked process."""
    os.setsid()
    sys.dont_write_bytecode = seconds is not None   # bytecode is kept of the original only
    resource.setrlimit(resource.RLIMIT_DATA, (2**32, 2**32))    # 4 GB
    if seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    ours = {entry.stem for entry in folder.iterdir()}
    for name in [name for name in sys.modules if name.split(".")[0] in ours]:
        del sys.modules[name]                       # they were imported from another folder
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with open(folder / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    package = importlib.util.find_spec(Path(path).parts[0])
    if not package or not Path(str(package.origin)).is_relative_to(folder):
        raise ImportError(f"{path} would not be imported from {folder}")
    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-n0", "-m", "not slow", "-W",
                          "ignore::pytest.PytestAssertRewriteWarning", *arguments])
    (folder / "modules").write_text("\n".join(name for name in sys.modules if name.split(".")[0] not in ours))
    sys.stdout.flush()
    os._exit(int(status))


def start(folder: Path, path: str, arguments: list[str], seconds: float | None) -> Any:
    process = multiprocessing.get_context("fork").Process(
        target=run_tests, args=(folder, path, arguments, seconds), daemon=True)
    process.start()
    return process


def baseline(copies: list[Path], path: str, arguments: list[str]) -> float:
    """Check that the tests pass without a mutation; returns how many seconds of CPU time a mutation gets."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [start(folder, path, arguments, None) for folder in copies]
    for process in processes:
        process.join()
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / len(copies)
    for folder, process in zip(copies, processes):
        if process.exitcode != 0:
            raise RuntimeError(f"the tests of {path} fail as it is:\n{(folder / 'log').read_text()}")
        for compiled in folder.joinpath(path).parent.glob(f"__pycache__/{Path(path).stem}.*"):
            compiled.unlink()   # a mutation can have the size and the time of the original
    for name in (copies[0] / "modules").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)   # once, for all forked processes
    print(f"{path}: its tests take {spent:.1f} s", flush=True)
    return 5 + 3 * spent


def run_all(copies: list[Path], targets: dict[str, list[str]], order: list[Mutation],
            limits: dict[str, float], deadline: float) -> dict[Mutation, str]:
    """The outcome of each mutation that was reached in time: killed, late or survived."""
    outcomes: dict[Mutation, str] = {}
    free, running, waiting = list(copies), [], iter(order)
    while True:
        while free and time.monotonic() < deadline and (mutation := next(waiting, None)):
            folder, seconds = free.pop(), limits[mutation.path]
            original = (folder / mutation.path).read_bytes()
            (folder / mutation.path).write_bytes(mutation.apply(original))
            process = start(folder, mutation.path, targets[mutation.path], seconds)
            # On a busy machine the clock goes much faster than the processor time.
            running.append(Trial(mutation, folder, original, process, time.monotonic() + 20 * seconds))
        if not running:
            return outcomes
        wait([trial.process.sentinel for trial in running], timeout=1)
        for trial in running[:]:
            if not trial.process.is_alive() or time.monotonic() > trial.deadline:
                outcomes[trial.mutation] = end(trial)
                running.remove(trial)
                free.append(trial.folder)


def end(trial: Trial) -> str:
    """The outcome of a trial; its copy of the project is restored."""
    overdue = trial.process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(trial.process.pid, signal.SIGKILL)    # with all processes that its tests have started
    trial.process.join()
    (trial.folder / trial.mutation.path).write_bytes(trial.original)
    if overdue or trial.process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "late"
    if trial.process.exitcode:
        return "killed"
    line, before, after = trial.mutation.shown(trial.original)
    print(f"survived: {trial.mutation.path}:{line}, {before} -> {after}", flush=True)
    return "survived"
