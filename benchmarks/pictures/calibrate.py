"""Fit the weights of `digits/reading/certainty.py` to photographs of digits that were not trained on.

    python -m benchmarks.pictures.calibrate [RUN] [--rows N]

Rows of the validation digits, which no training step uses, are photographed under all conditions of
`photographs.py` at all strengths, and read. A logistic regression then predicts from the evidence whether
the reading is right. The evidence is standardised. The loss has a penalty of 1e-3 / 2 times the sum of the
squared weights, and is minimised by Newton's method. LEAST is the probability below which 5 % of the right
rows lie. The test digits are not used.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.errors import ImageError
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.reading.certainty import EVIDENCE, evidence, logistic
from ctc_scratch.digits.reading.image_file import grey_values
from ctc_scratch.digits.reading.page import make_page
from ctc_scratch.digits.reading.read import read_row

from .photographs import NAMES, STRENGTHS, lines_found, lines_of, photograph

DIGITS = 5
PENALTY = 1e-3
DOUBTED = 0.05      # the share of right rows whose probability is below LEAST


def collect(model: RowReader, images: np.ndarray, labels: np.ndarray, rows: int, seed: int = 1
            ) -> tuple[np.ndarray, np.ndarray]:
    """Photograph and read rows; returns the evidence (n, kinds), and whether each reading is right (n,)."""
    rng = np.random.default_rng(seed)
    found, right = [], []
    for name in NAMES:
        for strength in STRENGTHS:
            print(f"reading {name} {strength} ...", file=sys.stderr, flush=True)
            digits = DIGITS * lines_of(name, strength)
            for _ in range(max(1, DIGITS * rows // digits)):
                start = rng.integers(len(labels) - digits)
                part = slice(start, start + digits)
                photo = photograph(images[part], labels[part], name, strength, rng)
                try:
                    page = make_page(*grey_values(photo.picture))
                except ImageError:
                    continue
                numbers = lines_found(photo, [(row.top, row.bottom) for row in page.rows])
                for k, row in enumerate(page.rows):
                    reading, = read_row(model, row)
                    read = [digit.digit for digit in reading.digits]
                    found.append(evidence(model, row, reading))
                    right.append(k in numbers and read == photo.lines[numbers.index(k)])
    return np.array(found), np.array(right)


def fit(found: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The weights of a logistic regression: the constant, then one for each column of `found`."""
    mean, deviation = found.mean(axis=0), found.std(axis=0) + 1e-9
    X = np.column_stack([np.ones(len(found)), (found - mean) / deviation])
    weights = np.zeros(X.shape[1])
    for _ in range(50):
        p = logistic(X @ weights)
        slope = X.T @ (p - right) / len(X) + PENALTY * weights
        curvature = (X * (p * (1 - p))[:, None]).T @ X / len(X) + PENALTY * np.eye(X.shape[1])
        step = np.linalg.solve(curvature, slope)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    scaled = weights[1:] / deviation
    return np.concatenate([[weights[0] - scaled @ mean], scaled])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures.calibrate")
    parser.add_argument("run", nargs="?", default="", help="folder of a run (default: the packaged model)")
    parser.add_argument("--rows", type=int, default=100,
                        help="rows per condition and strength (default: 100)")
    parser.add_argument("--save", default="", metavar="FILE", help="save the evidence in an .npz file")
    options = parser.parse_args()
    model = load_model(find_model(options.run))
    images, labels = training_split(load_mnist())[1]
    found, right = collect(model, images, labels, options.rows)
    if options.save:
        np.savez(options.save, found=found, right=right)
    weights = fit(found, right)
    least = np.quantile(logistic(weights[0] + found[right] @ weights[1:]), DOUBTED)
    print(f"{len(right)} rows, {right.mean():.1%} right")
    print(f"LEAST = {least:.3f}")
    print("WEIGHTS = (" + ", ".join(f"{weight:.4g}" for weight in weights) + ")")
    for name, weight, deviation in zip(EVIDENCE, weights[1:], found.std(axis=0)):
        print(f"{name:14} {weight:8.3f} {weight * deviation:8.3f} per standard deviation")


if __name__ == "__main__":
    main()
