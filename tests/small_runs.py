"""Training runs of a second, for the tests of whatever trains."""

import json

from ctc_scratch.digits import train as training
from ctc_scratch.digits.data import training_split
from ctc_scratch.digits.run import Run

SMALL = dict(digits=(1, 3), test_digits=2, hidden=16, window=7, batch=8, steps=20, evaluations=1)


def use_few_digits(monkeypatch, mnist):
    """Short evaluations: the first 400 validation and test digits."""
    few = mnist._replace(test_images=mnist.test_images[:400], test_labels=mnist.test_labels[:400])
    train_part, (images, labels) = training_split(mnist)
    monkeypatch.setattr(training, "load_mnist", lambda folder: few)
    monkeypatch.setattr(training, "training_split", lambda mnist: (train_part, (images[:400], labels[:400])))


def draw_nothing(monkeypatch):
    """Two figures take longer than all the rest of a small run."""
    monkeypatch.setattr(Run, "draw", lambda run: None)
    monkeypatch.setattr(Run, "show_readings", lambda run, model, mnist: None)


def records(folder):
    """The metrics of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
