"""Training runs that take about a second, for every test that trains."""

import json
import struct

import numpy as np

from ctc_scratch.digits.data.mapping import DIGITS
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.training import train as training
from ctc_scratch.digits.training.run_folder import RunFolder
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.digits.training.trainer import Trainer

SMALL = dict(digits=(1, 3), test_digits=2, hidden=16, window=7, batch=8, steps=20, evaluations=1)


def small_trainer(**changes):
    """A tiny trainer on 24 images of noise."""
    rng = np.random.default_rng(1)
    digits = rng.integers(256, size=(24, 28, 28), dtype=np.uint8), rng.integers(10, size=24, dtype=np.uint8)
    return Trainer(Settings(**{**SMALL, "hidden": 3, "layers": 1, "window": 14, **changes}), digits, digits)


def write_digits(folder):
    """A data folder of 1200 training and 100 test digits."""
    train_images, train_labels, test_images, test_labels = load_mnist()
    parts = {"train-images-idx3": train_images[:1200], "train-labels-idx1": train_labels[:1200],
             "t10k-images-idx3": test_images[:100], "t10k-labels-idx1": test_labels[:100]}
    for name, array in parts.items():
        header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
        (folder / f"{name}-ubyte").write_bytes(header + array.tobytes())
    return folder


def use_few_digits(monkeypatch, mnist):
    """Let runs evaluate on the first 400 validation and test digits only."""
    few = mnist._replace(test_images=mnist.test_images[:400], test_labels=mnist.test_labels[:400])
    train_part, (images, labels) = training_split(mnist)
    monkeypatch.setattr(training, "load_data", lambda folder, transpose: (few, DIGITS))
    monkeypatch.setattr(training, "training_split", lambda mnist: (train_part, (images[:400], labels[:400])))


def draw_nothing(monkeypatch):
    """Let runs draw no figures, which take longer than the rest of a small run."""
    monkeypatch.setattr(RunFolder, "draw", lambda run: None)
    monkeypatch.setattr(RunFolder, "show_readings", lambda run, model, mnist: None)


def records(folder):
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
