"""Real inputs: the logits of a digit reader for a row of digits, and the digits as the target.

The shipped reader is what a network says after training; a fresh network, after a few steps of training
on such rows, is what the loss meets first: near-uniform outputs, then the plateau on which all is blank.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.data.rows import consecutive_rows
from ctc_scratch.digits.model.evaluate import model_logits
from ctc_scratch.digits.model.model_file import find_model, load_model
from ctc_scratch.digits.model.reader import RowReader, digits_to_labels
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.digits.training.trainer import Trainer

READERS: dict[str, str] = {
    "reader": "the shipped reader on a row of test digits; it takes 7 frames per digit",
    "fresh_0": "a network as `train` makes it, before its first step; it takes 4 frames per digit",
    "fresh_30": "the same after 30 steps of training on rows of as many digits",
    "fresh_60": "the same after 60 steps",
    "fresh_300": "the same after 300 steps",
}
"""The real families, each with what its inputs are; T and U follow from the number of digits."""

DIGITS_PER_BATCH = 320
"""As in the default batch, 64 rows of 4 to 6 digits; a batch of longer rows holds fewer of them."""


def row(family: str, digits: int, dtype: DTypeLike = np.float32) -> tuple[NDArray, NDArray[np.int64]]:
    """The logits (T, 11) of a reader for the first `digits` test digits as one row, and the target (U,)."""
    if family not in READERS:
        raise ValueError(f"{family!r} is none of the real families {', '.join(READERS)}")
    logits, target = _row(family, digits)
    return logits.astype(dtype), target.copy()


@cache      # a benchmark may ask for several dtypes, and training takes long
def _row(family: str, digits: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`row`, in float32."""
    model = load_model(find_model()) if family == "reader" else fresh(digits, int(family.rpartition("_")[2]))
    mnist = load_mnist()
    images, truth = consecutive_rows(mnist.test_images[:digits], mnist.test_labels[:digits], digits)
    logits, _ = model_logits(model, images)
    return logits[:, 0].copy(), digits_to_labels(truth[0])


def fresh(digits: int, steps: int) -> RowReader:
    """The default reader after some steps of the default training, but on rows of this many digits."""
    settings = Settings(digits=(digits, digits), batch=max(1, DIGITS_PER_BATCH // digits))
    trainer = Trainer(settings, *training_split(load_mnist()))
    for _ in range(steps):
        trainer.step()
    return trainer.model
