"""The test suite in a process of its own, and one line about it: for `tests.versions` and `tests.bounds`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_project(root: Path, folder: Path) -> Path:
    """A copy of the project without what was made from it."""
    ignored = shutil.ignore_patterns(".git", ".*_cache", ".hypothesis", ".venv", "__pycache__", "*.egg-info",
                                     "runs", "build", "dist")
    return Path(shutil.copytree(root, folder, ignore=ignored))


def run_suite(what: str, folder: Path, python: str, *arguments: str, **environment: str) -> bool:
    """Run pytest in a folder; print `what` and its last line, or all if a test fails; True if none does."""
    start = time.monotonic()
    run = subprocess.run([python, "-m", "pytest", "-q", *arguments], cwd=folder,
                         env=os.environ | {"PYTHONPATH": str(folder)} | environment,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        print(run.stdout)
    print(f"{what}: {run.stdout.splitlines()[-1]} ({(time.monotonic() - start) / 60:.1f} min)", flush=True)
    return run.returncode == 0
