"""IDX files and random digits, for the tests of the code that reads them."""

import struct

import numpy as np

from ctc_scratch.digits.data.mnist_files import SIDE


def idx_bytes(array, magic=None):
    """An array as an IDX file of its type; `magic` replaces the magic number that would be right."""
    code = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}[array.dtype.str[1:]]
    magic = code << 8 | array.ndim if magic is None else magic
    data = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + data


def make_digits(rng, count):
    """Random images, in which no pixel is 0 like padding, and random labels."""
    images = rng.integers(1, 256, size=(count, SIDE, SIDE), dtype=np.uint8)
    labels = rng.integers(10, size=count, dtype=np.uint8)
    return images, labels
