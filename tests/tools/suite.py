"""Run the test suite in a process of its own, as `tests.versions`, `tests.machines` and `tests.bounds` do."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_project(root: Path, folder: Path) -> Path:
    """Copy the project to a new folder, without the files that tools have made in it."""
    ignored = shutil.ignore_patterns(".git", ".*_cache", ".hypothesis", ".venv", "__pycache__", "*.egg-info",
                                     "runs", "build", "dist")
    return Path(shutil.copytree(root, folder, ignore=ignored))


def run_suite(what: str, folder: Path, python: str, *arguments: str, **environment: str) -> bool:
    """Run pytest, slow tests too, in a folder; print `what` with its last line, or all lines if a test fails.

    `environment` is added to this process's own. Returns whether all tests passed.
    """
    start = time.monotonic()
    run = subprocess.run([python, "-m", "pytest", "-q", "-m", "", *arguments], cwd=folder,
                         env=os.environ | {"PYTHONPATH": str(folder)} | environment,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        print(run.stdout)
    last = (run.stdout.splitlines() or [f"exit status {run.returncode}"])[-1]
    print(f"{what}: {last} ({(time.monotonic() - start) / 60:.1f} min)", flush=True)
    return run.returncode == 0
