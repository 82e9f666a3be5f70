"""How well a model reads: its label error rate, its share of right rows, and the digits it confuses."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import NamedTuple, Sequence

import numpy as np

from ...ctc import sequence_accuracy
from ...ctc.decoding.by_name import Decoder, decode
from ...ctc.decoding.metrics import edits
from ..data.mnist_files import SIDE
from ..data.rows import consecutive_rows
from ..data.touching import touching_rows
from .parallel import run_tasks
from .reader import BLANK, CLASS_NAMES, RowReader, labels_to_digits

FRAMES_AT_ONCE = 2_000
"""Frames of all rows in one forward pass. This bounds the memory and cuts the rows into tasks for threads."""

MAP_BUDGET = 200
"""The most prefixes that "map" extends per row. With a trained model, few more than the row has digits do."""


class Evaluation(NamedTuple):
    """How well a model has read rows of `digits` digits each; rates are fractions."""

    digits: int
    rows: int
    label_error_rate: float
    row_accuracy: float
    confusions: Counter  # from (digit read or None, true digit or None) to how often
    decoder: Decoder = "greedy"

    def __repr__(self) -> str:
        return (f"Evaluation({self.rows} rows of {self.digits}, {self.decoder}: "
                f"label error rate {self.label_error_rate:.2%}, rows right {self.row_accuracy:.2%})")


def evaluate(
    model: RowReader, images: np.ndarray, labels: np.ndarray, digits: int, decoder: Decoder = "greedy",
    gap: int | None = None,
) -> Evaluation:
    """Join the images to rows of `digits` consecutive digits, read all rows, and count the errors.

    Parameters
    ----------
    images : (count, 28, 28) uint8 array
    labels : (count,) integer array
    digits : per row; digits left over at the end are dropped
    decoder : "greedy", "beam" or "map"
    gap : columns from the ink of a digit to that of the next: at 0 they meet, below they overlap; None puts
        the boxes of MNIST side by side
    """
    widths = None
    if gap is None:
        rows, truth = consecutive_rows(images, labels, digits)
    else:
        rows, widths, joined = touching_rows(images, labels, digits, gap)
        truth = [row.tolist() for row in joined]
    read = read_rows(model, rows, decoder, widths)
    confusions = Counter(pair for h, r in zip(read, truth) if h != r
                         for pair in edits(h, r) if pair[0] != pair[1])
    # The confusions of a row are its shortest list of edits, so their number is the edit distance.
    errors = confusions.total() / (digits * len(truth))
    return Evaluation(digits, len(truth), errors, sequence_accuracy(read, truth), confusions, decoder)


def mean_of(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The mean of several evaluations on as many rows each."""
    rates = np.mean([(each.label_error_rate, each.row_accuracy) for each in evaluations], axis=0)
    return evaluations[0]._replace(
        rows=sum(each.rows for each in evaluations), label_error_rate=float(rates[0]),
        row_accuracy=float(rates[1]), confusions=sum((each.confusions for each in evaluations), Counter()))


def read_rows(model: RowReader, rows: np.ndarray, decoder: Decoder = "greedy",
              widths: np.ndarray | None = None) -> list[list[int]]:
    """Read rows (N, 28, W), of W columns each or of these widths (N,); returns the digits of each."""
    N, _, W = rows.shape
    widths = np.full(N, W) if widths is None else widths
    at_once = max(1, FRAMES_AT_ONCE * model.window // max(W, SIDE))
    chunks = [slice(i, i + at_once) for i in range(0, N, at_once)]

    def read(chunk):
        logits, lengths = model_logits(model, rows[chunk], widths[chunk])
        decoded = decode(decoder, logits, lengths, blank=BLANK, budget=MAP_BUDGET)
        return [labels_to_digits(labels, len(model.class_names)).tolist() for labels in decoded]

    found = run_tasks(read, chunks, [rows[chunk].size for chunk in chunks])
    return [digits for chunk in found for digits in chunk]


def model_logits(model: RowReader, rows: np.ndarray, widths: np.ndarray | None = None
                 ) -> tuple[np.ndarray, np.ndarray]:
    """The logits (T, N, C) and the numbers of frames (N,) of rows (N, 28, W), of these widths or of W."""
    x, lengths = model.frames(rows, np.full(len(rows), rows.shape[2]) if widths is None else widths)
    logits, _ = model.forward(x, lengths)
    return logits, lengths


def describe(evaluations: Sequence[Evaluation], class_names: Sequence[str] = CLASS_NAMES) -> str:
    """A table with one line per evaluation, and below it the most frequent confusions of each decoder."""
    lines = ["digits   rows   decoder   label error rate   rows right"]
    for e in evaluations:
        lines.append(f"{e.digits:6d} {e.rows:6d}   {e.decoder:7s} {100 * e.label_error_rate:16.2f} % "
                     f"{100 * e.row_accuracy:10.2f} %")
    for decoder in dict.fromkeys(e.decoder for e in evaluations):
        total = sum((e.confusions for e in evaluations if e.decoder == decoder), Counter())
        if total:
            common = ", ".join(f"{_confusion(pair, class_names)} ({count})"
                               for pair, count in total.most_common(6))
            text = f"most frequent errors, {decoder}: {common}"
            lines.append(textwrap.fill(text, 80, subsequent_indent="    "))
    return "\n".join(lines)


def _confusion(pair: tuple[int | None, int | None], class_names: Sequence[str]) -> str:
    read, true = (None if digit is None else class_names[digit + 1] for digit in pair)
    if read is None:
        return f"{true} missed"
    if true is None:
        return f"{read} read where there is none"
    return f"{true} read as {read}"
