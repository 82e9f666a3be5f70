"""IDX files of all types are read as written; errors for broken files say what was expected and found."""

import gzip
import re
import struct

import numpy as np
import pytest

from ctc_scratch.digits.data.idx import as_images, as_labels, read_idx, read_shape
from ctc_scratch.digits.errors import DataError
from tests.tools.idx_files import idx_bytes


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (0,), (3, 28, 28), (2, 5, 4), (0, 28, 28)], ids=str)
def test_read_idx_returns_what_was_written(tmp_path, rng, shape, pack):
    array = rng.integers(256, size=shape, dtype=np.uint8)
    path = tmp_path / "file"    # no suffix: the content decides whether it is gzip
    path.write_bytes(pack(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)


def written_in_hex(text):
    return bytes.fromhex(text.replace(" ", ""))


# One file of each type, byte by byte as the format is described.
TYPES = {
    "uint8": ("0000 0801 00000002  00 ff", np.uint8([0, 255])),
    "int8": ("0000 0901 00000002  80 7f", np.int8([-128, 127])),
    "int16": ("0000 0b01 00000002  8000 0102", np.int16([-32768, 258])),
    "int32": ("0000 0c02 00000001 00000002  80000000 01020304", np.int32([[-2**31, 0x01020304]])),
    "float32": ("0000 0d01 00000002  3f800000 c0490fdb", np.float32([1, -np.pi])),
    "float64": ("0000 0e01 00000001  3ff8000000000000", np.float64([1.5])),
}


@pytest.mark.parametrize("text, array", TYPES.values(), ids=TYPES.keys())
def test_every_element_type_is_read_in_the_byte_order_of_the_file(tmp_path, text, array):
    path = tmp_path / "file"
    path.write_bytes(written_in_hex(text))
    np.testing.assert_array_equal(read_idx(path), array, strict=True)
    assert read_shape(path) == array.shape
    assert read_idx(path).dtype.isnative


IMAGES = idx_bytes(np.ones((3, 28, 28), np.uint8))
FLIPPED = bytearray(gzip.compress(IMAGES))
FLIPPED[-6] ^= 1     # in the checksum
BROKEN = {
    "missing": (None, "expected an IDX file, found no such file"),
    "empty": (b"", "expected the magic number of an IDX file, .* found 0 bytes"),
    "foreign": (b"\x89PNG\r\n\x1a\n", "expected the magic number of an IDX file, .* found 0x89504e47"),
    "no_such_type": (idx_bytes(np.ones(3, np.uint8), 0x0A01),
                     r".* type TT \(08, 09, 0b, 0c, 0d, 0e\) and DD = 01 to 20 dimensions, found 0x00000a01"),
    "no_dimensions": (idx_bytes(np.ones(3, np.uint8), 0x0800),
                      ".* DD = 01 to 20 dimensions, found 0x00000800"),
    "255_dimensions": (idx_bytes(np.ones(3, np.uint8), 0x08FF),
                       ".* DD = 01 to 20 dimensions, found 0x000008ff"),
    "float_truncated": (written_in_hex("0000 0d01 00000002  3f800000 c0490f"),
                        r"expected 16 bytes \(8 of header \+ 2, of 4 bytes each\), found at most 15"),
    "float_over_long": (written_in_hex("0000 0d01 00000001  3f800000 00"),
                        r"expected 12 bytes .* found at least 13"),
    "short_header": (IMAGES[:10], "expected a header of 16 bytes, found 10"),
    "truncated": (IMAGES[:-1],
                  r"expected 2368 bytes \(16 of header \+ 3 x 28 x 28\), found at most 2367"),
    "over_long": (IMAGES + b"\0", "expected 2368 bytes .* found at least 2369"),
    "huge": (struct.pack(">4I", 2051, *3 * [2**32 - 1]),
             "expected 79228162458924105385300197391 bytes .* found"),
    "huge_beside_zero": (struct.pack(">4I", 2051, 0, *2 * [2**32 - 1]),
                         "expected at most 1073741824 bytes of data"),
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


# ---- images and labels -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_images_of_any_type_become_the_same_bytes(dtype):
    grey = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    np.testing.assert_array_equal(as_images(grey.astype(dtype), "file"), grey, strict=True)
    if dtype.startswith("float"):
        np.testing.assert_array_equal(as_images(grey.astype(dtype) / 255, "file"), grey, strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_labels_of_any_type_become_the_same_bytes(dtype):
    np.testing.assert_array_equal(as_labels(np.array([0, 9, 61], dtype), "file"), np.uint8([0, 9, 61]),
                                  strict=True)


@pytest.mark.parametrize("value, dtype, text", [
    (-1, np.int8, "-1"), (256, np.int16, "256"), (70_000, np.int32, "70000"), (-0.5, np.float32, "-0.5"),
    (1.125, np.float32, "1.125"),
    (255.5, np.float64, "255.5"), (np.nan, np.float32, "nan"), (np.inf, np.float64, "inf")])
def test_the_error_for_a_value_that_is_no_pixel_names_it_and_its_place(value, dtype, text):
    images = np.ones((2, 3, 4), dtype)
    images[1, 2, 0] = value
    with pytest.raises(DataError, match=rf"^file: expected pixels .*255, found {text} at \[1, 2, 0\]$"):
        as_images(images, "file")


@pytest.mark.parametrize("value, dtype", [
    (-1, np.int8), (256, np.int32), (1.5, np.float32), (np.nan, np.float64)])
def test_the_error_for_a_value_that_is_no_label_names_it_and_its_place(value, dtype):
    labels = np.ones(5, dtype)
    labels[3] = value
    with pytest.raises(DataError, match=rf"^file: expected labels 0\.\.255, found {value} at \[3\]$"):
        as_labels(labels, "file")
