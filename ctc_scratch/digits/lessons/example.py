"""The rows of five digits that the lessons use: one to learn by heart, and one that no training sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ctc import greedy_decode
from ...ctc.labels import extend
from ..data.mnist_files import Mnist
from ..data.rows import consecutive_rows
from ..model.reader import BLANK, CLASS_NAMES, labels_to_digits

DIGITS = 5


def first_row(mnist: Mnist) -> tuple[np.ndarray, list[int]]:
    """The first row of the training digits: image (28, W) and digits."""
    images, labels = consecutive_rows(mnist.train_images[:DIGITS], mnist.train_labels[:DIGITS], DIGITS)
    return images[0], labels[0]


def unseen_row(mnist: Mnist) -> tuple[np.ndarray, list[int]]:
    """The first row of the test digits, which nothing is trained on: image (28, W) and digits."""
    images, labels = consecutive_rows(mnist.test_images[:DIGITS], mnist.test_labels[:DIGITS], DIGITS)
    return images[0], labels[0]


def state_names(labels: Sequence[int] | np.ndarray) -> list[str]:
    """The names of the extended labels' states in figures: digits, and a dash for the blank."""
    return ["–" if c == BLANK else CLASS_NAMES[c] for c in extend(labels, BLANK)]


def greedy_reading(logits: np.ndarray) -> str:
    """The digits that greedy decoding reads in logits (T, C), as text of at most 30 characters."""
    digits = " ".join(map(str, labels_to_digits(greedy_decode(logits, blank=BLANK))))
    return digits if len(digits) <= 30 else digits[:27] + "..."
