"""IDX files and random digits, for the tests of the code that reads them."""

import struct

import numpy as np

from ctc_scratch.digits.data.mnist_files import SIDE


def idx_bytes(array, magic=None):
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def make_digits(rng, count):
    """Random images, in which no pixel is 0 like padding, and random labels."""
    images = rng.integers(1, 256, size=(count, SIDE, SIDE), dtype=np.uint8)
    labels = rng.integers(10, size=count, dtype=np.uint8)
    return images, labels
