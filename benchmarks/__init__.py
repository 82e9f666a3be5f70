"""Benchmarks: each script opens with the question it answers."""

import os

# Otherwise idle threads of torch's OpenMP keep a core busy while other contenders are timed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
