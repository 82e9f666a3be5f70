"""`ctc-scratch gradcheck`: compare every gradient with finite differences."""

from __future__ import annotations

import argparse

import numpy as np

from ..digits.lessons.gradchecks import describe, run_checks
from . import arguments
from .notice import say

EXAMPLE = "ctc-scratch gradcheck --seed 1"
ERRORS: dict[type[Exception], int] = {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=arguments.seed, default=0, metavar="N",
                        help="seed of the random problems (default: 0)")


def run(options: argparse.Namespace) -> int:
    say("comparing every gradient with finite differences ...")
    results = run_checks(np.random.default_rng(options.seed))
    print(describe(results))
    return 0 if all(result.passed for result in results) else 1
