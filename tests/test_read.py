"""Images of any size and colour come out as the rows a model has learnt from, and are read alike."""

import io

import numpy as np
import pytest
from PIL import Image

from ctc_scratch.digits import image as images
from ctc_scratch.digits.data import consecutive_rows, load_mnist
from ctc_scratch.digits.image import make_row


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


@pytest.fixture(scope="module")
def rows(mnist):
    """Forty rows of five test digits, (40, 28, 140)."""
    return consecutive_rows(mnist.test_images[:200], mnist.test_labels[:200], 5)[0]


def paste(row, size=1.0, light=False, margins=(0, 0, 0, 0), quality=0):
    """A row (28, W) as a picture: so much larger, light ink or dark, paper around it, as JPEG."""
    ink = Image.fromarray(np.uint8(255 * row))
    ink = ink.resize([round(size * side) for side in ink.size], Image.Resampling.BICUBIC)
    left, top, right, bottom = margins
    picture = Image.new("L", (left + ink.width + right, top + ink.height + bottom), 0)
    picture.paste(ink, (left, top))
    if not light:
        picture = Image.fromarray(255 - np.asarray(picture))
    if quality:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        picture = Image.open(file)
    return picture


def grey(picture):
    return np.asarray(picture, np.float32)


PASTED = {
    "as it is": dict(light=True),
    "dark": dict(),
    "margins": dict(margins=(40, 11, 3, 70)),
    "large": dict(size=6.0, margins=(10, 20, 30, 5)),
    "small": dict(size=0.7, light=True, margins=(7, 0, 0, 3)),
    "JPEG 90": dict(size=2.0, quality=90, margins=(5, 5, 5, 5)),
    "JPEG 30": dict(size=3.3, light=True, quality=30, margins=(0, 31, 50, 8)),
}


@pytest.mark.parametrize("how", PASTED.values(), ids=PASTED)
def test_a_pasted_row_comes_out_as_it_was(how, rows):
    """Each digit lies where it lay but for the part of a pixel by which MNIST misses its centre."""
    for row in rows:
        made = make_row(grey(paste(row, **how))).pixels
        assert made.shape == row.shape and made.dtype == np.float32
        assert made.min() >= 0 and made.max() <= 1
        alike = np.corrcoef(made.ravel(), row.ravel())[0, 1]
        assert alike > 0.85, f"correlation {alike}"
        for box in np.split(made, 5, axis=1):
            mass = box / box.sum()
            centre = [mass.sum(axis=1 - k) @ (np.arange(28) + 0.5) for k in (0, 1)]
            assert np.abs(np.array(centre) - images.CENTRE).max() < 0.35, f"centre of mass {centre}"
