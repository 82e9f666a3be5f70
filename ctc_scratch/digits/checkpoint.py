"""Files that need no pickle and are written whole or not at all: models, and archives in general.

An archive is one `.npz` with a `header`, JSON in a 0-d unicode array that names what kind it is,
and arrays. That of a model has one array for each parameter, named `params/NAME`.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping

import numpy as np

from .model import RowReader

FORMAT = "ctc_scratch model"
VERSION = 1
PARAMS = "params/"


class CheckpointError(ValueError):
    """A file of a model or of a run is missing, damaged, foreign or does not fit together."""


def save_model(path: str | os.PathLike, model: RowReader, dtype=None) -> None:
    """Write a model to one file, so that a crash leaves the old file or the new one.

    Parameters
    ----------
    path : where to; an old file of this name is replaced
    dtype : of the weights in the file; np.float16 halves it, and costs 3 of 7 decimal places

    Notes
    -----
    The same weights give the same bytes.
    """
    header = dict(format=FORMAT, version=VERSION, config=model.config)
    write_archive(path, header, {PARAMS + name: array.astype(dtype or array.dtype)
                                 for name, array in model.params.items()})


def digest(params: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of weights: of their names in order, types, shapes and bytes.

    >>> digest({"bias": np.zeros(2)}) == digest({"bias": np.zeros(2)})
    True
    >>> digest({"bias": np.zeros(2)}) == digest({"bias": np.array([0.0, 5e-324])})
    False
    """
    sha = hashlib.sha256()
    for name in sorted(params):
        array = np.ascontiguousarray(params[name])
        sha.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def load_model(path: str | os.PathLike) -> RowReader:
    """Read a model that `save_model` has written.

    Returns
    -------
    RowReader
        in the dtype that was saved; float32 where that was float16

    Raises
    ------
    CheckpointError
        The file is missing, damaged, of another kind, or its weights do not fit its settings.
    """
    header, arrays = read_archive(path)
    saved = {name.removeprefix(PARAMS): array for name, array in arrays.items()
             if name.startswith(PARAMS)}
    dtypes = sorted({str(array.dtype) for array in saved.values()})
    if dtypes not in (["float16"], ["float32"], ["float64"]):
        raise CheckpointError(f"{path}: expected weights all float16, all float32 or all float64, "
                              f"found {', '.join(dtypes) or 'none'}")
    config = header.get("config")
    try:
        model = RowReader(**config, rng=np.random.default_rng(0),
                          dtype=np.result_type(dtypes[0], np.float32))
    except (TypeError, ValueError, MemoryError) as error:
        raise CheckpointError(f"{path}: expected the settings of a model, found {config}: "
                              f"{error}") from error

    fill(path, model.params, saved)
    return model


def fill(path: str | os.PathLike, targets: Mapping[str, np.ndarray],
         saved: Mapping[str, np.ndarray]) -> None:
    """Write saved arrays into those of the same names, or CheckpointError, nothing written."""
    for name in sorted(targets.keys() ^ saved.keys()):
        expected, found = (name if name in names else f"no {name}" for names in (targets, saved))
        raise CheckpointError(f"{path}: expected {expected}, found {found}")
    for name, target in targets.items():
        if saved[name].shape != target.shape:
            raise CheckpointError(f"{path}: expected {name} of shape {target.shape}, "
                                  f"found {saved[name].shape}")
    for name, target in targets.items():
        target[...] = saved[name]


def write_archive(path: str | os.PathLike, header: Mapping, arrays: Mapping[str, np.ndarray],
                  previous: str | os.PathLike | None = None) -> None:
    """Write `header` (anything JSON can hold) and named arrays to one `.npz`, atomically.

    The file that stood at `path` goes on under the name `previous`, if one is given. A crash
    between the two renames leaves that one alone, and whole.
    """
    path = os.path.abspath(path)
    unfinished = f"{path}.unfinished"
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and os.path.exists(path):
            os.replace(path, previous)
        os.replace(unfinished, path)
        _sync_folder(os.path.dirname(path))
    except BaseException:
        if os.path.exists(unfinished):
            os.remove(unfinished)
        raise


def _sync_folder(folder: str) -> None:
    """The names are in the folder; a power cut may lose them until it is on disk too."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_archive(path: str | os.PathLike, format: str = FORMAT,
                 version: int = VERSION) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays that `write_archive` wrote, or CheckpointError."""
    kind = format.removeprefix("ctc_scratch ")
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: expected a {kind} file, found no such file")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: expected a {kind} file (.npz), found "
                              f"{os.path.getsize(path)} bytes that are no whole archive")
    try:
        # Opened here because np.load leaves a file open that it cannot read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        found = header["format"], header["version"]
    # The zip, npy and JSON readers answer damage with almost any exception there is.
    except Exception as error:
        raise CheckpointError(f"{path}: expected a {kind} file, found one that is damaged or of "
                              f"another kind: {error}") from error
    if found != (format, version):
        raise CheckpointError(f"{path}: expected '{format}' version {version}, "
                              f"found '{found[0]}' version {found[1]}")
    return header, arrays
