"""A program in any language as an implementation: one JSON case per line in, one JSON answer per line out.

In:   {"shape": [2, 3], "logits": [[0, 1.5, "-inf"], [0, 0, 0]], "target": [1], "blank": 0}
Out:  {"loss": 1.25, "gradient": [[0.5, -0.5, 0], [0, 0.25, -0.25]]}

"gradient" may be left out; "inf", "-inf" and "nan" are strings, as in the test vectors. {"error": "why"}
says that the program refuses the case. After each line the program has to flush its output.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from typing import IO, Any, Sequence

import numpy as np
from numpy.typing import NDArray

from ..adapter import Adapter
from ..report import number

SECONDS = 10.0
"""A program that has not answered after this time is stopped."""


class Program:
    """A program that the first call starts, and that a later call starts again if it has ended."""

    def __init__(self, command: Sequence[str], seconds: float = SECONDS):
        self.command, self.seconds = list(command), seconds
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __call__(self, logits: NDArray, target: NDArray, blank: int) -> Any:
        """The loss, or (loss, gradient).

        Raises RuntimeError if the program refuses the case, ends, or does not answer; ValueError if its
        answer does not have the form above.
        """
        case = {"shape": list(logits.shape), "logits": [[number(value) for value in row] for row in logits],
                "target": target.tolist(), "blank": blank}
        line = self._ask(json.dumps(case))
        try:
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"the program refuses: {answer['error']}")
            loss = float(answer["loss"])
            if "gradient" not in answer:
                return loss
            return loss, np.array(answer["gradient"], dtype=np.float64).reshape(logits.shape)
        except (ValueError, KeyError, TypeError):
            raise ValueError('expected a line like {"loss": 1.5, "gradient": [[...], ...]}, '
                             f"got {line!r:.60}") from None

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, case: str) -> str:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             text=True, encoding="utf-8")
            self._lines = queue.Queue()
            threading.Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()
        assert self._process.stdin is not None
        try:
            print(case, file=self._process.stdin, flush=True)
            line = self._lines.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            raise RuntimeError(f"no answer within {self.seconds:g} s; does the program flush its output "
                               "after each line?") from None
        except OSError:
            line = ""
        if not line:
            self.close()
            raise RuntimeError("the program ended without an answer")
        return line


def _read(stream: IO[str], lines: queue.Queue[str]) -> None:
    """Put each line of the stream into the queue, and "" at its end."""
    try:
        for line in stream:
            lines.put(line)
    except ValueError:      # the stream was closed
        pass
    lines.put("")


def program_adapter(command: Sequence[str], **options: Any) -> Adapter:
    """An adapter for a program, which is given one sequence at a time."""
    return Adapter(Program(command), **options)
