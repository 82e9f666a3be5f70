"""`ctc-scratch evaluate`: test a trained model on rows of MNIST test digits, or of other test images."""

from __future__ import annotations

import argparse

from ..ctc.decoding.by_name import DECODERS
from ..digits.data.mnist_files import SIDE, load_data
from ..digits.errors import ArchiveError, DataError, OptionError
from ..digits.model.evaluate import describe, evaluate
from ..digits.model.model_file import find_model, load_model
from ..digits.training.settings import MOST_GAP
from .notice import say

EXAMPLE = "ctc-scratch evaluate runs/three --digits 1,5,8,20 --decoder greedy,beam"
ERRORS = {ArchiveError: 2, DataError: 2, OptionError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", nargs="?", default="", metavar="RUN",
        help="the folder of a run, or its model.npz (default: the model of this package)")
    add("--digits", type=_numbers, default=[5], metavar="N[,N...]",
        help="digits in a test row; one test for each number (default: 5)")
    add("--decoder", type=_decoders, default=["greedy"], metavar="NAME[,NAME...]",
        help="greedy, beam, or map, which searches for the most probable digits; one test for each name "
        "(default: greedy)")
    add("--gap", type=int, metavar="N", help="space digits by their ink, with N columns of paper "
        "between neighbours: at 0 they meet, below 0 they overlap (default: boxes side by side, as in MNIST)")
    add("--data", default="", metavar="DIR",
        help="folder of IDX files, as for train (default: MNIST, which is part of this package)")
    add("--transpose", action="store_true",
        help="exchange rows and columns of each image, which EMNIST stores exchanged")


def run(options: argparse.Namespace) -> int:
    model = load_model(find_model(options.folder))
    mnist, names = load_data(options.data or None, options.transpose)
    if names != model.class_names[1:]:
        raise DataError(f"{options.data or 'MNIST'}: expected the characters that the model reads, "
                        f"{''.join(model.class_names[1:])}, found {''.join(names)}")
    for digits in options.digits:
        if digits > len(mnist.test_labels):
            raise OptionError(f"--digits must be at most {len(mnist.test_labels)}, not {digits}")
    if options.gap is not None and not -SIDE <= options.gap <= MOST_GAP:
        raise OptionError(f"--gap must be from {-SIDE} to {MOST_GAP} columns, not {options.gap}")
    evaluations = []
    for digits in options.digits:
        for decoder in options.decoder:
            say(f"reading test rows, digits per row: {digits}, decoder: {decoder} ...")
            evaluations.append(
                evaluate(model, mnist.test_images, mnist.test_labels, digits, decoder, options.gap))
    print(describe(evaluations, model.class_names))
    return 0


def _numbers(text: str) -> list[int]:
    """'1,5,8' as [1, 5, 8]."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"expected positive numbers, like 1,5,8, not {text!r}")
    return numbers


def _decoders(text: str) -> list[str]:
    """'greedy,beam' as ['greedy', 'beam']."""
    names = text.split(",")
    for name in names:
        if name not in DECODERS:
            raise argparse.ArgumentTypeError(f"expected one or more of {', '.join(DECODERS)}, "
                                             f"like greedy,beam, not {text!r}")
    return names
