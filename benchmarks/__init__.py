"""Benchmarks: each script opens with the question it answers."""

import os

# Else the threads of torch's OpenMP go on spinning on a core while other contenders are timed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
