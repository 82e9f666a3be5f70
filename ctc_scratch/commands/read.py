"""`ctc-scratch read`: read the digits in image files, line by line."""

from __future__ import annotations

import argparse

from ..digits.errors import ArchiveError, ImageError, OptionError
from ..digits.model.model_file import find_model, load_model
from ..digits.reading.files import read_files

EXAMPLE = "ctc-scratch read photo.jpg scan.png --model runs/three --top 3 --figure runs/pictures"
ERRORS = {ArchiveError: 2, ImageError: 2, OptionError: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="PNG, JPEG...; dark digits on light paper or light on "
        "dark, of any size, in one line or several; a folder of images; or - for standard input")
    add("--model", default="", metavar="RUN",
        help="the folder of a run, or its model.npz (default: the model of this package)")
    add("--decoder", choices=["greedy", "beam", "map"], default="beam",
        help="map proves, where it can, that no other digits are more probable (default: beam)")
    add("--top", type=int, default=1, metavar="N", help="readings shown per line (default: 1)")
    add("--figure", default="", metavar="DIR", help="draw where each digit was read, in "
        "DIR/IMAGE.read.png; an older file of this name is replaced")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", const="json", dest="form", default="table",
                      help="print JSON instead of a table; it also says where each digit stands")
    form.add_argument("--csv", action="store_const", const="csv", dest="form",
                      help="print CSV instead of a table, one line per reading")


def run(options: argparse.Namespace) -> int:
    model = load_model(find_model(options.model))
    images = read_files(options.images, model, options.decoder, options.top, options.figure, options.form)
    return 2 if any(image.error for image in images) else 0
