"""How much memory does a call of ctc_loss need at its peak, besides the logits and the gradient?

The usual tools do not show it: `tracemalloc` sees NumPy's arrays, but not those that compiled code makes,
and `ru_maxrss` starts from the peak of the parent process or of the imports. Therefore each number is
measured in a process of its own, which
- makes the logits and the gradient, and calls `ctc_loss` once, so that all code is loaded;
- asks Linux to reset the peak of resident memory (/proc/self/clear_refs);
- calls `ctc_loss` again and reads the peak (VmHWM).
malloc is told to return blocks of 64 KB and more to the system at once; otherwise the second call
would reuse what the first one has freed. Linux counts pages in batches, so the result is accurate to
about 0.3 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from ctc_scratch import ctc_loss, set_num_threads
from ctc_scratch.ctc.loss import Method

LEAST_PEAK = 0.3
"""The least peak that can be measured, in megabytes."""


def normal_batch(T: int, N: int, C: int, U: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal logits (T, N, C) and random targets (N, U)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, N, C)).astype(dtype), rng.integers(1, C, (N, U))


def peak_of(shape: dict[str, int], method: Method, dtype: str) -> float:
    """`peak`, measured in a new process; nan if the system has no /proc/self/clear_refs."""
    if not os.path.exists("/proc/self/clear_refs"):
        return float("nan")
    arguments = json.dumps(dict(shape=shape, method=method, dtype=dtype))
    run = subprocess.run([sys.executable, "-m", "benchmarks.tools.peak_memory", arguments],
                         capture_output=True, text=True, check=True,
                         env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16)})
    return float(run.stdout)


def peak(shape: dict[str, int], method: Method, dtype: str) -> float:
    """The peak memory, in megabytes, that a call of ctc_loss needs besides its logits and its gradient."""
    set_num_threads(1)
    logits, targets = normal_batch(**shape, dtype=dtype)
    grad = np.empty_like(logits)
    ctc_loss(logits, targets, method=method, out=grad)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")
    ctc_loss(logits, targets, method=method, out=grad)
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """A field of /proc/self/status, in megabytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    print(peak(**json.loads(sys.argv[1])))
