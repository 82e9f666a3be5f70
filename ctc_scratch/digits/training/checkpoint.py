"""The checkpoint: a trainer written to one file, from which the run continues to the same bits.

The file is an archive (`model/archive.py`). Its arrays are named `params/...`, `optimiser/...`,
`average/...`, `best/...` and `objective/...`. Its header holds the settings, the position of the run,
the best evaluation, a checksum of the digits, and the versions of everything that decides how sums round.
"""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from typing import Any, NamedTuple

import llvmlite.binding
import numba
import numpy as np

from ..errors import ArchiveError, UnfitError
from ..model.archive import Entry, brief, check_shapes, read_arrays, read_header, same_kind, write_archive
from ..model.reader import CLASS_NAMES, check_class_names, param_shapes
from .settings import Settings, from_json
from .trainer import Best, Trainer

CHECKPOINT_FORMAT = "ctc_scratch checkpoint"
CHECKPOINT_VERSION = 6
"""Version 1 measured `wave` differently; 2 had no `vertical`; 3 had no `optimiser`; in 4 `vertical` read
other patches; 5 had no `plain`."""


class Checkpoint(NamedTuple):
    """A checkpoint of which everything but the arrays has been read."""

    path: str | os.PathLike
    settings: Settings
    class_names: tuple[str, ...]
    header: dict[str, Any]
    entries: dict[str, Entry]  # shape and dtype of each array

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, after step {self.header.get('step')})"


def write_checkpoint(trainer: Trainer, path: str | os.PathLike, previous: str | os.PathLike,
                     metrics: int) -> None:
    """Write a trainer to one file; the checkpoint that stood there is renamed to `previous`.

    Parameters
    ----------
    metrics : bytes of the run's metrics that belong to this checkpoint

    Raises
    ------
    OSError
        The file could not be written; the old one is still there.
    """
    header = dict(format=CHECKPOINT_FORMAT, version=CHECKPOINT_VERSION, settings=asdict(trainer.settings),
                  versions=versions(), data=trainer.data_checksum, best=trainer.best, **trainer.position(),
                  metrics=metrics)
    if trainer.model.class_names != CLASS_NAMES:    # a checkpoint without names is of a run on digits
        header["class_names"] = trainer.model.class_names
    write_archive(path, header, trainer.arrays(), previous)


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read everything but the arrays of a file that `write_checkpoint` has written.

    The settings are checked against the shapes of the weights in the file, so a trainer that is made
    from them takes no more memory than the file.

    Raises
    ------
    ArchiveError
        The file is no checkpoint, or its settings and its weights do not fit. UnfitError if it is a
        checkpoint of another version.
    """
    header, entries = read_header(path, CHECKPOINT_FORMAT, CHECKPOINT_VERSION)
    try:
        settings = from_json(header["settings"])
        settings.check()
        class_names = check_class_names(header.get("class_names", CLASS_NAMES))
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: expected the settings of a run, found "
                           f"{brief(error, str)}") from error
    weights = {name: entry for name, entry in entries.items() if name.startswith("params/")}
    check_shapes(path, param_shapes(**settings.reader, classes=len(class_names)), weights, "params/")
    return Checkpoint(path, settings, class_names, header, entries)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Give a new trainer, made from the checkpoint's settings, the state that the checkpoint holds.

    Raises
    ------
    ArchiveError
        The checkpoint does not fit the trainer, or is damaged; the trainer is then of no use.
        UnfitError if the run was trained on other digits.
    """
    path, _, class_names, header, entries = checkpoint
    if header.get("data") != trainer.data_checksum or class_names != trainer.model.class_names:
        raise UnfitError(f"{path}: the run learnt from other digits than those of "
                         f"{trainer.settings.data or 'this package'}; put them back to go on")
    _check_position(path, header, trainer.position())
    best = _best(path, header)
    arrays = trainer.arrays()
    check_shapes(path, ((name, array.shape) for name, array in arrays.items()), entries)
    for name, array in arrays.items():
        if entries[name].dtype != array.dtype:
            raise ArchiveError(f"{path}: expected {name} of {array.dtype}, "
                               f"found {entries[name].dtype}")
    read_arrays(path, arrays, CHECKPOINT_FORMAT)
    for name, array in arrays.items():
        if array.shape == () and array != header["step"]:       # a scalar counts the steps
            raise ArchiveError(f"{path}: expected {name} = {brief(header['step'])}, the steps of the "
                               f"run, found {array}")
    prior = arrays.get("objective/prior")
    if prior is not None and not (prior.min() > 0 and abs(prior.sum() - 1) < 1e-6):
        raise ArchiveError(f"{path}: expected a prior, positive numbers that sum to 1, found "
                           f"{brief(prior)}")
    try:
        trainer.set_position(header, best)
    except (TypeError, ValueError, OverflowError) as error:
        raise ArchiveError(f"{path}: expected the state of a generator, found "
                           f"{brief(header['generator'])}: {error}") from error


def _check_position(path: str | os.PathLike, header: dict[str, Any], example: dict[str, Any]) -> None:
    """ArchiveError unless the header holds the position of a run, in values of the kinds in `example`."""
    for name, value in {**example, "metrics": 0}.items():
        if name not in header or not same_kind(header[name], value):
            raise ArchiveError(f"{path}: expected the position of a run, found {name} = "
                               f"{brief(header.get(name))}")


def _best(path: str | os.PathLike, header: dict[str, Any]) -> Best | None:
    """The best evaluation of the run, or None if it had none; ArchiveError if the header holds neither."""
    best = header.get("best")
    if best is not None and not same_kind(best, Best(0, False, 0.0, 0.0)):
        raise ArchiveError(f"{path}: expected the best evaluation so far, found {brief(best)}")
    return Best(*best) if best else None


def changed_versions(header: dict[str, Any]) -> str:
    """Which versions have changed since the checkpoint was written: '' or, say, 'numpy 2.3.1, now 2.4.0'."""
    then, now = header.get("versions"), versions()
    then = then if isinstance(then, dict) else {}
    return "; ".join(f"{name} {brief(then.get(name), str)}, now {version}" for name, version in now.items()
                     if then.get(name) != version)


def versions() -> dict[str, str]:
    """The versions and the processor, which decide how sums round: Numba compiles for the one it finds."""
    return dict(python=platform.python_version(), numpy=np.__version__, numba=numba.__version__,
                machine=platform.machine(), cpu=llvmlite.binding.get_host_cpu_name())
