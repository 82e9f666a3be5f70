"""A place for compiled kernels where there is none. Imported before any kernel is made.

Numba keeps them in NUMBA_CACHE_DIR, beside the source, or in the user's cache folder. Where it can
write to none of these, as in a container whose user has no home, it refuses to make a kernel at all.
They then go to a folder that lives as long as the process, nobody else's: what lies in a cache is run.
"""

import atexit
import os
import shutil
import tempfile
import warnings

import numba


def _probe():
    """A function like the kernels of the rooms beside this file."""


def ensure() -> None:
    """Point Numba to a temporary folder if it has no place of its own, and say what that costs."""
    try:
        numba.njit(cache=True)(_probe)
        return
    except RuntimeError:  # "cannot cache function ...: no locator available"
        folder, process = tempfile.mkdtemp(prefix="ctc_scratch-kernels-"), os.getpid()
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
    atexit.register(_remove, folder, process)
    warnings.warn(
        "compiled kernels can be kept neither beside the source nor in a cache folder of the user, so each "
        "process compiles its own, which takes about half a minute: set NUMBA_CACHE_DIR to a folder that "
        "can be written to", RuntimeWarning, stacklevel=2)


def _remove(folder: str, process: int) -> None:
    if os.getpid() == process:  # and not a forked child that ends
        shutil.rmtree(folder, ignore_errors=True)


ensure()
