"""`ctc_loss` as another checkout of this project has it, in a process of its own.

Two versions of one package cannot be imported side by side. Each checkout is therefore loaded by a
process that waits for work: it is sent problems, and asked for turns that it measures itself. So the
versions take turns on the same inputs, and passing the request between the processes is not timed.

    git worktree add ../before COMMIT       # a checkout of an older commit
    with Checkout("../before") as before: ...
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .harness import one_turn

HERE = Path(__file__).parents[2]
"""This checkout."""


class Answer(NamedTuple):
    """What `ctc_loss` returns for one sequence; `exact` says whether the exact kernel solved it."""

    loss: float
    grad: NDArray
    bound: float
    exact: bool


class Checkout:
    """A process that calls the `ctc_loss` of a checkout, on one thread.

    Parameters
    ----------
    path : the folder of the checkout, which holds the folder `ctc_scratch`
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).resolve()
        if not (self.path / "ctc_scratch" / "__init__.py").is_file():
            raise ValueError(f"{self.path} holds no ctc_scratch")
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.tools.checkout", str(self.path)],
                                        cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_: Any) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()      # the process ends when there is nothing more to read
        self.process.stdout.close()
        self.process.wait()

    def solve(self, logits: NDArray, target: NDArray, method: str = "auto") -> Answer:
        """The answer for logits (T, C) and a target (U,); later turns repeat this problem."""
        return Answer(*self._ask((logits, target, method)))

    def turn(self) -> float:
        """Solve the last problem again, once or for 10 ms; returns the seconds per call."""
        return self._ask(None)

    def _ask(self, request: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        pickle.dump(request, self.process.stdin)
        self.process.stdin.flush()
        try:
            return pickle.load(self.process.stdout)
        except EOFError:
            raise RuntimeError(f"the process of {self.path} has died; its error stands above") from None


def serve(path: str) -> None:
    """Answer the requests of a `Checkout`, until there are no more; this is what its process does."""
    sys.path.insert(0, path)            # before the folder that this file comes from
    import ctc_scratch

    if Path(ctc_scratch.__file__).resolve().parents[1] != Path(path):
        raise RuntimeError(f"expected the ctc_scratch of {path}, found {ctc_scratch.__file__}")
    ctc_scratch.set_num_threads(1)
    replies, sys.stdout = sys.stdout.buffer, sys.stderr     # nothing else may write among the replies

    def call():
        return ctc_scratch.ctc_loss(logits, target, method=method, workspace=workspace, out=out)

    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if request is None:
            reply: Any = one_turn(call)
        else:
            logits, target, method = request
            workspace, out = ctc_scratch.Workspace(), np.empty_like(logits)
            result = call()
            reply = float(result.loss), result.grad, float(result.bound), bool(result.exact)
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
