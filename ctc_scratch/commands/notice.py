"""Progress lines on stderr, so that no verb is silent for more than a second."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

try:
    from numba.core import event
except ImportError:     # a Numba without events
    event = None        # type: ignore[assignment]

COMPILING = "compiling kernels, once for this machine: up to half a minute ..."


def say(text: str) -> None:
    """Print a line on stderr: stdout is for results only."""
    print(text, file=sys.stderr, flush=True)


def compiling_is_announced() -> AbstractContextManager:
    """A context that prints one line as soon as a kernel has to be compiled because no cache holds it."""
    if event is None:
        return nullcontext()

    class Announcer(event.Listener):
        said = False

        def on_start(self, _) -> None:
            if not self.said:
                self.said = True
                say(COMPILING)

        def on_end(self, _) -> None:
            pass

    return event.install_listener("numba:compile", Announcer())
