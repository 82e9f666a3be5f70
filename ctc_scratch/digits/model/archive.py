"""Archives: files of named arrays that need no pickle and are written whole or not at all.

An archive is one uncompressed `.npz`. It holds arrays and a `header`: JSON in a 0-d unicode array,
which names the kind of the archive (its format and version). Models (`model_file.py`) and the
checkpoints of training are archives.

A file may come from anyone, so it is checked before it is used. First its table of contents is read,
then the header and the shapes of the arrays, and the arrays themselves only if all of that is as
expected. So no file takes more memory than its own length, and a file of the wrong kind hardly any.
"""

from __future__ import annotations

import io
import json
import math
import os
import posixpath
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import ArchiveError, UnfitError

if TYPE_CHECKING:
    from importlib.abc import Traversable

MOST_HEADER = 1 << 20
"""The most bytes in a header; the headers that are written here have about 10 000."""


class Entry(NamedTuple):
    """The shape and the dtype that a file states for one of its arrays."""

    shape: tuple[int, ...]
    dtype: np.dtype


def check_shapes(path: str | os.PathLike | Traversable, expected: Iterable[tuple[str, tuple[int, ...]]],
                 found: Mapping[str, Entry], group: str = "") -> None:
    """Raise ArchiveError unless the arrays found have exactly the expected names and shapes.

    Parameters
    ----------
    path : named in the error
    expected : names and shapes. There may be any number of them, because a hostile file may ask for
        any number of layers; the check ends at the first name that the file lacks.
    found : the arrays of the file
    group : what the file puts before each expected name, such as "params/"
    """
    left = set(found)
    for name, shape in expected:
        if group + name not in found:
            raise ArchiveError(f"{path}: expected {name}, found no {name}")
        if found[group + name].shape != shape:
            raise ArchiveError(f"{path}: expected {name} of shape {brief(shape)}, "
                               f"found {brief(found[group + name].shape)}")
        left.discard(group + name)
    for name in sorted(left):
        name = brief(name.removeprefix(group), str)
        raise ArchiveError(f"{path}: expected no {name}, found {name}")


def brief(value: Any, say: Callable[[Any], str] = repr) -> str:
    """A value from a file as text for a message: at most 100 characters, on one line."""
    text = "".join(c if c.isprintable() else "?" for c in say(value))
    return text if len(text) <= 100 else f"{text[:100]}..."


def same_kind(value: Any, example: Any) -> bool:
    """Whether a value from JSON has the structure of an example, and no number in it is negative.

    Structure means types, the keys of dicts and the lengths of tuples, which are lists in JSON.

    >>> same_kind({"a": [1, 2.5]}, {"a": (0, 0.0)}), same_kind({"a": [1, 2.5]}, {"a": (0, 0)})
    (True, False)
    """
    if isinstance(example, dict):
        return (isinstance(value, dict) and value.keys() == example.keys()
                and all(same_kind(value[key], example[key]) for key in example))
    if isinstance(example, tuple):
        return isinstance(value, list) and len(value) == len(example) and all(map(same_kind, value, example))
    if isinstance(example, float) and type(value) is float:
        return value >= 0
    if type(example) in (int, float):
        return type(value) is int and 0 <= value < 1 << 128     # the state of a generator has 128 bits
    return type(value) is type(example)


def write_archive(path: str | os.PathLike, header: Mapping, arrays: Mapping[str, np.ndarray],
                  previous: str | os.PathLike | None = None) -> None:
    """Write a header and named arrays to one `.npz`, atomically.

    Parameters
    ----------
    path : where to; an old file of this name is replaced
    header : anything that JSON can hold
    previous : the name under which the old file is kept, if any. A crash between the two renames
        leaves the old file whole under this name, and no file at `path`.
    """
    # The archive is built in memory first: on a full disk NumPy 1 would close its file late.
    archive = io.BytesIO()
    members: dict[str, Any] = {"header": np.array(json.dumps(header)), **arrays}
    np.savez(archive, **members)
    _write(path, lambda file: file.write(archive.getbuffer()), previous)


def copy_file(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Copy a file to `path`, atomically."""
    with open(source, "rb") as whole:
        _write(path, lambda file: shutil.copyfileobj(whole, file))


def _write(path: str | os.PathLike, fill: Callable[[IO[bytes]], Any],
           previous: str | os.PathLike | None = None) -> None:
    """Let `fill` write a new file beside `path`, then rename it to `path`; see `write_archive`."""
    path = os.path.abspath(path)
    unfinished = f"{path}.unfinished"
    try:
        with open(unfinished, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and os.path.exists(path):
            os.replace(path, previous)
        os.replace(unfinished, path)
        sync_folder(os.path.dirname(path))
    except BaseException:
        if os.path.exists(unfinished):
            os.remove(unfinished)
        raise


def sync_folder(folder: str | os.PathLike) -> None:
    """Write a folder itself to disk; until then a power cut may lose the names of new files in it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_header(path: str | os.PathLike | Traversable, format: str,
                version: int) -> tuple[dict, dict[str, Entry]]:
    """Read the header of an archive, and the shape and dtype of each of its arrays.

    Raises
    ------
    ArchiveError
        The file is missing, damaged or of another format.
    UnfitError
        It has the right format but another version.
    """
    with _opened(path, format.removeprefix("ctc_scratch ")) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if "header" not in members:
            raise ValueError("it has no header")
        if members["header"].file_size > MOST_HEADER:
            raise ValueError(f"a header of {members['header'].file_size} bytes")
        header = json.loads(str(_read(archive, members.pop("header"))))
        found = header["format"], header["version"]
        entries = {name: _entry(archive, member)[0] for name, member in members.items()}
    if found != (format, version):
        error = UnfitError if found[0] == format else ArchiveError
        raise error(f"{path}: expected {format!r} version {version}, "
                    f"found {brief(found[0])} version {brief(found[1])}")
    return header, entries


def read_arrays(path: str | os.PathLike | Traversable, targets: Mapping[str, np.ndarray],
                format: str) -> None:
    """Read arrays of a file into existing arrays of the same names and shapes.

    The arrays in the file may have less precision. After an ArchiveError the targets are unusable.
    """
    with _opened(path, format.removeprefix("ctc_scratch ")) as archive:
        for name, target in targets.items():
            target[...] = _read(archive, archive.getinfo(f"{name}.npy"), target.shape)


@contextmanager
def _opened(path: str | os.PathLike | Traversable, kind: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; any exception while it is open is taken for damage and becomes an ArchiveError."""
    if isinstance(path, (str, os.PathLike)) and not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "no such file"
        raise ArchiveError(f"{path}: expected a {kind} file, found {found}")
    try:
        # A file that is not named by a path is one of this package, perhaps in a zip archive.
        file = open(path, "rb") if isinstance(path, (str, os.PathLike)) else path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path}: expected a {kind} file that can be read, found: "
                           f"{error.strerror}") from error
    with file:
        size = file.seek(0, os.SEEK_END)
        if not zipfile.is_zipfile(file):
            raise ArchiveError(f"{path}: expected a {kind} file (.npz), found {size} bytes that are not "
                               f"a whole archive")
        try:
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), size)
                yield archive
        # In the readers of zip, npy and JSON a damaged file can raise almost any exception.
        except Exception as error:
            raise ArchiveError(f"{path}: expected a {kind} file, found one that is damaged or of "
                               f"another kind: {brief(error, str)}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError unless the members have different, harmless names and fit into `size` bytes together.

    No name is ever used as a path, but `write_archive` writes no name that leads out of a folder.
    """
    names = {member.filename for member in members}
    for name in names:
        if posixpath.isabs(name) or ".." in name.split("/") or "\\" in name:
            raise ValueError(f"an array named {name}")
    if len(names) < len(members):
        raise ValueError("two arrays of one name")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("its arrays are compressed")
    if sum(member.file_size for member in members) > size:
        raise ValueError(f"its arrays are said to have {sum(member.file_size for member in members)} bytes, "
                         f"the file has {size}")


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[Entry, bool, int]:
    """Read the npy header of a member: its entry, whether it has Fortran order, where its data begins."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(member) as file:
        shape, fortran, dtype = read[np.lib.format.read_magic(file)](file)
        start = file.tell()
    if dtype.kind not in "biufU":
        raise ValueError(f"{member.filename} holds {dtype} in place of numbers, which may need a pickle")
    if start + math.prod(shape) * dtype.itemsize != member.file_size or min(shape, default=0) < 0:
        raise ValueError(f"{member.filename} is said to have shape {shape} of {dtype}, "
                         f"but has {member.file_size - start} bytes")
    return Entry(shape, dtype), fortran, start


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Read an array of this shape; its checksum is compared on the way."""
    entry, fortran, start = _entry(archive, member)
    if entry.shape != shape:
        raise ValueError(f"{member.filename} has shape {entry.shape}, not {shape}")
    return np.ndarray(shape, entry.dtype, archive.read(member), start, order="F" if fortran else "C")
