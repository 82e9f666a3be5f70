"""`ctc-scratch show`: watch a row being learnt, or see why another never was."""

from __future__ import annotations

import argparse

from ..digits.errors import DataError, OptionError
from ..digits.lessons.memorise import show_memorising
from ..digits.lessons.mistake import show_mistake
from ..digits.lessons.plateau import show_plateau
from . import arguments

EXAMPLE = "ctc-scratch show --original-mistake --out runs/mistake"
ERRORS = {DataError: 2, OptionError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--original-mistake", action="store_true",
                       help="what follows if the number of digits is given as the number of frames, and what "
                       "mends it")
    which.add_argument("--plateau", action="store_true",
                       help="why training begins all blank and ends in spikes, and what changes that")
    parser.add_argument("--seed", type=arguments.seed, default=7, metavar="N",
                        help="seed of the first weights (default: 7)")
    parser.add_argument("--out", default="", metavar="DIR",
                        help="folder of the figures and text, which replace older ones (default: runs/show, "
                        "runs/mistake or runs/plateau)")
    parser.add_argument("--data", default="", metavar="DIR",
                        help="folder of MNIST's IDX files (default: those of this package)")


def run(options: argparse.Namespace) -> int:
    if options.original_mistake:
        files = show_mistake(options.out or "runs/mistake", options.seed, options.data)
    elif options.plateau:
        files = show_plateau(options.out or "runs/plateau", options.seed, options.data)
    else:
        files = show_memorising(options.out or "runs/show", options.seed, options.data)
    print("\nwrote " + "\n      ".join(files))
    return 0
