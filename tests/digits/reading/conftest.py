"""Rows of test digits as pictures, and a small model."""

import io

import numpy as np
from PIL import Image

from benchmarks.reading import draw
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.reading.page import load_page, make_page


def paste(row, size=1.0, light=False, margins=(0, 0, 0, 0), quality=0):
    """A row (28, W) as a picture; with a quality above 0, as it is after JPEG compression."""
    picture = draw(row, size, light, margins)
    if quality:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        picture = Image.open(file)
    return picture


def make_row(grey, scale=1.0):
    """The only row in grey values."""
    row, = make_page(grey, scale).rows
    return row


def load_row(path):
    """The only row in an image file."""
    row, = load_page(path).rows
    return row


def grey(picture):
    return np.asarray(picture, np.float32)


def small_model():
    """An untrained model whose probabilities are spread out."""
    model = RowReader(hidden=8, window=7, rng=np.random.default_rng(5))
    model.params["output.weight"] *= 20
    return model
