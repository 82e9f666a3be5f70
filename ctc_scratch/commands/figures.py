"""Options that `show` and `lattice` share: the format of figures, and the row of digits that they show."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..digits.lessons.output import Output

FORMATS = "png", "svg", "pdf"
DPI = 200
LEAST_DPI, MOST_DPI = 20, 1200
MOST_DIGITS = 20


def add_format_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=FORMATS, default="png",
                        help="format of the figures (default: png)")
    parser.add_argument("--dpi", type=_dpi, default=DPI, metavar="N",
                        help=f"dots per inch of the figures (default: {DPI})")


def add_row_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--digits", type=_digits, default=(), metavar="D[,D...]",
                        help="show a row of these digits, like 7,2,1; with --image, the digits in the image")
    parser.add_argument("--image", default="", metavar="FILE",
                        help="show the row of digits in this image file; without --digits, they are what the "
                        "model of this package reads")


def output_of(options: argparse.Namespace, default: str = "") -> Output:
    """Where the figures of a command are written, and in which format."""
    from ..digits.lessons.output import Output  # here, so that the help of `lattice` loads no `digits`

    return Output(options.out or default, options.format, options.dpi)


def _dpi(text: str) -> int:
    """A resolution: '300' as 300."""
    if not text.isdecimal() or not LEAST_DPI <= int(text) <= MOST_DPI:
        raise argparse.ArgumentTypeError(f"expected a number from {LEAST_DPI} to {MOST_DPI}, not {text!r}")
    return int(text)


def _digits(text: str) -> tuple[int, ...]:
    """'7,2,1' as (7, 2, 1)."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part in tuple("0123456789") for part in parts) or len(parts) > MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"expected 1 to {MOST_DIGITS} digits, like 7,2,1, not {text!r}")
    return tuple(map(int, parts))
