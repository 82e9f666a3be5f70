"""The digits: loading the files of MNIST, or of another data set, and the split for validation.

`data_set.py` finds the files, `idx.py` reads them. Pixels stay uint8, which takes a quarter of the memory
of float32.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError
from .data_set import DataSet, find_data_set
from .idx import as_images, as_labels, read_idx, read_shape
from .mapping import DIGITS, read_mapping

if TYPE_CHECKING:
    from importlib.abc import Traversable

SIDE = 28   # pixels: the height and width of one digit, and so the height of a row
QMNIST_COLUMNS = 8
"""Numbers that QMNIST has for each image, of which the first is the digit."""


class Mnist(NamedTuple):
    """The contents of the four files: images (n, 28, 28) and labels (n,), all uint8."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __repr__(self) -> str:
        return f"Mnist({len(self.train_images)} training and {len(self.test_images)} test images)"


def load_mnist(folder: str | os.PathLike | None = None, transpose: bool = False) -> Mnist:
    """Load the four files of a data set of digits, by default MNIST, which is part of this package.

    Parameters
    ----------
    folder : holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
        `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, or files of EMNIST or QMNIST;
        see `find_data_set` for the names and places that are found, and for how to choose one of several
    transpose : whether to exchange the rows and columns of each image; EMNIST stores them exchanged

    Returns
    -------
    Mnist

    Raises
    ------
    DataError
        A file is missing or damaged, images are not 28 x 28 pixels, there are not as
        many labels as images, or a label is not a digit.
    """
    mnist, names = load_data(folder, transpose)
    if names != DIGITS:
        raise DataError(f"{folder}: expected a data set of digits, found one of {', '.join(names)}")
    return mnist


def load_data(folder: str | os.PathLike | None = None,
              transpose: bool = False) -> tuple[Mnist, tuple[str, ...]]:
    """Load a data set of digits or other characters; returns it and the names of its classes.

    Parameters are those of `load_mnist`. Label n of the result means the class names[n]. The names come from
    the data set's mapping file (`read_mapping`); without one they are the ten digits.

    Raises
    ------
    DataError
        As in `load_mnist`, or the mapping file is missing or damaged, or lacks a label.
    """
    # A package that is run from a zip archive has its files there.
    place = resources.files(__package__) / "mnist" if folder is None else Path(folder)
    data_set = find_data_set(place)
    has_mapping = data_set.mapping.is_file()
    names = read_mapping(data_set.mapping) if has_mapping else dict(enumerate(DIGITS))
    parts = []
    for part in ("train", "test"):
        image_path, label_path = data_set.files[part, "images"], data_set.files[part, "labels"]
        images, labels = _load_pair(image_path, label_path)
        if transpose:
            images = np.ascontiguousarray(images.transpose(0, 2, 1))
        _check_labels(labels, label_path, names, data_set, has_mapping)
        # Labels may begin at 1 and have gaps; classes have none.
        parts += [images, np.searchsorted(list(names), labels).astype(np.uint8)]
    return Mnist(*parts), tuple(names.values())


def _check_labels(labels: np.ndarray, path: Traversable, names: dict[int, str], data_set: DataSet,
                  has_mapping: bool) -> None:
    """DataError for the first label without a name."""
    known = np.isin(labels, list(names))
    if not known.all():
        n = int(np.argmin(known))
        expected = (f"labels with a name in {data_set.mapping}" if has_mapping else
                    f"labels 0..9, or the names of others in {data_set.mapping} (lines like '1 65 97', "
                    f"a label and the codes of its characters)")
        raise DataError(f"{path}: expected {expected}, found label {n} = {labels[n]}")


def _load_pair(image_path: Traversable, label_path: Traversable) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of one part, checked against each other."""
    # The headers are compared before any data is read.
    images_shape, labels_shape = read_shape(image_path), read_shape(label_path)
    if len(images_shape) != 3:
        raise DataError(f"{image_path}: expected images in 3 dimensions, found {_sizes(images_shape)}")
    if labels_shape[1:] not in ((), (QMNIST_COLUMNS,)):
        raise DataError(f"{label_path}: expected labels in 1 dimension, or {QMNIST_COLUMNS} numbers for each "
                        f"image as in QMNIST, found {_sizes(labels_shape)}")
    if images_shape[1:] != (SIDE, SIDE):
        raise DataError(f"{image_path}: expected images of {SIDE} x {SIDE} pixels, "
                        f"found {images_shape[1]} x {images_shape[2]}")
    if images_shape[0] != labels_shape[0]:
        raise DataError(f"{label_path}: expected {images_shape[0]} labels, one for each image of "
                        f"{image_path.name}, found {labels_shape[0]}")
    images, labels = as_images(read_idx(image_path), image_path), read_idx(label_path)
    return images, as_labels(labels if labels.ndim == 1 else labels[:, 0], label_path)


def _sizes(shape: tuple[int, ...]) -> str:
    return f"{len(shape)}: {' x '.join(map(str, shape))}"


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
