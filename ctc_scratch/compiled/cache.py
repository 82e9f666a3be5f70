"""The cache of compiled kernels: where they are kept, when they are stale, and why damage breaks no call.

Every kernel of the package is made by `cached_njit`. It does what `numba.njit(cache=True)` does, with
these differences:

- Numba recompiles a kernel when the one file that defines it has changed. Here kernels are built from
  several files, so a kernel is stale as soon as *any* Python file of its own folder or of this folder has
  changed. Compiled code therefore calls compiled code of these two folders only, which a test checks.
- With Numba, a kept kernel that is damaged (0 bytes after a power cut, cut in half) ends every call with
  `EOFError`, `UnpicklingError` or a crash, until someone deletes the cache. Here a checksum finds the
  damage, and the kernel is compiled again and replaced.
- With Numba, a folder that is full, read-only or gone ends a call with `OSError`. Here kernels found in a
  read-only folder are used. A new one goes to the next folder that takes it; if there is none, the process
  goes on with what it has compiled, after one warning.

If NUMBA_CACHE_DIR is set, and is a folder or can be made one, it is the only folder. Otherwise there are
two: `__pycache__` beside the source, then Numba's folder in the user's cache.

This builds on private classes of Numba, which versions 0.60 to 0.68 have. Where they are missing,
Numba's own cache is used.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import warnings
from pathlib import Path
from typing import Any, Callable

import numba

caching: Any
try:
    from numba.core import caching
    from numba.core.serialize import dumps
    from numba.core.sigutils import normalize_signature

    caching._Cache, caching.FunctionCache._impl_class  # used below: an error here if they are missing
    # In this order: the folder in NUMBA_CACHE_DIR, the one beside the source, the one in the user's cache.
    NUMBAS_LOCATORS = [locator for locator in caching.CompileResultCacheImpl._locator_classes
                       if "IPython" not in locator.__name__]
except (ImportError, AttributeError):  # a Numba that is built differently
    caching = None


def cached_njit(**flags: Any) -> Callable[[Callable], Any]:
    """A decorator like `numba.njit(**flags)` that keeps the compiled code for later processes."""

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
    except RuntimeError:  # "no locator available": Numba finds no folder that can be written to
        _warn_once("Numba finds no folder for them")
        return numba.njit(**flags)(function)


@functools.lru_cache(maxsize=None)
def folder_stamp(folder: Path) -> str:
    """A hash of all Python files in a folder and in `compiled`, from which the folder's kernels are built.

    It is computed when the folder's first kernel is imported, and stays the same until the process ends: a
    file that is edited later does not change the code that the process compiles.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted([*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")]):
        if path.is_file():  # an editor's lock file may be a link to nothing
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


_warned = False


def _warn_once(problem: object) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"compiled kernels cannot be kept ({problem}), so each process compiles its own, which takes "
            "about half a minute: set NUMBA_CACHE_DIR to a folder that can be written to", RuntimeWarning,
            stacklevel=2)


if caching is not None:

    class KernelCache(caching._Cache):
        """The compiled versions of one kernel, for Numba's dispatcher to look up and to keep."""

        def __init__(self, function: Callable) -> None:
            self._function = function
            try:
                _stamp_of(function.__code__.co_filename)
            except OSError:  # a source file is gone already
                self._folders = []

        @functools.cached_property
        def _folders(self) -> list[Any]:  # made late: a kernel that is never called costs nothing
            """A cache for each folder that exists or can be made, in the order in which to try them."""
            folders = []
            for make_cache in _FOLDER_CACHES:
                try:
                    folders.append(make_cache(self._function))
                except (RuntimeError, OSError):  # there is no such folder and none can be made
                    continue
                if make_cache is _FOLDER_CACHES[0]:
                    break
            return folders

        @property
        def cache_path(self) -> Any:
            return self._folders[0].cache_path if self._folders else None

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            """The kernel compiled for these types, or None if no folder holds an undamaged one."""
            for folder in self._folders:
                try:
                    kernel = folder.load_overload(sig, target_context)
                except Exception:  # a damaged file can raise almost any exception
                    continue
                # Two processes that write at once can leave an index that names the other one's kernel.
                if kernel is not None and kernel.signature.args == normalize_signature(sig)[0]:
                    return kernel
            return None

        def save_overload(self, sig: Any, data: Any) -> None:
            """Keep a newly compiled kernel in the first folder that takes it."""
            problem: Exception = OSError("there is no folder for them, and none can be made")
            for folder in self._folders:
                for _ in range(2):
                    try:
                        folder.save_overload(sig, data)
                        return
                    except OSError as error:  # full, read-only, gone
                        problem = error
                        break
                    except Exception as error:  # the index of earlier kernels is damaged: begin a new one
                        problem = error
                        try:
                            folder.flush()
                        except OSError:
                            break
            _warn_once(problem)

        def enable(self) -> None:
            for folder in self._folders:
                folder.enable()

        def disable(self) -> None:
            for folder in self._folders:
                folder.disable()

        def flush(self) -> None:
            for folder in self._folders:
                folder.flush()

    def _stamp_of(source_file: str) -> str:
        """The `folder_stamp` of a source file; empty if there is no file, as inside a zip archive."""
        path = Path(source_file)
        return folder_stamp(path.parent) if path.is_file() else ""

    class _FolderLocator:
        """Added to a locator of Numba, the class that says where a kernel is kept and when it is stale."""

        def get_source_stamp(self) -> Any:
            """The state of the source: a kept kernel is valid as long as this stays the same."""
            # Numba has stamps for a zip archive and a frozen program.
            return _stamp_of(self._py_file) or super().get_source_stamp()  # type: ignore[misc,attr-defined]

        def ensure_cache_path(self) -> None:
            """Make the folder; if it exists, it may be read-only."""
            if not os.path.isdir(self.get_cache_path()):  # type: ignore[attr-defined]
                super().ensure_cache_path()  # type: ignore[misc]

    class _CheckedImpl(caching.CompileResultCacheImpl):
        """Keeps each kernel with a checksum, its source stamp and its processor.

        Numba writes the index before it writes the kernel. If the process ends in between, or the folder is
        full, the new index names an old file. So each file itself has to say which kernel it holds.
        """

        def reduce(self, cres: Any) -> Any:
            kernel = dumps(super().reduce(cres))
            return self._origin(cres.target_context), hashlib.blake2b(kernel).digest(), kernel

        def rebuild(self, target_context: Any, payload: Any) -> Any:
            origin, checksum, kernel = payload
            if origin != self._origin(target_context) or checksum != hashlib.blake2b(kernel).digest():
                return None
            return super().rebuild(target_context, pickle.loads(kernel))

        def _origin(self, target_context: Any) -> Any:
            return self.locator.get_source_stamp(), target_context.codegen().magic_tuple()

    def _folder_cache(locator: type) -> type:
        """A subclass of Numba's function cache that uses a single folder, the one of this locator."""
        ours = type(f"{locator.__name__}OfAllFiles", (_FolderLocator, locator), {})
        impl = type("OneFolderImpl", (_CheckedImpl,), {"_locator_classes": [ours]})
        return type("OneFolderCache", (caching.FunctionCache,), {"_impl_class": impl})

    _FOLDER_CACHES = [_folder_cache(locator) for locator in NUMBAS_LOCATORS]
