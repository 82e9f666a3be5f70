"""A lock between the processes that run the tests: one of them can have the machine to itself."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

try:
    import fcntl
except ImportError:  # Windows has no such locks: there every test runs beside others
    fcntl = None  # type: ignore[assignment]


class SharedRoom:
    """A room in which any number of processes are together, or one process is alone.

    Processes enter through a door that lets one pass at a time. A process that wants to be alone waits in the
    door until the room is empty, so that no other process enters meanwhile.
    """

    def __init__(self, folder: str | Path):
        self._door, self._room = (open(Path(folder, name), "w") for name in ("door", "room"))

    def __enter__(self) -> SharedRoom:
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()
        self._room.close()

    def shared(self) -> contextlib.AbstractContextManager[None]:
        """Be in the room, with others or without."""
        return self._enter(alone=False)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Be in the room when all others have left it, and keep them out."""
        return self._enter(alone=True)

    @contextlib.contextmanager
    def _enter(self, alone: bool) -> Iterator[None]:
        if fcntl is None:
            yield
            return
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
