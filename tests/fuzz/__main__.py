"""Runs the fuzzer: `python -m tests.fuzz`, see `run`."""

import sys

from tests.fuzz.run import main

sys.exit(main())
