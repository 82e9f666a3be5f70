"""A small data folder."""

import gzip

import pytest

from tests.tools.idx_files import idx_bytes, make_digits


@pytest.fixture
def folder(tmp_path, rng):
    """A small but whole data folder: 24 training and 11 test digits, half of it gzipped."""
    for part, count in ("train", 24), ("t10k", 11):
        images, labels = make_digits(rng, count)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path
