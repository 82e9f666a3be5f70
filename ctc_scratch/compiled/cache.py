"""Where compiled kernels are kept, when a kept one is stale, and why a broken cache breaks no call.

Every kernel of the package is made by `cached_njit`. It does what `numba.njit(cache=True)` does, with
three differences:

- Numba recompiles a kernel when the one file that defines it has changed. Here kernels are built from
  several files, so a kernel is stale as soon as *any* Python file of its own folder or of this folder has
  changed. Compiled code therefore calls compiled code of these two folders only, which a test checks.
- A kept kernel that is damaged (0 bytes after a power cut, cut in half, written by another version) ends
  a call with `EOFError`, `UnpicklingError` and the like. Here it is compiled again and replaced.
- A folder that is full, read-only or gone ends a call with `OSError`. Here kernels found in a read-only
  folder are used; a new one goes to the next folder that takes it, and if there is none the process
  goes on with what it holds in memory, after one warning.

The folders, in this order: NUMBA_CACHE_DIR if it is set, `__pycache__` beside the source, Numba's
folder in the user's cache.

This builds on private classes of Numba (0.60 to 0.68 have them). Where they are missing, kernels are
kept as Numba does it by itself.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Callable

import numba

try:
    from numba.core import caching

    NUMBAS_LOCATORS = [locator for locator in caching.FunctionCache._impl_class._locator_classes
                       if "IPython" not in locator.__name__]
except (ImportError, AttributeError):  # a Numba that is built in another way
    caching = None


def cached_njit(**flags: Any) -> Callable[[Callable], Any]:
    """A decorator like `numba.njit(**flags)` whose compiled code outlives the process."""

    def decorate(function: Callable) -> Any:
        if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            return numba.njit(**flags)(function)
        if caching is None:
            return _kept_by_numba(function, flags)
        dispatcher = numba.njit(**flags)(function)
        dispatcher._cache = KernelCache(function)
        return dispatcher

    return decorate


def _kept_by_numba(function: Callable, flags: dict[str, Any]) -> Any:
    try:
        return numba.njit(cache=True, **flags)(function)
    except RuntimeError:  # "no locator available": Numba finds no folder to write to
        _warn_once("Numba finds no folder for them")
        return numba.njit(**flags)(function)


if caching is not None:

    class KernelCache(caching._Cache):
        """The compiled versions of one kernel, looked for and kept in several folders in turn."""

        def __init__(self, function: Callable) -> None:
            self._caches = []
            for make_cache in _FOLDER_CACHES:
                try:
                    self._caches.append(make_cache(function))
                except (RuntimeError, OSError):  # this folder neither exists nor can be made
                    pass

        @property
        def cache_path(self) -> Any:
            return self._caches[0].cache_path if self._caches else None

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """The kernel compiled for these types, or None if no folder holds a sound one."""
            for cache in self._caches:
                try:
                    kernel = cache.load_overload(sig, target_context)
                except Exception:  # unpickling a damaged file can raise almost any exception
                    continue
                if kernel is not None:
                    return kernel
            return None

        def save_overload(self, sig: Any, data: Any) -> None:
            """Keep a newly compiled kernel in the first folder that takes it."""
            problem: Exception = OSError("no folder for them exists or can be made")
            for cache in self._caches:
                for attempt in range(2):
                    try:
                        cache.save_overload(sig, data)
                        return
                    except OSError as error:  # full, read-only, gone
                        problem = error
                        break
                    except Exception as error:  # the index of an earlier kernel is damaged: begin a new one
                        problem = error
                        try:
                            cache.flush()
                        except OSError:
                            break
            _warn_once(problem)

        def enable(self) -> None:
            for cache in self._caches:
                cache.enable()

        def disable(self) -> None:
            for cache in self._caches:
                cache.disable()

        def flush(self) -> None:
            for cache in self._caches:
                cache.flush()

    class _FolderLocator:
        """Mixed into a locator of Numba's: it looks at all files of a kernel and takes read-only folders."""

        def get_source_stamp(self) -> Any:
            """The state of the source: equal stamps mean that a kept kernel is still good."""
            folder = Path(self._py_file).parent  # type: ignore[attr-defined]
            if getattr(sys, "frozen", False) or not folder.is_dir():  # inside a zip or a frozen program
                return super().get_source_stamp()  # type: ignore[misc]
            return folder_stamp(folder)

        def ensure_cache_path(self) -> None:
            if not os.path.isdir(self.get_cache_path()):  # type: ignore[attr-defined]
                super().ensure_cache_path()  # type: ignore[misc]

    class _StampedImpl(caching.CompileResultCacheImpl):
        """Writes the stamp of the source into the kernel's file, too.

        Numba writes the index first. If the kernel's file then cannot be written, the new index names an
        old file, whose code would be run.
        """

        def reduce(self, cres: Any) -> Any:
            return self.locator.get_source_stamp(), super().reduce(cres)

        def rebuild(self, target_context: Any, payload: Any) -> Any:
            stamp, reduced = payload
            if stamp != self.locator.get_source_stamp():
                return None
            return super().rebuild(target_context, reduced)

    def _cache_class(locator: type) -> type:
        """A `FunctionCache` of Numba that knows a single folder."""
        ours = type(f"{locator.__name__}OfAllFiles", (_FolderLocator, locator), {})
        impl = type("_OneFolderImpl", (_StampedImpl,), {"_locator_classes": [ours]})
        return type("OneFolderCache", (caching.FunctionCache,), {"_impl_class": impl})

    _FOLDER_CACHES = [_cache_class(locator) for locator in NUMBAS_LOCATORS]


@functools.lru_cache(maxsize=None)
def folder_stamp(folder: Path) -> str:
    """A hash of all Python files in a folder and in `compiled`: what a kernel of the folder is made of."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted([*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _warn_once(problem: object) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled kernels cannot be kept ({problem}), so each process compiles its own, which takes "
            "about half a minute: set NUMBA_CACHE_DIR to a folder that can be written to", RuntimeWarning,
            stacklevel=2)


_warned = False
