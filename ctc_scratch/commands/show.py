"""`ctc-scratch show`: one row being learnt, an explained mistake or plateau, a comparison of objectives."""

from __future__ import annotations

import argparse

from ..digits.errors import DataError, OptionError
from ..digits.lessons.memorise import show_memorising
from ..digits.lessons.mistake import show_mistake
from ..digits.lessons.objectives import show_objectives
from ..digits.lessons.plateau import show_plateau
from . import arguments

EXAMPLE = "ctc-scratch show --original-mistake --out runs/mistake"
ERRORS = {DataError: 2, OptionError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--original-mistake", action="store_true",
                       help="show what happens if the loss is given the number of digits as the number of "
                       "frames, and how to mend it")
    which.add_argument("--plateau", action="store_true",
                       help="show why a network first answers blank everywhere and in the end reads digits "
                       "as spikes, and what changes that")
    which.add_argument("--objectives", action="store_true",
                       help="train a small reader with plain CTC, entropy, prior, focal and delay, and "
                       "compare where its spikes stand and how wide they are; takes about a minute")
    parser.add_argument("--seed", type=arguments.seed, default=7, metavar="N",
                        help="seed of the initial weights (default: 7)")
    parser.add_argument("--out", default="", metavar="DIR",
                        help="folder for the figures and text, which replace older ones (default: runs/show, "
                        "runs/mistake, runs/plateau or runs/objectives)")
    parser.add_argument("--data", default="", metavar="DIR",
                        help="folder of MNIST's IDX files (default: those of this package)")


def run(options: argparse.Namespace) -> int:
    if options.original_mistake:
        files = show_mistake(options.out or "runs/mistake", options.seed, options.data)
    elif options.plateau:
        files = show_plateau(options.out or "runs/plateau", options.seed, options.data)
    elif options.objectives:
        files = show_objectives(options.out or "runs/objectives", options.seed, options.data)
    else:
        files = show_memorising(options.out or "runs/show", options.seed, options.data)
    print("\nwrote " + "\n      ".join(files))
    return 0
