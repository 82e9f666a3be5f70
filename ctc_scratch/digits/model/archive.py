"""Files that need no pickle and are written whole or not at all: models, and archives in general.

An archive is one `.npz` with a `header`, JSON in a 0-d unicode array that names what kind it is,
and arrays, nothing compressed. That of a model has one array for each parameter, named `params/NAME`.

A file may come from anyone. Its table of contents, the header and the shapes of the arrays are read
first, and no array before they all fit what is expected: so no file takes more memory than it is
long, and none that does not fit takes any.
"""

import io
import json
import math
import os
import posixpath
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np

from ..errors import ArchiveError, UnfitError

MOST_HEADER = 1 << 20
"""Bytes of the header of any archive; ours have some 10 000."""


class Entry(NamedTuple):
    """What the file says of one of its arrays."""

    shape: tuple[int, ...]
    dtype: np.dtype


def check_shapes(path: str | os.PathLike, expected: Iterable[tuple[str, tuple[int, ...]]],
                 found: Mapping[str, Entry], group: str = "") -> None:
    """ArchiveError unless arrays of these names, behind that of their group, and shapes are all there are.

    `expected` may go on for ever: the first name that is not there ends it.
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


def brief(value: Any, say=repr) -> str:
    """What a file holds, cut short for a message, and without what would break its line."""
    text = "".join(c if c.isprintable() else "?" for c in say(value))
    return text if len(text) <= 100 else f"{text[:100]}..."


def same_kind(value: Any, example: Any) -> bool:
    """Whether a value from JSON is built like the example: types, keys, lengths of tuples; no number below 0.

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
        return type(value) is int and 0 <= value < 1 << 128     # the state of a generator has so many
    return type(value) is type(example)


def write_archive(path: str | os.PathLike, header: Mapping, arrays: Mapping[str, np.ndarray],
                  previous: str | os.PathLike | None = None) -> None:
    """Write `header` (anything JSON can hold) and named arrays to one `.npz`, atomically.

    The file that stood at `path` goes on under the name `previous`, if one is given. A crash
    between the two renames leaves that one alone, and whole.
    """
    # Whole before it goes to a disk that may be full: NumPy 1 would leave its archive open and close it late.
    archive = io.BytesIO()
    np.savez(archive, header=np.array(json.dumps(header)), **arrays)
    _write(path, lambda file: file.write(archive.getbuffer()), previous)


def copy_file(source: str | os.PathLike, path: str | os.PathLike) -> None:
    """Put a copy of a file in the place of another one, atomically."""
    with open(source, "rb") as whole:
        _write(path, lambda file: shutil.copyfileobj(whole, file))


def _write(path: str | os.PathLike, fill: Callable[[IO[bytes]], Any],
           previous: str | os.PathLike | None = None) -> None:
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
    """The names are in the folder; a power cut may lose them until it is on disk too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_header(path: str | os.PathLike, format: str, version: int) -> tuple[dict, dict[str, Entry]]:
    """The header that `write_archive` wrote, and what arrays there are; or ArchiveError."""
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


def read_arrays(path: str | os.PathLike, targets: Mapping[str, np.ndarray], format: str) -> None:
    """Write the arrays of a file into those of the same names; or ArchiveError, and they are of no use.

    Weights may be in less precision in the file.
    """
    with _opened(path, format.removeprefix("ctc_scratch ")) as archive:
        for name, target in targets.items():
            target[...] = _read(archive, archive.getinfo(f"{name}.npy"), target.shape)


@contextmanager
def _opened(path: str | os.PathLike, kind: str) -> Iterator[zipfile.ZipFile]:
    """The archive of a file; whatever goes wrong while it is open is damage: ArchiveError."""
    if not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "no such file"
        raise ArchiveError(f"{path}: expected a {kind} file, found {found}")
    try:
        file = open(path, "rb")
    except OSError as error:
        raise ArchiveError(f"{path}: expected a {kind} file that can be read, found: "
                           f"{error.strerror}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if not zipfile.is_zipfile(file):
            raise ArchiveError(f"{path}: expected a {kind} file (.npz), found {size} bytes that are no "
                               f"whole archive")
        try:
            with zipfile.ZipFile(file) as archive:
                _check_members(archive.infolist(), size)
                yield archive
        # The zip, npy and JSON readers answer damage with almost any exception there is.
        except Exception as error:
            raise ArchiveError(f"{path}: expected a {kind} file, found one that is damaged or of "
                               f"another kind: {brief(error, str)}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """ValueError unless the members fit side by side into so many bytes, each under a name of its own.

    No name is ever used as a path; one that could be is none of ours.
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
    """What is said of an array, whether it is in Fortran's order, and where in the member it begins."""
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(member) as file:
        shape, fortran, dtype = read[np.lib.format.read_magic(file)](file)
        start = file.tell()
    if dtype.kind not in "biufU":
        raise ValueError(f"{member.filename} holds no numbers but {dtype}, which may need a pickle")
    if start + math.prod(shape) * dtype.itemsize != member.file_size or min(shape, default=0) < 0:
        raise ValueError(f"{member.filename} is said to have shape {shape} of {dtype}, "
                         f"but has {member.file_size - start} bytes")
    return Entry(shape, dtype), fortran, start


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shape: tuple[int, ...] = ()) -> np.ndarray:
    """An array of this shape, its checksum compared."""
    entry, fortran, start = _entry(archive, member)
    if entry.shape != shape:
        raise ValueError(f"{member.filename} has shape {entry.shape}, not {shape}")
    return np.ndarray(shape, entry.dtype, archive.read(member), start, order="F" if fortran else "C")
