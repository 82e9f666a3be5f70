"""Do the places that `ctc-scratch read` marks lie on the digits that it read?

    python -m benchmarks.pictures.places [RUN] [--digits N]

MNIST test digits are put into rows of five: in boxes side by side, or spaced by ink, with a gap of some
columns of paper between two digits (at 0 they meet, below 0 they overlap). Each row is read greedily. Every
digit that was read right, in a row of the right length, is compared with the ink of its own image: does the
centre of its place lie within the extent of that ink? And how many columns do both extents have in common, as
a share of the columns in either?
"""

from __future__ import annotations

import argparse

import numpy as np

from ctc_scratch.ctc import greedy_decode
from ctc_scratch.digits.data.mnist_files import SIDE, load_mnist
from ctc_scratch.digits.data.touching import ink_edges, join, place
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.places import find_places
from ctc_scratch.digits.model.reader import RowReader, labels_to_digits

from ..tools.harness import conclude, machine

FIVE = 5

# The fewest and the most columns of paper between two digits; None puts boxes side by side.
CONDITIONS: dict[str, tuple[int, int] | None] = {
    "boxes side by side": None, "gaps of -4 to 12": (-4, 12), "gap 0": (0, 0), "gap -2": (-2, -2)}


def compare(model: RowReader, images: np.ndarray, labels: np.ndarray, gaps: tuple[int, int] | None
            ) -> tuple[np.ndarray, np.ndarray]:
    """For each digit read right: whether its centre is on its ink, and the common share of both extents."""
    N = len(labels) // FIVE
    K = N * FIVE
    tiles, truth = images[:K] / np.float32(255), labels[:K].astype(np.int64)
    edges = ink_edges(tiles)
    if gaps is None:
        lefts, widths = np.tile(SIDE * np.arange(FIVE), N), np.full(N, SIDE * FIVE)
    else:
        drawn = np.random.default_rng(0).integers(*gaps, K, endpoint=True)
        lefts, widths = place(edges, truth, np.full(N, FIVE), drawn)
    canvas = np.zeros((N, SIDE, widths.max()), np.float32)
    join(tiles, np.repeat(np.arange(N), FIVE), lefts, canvas)

    inside, common = [], []
    for n, (digits, (begins, ends)) in enumerate(zip(truth.reshape(N, FIVE),
                                                     (edges + lefts).reshape(2, N, FIVE).swapaxes(0, 1))):
        pixels = canvas[n, :, :widths[n]]
        logits, cache = model.forward(*model.frames(pixels[None], widths[n:n + 1]))
        read = labels_to_digits(greedy_decode(logits[:, 0])).tolist()
        if len(read) != FIVE:
            continue
        found = find_places(model, pixels, logits[:, 0], cache, read)
        for k in np.flatnonzero(digits == read):
            left, right = found[k]
            inside.append(begins[k] <= (left + right) / 2 <= ends[k])
            both = max(0, min(right, ends[k]) - max(left, begins[k]))
            common.append(both / (max(right, ends[k]) - min(left, begins[k])))
    return np.array(inside), np.array(common)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures.places")
    parser.add_argument("run", nargs="?", default="", help="folder of a run (default: the packaged model)")
    parser.add_argument("--digits", type=int, default=1500, help="digits for each condition (default: 1500)")
    options = parser.parse_args()
    model = load_model(find_model(options.run))
    mnist = load_mnist()
    images, labels = mnist.test_images[:options.digits], mnist.test_labels[:options.digits]

    results = {}
    for name, gaps in CONDITIONS.items():
        inside, common = compare(model, images, labels, gaps)
        results[name] = {"digits": len(inside), "inside": float(inside.mean()) if len(inside) else None,
                         "common": float(common.mean()) if len(inside) else None}
    print(f"{machine()}\n")
    rows = [[name, r["digits"], *([f"{r['inside']:.1%}", f"{r['common']:.3f}"] if r["digits"] else "--")]
            for name, r in results.items()]
    conclude("places", ["digits stand", "compared", "centre on their own ink", "common / joint extent"], rows,
             results)


if __name__ == "__main__":
    main()
