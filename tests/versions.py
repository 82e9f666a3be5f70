"""Does the suite pass with the oldest dependencies that `setup.cfg` allows, and with the newest?

    python -m tests.versions
    python -m tests.versions --only oldest

Each set is tried in new virtual environments: one of this Python, and one of the oldest or newest
Python on the path for which there are packages. The default build of torch takes gigabytes, so other
Pythons than this one are tried without torch and without the tests that import it.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.tools.suite import ROOT, copy_project, run_suite

# Limits that the oldest dependencies need: matplotlib 3.8 calls functions that pyparsing 3.3 warns
# about, and in the suite warnings are errors.
BESIDE_THE_OLDEST = ["pyparsing<3.3"]


def requirements(text: str, oldest: bool, torch: bool) -> list[str]:
    """What a `setup.cfg` requires to run and to test; `oldest` pins the run-time packages to the minimum."""
    config = configparser.ConfigParser()
    config.read_string(text)
    needed = config["options"]["install_requires"].split()
    tests = config["options.extras_require"]["test"].split()
    if oldest:
        needed = [*map(only_the_oldest, needed), *BESIDE_THE_OLDEST]
    return needed + [line for line in tests if torch or not line.startswith("torch")]


def only_the_oldest(line: str) -> str:
    """Turn "package>=version" into "package==version"."""
    if not re.fullmatch(r"[\w.-]+>=[\d.]+", line):
        raise ValueError(f"expected package>=version, found {line}")
    return line.replace(">=", "==")


def pythons(text: str) -> list[str]:
    """The Pythons on the path that a `setup.cfg` allows, from the oldest to the newest."""
    least = int(re.search(r"python_requires = >=3\.(\d+)", text)[1])
    found = [shutil.which(f"python3.{minor}") for minor in range(least, least + 20)]
    return [python for python in found if python and subprocess.run(
        [python, "-c", ""], capture_output=True).returncode == 0]


def environment(folder: Path, python: str, packages: list[str]) -> str:
    """Make a virtual environment with these packages; returns its Python, or "" if pip finds no fit."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    made = folder / "bin" / "python"
    pip = subprocess.run([made, "-m", "pip", "install", "-q", "--only-binary=:all:", *packages],
                         capture_output=True, text=True)
    if pip.returncode:
        print(f"{python}: {pip.stderr.strip().splitlines()[-1]}", flush=True)
        return ""
    return str(made)


def name(python: str) -> str:
    """The versions in an environment, for a line of the report."""
    code = "import sys, numpy, numba; print(sys.version.split()[0], numpy.__version__, numba.__version__)"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return "Python {}, numpy {}, numba {}".format(*run.stdout.split())


def files_that_need_torch(project: Path) -> list[str]:
    """The tests, and the files of the package with doctests, that import torch, from the project's folder."""
    files = [*(project / "tests").rglob("test_*.py"), *(project / "ctc_scratch").rglob("*.py")]
    return sorted(str(path.relative_to(project)) for path in files
                  if re.search(r"^\s*(import|from) (torch|.*bridges\.torch)", path.read_text(), re.MULTILINE))


def try_versions(which: str, project: Path, folder: Path) -> bool:
    """Run the suite in each environment and print a line; returns whether all tests passed."""
    text = (project / "setup.cfg").read_text()
    this = f"python3.{sys.version_info.minor}"
    others = [python for python in pythons(text) if Path(python).name != this]
    need_torch = files_that_need_torch(project)
    passed, made = [], 0
    for python in [sys.executable, *(others if which == "oldest" else reversed(others))]:
        torch = python == sys.executable
        found = environment(folder / str(made), python, requirements(text, which == "oldest", torch))
        made += 1
        if found:
            ignored = [] if torch else [f"--ignore={path}" for path in need_torch]
            what = f"{which}: {name(found)}" + (f", {len(ignored)} files need torch" if ignored else "")
            passed.append(run_suite(what, project, found, *ignored,
                                    NUMBA_CACHE_DIR=str(folder / f"{made}c"), CI=""))  # CI asks for torch
            if not torch:
                break
        elif torch:
            passed.append(False)
    return all(passed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["oldest", "newest"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(ROOT, Path(folder, "project"))
        passed = [try_versions(which, project, Path(folder, which)) for which in ("oldest", "newest")
                  if options.only in (None, which)]
    return not all(passed)


if __name__ == "__main__":
    sys.exit(main())
