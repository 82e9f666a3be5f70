"""Read rows of digits from image files with a trained model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np

from ...ctc import greedy_decode, map_decode, prefix_beam_search
from ...ctc.decoding.hypotheses import exact_log_prob
from ...ctc.paths.align import align
from ...ctc.reference import log_softmax
from ..errors import OptionError
from ..model.evaluate import model_logits
from ..model.reader import BLANK, CLASS_NAMES, RowReader, labels_to_digits
from .row import Row, load_row

BEAM_WIDTH = 16
"""Of the beam search, or the number of readings asked for, if that is more."""

BUDGET = 1000
"""Prefixes that the search for the most probable reading may extend; a trained model needs few."""


class Digit(NamedTuple):
    """A digit that was read, and where."""

    digit: int
    confidence: float   # probability the network gives it, the mean over the frames it stands in
    left: float         # from where to where these frames are [pixels of the image]
    right: float
    first: int          # the same in columns of the row, right excluded
    last: int


class Reading(NamedTuple):
    """What a model reads in an image.

    probability : P(digits | image), over all readings 1 in total
    proved : no other reading is more probable; only `map` says so
    """

    digits: list[Digit]
    probability: float
    proved: bool

    @property
    def text(self) -> str:
        return "".join(str(digit.digit) for digit in self.digits)


def read_row(model: RowReader, row: Row, decoder: str = "beam", top: int = 1) -> list[Reading]:
    """What a model reads in a row of digits, best first.

    Parameters
    ----------
    row : as `row.load_row` makes it
    decoder : greedy, beam or map, the most probable digits
    top : how many readings; more than one needs the beam

    Returns
    -------
    list of at most `top` `Reading`

    Raises
    ------
    OptionError
        There is no such decoder, or it does not give so many readings.
    """
    check(decoder, top)
    logits = model_logits(model, row.pixels[None])[0][:, 0].astype(np.float64)      # (T, 11)
    found, proved = _decode(logits, decoder, top)
    return [
        Reading(_locate(logits, labels, model.window, row),
                float(np.exp(exact_log_prob(logits, labels, BLANK))), proved)
        for labels in found
    ]


def check(decoder: str, top: int) -> None:
    """Raise OptionError if no decoder can do that."""
    if decoder not in ("greedy", "beam", "map"):
        raise OptionError(f"--decoder must be greedy, beam or map, not {decoder}")
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    if top > 1 and decoder != "beam":
        raise OptionError(f"--top {top} needs --decoder beam; {decoder} gives a single reading")


def _decode(logits: np.ndarray, decoder: str, top: int) -> tuple[list[list[int]], bool]:
    """The labels of each reading, and whether the first is proved to be the most probable."""
    if decoder == "greedy":
        return [greedy_decode(logits, blank=BLANK)], False
    if decoder == "map":
        result = map_decode(logits, blank=BLANK, budget=BUDGET)
        return [result.labels], result.gap == 0
    hypotheses = prefix_beam_search(logits, blank=BLANK, top=top, beam_width=max(BEAM_WIDTH, top))
    # What the beam ranks by leaves out the paths it dropped.
    hypotheses.sort(key=lambda hypothesis: -hypothesis.log_prob)
    return [hypothesis.labels for hypothesis in hypotheses], False


def _locate(logits: np.ndarray, labels: list[int], window: int, row: Row) -> list[Digit]:
    """Each label with its frames on the likeliest alignment."""
    digits = []
    for span, digit in zip(align(logits, labels, blank=BLANK).spans, labels_to_digits(labels).tolist()):
        first = span.first * window
        last = min((span.last + 1) * window, row.pixels.shape[1])
        digits.append(Digit(digit, span.confidence, *row.place(first, last), first, last))
    return digits


def read_files(paths: Sequence[str], model: RowReader, decoder: str = "beam", top: int = 1,
               folder: str = "") -> list[list[Reading]]:
    """Read image files and print what they say; with a `folder`, draw where each digit was read.

    Every file is looked at before the first one is read.
    """
    check(decoder, top)
    pictures = _pictures(paths, folder) if folder else []
    rows = [load_row(path) for path in paths]
    if folder:
        _make_folder(folder)
    count = "one image" if len(rows) == 1 else f"{len(rows)} images"
    print(f"reading {count} ...", file=sys.stderr, flush=True)
    readings = [read_row(model, row, decoder, top) for row in rows]
    print(describe(paths, readings))
    for path, row, found, picture in zip(paths, rows, readings, pictures):
        draw(path, model, row, found[0], picture)
    if folder:
        print("wrote " + "\n      ".join(pictures))
    return readings


def _pictures(paths: Sequence[str], folder: str) -> list[str]:
    """The file of each picture."""
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
        raise OptionError(f"--figure {folder}: expected a folder, or a place for one: "
                          f"{error.strerror}") from error


def draw(path: str, model: RowReader, row: Row, reading: Reading, picture: str) -> None:
    """Draw where each digit of an image was read, into a file."""
    from ... import plots

    logits = model_logits(model, row.pixels[None])[0][:, 0]
    marks = [plots.Mark(str(d.digit), d.confidence, d.left / row.scale, d.right / row.scale, d.first, d.last)
             for d in reading.digits]
    figure = plots.where_read_figure(
        row.grey, row.pixels, np.exp(log_softmax(logits)), marks, model.window, CLASS_NAMES, BLANK,
        f"{Path(path).name}: read {reading.text or 'nothing'}, probability {reading.probability:.3f}",
    )
    figure.savefig(picture, dpi=120)


def describe(paths: Sequence[str], readings: Sequence[Sequence[Reading]]) -> str:
    """A table, one line a reading: the digits, their probability, and each with its confidence."""
    lines = [("image", "digits", "probability", "confidence of each digit")]
    for path, found in zip(paths, readings):
        for k, reading in enumerate(found):
            lines.append((
                os.fspath(path) if k == 0 else "", reading.text or "nothing",
                f"{reading.probability:.4f}{' (highest)' if reading.proved else ''}",
                "  ".join(f"{digit.digit} {digit.confidence:.3f}" for digit in reading.digits),
            ))
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    return "\n".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[3]]).rstrip()
                     for line in lines)
