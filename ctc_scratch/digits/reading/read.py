"""Read rows of digits from image files with a trained model.

Each image goes through the network once. Its logits are used by the decoder, which also finds where
each label stands, and by the figure.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np

from ...ctc.decoding.by_name import DECODERS, Decoder, hypotheses
from ...ctc.decoding.hypotheses import Hypothesis
from ...ctc.reference import log_softmax
from ..errors import OptionError
from ..model.evaluate import model_logits
from ..model.reader import BLANK, CLASS_NAMES, RowReader, labels_to_digits
from .row import Row, load_row

BUDGET = 1000
"""How many prefixes "map" may extend per image; a trained model needs few."""

TABLE_WIDTH = 80
"""Columns of the table of readings."""


class Digit(NamedTuple):
    """A digit that was read, and where.

    digit : 0..9
    confidence : the probability that the network gives it, averaged over the frames it stands in
    left, right : where these frames begin and end in the image [pixels]
    first, last : where they begin and end in the row [columns], last excluded
    """

    digit: int
    confidence: float
    left: float
    right: float
    first: int
    last: int

    def __repr__(self) -> str:
        return (f"Digit({self.digit}, confidence={self.confidence:.3f}, "
                f"image={self.left:.0f}..{self.right:.0f}, row={self.first}..{self.last})")


class Reading(NamedTuple):
    """One way to read an image.

    digits : from left to right
    probability : P(digits | image); over all possible readings it sums to 1
    proved : True if the decoder has proved that no other reading is more probable; only "map" can
    """

    digits: list[Digit]
    probability: float
    proved: bool

    @property
    def text(self) -> str:
        return "".join(str(digit.digit) for digit in self.digits)

    def __repr__(self) -> str:
        return f"Reading({self.text!r}, probability={self.probability:.4f}, proved={self.proved})"


def read_row(model: RowReader, row: Row, decoder: Decoder = "beam", top: int = 1) -> list[Reading]:
    """Read a row of digits with a model, most probable reading first.

    Parameters
    ----------
    row : as `load_row` returns it
    decoder : "greedy", "beam", or "map", which proves, where it can, that no other reading is more probable
    top : how many readings to return at most; more than one needs "beam"

    Returns
    -------
    list of at most `top` `Reading`

    Raises
    ------
    OptionError
        There is no such decoder, or it does not give that many readings.
    """
    check(decoder, top)
    return readings_of(row_logits(model, row), row, model.window, decoder, top)


def row_logits(model: RowReader, row: Row) -> np.ndarray:
    """The logits (T, 11) of a row, float64."""
    return model_logits(model, row.pixels[None])[0][:, 0].astype(np.float64)


def readings_of(logits: np.ndarray, row: Row, window: int, decoder: Decoder, top: int) -> list[Reading]:
    """The readings that a decoder finds in the logits (T, 11) of a row with `window` columns per frame."""
    decoded = hypotheses(decoder, logits, blank=BLANK, top=top, budget=BUDGET)
    return [
        Reading(_locate(hypothesis, window, row), float(np.exp(hypothesis.log_prob)), decoded.proved)
        for hypothesis in decoded.hypotheses
    ]


def check(decoder: str, top: int) -> None:
    """Raise OptionError unless there is such a decoder and it can give `top` readings."""
    if decoder not in DECODERS:
        raise OptionError(f"--decoder must be greedy, beam or map, not {decoder}")
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    if top > 1 and decoder != "beam":
        raise OptionError(f"--top {top} needs --decoder beam; {decoder} gives a single reading")


def _locate(hypothesis: Hypothesis, window: int, row: Row) -> list[Digit]:
    """Each digit with its frames on the most likely alignment."""
    digits = []
    for span, digit in zip(hypothesis.spans, labels_to_digits(hypothesis.labels).tolist()):
        first = span.first * window
        last = min((span.last + 1) * window, row.pixels.shape[1])
        digits.append(Digit(digit, span.confidence, *row.place(first, last), first, last))
    return digits


# ---- files --------------------------------------------------------------------------------


def read_files(paths: Sequence[str], model: RowReader, decoder: Decoder = "beam", top: int = 1,
               folder: str = "") -> list[list[Reading]]:
    """Read image files and print their digits; with a `folder`, also draw where each digit was read.

    Every file is opened and checked before the first one is read.
    """
    check(decoder, top)
    pictures = _pictures(paths, folder) if folder else []
    rows = [load_row(path) for path in paths]
    if folder:
        _make_folder(folder)
    count = "one image" if len(rows) == 1 else f"{len(rows)} images"
    print(f"reading {count} ...", file=sys.stderr, flush=True)
    logits = [row_logits(model, row) for row in rows]
    readings = [readings_of(scores, row, model.window, decoder, top) for scores, row in zip(logits, rows)]
    print(describe(paths, readings))
    for path, row, scores, found, picture in zip(paths, rows, logits, readings, pictures):
        draw(path, row, scores, model.window, found[0], picture)
    if folder:
        print("wrote " + "\n      ".join(pictures))
    return readings


def _pictures(paths: Sequence[str], folder: str) -> list[str]:
    """The paths of the pictures, one per image; OptionError if one would replace an image or a picture."""
    pictures = [os.path.join(folder, f"{Path(path).name}.read.png") for path in paths]
    for k, picture in enumerate(pictures):
        if picture in pictures[:k]:
            raise OptionError(f"--figure would draw {paths[pictures.index(picture)]} and {paths[k]} "
                              f"to the same file, {picture}")
        if os.path.exists(picture):
            for path in paths:
                if os.path.exists(path) and os.path.samefile(path, picture):
                    raise OptionError(f"--figure would draw {paths[k]} over {path}, an image to read")
    return pictures


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--figure {folder}: expected a folder, or a path where one can be made: "
                          f"{error.strerror}") from error


def draw(path: str, row: Row, logits: np.ndarray, window: int, reading: Reading, picture: str) -> None:
    """Draw where each digit of an image was read, and write that to the file `picture`."""
    from ... import plots

    marks = [plots.Mark(str(d.digit), d.confidence, d.left / row.scale, d.right / row.scale, d.first, d.last)
             for d in reading.digits]
    figure = plots.where_read_figure(
        row.grey, row.pixels, np.exp(log_softmax(logits)), marks, window, CLASS_NAMES, BLANK,
        f"{Path(path).name}: read {reading.text or 'nothing'}, probability {reading.probability:.3f}",
    )
    figure.savefig(picture, dpi=120)


def describe(paths: Sequence[str], readings: Sequence[Sequence[Reading]]) -> str:
    """A table with one line per reading: its digits, its probability, the confidence of each digit.

    Confidences that do not fit in TABLE_WIDTH columns go on in the next line.
    """
    lines = [("image", "digits", "probability")]
    confidences = [["confidence of each digit"]]
    for path, found in zip(paths, readings):
        for k, reading in enumerate(found):
            lines.append((
                os.fspath(path) if k == 0 else "", reading.text or "nothing",
                f"{reading.probability:.4f}{' (highest)' if reading.proved else ''}",
            ))
            confidences.append([f"{digit.digit} {digit.confidence:.3f}" for digit in reading.digits])
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    indent = sum(widths) + 6
    at_once = (TABLE_WIDTH - indent + 2) // len("9 0.999  ")
    if at_once < 3:     # names too long for any table of this width
        at_once = max(map(len, confidences))
    text = []
    for line, cells in zip(lines, confidences):
        left = "".join(cell.ljust(width + 2) for cell, width in zip(line, widths))
        for k in range(0, max(len(cells), 1), at_once):
            text.append((left if k == 0 else " " * indent) + "  ".join(cells[k:k + at_once]))
    return "\n".join(line.rstrip() for line in text)
