"""Does the size, the colour, the margin or the compression of an image matter to `ctc-scratch read`?

    python -m benchmarks.reading [RUN] [--rows N]

Rows of five MNIST test digits are pasted into images: enlarged or reduced, dark on light or light on
dark, with margins of different widths, as PNG or as JPEG of different qualities. The images are read
as `ctc-scratch read` reads them, by beam search. Their error rate is compared with that of `evaluate`,
which decodes the same rows greedily, without any image.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

from ctc_scratch.ctc import label_error_rate
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.model.evaluate import read_rows
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.reading.read import read_row
from ctc_scratch.digits.reading.row import load_row

from .tools.harness import conclude, machine

# How a row is pasted: scale, whether the ink is light, widest margin [pixels], JPEG quality (0: PNG).
CONDITIONS = [
    (1.0, True, 0, 0), (1.0, False, 0, 0), (1.0, True, 40, 0), (0.7, False, 30, 0), (0.7, True, 20, 75),
    (1.0, False, 40, 50), (1.0, True, 40, 25), (2.0, False, 60, 90), (3.3, True, 200, 30),
    (6.0, False, 300, 60),
]


def draw(row: np.ndarray, size: float, light: bool, margins: Sequence[int]) -> Image.Image:
    """Draw a row (28, W) `size` times as large, in light or dark ink; margins: left, top, right, bottom."""
    ink = Image.fromarray(np.uint8(255 * row))
    ink = ink.resize([round(size * side) for side in ink.size], Image.Resampling.BICUBIC)
    left, top, right, bottom = margins
    picture = Image.new("L", (left + ink.width + right, top + ink.height + bottom), 0)
    picture.paste(ink, (left, top))
    return picture if light else Image.fromarray(255 - np.asarray(picture))


def paste(row: np.ndarray, size: float, light: bool, most: int, quality: int,
          rng: np.random.Generator, path: Path) -> Path:
    """Write a row (28, W) to an image file with margins of random widths: PNG if quality is 0, else JPEG."""
    picture = draw(row, size, light, rng.integers(most, size=4, endpoint=True).tolist())
    picture.save(path, **(dict(format="JPEG", quality=quality) if quality else dict(format="PNG")))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading")
    parser.add_argument("run", nargs="?", default="", help="folder of a run (default: the packaged model)")
    parser.add_argument("--rows", type=int, default=500, help="rows for each condition (default: 500)")
    options = parser.parse_args()
    model = load_model(find_model(options.run))
    mnist = load_mnist()
    rows, truth = consecutive_rows(mnist.test_images, mnist.test_labels, 5)
    rows, truth = rows[:options.rows], truth[:options.rows]
    plain = label_error_rate(read_rows(model, rows), truth)

    results = []
    with tempfile.TemporaryDirectory() as folder:
        for condition in CONDITIONS:
            rng = np.random.default_rng(0)
            files = (paste(row, *condition, rng, Path(folder) / "row") for row in rows)
            read = [[digit.digit for digit in read_row(model, load_row(file))[0].digits] for file in files]
            results.append((*condition, label_error_rate(read, truth)))
    print(f"{machine()}\n\nevaluate, the same {len(rows)} rows: label error rate {plain:.2%}\n")
    conclude(
        "reading",
        ["size", "ink", "paper around [pixels]", "file", "label error rate", "more than evaluate [points]"],
        [[size, "light" if light else "dark", f"0-{most}", f"JPEG {quality}" if quality else "PNG",
          f"{rate:.2%}", f"{100 * (rate - plain):+.2f}"] for size, light, most, quality, rate in results],
        {"evaluate": plain, "conditions": results},
    )


if __name__ == "__main__":
    main()
