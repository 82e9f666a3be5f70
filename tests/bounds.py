"""Does a kernel touch memory beyond its arrays? Runs the suite with every index checked.

    python -m tests.bounds
    python -m tests.bounds tests/ctc/decoding/test_beam_search.py

An index outside its array raises IndexError, which fails a test. (Otherwise compiled kernels do not
check, and in plain Python a negative index counts from the end.) Arguments are passed on to pytest.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.tools.suite import ROOT, copy_project, run_suite


def main() -> int:
    # Kernels in the usual cache do not check their indices, and kernels that do would slow down other runs.
    # So this run has a cache of its own. It also has a copy of the project, because some tests start
    # processes that keep their kernels beside the source.
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(ROOT, Path(folder, "project"))
        return not run_suite("NUMBA_BOUNDSCHECK=1", project, sys.executable, *sys.argv[1:],
                             NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(Path(folder, "kernels")))


if __name__ == "__main__":
    sys.exit(main())
