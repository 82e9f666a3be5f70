"""Model files: how the settings and the weights of a model are saved, loaded and found.

A model file is an archive (`archive.py`) with one array per parameter, named `params/NAME`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ArchiveError
from .archive import brief, check_shapes, read_arrays, read_header, write_archive
from .reader import CLASS_NAMES, RowReader, check_class_names, check_config, param_shapes

if TYPE_CHECKING:
    from importlib.abc import Traversable

MODEL_FORMAT = "ctc_scratch model"
MODEL_VERSION = 1
PARAMS = "params/"


def save_model(path: str | os.PathLike, model: RowReader, dtype: DTypeLike | None = None) -> None:
    """Write a model to one file. A crash leaves either the old file or the new one.

    Parameters
    ----------
    path : where to; an old file of this name is replaced
    dtype : of the weights in the file; None keeps that of the model, np.float16 halves the file and keeps
        3 of 7 decimal places

    Notes
    -----
    The same weights give the same bytes.
    """
    header = dict(format=MODEL_FORMAT, version=MODEL_VERSION, config=model.config)
    if model.class_names != CLASS_NAMES:    # a file without names is of a model that reads digits
        header["class_names"] = model.class_names
    write_archive(path, header, {PARAMS + name: array.astype(dtype or array.dtype)
                                 for name, array in model.params.items()})


def load_model(path: str | os.PathLike | Traversable) -> RowReader:
    """Read a model file.

    Parameters
    ----------
    path : as `find_model` returns it, or any other

    Returns
    -------
    RowReader
        in the dtype of the file, or float32 if that is float16

    Raises
    ------
    ArchiveError
        The file is missing, damaged or of another kind, or its weights do not fit its settings.
    """
    header, entries = read_header(path, MODEL_FORMAT, MODEL_VERSION)
    saved = {name: entry for name, entry in entries.items() if name.startswith(PARAMS)}
    dtypes = sorted({str(entry.dtype) for entry in saved.values()})
    if dtypes not in (["float16"], ["float32"], ["float64"]):
        raise ArchiveError(f"{path}: expected weights all float16, all float32 or all float64, "
                           f"found {', '.join(dtypes) or 'none'}")
    config: Any = header.get("config")
    try:
        check_config(**config)
    except (TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: expected the settings of a model, found {brief(config)}: "
                           f"{error}") from error
    try:
        class_names = check_class_names(header.get("class_names", CLASS_NAMES))
    except ValueError as error:
        raise ArchiveError(f"{path}: expected the names of a model's classes, found "
                           f"{brief(header['class_names'])}: {error}") from error
    check_shapes(path, param_shapes(**config, classes=len(class_names)), saved, PARAMS)
    model = RowReader(**config, rng=np.random.default_rng(0), dtype=np.result_type(dtypes[0], np.float32),
                      class_names=class_names)
    read_arrays(path, {PARAMS + name: param for name, param in model.params.items()}, MODEL_FORMAT)
    return model


def packaged_model() -> Traversable:
    """The model file of this package: a path, or a file in the zip archive that the package is run from."""
    return resources.files(__package__) / "trained.npz"


def find_model(run: str | os.PathLike = "") -> str | Traversable:
    """Where a model file is, for `load_model`.

    Parameters
    ----------
    run : a model file, or the folder of a run, which holds one; empty for the model of this package

    Raises
    ------
    ArchiveError
        `run` is empty, and the package holds no model.
    """
    if run:
        is_file = Path(run).suffix == ".npz" and not os.path.isdir(run)
        return os.fspath(run) if is_file else os.path.join(run, "model.npz")
    packaged = packaged_model()
    if not packaged.is_file():
        raise ArchiveError("no run is named, and this package holds no trained model: "
                           "train one with `ctc-scratch train --out runs/NAME` and name that")
    return packaged


def digest(params: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of a model's weights, over their names in order, their types, shapes and bytes.

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
