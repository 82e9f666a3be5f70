"""Find the files of a data set: under the names of MNIST, EMNIST and QMNIST, where archives unpack them.

A data set is four files, the images and labels of two parts, in one folder. Their names are like
`train-images-idx3-ubyte`, perhaps after a prefix (`emnist-digits-train-images-idx3-ubyte`), with "-" or
"." before `idx`, and with or without `.gz`. A file may also stand in a folder that has the file's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DataError

if TYPE_CHECKING:
    from importlib.abc import Traversable

NAME = re.compile(r"(?:(?P<prefix>\w[\w-]*)-)?(?P<part>train|t10k|test)-(?P<kind>images|labels)"
                  r"(?P<dot>[-.])idx[1-9]-[a-z]+(?P<gz>\.gz)?")
DEPTH = 3
"""How many folders below the named one are searched: those in it, those in these, and once more."""


class DataSet(NamedTuple):
    """Where the files of a data set are.

    folder : where they were found
    prefix : what stands before "train-" and "test-" in their names; empty for MNIST
    files : from (part, kind) to the path; part is "train" or "test", kind "images" or "labels"
    """

    folder: Traversable
    prefix: str
    files: dict[tuple[str, str], Traversable]

    def __str__(self) -> str:
        """What names this data set alone, unless the same folder also holds a data set without a prefix."""
        return str(self.folder / self.prefix) if self.prefix else str(self.folder)

    @property
    def mapping(self) -> Traversable:
        """Where the file with the names of the classes has to be."""
        return self.folder / (f"{self.prefix}-mapping.txt" if self.prefix else "mapping.txt")

    @property
    def missing(self) -> list[str]:
        """The usual names of the files that were not found."""
        start = f"{self.prefix}-" if self.prefix else ""
        parts = {"train": "train", "test": "test" if self.prefix else "t10k"}
        kinds = {"images": "images-idx3-ubyte",
                 "labels": "labels-idx2-int" if self.prefix == "qmnist" else "labels-idx1-ubyte"}
        return [f"{start}{parts[part]}-{kinds[kind]}" for part in parts for kind in kinds
                if (part, kind) not in self.files]


def find_data_set(place: Traversable) -> DataSet:
    """The data set in a folder, or else the only one in the folders below it.

    Parameters
    ----------
    place : a folder, or the path of a folder with the prefix of a data set in it, like
        `gzip/emnist-digits`. Of several data sets in one folder, one without a prefix is taken.

    Raises
    ------
    DataError
        There is no folder, there are several data sets, or files of the only one are missing.
    """
    folder, prefix = place, None
    if not place.is_dir() and isinstance(place, Path) and place.parent.is_dir():
        folder, prefix = place.parent, place.name
    incomplete = None
    level = [folder]
    for depth in range(DEPTH + 1):
        sets = [each for inside in level for each in _sets_in(inside) if prefix in (None, each.prefix)]
        whole = [each for each in sets if not each.missing]
        if depth == 0:
            whole = [each for each in whole if not each.prefix] or whole
        if len(whole) > 1:
            raise DataError(f"{place}: expected one data set, found {len(whole)}: name one of "
                            f"{', '.join(map(str, whole))}")
        if whole:
            return whole[0]
        incomplete = incomplete or (sets[0] if sets else None)
        level = [below for inside in level for below in _folders_in(inside)]
    if incomplete:
        raise DataError(f"{incomplete.folder / incomplete.missing[0]}: expected this file, plain or .gz, "
                        f"found no such file")
    if not place.is_dir():
        raise DataError(f"{place / 'train-images-idx3-ubyte'}: expected this file, plain or .gz, "
                        f"found no such folder")
    raise DataError(f"{place / 'train-images-idx3-ubyte'}: expected this file, plain or .gz, "
                    f"or a data set in the folders below, found no such file")


def _sets_in(folder: Traversable) -> list[DataSet]:
    """The data sets whose files, or some of them, are in a folder, sorted by prefix."""
    found: dict[str, dict[tuple[str, str], list]] = {}
    for path in _entries(folder):
        inside = _entries(path) if NAME.fullmatch(path.name) and path.is_dir() else [path]
        for file in inside:
            match = NAME.fullmatch(file.name)
            if match and file.is_file():
                part = "train" if match["part"] == "train" else "test"
                # The best spelling comes first: in the folder itself, "-idx", not packed, "t10k".
                rank = file is not path, match["dot"] == ".", bool(match["gz"]), match["part"], file.name
                files = found.setdefault(match["prefix"] or "", {})
                files.setdefault((part, match["kind"]), []).append((rank, file))
    return [DataSet(folder, prefix, {key: min(files)[1] for key, files in found[prefix].items()})
            for prefix in sorted(found)]


def _folders_in(folder: Traversable) -> list[Traversable]:
    """The folders in a folder that may hold a data set, sorted by name."""
    return [path for path in _entries(folder)
            if not path.name.startswith(".") and not NAME.fullmatch(path.name) and path.is_dir()]


def _entries(folder: Traversable) -> list[Traversable]:
    """What is in a folder, sorted by name; nothing if it cannot be looked into."""
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError:
        return []
