"""IDX files are read as they were written; errors for broken files say what was expected and found."""

import gzip
import re
import struct

import numpy as np
import pytest

from ctc_scratch.digits.data.idx import read_idx
from ctc_scratch.digits.errors import DataError
from tests.tools.idx_files import idx_bytes


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (0,), (3, 28, 28), (2, 5, 4), (0, 28, 28)], ids=str)
def test_read_idx_returns_what_was_written(tmp_path, rng, shape, pack):
    array = rng.integers(256, size=shape, dtype=np.uint8)
    path = tmp_path / "file"    # no suffix: the content decides whether it is gzip
    path.write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


IMAGES = idx_bytes(np.ones((3, 28, 28), np.uint8))
FLIPPED = bytearray(gzip.compress(IMAGES))
FLIPPED[-6] ^= 1     # in the checksum
BROKEN = {
    "missing": (None, "expected an IDX file, found no such file"),
    "empty": (b"", r"expected magic 2049 \(labels\) or 2051 \(images\), found 0 bytes"),
    "foreign": (b"\x89PNG\r\n\x1a\n", "expected magic 2049 .* found magic 2303741511"),
    "float_idx": (idx_bytes(np.ones(3, np.uint8), 0x0D01),
                  "expected magic 2049 .* found magic 3329"),
    "short_header": (IMAGES[:10], "expected a header of 16 bytes, found 10"),
    "truncated": (IMAGES[:-1],
                  r"expected 2368 bytes \(16 of header \+ 3 x 28 x 28\), found at most 2367"),
    "over_long": (IMAGES + b"\0", "expected 2368 bytes .* found at least 2369"),
    "huge": (struct.pack(">4I", 2051, *3 * [2**32 - 1]),
             "expected 79228162458924105385300197391 bytes .* found"),
    "gzip_truncated_inside": (gzip.compress(IMAGES[:-1]),
                              "expected 2368 bytes .* found 2367"),
    "gzip_over_long_inside": (gzip.compress(IMAGES + b"\0"),
                              "expected 2368 bytes .* found at least 2369"),
    "gzip_huge_inside": (gzip.compress(struct.pack(">2I", 2049, 2**32 - 1)),
                         "expected 4294967303 bytes"),
    "gzip_cut": (gzip.compress(IMAGES)[:-9], "expected a whole gzip file, found damage"),
    "gzip_flipped_bit": (bytes(FLIPPED), "expected a whole gzip file, found damage: CRC"),
    "gzip_noise": (b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 50,
                   "expected a whole gzip file, found damage"),
}


@pytest.mark.parametrize("content, message", BROKEN.values(), ids=BROKEN.keys())
def test_the_error_for_a_broken_file_names_it_and_what_was_expected_and_found(tmp_path, content, message):
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path)) + ": " + message):
        read_idx(path)


def test_the_error_for_a_folder_in_place_of_a_file_says_so(tmp_path):
    with pytest.raises(DataError, match="expected a readable file"):
        read_idx(tmp_path)


def test_each_flipped_bit_of_packed_data_is_noticed_or_does_no_harm(tmp_path, rng):
    """gzip has a checksum, but a few bytes of its header are never read."""
    digits = rng.integers(256, size=(2, 3, 3), dtype=np.uint8)
    whole = gzip.compress(idx_bytes(digits), mtime=0)
    noticed = 0
    for place in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        (tmp_path / "file").write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_idx(tmp_path / "file"), digits)
        except DataError as error:
            assert str(tmp_path / "file") in str(error)
            noticed += 1
    assert noticed > 8 * (len(whole) - 10), f"{noticed} of {8 * len(whole)}"


def test_each_cut_of_packed_data_is_noticed(tmp_path, rng):
    whole = gzip.compress(idx_bytes(rng.integers(256, size=(2, 3, 3), dtype=np.uint8)))
    for size in range(len(whole)):
        (tmp_path / "file").write_bytes(whole[:size])
        with pytest.raises(DataError, match="file: expected"):
            read_idx(tmp_path / "file")
