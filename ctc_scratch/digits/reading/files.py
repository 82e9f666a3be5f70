"""Read image files: find the files, read the lines of each, print the digits, and draw where they stand.

A file that cannot be read is reported, and the others are read all the same.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Sequence

import numpy as np

from ...ctc.decoding.by_name import Decoder
from ...ctc.reference import log_softmax
from ..errors import ImageError, OptionError
from ..model.reader import BLANK, RowReader
from .certainty import judge
from .image_file import STDIN, SUFFIXES
from .page import load_page
from .read import check, read_with_logits
from .report import FORMATS, ReadImage, ReadLine, shown
from .row import Row


def read_files(paths: Sequence[str], model: RowReader, decoder: Decoder = "beam", top: int = 1,
               folder: str = "", form: str = "table") -> list[ReadImage]:
    """Read image files and print their digits; with a `folder`, also draw where each digit was read.

    Parameters
    ----------
    paths : image files, folders of them, or "-" for an image on standard input
    form : "table", "json" or "csv"

    Options are checked before the first file is read. For a file that shows no digits, or is not
    an image, a line is printed on standard error.
    """
    check(decoder, top)
    files = find_files(paths)
    pictures = _pictures(files, folder) if folder else [""] * len(files)
    count = "one image" if len(files) == 1 else f"{len(files)} images"
    print(f"reading {count} ...", file=sys.stderr, flush=True)
    images, drawn = [], []
    for path, picture in zip(files, pictures):
        image = _read_file(path, model, decoder, top, picture)
        images.append(image)
        if image.error:
            print(f"ctc-scratch: error: {shown(image.error)}", file=sys.stderr)
        elif picture:
            drawn.append(shown(picture))
    print(FORMATS[form](images), end="")
    if drawn and form == "table":
        print("wrote " + "\n      ".join(drawn))
    return images


def find_files(paths: Sequence[str]) -> list[str]:
    """The image files that these paths name; a folder stands for the images in it, sorted by name.

    Raises
    ------
    OptionError
        A folder holds no image.
    """
    files = []
    for path in paths:
        if not os.path.isdir(path):
            files.append(path)
            continue
        inside = sorted(name for name in os.listdir(path)
                        if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."))
        if not inside:
            raise OptionError(f"{shown(path)}: expected a folder with images in it "
                              f"({', '.join(sorted(SUFFIXES)[:4])} ...), found none")
        files += [os.path.join(path, name) for name in inside]
    return files


def _read_file(path: str, model: RowReader, decoder: Decoder, top: int, picture: str) -> ReadImage:
    try:
        page = load_page(path)
    except ImageError as error:
        return ReadImage(path, [], Counter(), str(error))
    lines, drawn = [], []
    for row in page.rows:
        line, logits = read_line(model, row, decoder, top)
        lines.append(line)
        drawn.append((row, logits, line))
    if picture:
        _draw(path, drawn, model, picture)
    return ReadImage(path, lines, page.left_out)


def read_line(model: RowReader, row: Row, decoder: Decoder = "beam", top: int = 1
              ) -> tuple[ReadLine, np.ndarray]:
    """Read a row and judge the reading; also returns the logits (T, C).

    The first reading gets the probability of `judge`. The other readings share the rest, in proportion to the
    probabilities that the network states.
    """
    readings, logits = read_with_logits(model, row, decoder, top)
    certainty = judge(model, row, readings[0])
    left = (1 - certainty.probability) / max(1 - readings[0].probability, 1e-12)
    probabilities = [certainty.probability, *(left * reading.probability for reading in readings[1:])]
    return ReadLine(readings, probabilities, certainty.doubt, row.top, row.bottom), logits


# ---- figures --------------------------------------------------------------------------------


def _pictures(paths: Sequence[str], folder: str) -> list[str]:
    """The paths of the pictures, one per image; OptionError if one would replace an image or another."""
    pictures = [os.path.join(folder, f"{'stdin' if path == STDIN else Path(path).name}.read.png")
                for path in paths]
    for k, picture in enumerate(pictures):
        if picture in pictures[:k]:
            raise OptionError(f"--figure would draw {shown(paths[pictures.index(picture)])} and "
                              f"{shown(paths[k])} to the same file, {shown(picture)}")
        if os.path.exists(picture):
            for path in paths:
                if os.path.exists(path) and os.path.samefile(path, picture):
                    raise OptionError(f"--figure would draw {shown(paths[k])} over {shown(path)}, "
                                      "an image to read")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--figure {folder}: expected a folder, or a path where one can be made: "
                          f"{error.strerror}") from error
    return pictures


def _draw(path: str, lines: Sequence[tuple[Row, np.ndarray, ReadLine]], model: RowReader, picture: str
          ) -> None:
    """Draw where each digit of an image was read, and write that to the file `picture`."""
    from ... import plots

    plotted, told = [], []
    for row, logits, line in lines:
        scale, reading = row.scale, line.readings[0]
        marks = [plots.Mark(str(digit.digit), digit.confidence, digit.left / scale, digit.right / scale,
                            digit.first, digit.last) for digit in reading.digits]
        plotted.append(plots.PlottedLine(row.pixels, np.exp(log_softmax(logits)), marks, row.top / scale,
                                         row.bottom / scale))
        told.append(f"{reading.text or 'nothing'} ({line.probabilities[0]:.3f})")
    name = shown(Path(path).name).replace("$", r"\$")
    figure = plots.where_read_figure(lines[0][0].grey, plotted, model.window, model.class_names, BLANK,
                                     f"{name}: read {', '.join(told)}")
    figure.savefig(picture, dpi=120)
