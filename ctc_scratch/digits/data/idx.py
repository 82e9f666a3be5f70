"""Read IDX files, the format in which MNIST is published.

A file consists of a magic number, the size of each dimension as four big-endian bytes, and the data.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from importlib.abc import Traversable

# The third byte of an IDX magic number is the type of the data (8 is unsigned byte), the fourth is the
# number of dimensions.
MAGIC_LABELS = 0x00000801
MAGIC_IMAGES = 0x00000803

GZIP_MAGIC = b"\x1f\x8b"
# Deflate needs at least one bit for 129 bytes. A header that promises more than this many times the
# size of its file cannot be true.
DEFLATE_LIMIT = 1032
BLOCK = 1 << 20
MOST_BYTES = 1 << 30
"""The most bytes of data in a file, 20 times those of MNIST. A megabyte of packed zeros unpacks to that."""


def read_idx(path: str | os.PathLike | Traversable) -> np.ndarray:
    """Read one IDX file of bytes, gzipped or not; its first bytes, not its name, tell which.

    Parameters
    ----------
    path : a file of labels (magic 2049) or images (magic 2051)

    Returns
    -------
    (n,) uint8 array of labels, or (n, height, width) uint8 array of images

    Raises
    ------
    DataError
        The file is missing, is not an IDX file of bytes, is damaged, is shorter or longer
        than its header says, or has more than 2**30 bytes of data.

    Notes
    -----
    The memory used depends on the bytes that are in the file, never on what its header promises.
    """
    with _opened(path) as (stream, most_bytes):
        return _read_data(stream, path, _read_shape(stream, path, most_bytes))


def read_shape(path: str | os.PathLike | Traversable) -> tuple[int, ...]:
    """The shape of the array that `read_idx` would return, from the header alone; DataError as there."""
    with _opened(path) as (stream, most_bytes):
        return _read_shape(stream, path, most_bytes)


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


def _read_shape(stream: IO[bytes], path: object, most_bytes: int) -> tuple[int, ...]:
    """The shape in the header of a stream that has at most `most_bytes` bytes."""
    head = stream.read(4)
    magic = int.from_bytes(head, "big")
    if len(head) < 4 or magic not in (MAGIC_LABELS, MAGIC_IMAGES):
        found = f"magic {magic}" if len(head) == 4 else f"{len(head)} bytes in all"
        raise DataError(f"{path}: expected magic {MAGIC_LABELS} (labels) or "
                        f"{MAGIC_IMAGES} (images), found {found}")

    ndim = magic & 0xFF
    sizes = stream.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: expected a header of {4 + 4 * ndim} bytes, "
                        f"found {4 + len(sizes)} bytes in all")
    shape = struct.unpack(f">{ndim}I", sizes)

    header, payload = 4 + 4 * ndim, math.prod(shape)
    if header + payload > most_bytes:
        raise DataError(f"{_expected(path, shape)}, found at most {most_bytes}: truncated")
    if payload > MOST_BYTES:
        raise DataError(f"{path}: expected at most {MOST_BYTES} bytes of data, found a header for {payload} "
                        f"({' x '.join(map(str, shape))})")
    return shape


def _read_data(stream: IO[bytes], path: object, shape: tuple[int, ...]) -> np.ndarray:
    """The array of this shape that follows the header."""
    header, payload = 4 + 4 * len(shape), math.prod(shape)
    data = bytearray()
    # Ask for one byte more than promised: a file that is too long gives it, and gzip compares its checksum
    # only at the end.
    while block := stream.read(min(BLOCK, payload + 1 - len(data))):
        data += block
    if len(data) < payload:
        raise DataError(f"{_expected(path, shape)}, found {header + len(data)}: truncated")
    if len(data) > payload:
        raise DataError(f"{_expected(path, shape)}, found at least {header + len(data)}: over-long")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _expected(path: object, shape: tuple[int, ...]) -> str:
    header, payload = 4 + 4 * len(shape), math.prod(shape)
    return (f"{path}: expected {header + payload} bytes "
            f"({header} of header + {' x '.join(map(str, shape))})")
