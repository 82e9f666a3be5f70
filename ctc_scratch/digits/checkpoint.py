"""Models in files: one `.npz` that needs no pickle, written whole or not at all.

The archive holds a `header`, JSON in a 0-d unicode array, and one array for each parameter,
named `params/NAME`.
"""

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
    """A model file is missing, damaged, foreign or does not fit together."""


def save_model(path: str | os.PathLike, model: RowReader) -> None:
    """Write a model to one file, so that a crash leaves the old file or the new one.

    Parameters
    ----------
    path : where to; an old file of this name is replaced

    Notes
    -----
    The same weights give the same bytes.
    """
    header = dict(format=FORMAT, version=VERSION, config=model.config)
    write_archive(path, header, {PARAMS + name: array for name, array in model.params.items()})


def load_model(path: str | os.PathLike) -> RowReader:
    """Read a model that `save_model` has written.

    Returns
    -------
    RowReader
        in the dtype that was saved

    Raises
    ------
    CheckpointError
        The file is missing, damaged, of another kind, or its weights do not fit its settings.
    """
    header, arrays = read_archive(path)
    saved = {name.removeprefix(PARAMS): array for name, array in arrays.items()
             if name.startswith(PARAMS)}
    dtypes = sorted({str(array.dtype) for array in saved.values()})
    if dtypes not in (["float32"], ["float64"]):
        raise CheckpointError(f"{path}: expected weights all float32 or all float64, "
                              f"found {', '.join(dtypes) or 'none'}")
    config = header.get("config")
    try:
        model = RowReader(**config, rng=np.random.default_rng(0), dtype=dtypes[0])
    except (TypeError, ValueError, MemoryError) as error:
        raise CheckpointError(f"{path}: expected the settings of a model, found {config}: "
                              f"{error}") from error

    for name in sorted(model.params.keys() ^ saved.keys()):
        expected, found = (name if name in names else f"no {name}"
                           for names in (model.params, saved))
        raise CheckpointError(f"{path}: expected {expected}, found {found}")
    for name, param in model.params.items():
        if saved[name].shape != param.shape:
            raise CheckpointError(f"{path}: expected {name} of shape {param.shape}, "
                                  f"found {saved[name].shape}")
        param[...] = saved[name]
    return model


def write_archive(path: str | os.PathLike, header: Mapping,
                  arrays: Mapping[str, np.ndarray]) -> None:
    """Write `header` (anything JSON can hold) and named arrays to one `.npz`, atomically."""
    path = os.path.abspath(path)
    unfinished = f"{path}.unfinished"
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, header=np.array(json.dumps(header)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.remove(unfinished)
        raise


def read_archive(path: str | os.PathLike) -> tuple[dict, dict[str, np.ndarray]]:
    """The header and the arrays that `write_archive` wrote, or CheckpointError."""
    if not os.path.isfile(path):
        raise CheckpointError(f"{path}: expected a model file, found no such file")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: expected a model file (.npz), found "
                              f"{os.path.getsize(path)} bytes that are no whole archive")
    try:
        # Opened here because np.load leaves a file open that it cannot read.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(str(arrays.pop("header")))
        found = header["format"], header["version"]
    # The zip, npy and JSON readers answer damage with almost any exception there is.
    except Exception as error:
        raise CheckpointError(f"{path}: expected a model file, found one that is damaged or of "
                              f"another kind: {error}") from error
    if found != (FORMAT, VERSION):
        raise CheckpointError(f"{path}: expected '{FORMAT}' version {VERSION}, "
                              f"found '{found[0]}' version {found[1]}")
    return header, arrays
