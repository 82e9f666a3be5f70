"""How likely a reading is right: a calibrated probability, and a reason where it is low.

The network states P(digits | row). That is too high where a picture differs from all those in training. So
two more kinds of evidence are taken into account:

- how probable the same digits are when the row is drawn a little differently: blurred, thinner, flatter,
  slanted. A right reading usually stays probable; a wrong one mostly does not;
- what was found in the picture: grain, smudges and lines that were left out, boxes in which too many digits
  or none were read, a piece of writing that is much smaller than the others.

Each becomes a number, and a logistic regression turns the numbers into one probability. Its weights were
fitted to photographs of digits that the network was not trained on, by `benchmarks/pictures/calibrate.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ...arrays import underflow_is_zero
from ...ctc.loss import ctc_loss
from ..data.mnist_files import SIDE
from ..model.evaluate import model_logits
from ..model.reader import BLANK, RowReader
from .read import Reading
from .row import DIGIT, Row

LEAST = 0.884       # below this probability a reading is "not sure"

EVIDENCE = ("stated", "redrawn", "worst redrawn", "weakest digit", "grain", "shared boxes", "empty boxes",
            "smudges", "slope", "pale", "smallest")
"""The kinds of evidence that the regression weighs; see `evidence`."""

WEIGHTS = (2.602, -0.09067, 0.57, 0.2002, 0.02602, -1.562, -0.2609, -4.679, -0.2516, -2.032, -3.828, 3.438)
"""The constant, then the weight of each kind of evidence."""


class Certainty(NamedTuple):
    """How likely all digits of a line are right, from 0 to 1; and the reason if that is below `LEAST`."""

    probability: float
    doubt: str

    @property
    def sure(self) -> bool:
        return not self.doubt


def judge(model: RowReader, row: Row, reading: Reading) -> Certainty:
    """The probability that a reading of a row is right, and a reason to doubt it if that is low."""
    numbers = evidence(model, row, reading)
    terms = np.asarray(WEIGHTS[1:]) * numbers
    probability = float(logistic(WEIGHTS[0] + terms.sum()))
    return Certainty(probability, "" if probability >= LEAST else _reason(numbers))


def logistic(score: np.ndarray | float) -> np.ndarray:
    """1 / (1 + e^-score)."""
    return 1 / (1 + np.exp(-np.clip(score, -50, 50)))


def _logit(probability: np.ndarray | float) -> np.ndarray:
    """ln(p / (1 - p)), with p cut off at 1e-4 and 1 - 1e-4: closer to 0 or 1, p says no more about errors."""
    p = np.clip(probability, 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


@underflow_is_zero
def evidence(model: RowReader, row: Row, reading: Reading) -> np.ndarray:
    """The numbers that the regression weighs, in the order of `EVIDENCE`.

    stated : the logit of P(digits | row)
    redrawn, worst redrawn : the mean and the least of this logit over the four rows of `redrawn`
    weakest digit : the logit of the lowest confidence among the digits
    grain : the standard deviation of paper, in units of full ink
    shared boxes, empty boxes : how many boxes hold more digits than one per 20 columns, or none
    smudges : ln(1 + marks left out per digit)
    slope : the slope of the line, without its sign
    pale : the share of pixels below 0.7 among those above 0.1, which hold ink
    smallest : ln(size / median size) of the smallest piece of writing, which may be a part of a digit
    """
    labels = [model.class_names.index(str(digit.digit)) for digit in reading.digits]
    again = _probabilities(model, redrawn(row.pixels), labels)
    middles = [(digit.first + digit.last) / 2 for digit in reading.digits]
    inside = np.histogram(middles, [*(box.left for box in row.boxes), row.boxes[-1].right])[0]
    widths = np.array([max(1, round((box.right - box.left) / DIGIT)) for box in row.boxes])
    inked = row.pixels[row.pixels > 0.1]
    sizes = [box.step for box in row.boxes]     # each piece was scaled by its size
    return np.array([
        _logit(reading.probability), _logit(again).mean(), _logit(again).min(),
        _logit(min((digit.confidence for digit in reading.digits), default=0.0)),
        row.noise, np.sum(inside > widths), np.sum(inside == 0),
        np.log1p(row.left_out / max(len(labels), 1)),
        abs(row.slope), float(np.mean(inked < 0.7)) if inked.size else 1.0,
        np.log(min(sizes) / np.median(sizes))])


def redrawn(pixels: np.ndarray) -> np.ndarray:
    """Four variants (4, 28, W) of a row (28, W): blurred, thinner, flatter (lower by a tenth), slanted."""
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :pixels.shape[1]].astype(np.float32)
    blurred = ndimage.gaussian_filter(pixels, 0.7)
    thinner = np.clip(1.5 * pixels - 0.5, 0, 1)
    flatter = ndimage.map_coordinates(pixels, [middle + (y - middle) / 0.9, x], order=1)
    slanted = ndimage.map_coordinates(pixels, [y, x + 0.12 * (y - middle)], order=1)
    return np.stack([blurred, thinner, flatter, slanted])


def _probabilities(model: RowReader, rows: np.ndarray, labels: list[int]) -> np.ndarray:
    """P(labels | row) for each of the rows (N, 28, W)."""
    logits, lengths = model_logits(model, rows)
    return np.exp(-ctc_loss(logits, [labels] * len(rows), lengths, blank=BLANK, infeasible="inf").loss)


def _reason(numbers: np.ndarray) -> str:
    """A reason to doubt a reading: the first one of this list that applies."""
    named = dict(zip(EVIDENCE, numbers))
    if named["shared boxes"]:
        return "digits seem to touch or to be broken"
    if named["empty boxes"]:
        return "some marks were not read as digits"
    if named["smallest"] < np.log(0.6):
        return "a mark is much smaller than the others"
    if named["grain"] > 0.08:
        return "the picture is grainy"
    if named["pale"] > 0.75:
        return "the picture is blurred or pale"
    if named["smudges"] > 2:
        return "there are many other marks"
    if named["redrawn"] < named["stated"] - 2:
        return "other digits are read if the row is drawn a little differently"
    return "other digits are nearly as likely"
