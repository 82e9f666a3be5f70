"""The program `ctc-scratch`: it finds the verb, runs it, and turns errors into one line and an exit status.

Exit status: 0 if all went well, 1 if the answer is "no" (a wrong gradient, a target that does not fit, a
run that diverged), 2 if an option, a file or the machine is at fault, and 128 + the number of a signal that
ended the program. Without a verb it prints the verbs and returns 0.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import nullcontext, redirect_stderr
from importlib import import_module
from typing import Any, NoReturn, Sequence

from .. import __version__
from .notice import compiling_is_announced

VERBS = {
    "train": "learn to read rows of MNIST digits",
    "evaluate": "test a trained model on rows of MNIST test digits",
    "read": "read the digits in image files",
    "check": "say whether a CTC loss is right, and if not, why",
    "gradcheck": "compare every gradient with finite differences",
    "lattice": "show all alignments of a target: as text, numbers and figures",
    "diagnose": "find what is wrong with a target, a batch or a data set",
    "explore": "write a page on which to play with CTC, and open it",
    "show": "show how CTC learns: a row, reading, a mistake, a plateau",
}
"""What each verb does. The file of a verb has its name, and is imported only if the verb is called."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    # If a stream is closed (`>&-`), the next file opened would get its number, and so the output meant for
    # the stream. devnull is opened to take both.
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    if hasattr(sys.stdout, "reconfigure"):      # lines reach a log at once; letters it lacks are escaped
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt as interrupt:  # also while modules are imported; `train` says where it ended
        number = getattr(interrupt, "signal", signal.SIGINT)
        return _end(128 + number, str(interrupt) or "stopped by SIGINT")


def _run(argv: Sequence[str]) -> int:
    name = next((argument for argument in argv if not argument.startswith("-")), "")
    verb = import_module(f".{name}", __package__) if name in VERBS else None
    parser = _parser(name, verb)
    with nullcontext() if getattr(verb, "TELLS_MISTAKES", True) else redirect_stderr(None):
        options = parser.parse_args(argv)
    if verb is None:
        parser.print_help()
        return 0
    try:
        # `train` announces compilation itself.
        with nullcontext() if name == "train" else compiling_is_announced():
            status = verb.run(options)
        sys.stdout.flush()
        return status
    except tuple(verb.ERRORS) as error:
        status = next(status for kind, status in verb.ERRORS.items() if isinstance(error, kind))
        return _end(status, f"error: {error}")
    except BrokenPipeError:     # the reader of `ctc-scratch ... | head` has seen enough
        _discard_output()
        return 141              # 128 + SIGPIPE, which Windows does not define
    except MemoryError as error:
        return _end(2, f"error: there is not enough memory: {error}")
    except OSError as error:
        if not error.filename:
            _discard_output()
        return _end(2, f"error: {error.filename or 'the output'}: {error.strerror or error}")


def _end(status: int, message: str) -> int:
    """Print one line on stderr; returns the exit status."""
    print("ctc-scratch:", " ".join(message.splitlines()), file=sys.stderr)
    return status


def _discard_output() -> None:
    """Send the interpreter's last flush of stdout to devnull, where it cannot fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(name: str, verb: Any) -> argparse.ArgumentParser:
    """The parser of the program, with the arguments of the one verb that is called."""
    parser = _Parser(
        prog="ctc-scratch",
        description="Connectionist Temporal Classification from scratch: train and test a reader "
        "of rows of handwritten digits, check every gradient, and draw the lattice.",
        epilog="ctc-scratch VERB --help lists the options of a verb.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    for each, help in VERBS.items():
        example = f"example: {verb.EXAMPLE}" if each == name else None
        subparser = verbs.add_parser(
            each, help=help, description=f"{help[0].upper()}{help[1:]}.", epilog=example)
        if each == name:
            verb.add_arguments(subparser)
    return parser


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")
