"""Read IDX files, the format in which MNIST is published.

A file consists of a magic number, the size of each dimension as four big-endian bytes, and the data.
The magic number is two zero bytes, the type of the data (`TYPES`), and the number of dimensions.
`as_images` and `as_labels` turn data of any type into the bytes that the rest of the package works with.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from importlib.abc import Traversable

TYPES = {code: np.dtype(name) for code, name in (
    (0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8"))}
"""The third byte of a magic number, and the type of the data that it stands for."""
MOST_DIMENSIONS = 32    # the most that NumPy 1 has

GZIP_MAGIC = b"\x1f\x8b"
# Deflate needs at least one bit for 129 bytes. A header that promises more than this many times the
# size of its file cannot be true.
DEFLATE_LIMIT = 1032
BLOCK = 1 << 20
MOST_BYTES = 1 << 30
"""The most bytes of data in a file, 20 times those of MNIST. A megabyte of packed zeros unpacks to that."""


class _Header(NamedTuple):
    """What the header of a file says of its data."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        """Bytes of the header itself."""
        return 4 + 4 * len(self.shape)

    @property
    def payload(self) -> int:
        """Bytes of the data."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        sizes = " x ".join(map(str, self.shape))
        each = f", of {self.dtype.itemsize} bytes each" if self.dtype.itemsize > 1 else ""
        return f"{self.bytes + self.payload} bytes ({self.bytes} of header + {sizes}{each})"


def read_idx(path: str | os.PathLike | Traversable) -> np.ndarray:
    """Read one IDX file, gzipped or not; its first bytes, not its name, tell which.

    Parameters
    ----------
    path : a file of any element type and of 1 to 32 dimensions

    Returns
    -------
    array of the shape and type that the header names, in the byte order of this machine: uint8, int8, int16,
    int32, float32 or float64

    Raises
    ------
    DataError
        The file is missing, is not an IDX file, is damaged, is shorter or longer than its header says, or
        has more than 2**30 bytes of data.

    Notes
    -----
    The memory used depends on the bytes that are in the file, never on what its header promises.
    """
    with _opened(path) as (stream, most_bytes):
        return _read_data(stream, path, _read_header(stream, path, most_bytes))


def read_shape(path: str | os.PathLike | Traversable) -> tuple[int, ...]:
    """The shape of the array that `read_idx` would return, from the header alone; DataError as there."""
    with _opened(path) as (stream, most_bytes):
        return _read_header(stream, path, most_bytes).shape


def as_images(array: np.ndarray, path: object) -> np.ndarray:
    """Grey values as uint8: integers 0..255 as they are, and floats rounded.

    Floats are fractions of white, from 0 to 1, and are multiplied by 255; if any is 2 or more, all are on the
    scale 0..255. DataError, which names `path`, for the first value beyond its scale, such as 1.1, -1 or NaN.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        _check(array, (array >= 0) & (array <= 255), path, "pixels 0..255")
        return array.astype(np.uint8)
    white = 1 if array.max(initial=0) < 2 else 255
    _check(array, (array >= 0) & (array <= white), path, "pixels from 0 to 1 or from 0 to 255")
    return np.rint(array * (255 // white)).astype(np.uint8)


def as_labels(array: np.ndarray, path: object) -> np.ndarray:
    """Labels as uint8; DataError, which names `path`, for the first that is not a whole number 0..255."""
    if array.dtype == np.uint8:
        return array
    _check(array, (array >= 0) & (array <= 255) & (np.rint(array) == array), path, "labels 0..255")
    return array.astype(np.uint8)


def _check(array: np.ndarray, fine: np.ndarray, path: object, expected: str) -> None:
    """DataError for the first value that is not fine, with its place."""
    if not fine.all():
        place = tuple(map(int, np.unravel_index(int(np.argmin(fine)), array.shape)))
        raise DataError(f"{path}: expected {expected}, found {array[place]} at {list(place)}")


@contextmanager
def _opened(path: str | os.PathLike | Traversable) -> Iterator[tuple[IO[bytes], int]]:
    """Open a file, unpacked if it is gzipped; yields it and the most bytes that it can hold."""
    try:
        # A file that is not named by a path is one of this package, perhaps in a zip archive.
        with open(path, "rb") if isinstance(path, (str, os.PathLike)) else path.open("rb") as file:
            zipped = file.read(2) == GZIP_MAGIC
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            if zipped:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield cast(IO[bytes], stream), DEFLATE_LIMIT * size
            else:
                yield file, size
    except FileNotFoundError:
        raise DataError(f"{path}: expected an IDX file, found no such file") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a whole gzip file, found damage: {error}") from error
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, found: {error.strerror}") from error


def _read_header(stream: IO[bytes], path: object, most_bytes: int) -> _Header:
    """The header of a stream that has at most `most_bytes` bytes."""
    head = stream.read(4)
    dtype = TYPES.get(head[2]) if len(head) == 4 and head[:2] == b"\0\0" else None
    if dtype is None or not 1 <= head[3] <= MOST_DIMENSIONS:
        found = f"0x{head.hex()}" if len(head) == 4 else f"{len(head)} bytes in all"
        raise DataError(f"{path}: expected the magic number of an IDX file, 0x0000TTDD with a type TT "
                        f"({', '.join(f'{code:02x}' for code in TYPES)}) and DD = 01 to "
                        f"{MOST_DIMENSIONS:02x} dimensions, found {found}")

    ndim = head[3]
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: expected a header of {4 + 4 * ndim} bytes, "
                        f"found {4 + len(sizes)} bytes in all")
    header = _Header(struct.unpack(f">{ndim}I", sizes), dtype)

    if header.bytes + header.payload > most_bytes:
        raise DataError(f"{path}: expected {header}, found at most {most_bytes}: truncated")
    # A dimension of 0 leaves no data, but NumPy makes no array with huge sizes beside it.
    if math.prod(max(1, size) for size in header.shape) * dtype.itemsize > MOST_BYTES:
        raise DataError(f"{path}: expected at most {MOST_BYTES} bytes of data, found a header for "
                        f"{header.payload} ({' x '.join(map(str, header.shape))})")
    return header


def _read_data(stream: IO[bytes], path: object, header: _Header) -> np.ndarray:
    """The array that follows the header."""
    data = bytearray()
    # Ask for one byte more than promised: a file that is too long gives it, and gzip compares its checksum
    # only at the end.
    while block := stream.read(min(BLOCK, header.payload + 1 - len(data))):
        data += block
    if len(data) < header.payload:
        raise DataError(f"{path}: expected {header}, found {header.bytes + len(data)}: truncated")
    if len(data) > header.payload:
        raise DataError(f"{path}: expected {header}, found at least {header.bytes + len(data)}: over-long")
    array = np.frombuffer(data, dtype=header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)
