"""How well does `ctc-scratch read` read pictures as people take them, and is its probability reliable?

    python -m benchmarks.reading [RUN] [--rows N] [--conditions shadow,blur]

Rows of five MNIST test digits are photographed under each condition and at each strength of
`pictures/photographs.py`, and read by beam search. Each condition and strength has rows of its own, drawn at
random from all test digits; the draw is the same in every run. Columns of the table:

    rows right          all digits of the row are right
    label error rate    edits per digit
    probability         the mean of the probability that `read` states; it should equal `rows right`
    ECE                 expected calibration error: how far apart these two are, over 15 bins of probability
    AUROC               how often a right row has a higher probability than a wrong one; 0.5 is no better
                        than chance
    places              share of the digits of right rows whose marked place has its middle within their ink
    wrong, right doubted  shares of the wrong and of the right rows that `read` calls "not sure"

A row is compared with the line that is found where it stands (`lines_found`). A row that is not found counts
as wrong, with probability 0. A line too many counts as a wrong row, with the probability that is stated for
it. The number above the table, of `evaluate`, is for all test digits in rows of five without any picture,
decoded greedily.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple, Sequence

import numpy as np
from PIL import Image
from scipy.stats import rankdata

from ctc_scratch.ctc import label_error_rate
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.errors import ImageError
from ctc_scratch.digits.model.evaluate import read_rows
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.reading.files import read_line
from ctc_scratch.digits.reading.image_file import grey_values
from ctc_scratch.digits.reading.page import make_page
from ctc_scratch.digits.reading.report import ReadLine

from .pictures.photographs import NAMES, STRENGTHS, Photograph, lines_found, lines_of, photograph
from .tools.harness import conclude, machine

DIGITS = 5      # per row
BINS = 15


class Outcome(NamedTuple):
    """One row: what it shows, what was read, how likely that is right, how many digits lie on their ink."""

    truth: list[int]
    read: list[int]
    probability: float
    placed: int
    doubted: bool


def read_picture(model: RowReader, picture: Image.Image) -> list[ReadLine]:
    """The lines of a picture, from top to bottom; none if nothing is found."""
    try:
        page = make_page(*grey_values(picture))
    except ImageError:
        return []
    return [read_line(model, row)[0] for row in page.rows]


def compare(photo: Photograph, found: Sequence[ReadLine]) -> list[Outcome]:
    """Compare each line of a photograph with the line found where it stands; either may have more lines."""
    numbers = lines_found(photo, [(line.top, line.bottom) for line in found])
    pairs = [(line, extents, None if k is None else found[k])
             for line, extents, k in zip(photo.lines, photo.extents, numbers)]
    pairs += [([], [], line) for k, line in enumerate(found) if k not in numbers]
    outcomes = []
    for truth, extents, read in pairs:
        digits = read.readings[0].digits if read else []
        placed = sum(left <= (digit.left + digit.right) / 2 <= right
                     for digit, (left, right) in zip(digits, extents))
        outcomes.append(Outcome(truth, [digit.digit for digit in digits],
                                read.probabilities[0] if read else 0.0, placed, not read or bool(read.doubt)))
    return outcomes


def measure(model: RowReader, images: np.ndarray, labels: np.ndarray, case: tuple[str, str],
            rows: int) -> list[Outcome]:
    """Photograph and read about `rows` rows under one condition and strength.

    Each picture shows digits that follow each other in `images`. No digit is shown twice.
    """
    rng = np.random.default_rng(list(" ".join(case).encode()))
    digits = DIGITS * lines_of(*case)
    pictures = max(1, DIGITS * rows // digits)
    outcomes: list[Outcome] = []
    for start in digits * rng.choice(len(labels) // digits, pictures, replace=False):
        part = slice(start, start + digits)
        photo = photograph(images[part], labels[part], *case, rng)
        outcomes += compare(photo, read_picture(model, photo.picture))
    return outcomes


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The numbers of the table; those that are not defined are NaN."""
    # A line too many is wrong, though no digit was read in it and none was there.
    right = np.array([row.read == row.truth != [] for row in outcomes])
    stated = np.array([row.probability for row in outcomes])
    doubted = np.array([row.doubted for row in outcomes])
    digits = sum(len(row.truth) for row, fine in zip(outcomes, right) if fine)
    placed = sum(row.placed for row, fine in zip(outcomes, right) if fine)
    return {
        "rows": len(outcomes),
        "right": right.mean(),
        "label error rate": label_error_rate([row.read for row in outcomes], [row.truth for row in outcomes]),
        "probability": stated.mean(),
        "ECE": calibration_error(stated, right),
        "AUROC": auroc(stated, right),
        "places": placed / digits if digits else np.nan,
        "wrong doubted": doubted[~right].mean() if not right.all() else np.nan,
        "right doubted": doubted[right].mean() if right.any() else np.nan,
    }


def calibration_error(stated: np.ndarray, right: np.ndarray) -> float:
    """The mean over all rows of |share of right rows - mean probability| in the row's bin (Guo et al. 2017).

    >>> round(calibration_error(np.array([0.9, 0.9, 0.1]), np.array([True, False, False])), 6)
    0.3
    """
    bins = np.minimum((BINS * stated).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, right - stated, BINS)).sum() / len(stated))


def auroc(stated: np.ndarray, right: np.ndarray) -> float:
    """How often a right row has a higher probability than a wrong one; equal ones count half.

    >>> auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    good, bad = right.sum(), (~right).sum()
    if not good or not bad:
        return np.nan
    return float((rankdata(stated)[right].sum() - good * (good + 1) / 2) / (good * bad))


def chosen_conditions(text: str) -> list[str]:
    """The names in "shadow,blur", checked."""
    names = text.split(",")
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of the conditions {', '.join(NAMES)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading")
    parser.add_argument("run", nargs="?", default="", help="folder of a run (default: the packaged model)")
    parser.add_argument("--rows", type=int, default=300,
                        help="rows for each condition and strength (default: 300)")
    parser.add_argument("--conditions", type=chosen_conditions, default=list(NAMES), metavar="NAME,NAME",
                        help=f"some of {', '.join(NAMES)} (default: all)")
    options = parser.parse_args()
    model = load_model(find_model(options.run))
    mnist = load_mnist()
    images, labels = mnist.test_images, mnist.test_labels
    rows, truth = consecutive_rows(images, labels, DIGITS)
    if not 1 <= options.rows <= len(rows):
        parser.error(f"--rows must be 1 to {len(rows)}, not {options.rows}")
    plain = label_error_rate(read_rows(model, rows), truth)

    cases = [(name, strength) for name in options.conditions for strength in STRENGTHS
             if name != "plain" or strength == "mild"]
    outcomes = {}
    for case in cases:
        print(f"reading {' '.join(case)} ...", file=sys.stderr, flush=True)
        outcomes[case] = measure(model, images, labels, case, options.rows)
    pooled = {("all", strength): sum((rows for (_, how), rows in outcomes.items() if how == strength), [])
              for strength in STRENGTHS if any(how == strength for _, how in cases)}
    pooled["all", "all"] = sum(outcomes.values(), [])
    table = {case: figures(rows) for case, rows in {**outcomes, **pooled}.items()}

    print(f"{machine()}\n\nevaluate, {len(rows)} rows: label error rate {plain:.2%}\n")
    conclude(
        "reading",
        ["condition", "strength", "rows", "rows right", "label error rate", "probability", "ECE", "AUROC",
         "places", "wrong doubted", "right doubted"],
        [[*case, *(cell(value, form) for value, form in
                   zip(found.values(), ["d", ".1%", ".1%", ".3f", ".3f", ".3f", ".1%", ".1%", ".1%"]))]
         for case, found in table.items()],
        {"evaluate": plain, "conditions": [[*case, found] for case, found in table.items()]},
    )


def cell(value: float, form: str) -> str:
    return "-" if np.isnan(value) else format(value, form)


def draw(row: np.ndarray, size: float, light: bool, margins: Sequence[int]) -> Image.Image:
    """Draw a row (28, W) `size` times as large, in light or dark ink; margins: left, top, right, bottom.

    The tests of `ctc_scratch.digits.reading` use these pictures, because each of their pixels is known.
    """
    ink = Image.fromarray(np.uint8(255 * row))
    ink = ink.resize([round(size * side) for side in ink.size], Image.Resampling.BICUBIC)
    left, top, right, bottom = margins
    picture = Image.new("L", (left + ink.width + right, top + ink.height + bottom), 0)
    picture.paste(ink, (left, top))
    return picture if light else Image.fromarray(255 - np.asarray(picture))


if __name__ == "__main__":
    main()
