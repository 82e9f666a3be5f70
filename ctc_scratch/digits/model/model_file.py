"""The file of a model: its settings and its weights, written and read; and which file a command means.

The file is an archive (`archive.py`) with one array for each parameter, named `params/NAME`.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import ArchiveError
from .archive import brief, check_shapes, read_arrays, read_header, write_archive
from .reader import RowReader, check_config, param_shapes

MODEL_FORMAT = "ctc_scratch model"
MODEL_VERSION = 1
PARAMS = "params/"

PACKAGED = Path(__file__).with_name("trained.npz")


def save_model(path: str | os.PathLike, model: RowReader, dtype=None) -> None:
    """Write a model to one file, so that a crash leaves the old file or the new one.

    Parameters
    ----------
    path : where to; an old file of this name is replaced
    dtype : of the weights in the file; np.float16 halves it, and keeps 3 of 7 decimal places

    Notes
    -----
    The same weights give the same bytes.
    """
    header = dict(format=MODEL_FORMAT, version=MODEL_VERSION, config=model.config)
    write_archive(path, header, {PARAMS + name: array.astype(dtype or array.dtype)
                                 for name, array in model.params.items()})


def load_model(path: str | os.PathLike) -> RowReader:
    """Read a model that `save_model` has written.

    Returns
    -------
    RowReader
        in the dtype that was saved; float32 where that was float16

    Raises
    ------
    ArchiveError
        The file is missing, damaged, of another kind, or its weights do not fit its settings.
    """
    header, entries = read_header(path, MODEL_FORMAT, MODEL_VERSION)
    saved = {name: entry for name, entry in entries.items() if name.startswith(PARAMS)}
    dtypes = sorted({str(entry.dtype) for entry in saved.values()})
    if dtypes not in (["float16"], ["float32"], ["float64"]):
        raise ArchiveError(f"{path}: expected weights all float16, all float32 or all float64, "
                           f"found {', '.join(dtypes) or 'none'}")
    config = header.get("config")
    try:
        check_config(**config)
    except (TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: expected the settings of a model, found {brief(config)}: "
                           f"{error}") from error
    check_shapes(path, param_shapes(**config), saved, PARAMS)
    model = RowReader(**config, rng=np.random.default_rng(0), dtype=np.result_type(dtypes[0], np.float32))
    read_arrays(path, {PARAMS + name: param for name, param in model.params.items()}, MODEL_FORMAT)
    return model


def find_model(run: str | os.PathLike = "") -> str:
    """The model file of a run's folder, or the file itself; without either, the one of this package.

    Raises
    ------
    ArchiveError
        None is asked for, and the package has none.
    """
    if run:
        is_file = Path(run).suffix == ".npz" and not os.path.isdir(run)
        return os.fspath(run) if is_file else os.path.join(run, "model.npz")
    if not PACKAGED.is_file():
        raise ArchiveError("no run is named, and this package holds no trained model: "
                           "train one with `ctc-scratch train --out runs/NAME` and name that")
    return str(PACKAGED)


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
