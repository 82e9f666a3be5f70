"""A small folder of MNIST files."""

import gzip

import pytest

from tests.tools.idx_files import idx_bytes, make_digits


@pytest.fixture
def folder(tmp_path, rng):
    """A complete folder of 24 training and 11 test digits; the images are gzipped, the labels are not."""
    for part, count in ("train", 24), ("t10k", 11):
        images, labels = make_digits(rng, count)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path
