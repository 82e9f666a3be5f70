"""Everything that training changes, one step of it, and how it comes into a file and back.

The file, an archive of `archive.py`, holds arrays under `params/`, `optimiser/`, `average/` and
`best/`, and in its header the settings, the state of the generator, how far the run has come and
with which versions. Rows are drawn by chance from all digits, so the state of the generator *is*
the position in the data.
"""

from __future__ import annotations

import os
import platform
import time
import zlib
from dataclasses import asdict
from typing import NamedTuple

import llvmlite.binding
import numba
import numpy as np

from ...nn import Adam, Average, Muon, clip_by_global_norm, one_cycle
from ..data.rows import RowSampler
from ..errors import ArchiveError, UnfitError
from ..model.archive import Entry, brief, check_shapes, read_arrays, read_header, same_kind, write_archive
from ..model.evaluate import Evaluation, evaluate
from ..model.parallel import run_tasks
from ..model.reader import RowReader, param_shapes
from .gradients import Mapper, batch_gradients, on_threads
from .schedule import Schedule
from .settings import Settings, from_json
from .watch import Report, Watch, read_batch

FORMAT = "ctc_scratch checkpoint"
VERSION = 6
"""In 1, `wave` was another measure; in 2, there was no `vertical`; in 3, no `optimiser`; in 4, `vertical`
saw other patches; in 5, no digit was `plain`."""

REPORT_EVERY = 10
"""Steps between two training records."""

Part = tuple[np.ndarray, np.ndarray]    # images, labels


class Best(NamedTuple):
    """The best evaluation so far; its weights are `Trainer.best_params`."""

    step: int
    averaged: bool
    label_error_rate: float
    row_accuracy: float


class Trainer:
    """A run between two steps.

    Parameters
    ----------
    settings : checked
    train_part : images and labels to draw rows from
    validation_part : images and labels of the rows that choose the best weights
    mapper : from the shards of a batch to their gradients

    Attributes
    ----------
    seconds : dict, what the parts of all steps of this process took
    timed : these steps
    """

    def __init__(self, settings: Settings, train_part: Part, validation_part: Part,
                 mapper: Mapper = on_threads):
        self.settings, self.validation_part, self.mapper = settings, validation_part, mapper
        self.rng = np.random.default_rng(settings.seed)
        self.model = RowReader(**settings.reader, rng=self.rng)
        augment = settings.augmentation
        self.sampler = RowSampler(*train_part, settings.digits, self.rng, augment if any(augment) else None)
        self.optimiser = (Adam(self.model.params) if settings.optimiser == "adam"
                          else Muon(self.model.params, self.model.matrices, share=_share_matrices))
        self.average = Average(self.model.params, settings.average) if settings.average else None
        self.schedule = Schedule(settings.steps, settings.minutes)
        self.watch = Watch(settings)
        self.evaluations = self.stale = 0       # so far; since the best one
        self.best: Best | None = None
        self.best_params = {name: param.copy() for name, param in self.model.params.items()}
        self.seconds = dict.fromkeys(("data", "forward", "CTC", "backward", "optimiser"), 0.0)
        self.timed = 0
        self._data = _fingerprint(train_part, validation_part)
        self._start = time.monotonic()

    # ---- training -------------------------------------------------------------------------

    def step(self) -> Report | None:
        """One batch: logits, loss, backward, clip, step. A report now and then, and at the last step.

        DivergedError leaves the weights as they were.
        """
        settings, clock = self.settings, time.perf_counter
        start = clock()
        batch = self.sampler.batch(settings.batch)
        drawn = clock()
        loss, grads, shards = batch_gradients(self.model, batch, settings.shards, self.mapper)
        mapped = clock()
        norm = clip_by_global_norm(grads, settings.clip)
        self.watch.step(loss, norm)
        rate = one_cycle(self.schedule.progress, 1, settings.rate)
        self.optimiser.step(grads, rate)
        if self.average:
            self.average.step()
        self.schedule.advance(time.monotonic() - self._start)

        # Threads work side by side: their time is the wall's, shared out as they spent it.
        parts = np.sum([shard.seconds for shard in shards], axis=0)
        forward, ctc, backward = parts * (mapped - drawn) / parts.sum()
        spent = (drawn - start, forward, ctc, backward, clock() - mapped)
        for part, value in zip(self.seconds, spent):
            self.seconds[part] += value
        self.timed += 1
        if self.schedule.step % REPORT_EVERY == 0 or self.evaluation_is_due or self.schedule.finished:
            return Report(self.schedule.step, loss, *read_batch(shards, batch.labels), float(norm), rate)
        return None

    @property
    def evaluation_is_due(self) -> bool:
        return self._evaluations_by_now > self.evaluations

    @property
    def _evaluations_by_now(self) -> int:
        # A little more, for step / steps times evaluations may fall short of a whole number.
        return int(self.schedule.progress * self.settings.evaluations + 1e-9)

    @property
    def finished(self) -> bool:
        """All steps are done, or evaluations have not become better for too long."""
        return self.schedule.finished or self.ended_early

    @property
    def ended_early(self) -> bool:
        return 0 < self.settings.patience <= self.stale

    def validate(self) -> tuple[Evaluation, Evaluation | None]:
        """Evaluate the weights, and their average if there is one; the best of all are kept."""
        self.evaluations = self._evaluations_by_now
        if not self.watch.is_beginning(self.schedule.step):     # before, no patience is lost
            self.stale += 1
        last = self._try(self.model.params, averaged=False)
        return last, self._try(self.average.average, averaged=True) if self.average else None

    def _try(self, params, averaged: bool) -> Evaluation:
        found = evaluate(self.model.with_weights(params), *self.validation_part, self.settings.test_digits)
        better, no_worse = _compare(found, self.best)
        if better:
            self.stale = 0
        if no_worse:
            self.best = Best(self.schedule.step, averaged, found.label_error_rate, found.row_accuracy)
            for name, param in params.items():
                self.best_params[name][...] = param
        return found

    def kept(self) -> RowReader:
        """The reader that validation rows have chosen; the last one if there was no evaluation."""
        return self.model.with_weights(self.best_params if self.best else self.model.params)

    # ---- files ----------------------------------------------------------------------------

    def save(self, path: str | os.PathLike, previous: str | os.PathLike, **more) -> None:
        """Write all of it to one file; `more` goes into the header.

        The file that stood there goes on as `previous`. OSError if the disk will not take it; the
        old file then stays.
        """
        header = dict(format=FORMAT, version=VERSION, settings=asdict(self.settings), versions=_versions(),
                      data=self._data, best=self.best, **self._position(), **more)
        write_archive(path, header, self._arrays(), previous)

    def restore(self, path: str | os.PathLike, header: dict, entries: dict[str, Entry]) -> None:
        """Go on where the trainer was that `save` has written; ArchiveError if that cannot be.

        UnfitError if that was on other data. `header` and `entries` are those of `read_checkpoint`.
        """
        if header.get("data") != self._data:
            raise UnfitError(f"{path}: the run learnt from other digits than those of "
                             f"{self.settings.data or 'this package'}; put them back to go on")
        position = {**self._position(), "metrics": 0}
        for name, example in position.items():
            if name not in header or not same_kind(header[name], example):
                raise ArchiveError(f"{path}: expected where a run stood, found {name} = "
                                   f"{brief(header.get(name))}")
        best = header.get("best")
        if best is not None and not same_kind(best, Best(0, False, 0.0, 0.0)):
            raise ArchiveError(f"{path}: expected the best evaluation so far, found {brief(best)}")

        arrays = self._arrays()
        check_shapes(path, ((name, array.shape) for name, array in arrays.items()), entries)
        for name, array in arrays.items():
            if entries[name].dtype != array.dtype:
                raise ArchiveError(f"{path}: expected {name} of {array.dtype}, "
                                   f"found {entries[name].dtype}")
        read_arrays(path, arrays, FORMAT)
        for name in (name for name, array in arrays.items() if array.shape == ()):      # steps they count
            if arrays[name] != header["step"]:
                raise ArchiveError(f"{path}: expected {name} = {brief(header['step'])}, the steps of the "
                                   f"run, found {arrays[name]}")
        try:
            self.rng.bit_generator.state = header["generator"]
        except (TypeError, ValueError, OverflowError) as error:
            raise ArchiveError(f"{path}: expected the state of a generator, found "
                               f"{brief(header['generator'])}: {error}") from error
        schedule = self.schedule
        schedule.step, schedule.progress = header["step"], min(header["progress"], 1.0)
        schedule.seconds = header["seconds"]
        self.evaluations, self.stale = header["evaluations"], header["stale"]
        self.watch.state.update(header["watch"])
        self.best = Best(*best) if best else None
        self.start_clock()

    def _position(self) -> dict:
        """Where the run stands, as JSON can hold it."""
        schedule = self.schedule
        return dict(step=schedule.step, progress=schedule.progress, seconds=schedule.seconds,
                    generator=self.rng.bit_generator.state, watch=self.watch.state,
                    evaluations=self.evaluations, stale=self.stale)

    def start_clock(self) -> None:
        """Count from here; what went on before, between sessions too, is no training."""
        self._start = time.monotonic() - self.schedule.seconds

    def _arrays(self) -> dict[str, np.ndarray]:
        """All arrays that training changes."""
        groups = {"params": self.model.params, "optimiser": self.optimiser.state, "best": self.best_params}
        if self.average:
            groups["average"] = self.average.state
        return {f"{group}/{name}": array for group, arrays in groups.items()
                for name, array in arrays.items()}


def read_checkpoint(path: str | os.PathLike) -> tuple[Settings, dict, dict[str, Entry]]:
    """Settings, header and what arrays there are, of a file that `Trainer.save` has written.

    Raises
    ------
    ArchiveError
        It is none, or its settings ask for other weights than it has: a trainer made of them takes
        no more memory than the file. UnfitError if it is one of another version.
    """
    header, entries = read_header(path, FORMAT, VERSION)
    try:
        settings = from_json(header["settings"])
        settings.check()
    except (KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: expected the settings of a run, found "
                           f"{brief(error, str)}") from error
    weights = {name: entry for name, entry in entries.items() if name.startswith("params/")}
    check_shapes(path, param_shapes(**settings.reader), weights, "params/")
    return settings, header, entries


def other_versions(header: dict) -> str:
    """What of Python and its libraries is not as it was: '' or, say, 'numpy 2.3.1, now 2.4.0'."""
    then, now = header.get("versions"), _versions()
    then = then if isinstance(then, dict) else {}
    return "; ".join(f"{name} {brief(then.get(name), str)}, now {version}" for name, version in now.items()
                     if then.get(name) != version)


def _compare(found: Evaluation, best: Best | None) -> tuple[bool, bool]:
    """Is it better; and is it at least as good, which is enough to take what has learnt longer?"""
    if best is None:
        return True, True
    new, old = ((e.label_error_rate, -e.row_accuracy) for e in (found, best))
    return new < old, new <= old


def _share_matrices(task, parts) -> None:
    """The matrices of a step side by side."""
    run_tasks(task, parts, [matrix.size for matrix, _ in parts])


def _versions() -> dict[str, str]:
    """All that decides how sums are rounded: what is compiled here is made for this processor."""
    return dict(python=platform.python_version(), numpy=np.__version__, numba=numba.__version__,
                machine=platform.machine(), cpu=llvmlite.binding.get_host_cpu_name())


def _fingerprint(*parts: Part) -> int:
    """Of all digits and labels; 50 million pixels take 20 ms."""
    value = 0
    for array in (array for part in parts for array in part):
        value = zlib.crc32(np.ascontiguousarray(array), value)
    return value
