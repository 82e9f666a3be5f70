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
from argparse import ArgumentTypeError
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .harness import one_turn, take_turns

HERE = Path(__file__).parents[2]
"""This checkout."""


class Answer(NamedTuple):
    """The fields of that name of a `CTCResult`, which other versions may define elsewhere."""

    loss: Any
    grad: NDArray
    bound: Any
    exact: Any


class Checkout:
    """A process that calls the `ctc_loss` of a checkout, on one thread.

    Parameters
    ----------
    path : the folder of the checkout, which holds the folder `ctc_scratch`
    """

    def __init__(self, path: str | Path):
        self.path = folder(path)
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.tools.checkout", str(self.path)],
                                        cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_: Any) -> None:
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):     # a process that has died
            self.process.stdin.close()      # it ends when there is nothing more to read
        self.process.stdout.close()
        self.process.wait()

    def solve(self, logits: NDArray, targets: NDArray, method: str = "auto") -> Answer:
        """The answer for a sequence (T, C) or a batch (T, N, C); later turns repeat this problem."""
        return Answer(*self._ask((logits, targets, method)))

    def turn(self) -> float:
        """Solve the last problem again, once or for 10 ms; returns the seconds per call."""
        return self._ask(None)

    def _ask(self, request: Any) -> Any:
        assert self.process.stdin and self.process.stdout
        try:
            pickle.dump(request, self.process.stdin)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (BrokenPipeError, EOFError):
            raise RuntimeError(f"the process of {self.path} has died; its error stands above") from None


def in_turns(problems: Sequence[tuple[NDArray, NDArray]], contenders: Mapping[str, tuple[str | Path, str]],
             others: Callable[[NDArray, NDArray], Mapping[str, Callable[[], Any]]], seconds: float,
             restarts: int) -> tuple[list[dict[str, Answer]], list[dict[str, NDArray]]]:
    """Let checkouts and others take turns on each problem.

    A process may be a little slower or faster than another one with the same work, so the processes are
    started anew several times.

    Parameters
    ----------
    problems : logits and targets of each
    contenders : the checkout and the method of each
    others : called with a problem, gives what takes turns with them in this process
    seconds : of timing per problem; there are at least 2 rounds after each start
    restarts : how often the processes are started

    Returns
    -------
    answers : for each problem, those of the contenders
    times : for each problem, the seconds per call in each round, of the contenders and the others
    """
    answers: list[dict[str, Answer]] = [{} for _ in problems]
    times: list[dict[str, NDArray]] = [{} for _ in problems]
    with tqdm(total=restarts * len(problems), leave=False) as bar:
        for _ in range(restarts):
            with ExitStack() as stack:
                processes = {name: stack.enter_context(Checkout(path))
                             for name, (path, _) in contenders.items()}
                for (logits, targets), found, spent in zip(problems, answers, times):
                    turns: dict[str, Callable[[], float]] = {}
                    for name, process in processes.items():
                        found[name] = process.solve(logits, targets, contenders[name][1])
                        turns[name] = process.turn
                    for name, call in others(logits, targets).items():
                        call()
                        turns[name] = partial(one_turn, call)
                    for name, more in take_turns(turns, seconds / restarts, least=2).items():
                        spent[name] = np.append(spent.get(name, []), more)
                    bar.update()
    return answers, times


def folder(path: str | Path) -> Path:
    """The absolute path of a checkout; ArgumentTypeError, for the parser of a command, if it is none."""
    path = Path(path).resolve()
    if not (path / "ctc_scratch" / "__init__.py").is_file():
        raise ArgumentTypeError(f"{path} holds no ctc_scratch")
    return path


def serve(path: str) -> None:
    """Answer the requests of a `Checkout`, until there are no more; this is what its process does."""
    replies, sys.stdout = sys.stdout.buffer, sys.stderr     # nothing else may write among the replies
    sys.path.insert(0, path)                                # before the folder that this file comes from
    import ctc_scratch

    if Path(ctc_scratch.__file__).resolve().parents[1] != Path(path):
        raise RuntimeError(f"expected the ctc_scratch of {path}, found {ctc_scratch.__file__}")
    ctc_scratch.set_num_threads(1)

    def call():
        return ctc_scratch.ctc_loss(logits, targets, method=method, workspace=workspace, out=out)

    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if request is None:
            reply: Any = one_turn(call)
        else:
            logits, targets, method = request
            workspace, out = ctc_scratch.Workspace(), np.empty_like(logits)
            result = call()
            reply = result.loss, result.grad, result.bound, result.exact
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
