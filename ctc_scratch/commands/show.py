"""`ctc-scratch show`: five lessons with figures, on training, the plateau, a mistake, and objectives."""

from __future__ import annotations

import argparse

from ..digits.errors import DataError, ImageError, OptionError
from ..digits.lessons.example import Wanted
from ..digits.lessons.memorise import show_memorising
from ..digits.lessons.mistake import show_mistake
from ..digits.lessons.objectives import show_objectives
from ..digits.lessons.plateau import show_plateau
from ..digits.lessons.reading import show_reading
from . import arguments
from .figures import add_format_options, add_row_options, output_of

EXAMPLE = "ctc-scratch show --reading --digits 3,1,4 --out runs/reading"
ERRORS = {DataError: 2, ImageError: 2, OptionError: 2}


WITH_ROWS_OF_THEIR_OWN = "original-mistake", "objectives"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # Not in the group below, whose names already fill a line of the help.
    parser.add_argument("--reading", action="store_true",
                        help="train a small reader and show, as an animation, how it learns to read a row "
                        "that it has not seen; takes up to a minute")
    which = parser.add_mutually_exclusive_group()
    for lesson, help in (
        ("original-mistake", "show what happens if the loss is given the number of digits as the number of "
         "frames, and how to fix it"),
        ("plateau", "show why a network first answers blank everywhere and later reads digits as spikes, "
         "and what changes that"),
        ("objectives", "train a small reader with plain CTC, entropy, prior, focal and delay, and compare "
         "where its spikes stand and how wide they are; takes about a minute"),
    ):
        which.add_argument(f"--{lesson}", action="store_const", dest="lesson", const=lesson, help=help)
    parser.add_argument("--seed", type=arguments.seed, default=7, metavar="N",
                        help="seed of the initial weights (default: 7)")
    parser.add_argument("--out", default="", metavar="DIR",
                        help="folder for the figures and text, which replace older ones (default: runs/show, "
                        "runs/reading, runs/mistake, runs/plateau or runs/objectives)")
    parser.add_argument("--data", default="", metavar="DIR",
                        help="folder of MNIST's IDX files (default: those of this package)")
    add_row_options(parser)
    add_format_options(parser)


def run(options: argparse.Namespace) -> int:
    lesson, seed, data = options.lesson, options.seed, options.data
    if options.reading and lesson:
        raise OptionError(f"--reading and --{lesson} are two lessons: leave out one of them")
    given = [f"--{name}" for name in ("digits", "image") if getattr(options, name)]
    if given and lesson in WITH_ROWS_OF_THEIR_OWN:
        raise OptionError(f"{given[0]} chooses the row to show, but --{lesson} needs rows of its own: "
                          "leave out one of the two")
    wanted = Wanted(options.digits, options.image)
    if options.reading:
        files = show_reading(output_of(options, "runs/reading"), seed, data, wanted)
    elif lesson == "original-mistake":
        files = show_mistake(output_of(options, "runs/mistake"), seed, data)
    elif lesson == "plateau":
        files = show_plateau(output_of(options, "runs/plateau"), seed, data, wanted)
    elif lesson == "objectives":
        files = show_objectives(output_of(options, "runs/objectives"), seed, data)
    else:
        files = show_memorising(output_of(options, "runs/show"), seed, data, wanted)
    print("\nwrote " + "\n      ".join(files))
    return 0
