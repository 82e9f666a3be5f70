"""Does a kernel touch memory that is not its own? The suite, every index checked against its array.

    python -m tests.bounds
    python -m tests.bounds tests/ctc/decoding/test_beam_search.py

An index outside raises IndexError, which fails a test. (Compiled kernels do not look otherwise, and
plain Python takes a negative index to count from the end.) The arguments are pytest's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.tools.suite import ROOT, copy_project, run_suite


def main() -> int:
    # Kernels cached elsewhere do not look, and those made here would be slow there. Hence a cache of its own,
    # and a copy, since some tests start processes that keep their kernels beside the source.
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(ROOT, Path(folder, "project"))
        return not run_suite("NUMBA_BOUNDSCHECK=1", project, sys.executable, *sys.argv[1:],
                             NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(Path(folder, "kernels")))


if __name__ == "__main__":
    sys.exit(main())
