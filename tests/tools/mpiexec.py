"""`ctc-scratch train` on several ranks, and the processes of its ranks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

MPIEXEC = Path(sys.executable).with_name("mpiexec")
"""As the wheel of mpich installs it, beside Python."""

TRAIN = [sys.executable, "-m", "ctc_scratch", "train"]


def start(ranks: int, *arguments, program: list[str] = TRAIN, **how) -> subprocess.Popen:
    """Start `ctc-scratch train`, or another program, on several ranks; or without mpiexec if `ranks` is 0."""
    return subprocess.Popen([*mpiexec(ranks), *program, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **how)


def mpiexec(ranks: int) -> list[str]:
    """The words before a program that start it on several ranks; none if `ranks` is 0."""
    return [str(MPIEXEC), "-n", str(ranks)] if ranks else []


def rank_processes(process: subprocess.Popen) -> dict[int, int]:
    """The process number of each rank that an mpiexec has started, by the number of the rank."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (state := _read(entry / "stat")):
            parent = int(state.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, families = {}, [process.pid]
    while families:
        for child in children.get(families.pop(), []):
            families.append(child)
            if rank := re.search(r"(?:^|\0)PMI_RANK=(\d+)", _read(Path(f"/proc/{child}/environ"))):
                found[int(rank[1])] = child
    return found


def has_ended(number: int) -> bool:
    """Whether there is no such process, or it has ended and its parent has not noticed."""
    state = _read(Path(f"/proc/{number}/stat"))
    return not state or state.rpartition(")")[2].split()[0] == "Z"


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:     # the process has ended
        return ""


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process with these variables."""
    return {**os.environ, **variables}
