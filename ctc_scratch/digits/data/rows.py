"""Rows of digits: consecutive ones for evaluation, random ones for training.

Pixels stay uint8 until a batch is put together; a network sees float32 in [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .mnist_files import SIDE, load_mnist


class RowBatch(NamedTuple):
    """Rows of digits of different lengths, padded to the width of the widest."""

    images: np.ndarray          # (N, 28, W) float32 in [0, 1], zeros on the right
    widths: np.ndarray          # (N,) int64, width of each row without its padding
    labels: list[np.ndarray]    # N arrays of int64, the digits 0..9

    def __repr__(self) -> str:
        N, height, W = self.images.shape
        return f"RowBatch({N} rows, {sum(map(len, self.labels))} digits, images {N} x {height} x {W})"


def get_mnist_data(n_digits_train: int = 5, n_digits_test: int = 8,
                   folder: str | os.PathLike | None = None
                   ) -> tuple[np.ndarray, list[list[int]], np.ndarray, list[list[int]]]:
    """Load all of MNIST as rows of consecutive digits, first for training and then for testing.

    Parameters
    ----------
    n_digits_train, n_digits_test : digits per row
    folder : of the MNIST files, as in `load_mnist`

    Returns
    -------
    train_images : (rows, 28, 28 * n_digits_train) float32 array in [0, 1]
    train_labels : list of lists of digits, one list per row
    test_images, test_labels : the same for the test files

    Raises
    ------
    DataError
        As in `load_mnist`.
    ValueError
        A number of digits is below 1 or above the number of images.

    Notes
    -----
    Digits at the end that are too few for a row are dropped.
    """
    mnist = load_mnist(folder)
    return (*consecutive_rows(mnist.train_images, mnist.train_labels, n_digits_train),
            *consecutive_rows(mnist.test_images, mnist.test_labels, n_digits_test))


def consecutive_rows(images: np.ndarray, labels: np.ndarray,
                     n: int) -> tuple[np.ndarray, list[list[int]]]:
    """Join every `n` consecutive images into a row; images left over at the end are dropped.

    Parameters
    ----------
    images : (count, 28, 28) uint8 array
    labels : (count,) integer array
    n : digits per row

    Returns
    -------
    images : (count // n, 28, 28 * n) float32 array in [0, 1]
    labels : list of count // n lists of n digits

    Raises
    ------
    ValueError
        There are fewer than `n` images, so no row can be made.

    >>> images = np.zeros((5, 28, 28), np.uint8)
    >>> rows, digits = consecutive_rows(images, np.array([7, 2, 1, 0, 4]), 2)
    >>> rows.shape, digits
    ((2, 28, 56), [[7, 2], [1, 0]])
    """
    _check_digits(images, labels)
    if not 1 <= n <= len(images):
        raise ValueError(f"a row needs from 1 to {len(images)} digits (the images there are), "
                         f"not {n}")
    rows = len(images) // n
    used = rows * n
    batch = assemble_rows(images[:used], labels[:used], np.full(rows, n))
    return batch.images, [row.tolist() for row in batch.labels]


def assemble_rows(images: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> RowBatch:
    """Put digits side by side: the first counts[0] make row 0, the next counts[1] make row 1, and so on.

    Parameters
    ----------
    images : (sum(counts), 28, 28) uint8 array
    labels : (sum(counts),) integer array
    counts : (N,) integer array, digits per row

    Returns
    -------
    RowBatch
        with W = 28 * max(counts) and widths = 28 * counts
    """
    N, most = len(counts), max(counts)
    canvas = np.zeros((N, most, SIDE, SIDE), np.uint8)
    canvas[np.arange(most) < counts[:, None]] = images
    rows = np.empty((N, SIDE, most, SIDE), np.float32)
    # (N, digit, y, x) -> (N, y, digit, x): side by side in memory, then one row.
    np.divide(canvas.transpose(0, 2, 1, 3), np.float32(255), out=rows)
    return RowBatch(images=rows.reshape(N, SIDE, most * SIDE),
                    widths=SIDE * counts,
                    labels=np.split(labels.astype(np.int64), np.cumsum(counts)[:-1]))


Assembler = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator, slice], RowBatch]
"""Makes rows of digits: (images, labels, counts, rng, only) -> RowBatch."""

ALL = slice(None)


class RowSampler:
    """An endless source of batches of rows, each row made of random digits and of random length.

    Parameters
    ----------
    images : (count, 28, 28) uint8 array
    labels : (count,) integer array
    digits : (low, high), the fewest and the most digits in a row, both included;
        all lengths are equally likely
    rng : the only source of randomness, so that generators with the same seed give the same batches
    augment : called as augment(images, labels, counts, rng, only) -> RowBatch in place of `assemble_rows`;
        `augment.Augmentation` is such a callable

    Attributes
    ----------
    only : the rows of each batch that are needed, at first all. Others may stay empty paper, but take the
        same random numbers.

    Raises
    ------
    ValueError
        There are no images, images and labels do not match, or 1 <= low <= high does not hold.

    >>> images = np.zeros((10, 28, 28), np.uint8)
    >>> sampler = RowSampler(images, np.arange(10), (1, 3), np.random.default_rng(0))
    >>> batch = sampler.batch(4)
    >>> batch.images.shape, batch.widths.tolist(), [row.tolist() for row in batch.labels]
    ((4, 28, 84), [84, 56, 56, 28], [[3, 0, 0], [0, 1], [8, 6], [9]])
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, digits: tuple[int, int],
                 rng: np.random.Generator, augment: Assembler | None = None):
        _check_digits(images, labels)
        low, high = digits
        if not 1 <= low <= high:
            raise ValueError(f"digits in a row must satisfy 1 <= low <= high, "
                             f"not low = {low}, high = {high}")
        self.images, self.labels = images, labels
        self.low, self.high = low, high
        self.rng = rng
        self.augment = augment
        self.only = ALL

    def batch(self, N: int) -> RowBatch:
        """Draw the next `N` rows."""
        if N < 1:
            raise ValueError(f"a batch needs at least 1 row, not {N}")
        counts = self.rng.integers(self.low, self.high, size=N, endpoint=True)
        picks = self.rng.integers(len(self.images), size=counts.sum())
        images, labels = self.images[picks], self.labels[picks]
        if self.augment:
            return self.augment(images, labels, counts, self.rng, self.only)
        return assemble_rows(images, labels, counts)


def _check_digits(images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"images must be a (count, {SIDE}, {SIDE}) uint8 array, "
                         f"not {images.shape} {images.dtype}")
    if labels.shape != (len(images),):
        raise ValueError(f"{len(images)} images need ({len(images)},) labels, "
                         f"not {labels.shape}")
    if len(images) == 0:
        raise ValueError("rows need at least 1 image, not 0")
