"""What was read in image files, as a table, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from typing import Any, Callable, NamedTuple, Sequence

from .read import Reading

TABLE_WIDTH = 80
"""Columns of the table of readings."""

LONGEST_NAME = 24
"""Of a file name longer than this many characters, the table shows the end."""


class ReadLine(NamedTuple):
    """A line of an image, as it was read.

    readings : the most probable one first
    probabilities : how likely each of them is right, see `certainty.py`
    doubt : why the first reading may be wrong; empty if it is sure
    top, bottom : where the line begins and ends vertically in the image [pixels]
    """

    readings: list[Reading]
    probabilities: list[float]
    doubt: str
    top: float
    bottom: float


class ReadImage(NamedTuple):
    """What was read in an image file.

    path : of the file
    lines : from top to bottom
    left_out : how many marks of each kind were not taken for writing
    error : why the file could not be read; empty if it could
    """

    path: str
    lines: list[ReadLine]
    left_out: Counter[str]
    error: str = ""


def shown(text: str | os.PathLike) -> str:
    """A path as text that can be printed: bytes that are not UTF-8 become U+FFFD.

    >>> shown("row\\udcff.png")
    'row\\ufffd.png'
    """
    return os.fspath(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def table(images: Sequence[ReadImage]) -> str:
    """A table with one line per reading: its digits, its probability, the confidence of each digit.

    Confidences that do not fit in TABLE_WIDTH columns continue on the next line.
    """
    lines = [("image", "digits", "probability")]
    confidences = [["confidence of each digit"]]
    notes: dict[int, list[str]] = {}        # by the number of the line below which they stand
    for image in images:
        name = shown(image.path)
        name = name if len(name) <= LONGEST_NAME else f"...{name[3 - LONGEST_NAME:]}"
        for line in image.lines:
            for reading, probability in zip(line.readings, line.probabilities):
                lines.append((name, reading.text or "nothing",
                              f"{probability:.3f}{' (highest)' if reading.proved else ''}"))
                confidences.append([f"{digit.digit} {digit.confidence:.3f}" for digit in reading.digits])
                name = ""
            if line.doubt:
                notes[len(lines) - 1] = [f"  not sure: {line.doubt}"]
        if image.left_out:
            what = ", ".join(f"{count} {thing}{'s' * (count > 1)}" for thing, count in image.left_out.items())
            notes.setdefault(len(lines) - 1, []).append(f"  left out: {what}")
    if len(lines) == 1:
        return ""
    widths = [max(len(line[k]) for line in lines) for k in range(3)]
    # If the columns do not fit beside each other, digits and confidences get lines of their own.
    wide = sum(widths) + 6 + len(confidences[0][0]) > TABLE_WIDTH
    text = []
    for k, (columns, cells) in enumerate(zip(lines, confidences)):
        text += _wrapped(columns, cells, k == 0) if wide else _beside(columns, cells, widths)
        text += notes.get(k, [])
    return "\n".join(each.rstrip() for each in text) + "\n"


def _beside(line: tuple[str, str, str], cells: list[str], widths: list[int]) -> list[str]:
    """A reading with its confidences beside it, in as many lines as they need."""
    indent = sum(widths) + 6
    at_once = max(1, (TABLE_WIDTH - indent + 2) // len("9 0.999  "))
    left = "".join(cell.ljust(width + 2) for cell, width in zip(line, widths))
    return [(left if k == 0 else " " * indent) + "  ".join(cells[k:k + at_once])
            for k in range(0, max(len(cells), 1), at_once)]


def _wrapped(line: tuple[str, str, str], cells: list[str], head: bool) -> list[str]:
    """A reading that is too long for a column: its name and probability, its digits, its confidences."""
    if head:
        return [f"{line[0]}, {line[2]}, {line[1]}, {cells[0]}"]
    text = [f"{line[0] or '-'}  {line[2]}"]
    room = TABLE_WIDTH - 2
    text += [f"  {line[1][k:k + room]}" for k in range(0, len(line[1]), room)]
    at_once = (room + 2) // len("9 0.999  ")
    return text + ["  " + "  ".join(cells[k:k + at_once]) for k in range(0, len(cells), at_once)]


def as_json(images: Sequence[ReadImage]) -> str:
    """The readings as JSON: a list with one object for each image."""
    return json.dumps([_record(image) for image in images], indent=2) + "\n"


def _record(image: ReadImage) -> dict[str, Any]:
    name = {"image": shown(image.path)}
    if image.error:
        return {**name, "error": shown(image.error)}
    return {**name, "left_out": dict(image.left_out), "lines": [
        {"top": round(line.top, 1), "bottom": round(line.bottom, 1), "sure": not line.doubt,
         "doubt": line.doubt, "readings": [
             _reading(*pair) for pair in zip(line.readings, line.probabilities)]}
        for line in image.lines]}


def _reading(reading: Reading, probability: float) -> dict[str, Any]:
    return {"digits": reading.text, "probability": round(probability, 6),
            "stated_by_network": round(reading.probability, 6), "proved": reading.proved, "each": [
                {"digit": digit.digit, "confidence": round(digit.confidence, 6),
                 "left": round(digit.left, 1), "right": round(digit.right, 1)}
                for digit in reading.digits]}


def as_csv(images: Sequence[ReadImage]) -> str:
    """The readings as CSV: a line for each reading, with its image, line and rank; and one for each error."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "line", "rank", "digits", "probability", "doubt", "top", "bottom", "error"])
    for image in images:
        name = shown(image.path)
        if image.error:
            writer.writerow([name, *[""] * 7, shown(image.error)])
        for k, line in enumerate(image.lines, 1):
            for rank, (reading, probability) in enumerate(zip(line.readings, line.probabilities), 1):
                writer.writerow([name, k, rank, reading.text, f"{probability:.6f}", line.doubt,
                                 f"{line.top:.1f}", f"{line.bottom:.1f}", ""])
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[ReadImage]], str]] = {"table": table, "json": as_json, "csv": as_csv}
"""The forms in which the readings can be printed."""
