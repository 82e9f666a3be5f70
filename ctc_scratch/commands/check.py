"""`ctc-scratch check`: test a CTC loss: a function, that of torch or optax, or a program in any language."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import shutil
import sys
from typing import Any, get_args

from ..check.adapter import Adapter, Infeasible, Input, Layout, Reduction, as_adapter
from ..check.answers import PRECISIONS
from ..check.check import check_ctc
from ..check.laws import NAMES
from ..check.peers.libraries import optax_adapter, torch_adapter
from ..check.peers.program import Program
from . import arguments
from .arguments import UsageError
from .notice import say

EXAMPLE = "ctc-scratch check my_module:my_ctc; ctc-scratch check --program ./my_ctc"
ERRORS: dict[type[Exception], int] = {UsageError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", nargs="?", metavar="MODULE:FUNCTION",
                        help="a function (logits, target) that returns the loss, or the loss and its "
                        "gradient; or an Adapter")
    parser.add_argument("--torch", action="store_true", help="check torch.nn.functional.ctc_loss")
    parser.add_argument("--optax", action="store_true", help="check optax.ctc_loss")
    parser.add_argument("--program", metavar="COMMAND",
                        help="check a program that reads one case per line and writes one answer per line, "
                        "both as JSON; ctc_scratch/check/peers/program.py says how")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="float64",
                        help="the arithmetic of the loss (default: float64)")
    parser.add_argument("--blank", type=blank, metavar="CLASS",
                        help="the class that is the blank, or 'last' (default: it is passed as the argument "
                        "'blank' if there is one, else 0)")
    for name, choices, what in [
            ("input", Input, "what the function takes (default: logits)"),
            ("gradient", Input, "the variable of the gradient (default: the input)"),
            ("layout", Layout, "one sequence (TC), or the axes of a batch (default: TC)"),
            ("reduction", Reduction, "the reduction of a batch (default: none)"),
            ("infeasible", Infeasible, "the loss of a target that does not fit, or an error (default: inf)")]:
        parser.add_argument(f"--{name}", choices=get_args(choices), help=what)
    parser.add_argument("--skip", action="append", type=law, metavar="LAW", default=[],
                        help="a law that is not promised, as the report names it; may be repeated")
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="N",
                        help="seed of the random problems (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def blank(text: str) -> int | str:
    """'last', or a class such as '3' as 3."""
    if text != "last" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a class or 'last', not {text!r}")
    return text if text == "last" else int(text)


def law(text: str) -> str:
    """The name of a law, as the report gives it."""
    if text not in NAMES:
        raise argparse.ArgumentTypeError(
            f"expected a law, as the report names it: {', '.join(NAMES)}; got {text!r}")
    return text


def run(options: argparse.Namespace) -> int:
    chosen = [name for name in ("function", "torch", "optax", "program") if getattr(options, name)]
    if len(chosen) != 1:
        raise UsageError("expected one of MODULE:FUNCTION, --torch, --optax and --program, "
                         f"got {' and '.join(chosen) or 'none'}")
    promised = {name: getattr(options, name) for name in ("blank", "input", "gradient", "layout", "reduction",
                                                          "infeasible", "skip")}
    promised["skip"] = tuple(options.skip)
    promised = {name: value for name, value in promised.items() if value not in (None, ())}
    adapter = _adapter(options, promised)
    say("testing it on several hundred problems ...")
    try:
        report = check_ctc(adapter, precision=options.precision, seed=options.seed)
    finally:
        if isinstance(adapter.loss, Program):
            adapter.loss.close()
    print(json.dumps(report.as_dict(), indent=1) if options.json else report)
    return 0 if report.ok else 1


def _adapter(options: argparse.Namespace, promised: dict[str, Any]) -> Adapter:
    if options.program:
        command = shlex.split(options.program)
        if not command or shutil.which(command[0]) is None:
            raise UsageError(f"--program: expected a program that can be run, got {options.program!r}")
        if promised.get("layout", "TC") != "TC":
            raise UsageError("--program takes one sequence at a time: leave out --layout")
        return as_adapter(Program(command), **promised)
    if options.function:
        return as_adapter(_function(options.function), **promised)
    library = "torch" if options.torch else "optax"
    for name in ("layout", "input", "gradient", "reduction", "blank"):
        if name in promised:
            raise UsageError(f"--{library} fixes how the loss is called: leave out --{name}")
    try:
        return torch_adapter(**promised) if options.torch else optax_adapter(**promised)
    except ImportError as error:
        raise UsageError(f"--{library}: it cannot be imported: {error}") from None


def _function(name: str) -> Any:
    """The object that MODULE:FUNCTION names; modules in the current folder are found too."""
    module, _, path = name.partition(":")
    if not module or not path:
        raise UsageError(f"expected MODULE:FUNCTION, got {name!r}")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
    except Exception as error:      # a module may raise anything while it is imported
        raise UsageError(f"{module} cannot be imported: {type(error).__name__}: {error}") from None
    finally:
        sys.path.pop(0)
    for part in path.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module} has no {path!r}")
        found = getattr(found, part)
    if not callable(found) and not isinstance(found, Adapter):
        raise UsageError(f"{name} must be a function or an Adapter, got {found!r:.60}")
    return found
