"""Does a kernel touch memory that is not its own? The suite, every index checked against its array.

    python -m tests.bounds
    python -m tests.bounds tests/test_beam.py

An index outside raises IndexError, which fails a test. (Compiled kernels do not look otherwise, and
plain Python takes a negative index to count from the end.) The arguments are pytest's.
"""

from __future__ import annotations

import sys
import tempfile

from .suite import ROOT, run_suite


def main() -> int:
    with tempfile.TemporaryDirectory() as cache:    # kernels that are cached elsewhere do not check
        return not run_suite("NUMBA_BOUNDSCHECK=1", ROOT, sys.executable, *sys.argv[1:],
                             NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=cache)


if __name__ == "__main__":
    sys.exit(main())
