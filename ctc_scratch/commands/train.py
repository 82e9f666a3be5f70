"""`ctc-scratch train`: learn to read rows of MNIST digits, or go on with a run."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields

from ..ctc.running.threads import MOST_THREADS, set_num_threads
from ..digits.errors import ArchiveError, DataError, OptionError, RanksError
from ..digits.training.ranks import launched
from ..digits.training.settings import PRESETS, Settings, with_preset
from ..digits.training.train import DiskError, DivergedError, Processes, resume, train

EXAMPLE = "ctc-scratch train --digits 3 --steps 1000 --out runs/three"
ERRORS = {ArchiveError: 2, DataError: 2, DiskError: 2, DivergedError: 1, OptionError: 2, RanksError: 2}

TELLS_MISTAKES = launched.rank() == 0
"""Under mpiexec all ranks find the same mistakes in the options, and one tells them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", choices=list(PRESETS), help="other default values: 'best' trains for an hour and makes "
        "the fewest errors; options given as well take precedence")
    add("--resume", metavar="RUN", help="go on with the run in this folder, bit for bit as if it had never "
        "stopped; its settings cannot be changed, except --data if the files have moved")
    add("--threads", type=_threads, metavar="K", help="threads that share the work; their number does not "
        "change the weights (default: one per core)")
    add("--profile", action="store_true", help="print how long each part of a training step takes")
    add("--allow-different-bits", action="store_true", help="under mpiexec: train even if the ranks do not "
        "compute the same bits, because their processors or versions differ")
    for setting in fields(Settings):
        _add_setting(parser, setting)


def run(options: argparse.Namespace) -> int:
    if not launched.is_launched():
        return _run(options)
    from ..digits.training.ranks.ranks import Ranks  # starts MPI

    with Ranks(options.threads, options.allow_different_bits) as ranks:
        if ranks.rank == 0:
            return _run(options, ranks)
        ranks.follow()
    return 0


def _run(options: argparse.Namespace, *processes: Processes) -> int:
    given = {setting.name: getattr(options, setting.name) for setting in fields(Settings)}
    given = {name: value for name, value in given.items() if value is not None}
    if options.threads:
        set_num_threads(options.threads)
    if options.resume is None:
        train(with_preset(options.preset or "", **given), options.profile, *processes)
        return 0
    if not options.resume:
        raise OptionError("--resume must name the folder of a run, not ''")
    data = given.pop("data", "")
    changed = [*(["preset"] if options.preset else []), *given]
    if changed:
        raise OptionError(f"--resume goes on with the settings of {options.resume}, which "
                          f"--{changed[0].replace('_', '-')} cannot change")
    resume(options.resume, options.profile, data, *processes)
    return 0


def _add_setting(parser: argparse.ArgumentParser, setting: Field) -> None:
    """Add the option of one field of the settings; it is None if it is not given."""
    default, help = setting.default, setting.metadata["help"]
    if default is False:
        parser.add_argument(f"--{setting.name}", action="store_true", default=None, help=help)
        return
    kind = _range if isinstance(default, tuple) else type(default)
    if default != "":
        shown = "-".join(map(str, default)) if isinstance(default, tuple) else default
        help = f"{help} (default: {shown})"
    parser.add_argument(
        f"--{setting.name.replace('_', '-')}", type=kind, help=help,
        metavar=setting.metadata["metavar"] or {_range: "RANGE", int: "N", float: "X"}[kind],
    )


def _range(text: str) -> tuple[int, int]:
    """'5' as (5, 5), and '3-7' as (3, 7)."""
    low, dash, high = text.partition("-")
    try:
        return int(low), int(high if dash else low)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or LOW-HIGH, not {text!r}") from None


def _threads(text: str) -> int:
    """A number of threads."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_THREADS}, not {text!r}")
    return int(text)
