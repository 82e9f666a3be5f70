"""The four files of MNIST: finding, checking and loading them, and the split for validation.

Pixels stay uint8, which takes a quarter of the memory of float32.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError
from .idx import MAGIC_IMAGES, MAGIC_LABELS, read_idx, read_shape

if TYPE_CHECKING:
    from importlib.abc import Traversable

SIDE = 28   # pixels: the height and width of one digit, and so the height of a row


class Mnist(NamedTuple):
    """The contents of the four files: images (n, 28, 28) and labels (n,), all uint8."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __repr__(self) -> str:
        return f"Mnist({len(self.train_images)} training and {len(self.test_images)} test images)"


def load_mnist(folder: str | os.PathLike | None = None) -> Mnist:
    """Load the four MNIST files of a folder, by default those of this package.

    Parameters
    ----------
    folder : holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
        `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, each as it is or
        gzipped with the suffix `.gz`; names like `train-images.idx3-ubyte` are found too

    Returns
    -------
    Mnist

    Raises
    ------
    DataError
        A file is missing or damaged, images are not 28 x 28 pixels, there are not as
        many labels as images, or a label is not a digit.
    """
    # A package that is run from a zip archive has its files there.
    place = resources.files(__package__) / "mnist" if folder is None else Path(folder)
    train = _load_pair(place, "train")
    test = _load_pair(place, "t10k")
    return Mnist(*train, *test)


def _load_pair(folder: Traversable, part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of one part, "train" or "t10k", checked against each other."""
    image_path = _find(folder, f"{part}-images-idx3-ubyte")
    label_path = _find(folder, f"{part}-labels-idx1-ubyte")

    # The headers are compared before any data is read.
    images_shape, labels_shape = read_shape(image_path), read_shape(label_path)
    if len(images_shape) != 3:
        raise DataError(f"{image_path}: expected images (magic {MAGIC_IMAGES}), "
                        f"found labels (magic {MAGIC_LABELS})")
    if len(labels_shape) != 1:
        raise DataError(f"{label_path}: expected labels (magic {MAGIC_LABELS}), "
                        f"found images (magic {MAGIC_IMAGES})")
    if images_shape[1:] != (SIDE, SIDE):
        raise DataError(f"{image_path}: expected images of {SIDE} x {SIDE} pixels, "
                        f"found {images_shape[1]} x {images_shape[2]}")
    if images_shape[0] != labels_shape[0]:
        raise DataError(f"{label_path}: expected {images_shape[0]} labels, one for each image of "
                        f"{image_path.name}, found {labels_shape[0]}")
    images, labels = read_idx(image_path), read_idx(label_path)
    if (labels > 9).any():
        n = int(np.argmax(labels > 9))
        raise DataError(f"{label_path}: expected labels 0..9, found label {n} = {labels[n]}")
    return images, labels


def _find(folder: Traversable, name: str) -> Traversable:
    """The path of a file under the first of the four spellings of its name that exists."""
    dotted = name.replace("-idx", ".idx")
    for candidate in (name, f"{name}.gz", dotted, f"{dotted}.gz"):
        if (folder / candidate).is_file():
            return folder / candidate
    found = "no such file" if folder.is_dir() else "no such folder"
    raise DataError(f"{folder / name}: expected this file, plain or .gz, found {found}")


def training_split(mnist: Mnist) -> tuple[tuple[np.ndarray, np.ndarray],
                                          tuple[np.ndarray, np.ndarray]]:
    """Split the training digits: the last twelfth, 5 000 of 60 000, is kept for validation.

    Returns
    -------
    (images, labels) to train on, and (images, labels) to validate with; all are views

    Raises
    ------
    DataError
        There are fewer than 12 training images, so a twelfth of them is less than one.
    """
    images, labels = mnist.train_images, mnist.train_labels
    held = len(images) // 12
    if held == 0:
        raise DataError(f"expected at least 12 training images, to keep a twelfth of them "
                        f"for validation, found {len(images)}")
    return (images[:-held], labels[:-held]), (images[-held:], labels[-held:])
