"""How much does a language model help if all rows follow a pattern? The rows are years.

    python -m benchmarks.years [RUN] [--rows 2000] [--steps 300]

Each row consists of four MNIST test digits that spell a year from 1900 to 2029. The reader has learnt
nothing about years: it is the model of a run of `ctc-scratch train`, or, if no run is named, a model
trained here for 300 steps (a minute) on rows of random digits, which leaves it enough errors to
correct. The n-gram models are learnt from 1000 years drawn independently from the same range. An n-gram
model of order 1 knows how frequent each digit is; one of order 5 knows whole years.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np

from ctc_scratch import (
    NGram,
    label_error_rate,
    prefix_beam_search,
    sequence_accuracy,
)
from ctc_scratch.ctc.decoding.by_name import DECODERS, decode
from ctc_scratch.digits.data.mnist_files import Mnist, load_mnist
from ctc_scratch.digits.data.rows import assemble_rows
from ctc_scratch.digits.model.evaluate import MAP_BUDGET, model_logits
from ctc_scratch.digits.model.model_file import load_model
from ctc_scratch.digits.model.reader import C, RowReader, digits_to_labels
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.digits.training.train import train

from .tools.harness import conclude, machine

YEARS = range(1900, 2030)
ORDERS = (1, 2, 3, 5)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.years")
    parser.add_argument("run", nargs="?", help="the folder of a run of ctc-scratch train")
    parser.add_argument("--rows", type=int, default=2000, help="years to read (default: 2000)")
    parser.add_argument("--steps", type=int, default=300, help="steps if no run is named (default: 300)")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    model = load_model(f"{options.run}/model.npz") if options.run else trained(options.steps)
    images, years = draw_rows(load_mnist(), options.rows, rng)
    logits, lengths = model_logits(model, images)
    truth = [digits_to_labels(digits_of(year)).tolist() for year in years]
    others = [digits_to_labels(digits_of(year)).tolist() for year in rng.choice(YEARS, 1000)]

    decoders = {
        name: lambda name=name: decode(name, logits, lengths, budget=MAP_BUDGET) for name in DECODERS
    }
    for order in ORDERS:
        ngram = NGram(others, order, labels=range(1, C))
        decoders[f"beam, {order}-gram"] = lambda ngram=ngram: best_of(
            prefix_beam_search(logits, lengths, language_model=ngram))
    rows, results = [], []
    for name, decoder in decoders.items():
        start = time.perf_counter()
        read = decoder()
        seconds = time.perf_counter() - start
        errors, right = label_error_rate(read, truth), sequence_accuracy(read, truth)
        rows.append([name, f"{100 * errors:.2f} %", f"{100 * right:.1f} %",
                     f"{1e3 * seconds / len(years):.2f}"])
        results.append(dict(decoder=name, label_error_rate=errors, rows_right=right, seconds=seconds))
    print(f"\n{machine()}; {len(years)} rows")
    conclude("years", ["decoder", "label error rate", "years right", "ms per row"], rows, results)


def digits_of(year: int) -> list[int]:
    """The digits of a year: [1, 9, 8, 4] for 1984."""
    return [int(digit) for digit in str(year)]


def best_of(beams: list) -> list[list[int]]:
    """The labels of the best hypothesis of each sequence."""
    return [hypotheses[0].labels for hypotheses in beams]


def draw_rows(mnist: Mnist, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 28, 112) of years made of test digits, and the years (count,)."""
    years = rng.choice(YEARS, count)
    digits = np.array([digits_of(year) for year in years]).reshape(-1)
    picks = np.empty(len(digits), np.intp)
    for digit in range(10):
        places = np.flatnonzero(digits == digit)
        picks[places] = rng.choice(np.flatnonzero(mnist.test_labels == digit), len(places))
    batch = assemble_rows(mnist.test_images[picks], digits, np.full(count, 4))
    return batch.images, years


def trained(steps: int) -> RowReader:
    """A reader that is trained on rows of random digits."""
    with tempfile.TemporaryDirectory() as folder:
        train(Settings(steps=steps, out=f"{folder}/run"))
        return load_model(f"{folder}/run/model.npz")


if __name__ == "__main__":
    main()
