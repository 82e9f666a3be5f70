"""Train a row reader until the run is over or something stops it; resume a run that was stopped.

    ctc-scratch train --digits 3-6 --steps 2000
    ctc-scratch train --resume runs/NAME

`trainer.py` says what a step does, `run_folder.py` what the folder of a run holds.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from ..data.mnist_files import Mnist, load_data, training_split
from ..errors import ArchiveError, OptionError, RanksError, UnfitError
from ..model.evaluate import Evaluation
from .checkpoint import changed_versions, restore
from .gradients import DivergedError, Mapper, on_threads
from .run_folder import (
    CHECKPOINT,
    PREVIOUS,
    RunFolder,
    describe_best,
    folder_of,
    locked,
    new_folder,
    profile,
)
from .settings import Settings
from .trainer import Trainer

DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoppedError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped a run; everything up to its last checkpoint is kept.

    Attributes
    ----------
    signal : int, the number of the signal
    """

    def __init__(self, number: int, what_now: str = ""):
        super().__init__(f"stopped by {signal.Signals(number).name}{what_now}")
        self.signal = number


class DiskError(RuntimeError):
    """A file of a run could not be written; the last checkpoint is whole."""


class Processes(Protocol):
    """The processes that train together; this one leads them."""

    @property
    def mapper(self) -> Mapper: ...

    def begin(self, trainer: Trainer) -> str:
        """Make all processes ready for the first step; returns what is to be said about them, or ''."""


class OneProcess:
    """The processes of a run if there is only this one; `ranks.Ranks` stands for several."""

    mapper = staticmethod(on_threads)

    def begin(self, trainer: Trainer) -> str:
        load_kernels(trainer)
        return ""


def train(settings: Settings, show_profile: bool = False, processes: Processes = OneProcess()) -> Evaluation:
    """Train, evaluate on the test rows, and write everything into the run's folder.

    Returns
    -------
    Evaluation
        Of the test rows, by the weights that did best on validation rows.

    Raises
    ------
    OptionError, DataError
        Raised before anything is written.
    StoppedError
        Ctrl-C or SIGTERM came. The first signal lets the step end and a checkpoint be written; a
        second one stops the run at once, and `resume` goes on from the last checkpoint.
    DivergedError
        The logits or the gradient became infinite or NaN, or exploded. Weights that validation rows
        had already chosen are kept.
    DiskError
        A file could not be written.
    """
    settings.check()
    folder = new_folder(settings)
    with _StopSignals() as signals:
        try:
            data, settings = settings.data, _with_data(settings, settings.data)
            mnist, trainer = prepare(settings, data, processes.mapper)
            said = processes.begin(trainer)
            try:
                run = RunFolder.create(folder, settings, trainer)
            except OSError as error:
                new_folder(replace(settings, out=str(folder)))  # a better message if another run made it
                raise OptionError(f"--out {folder} cannot be made: {error.strerror}") from error
        except StoppedError as stopped:
            raise StoppedError(stopped.signal, " before the first step: nothing is written") from None
        with locked(run.folder):
            return _go_on(run, trainer, mnist, show_profile, signals, run.folder / CHECKPOINT, 0, said)


def resume(path: str | os.PathLike, show_profile: bool = False, data: str = "",
           processes: Processes = OneProcess()) -> Evaluation:
    """Go on with a run as if it had never ended, to the same weights bit for bit.

    Parameters
    ----------
    path : the folder of the run, or one of the checkpoints in it
    data : the folder of its digits, if they have moved

    Raises
    ------
    ArchiveError
        There is no checkpoint, or it is damaged, of another version, or of a run on other digits. Nothing
        is changed then.
    OptionError
        Another process is training in the folder.
    StoppedError, DivergedError, DiskError, DataError
        As in `train`.
    """
    path = Path(path)
    with locked(folder_of(path)), _StopSignals() as signals:
        try:
            run, checkpoint = RunFolder.reopen(path)
            settings = checkpoint.settings
            mnist, trainer = prepare(_with_data(settings, data), data or settings.data, processes.mapper)
            restore(trainer, checkpoint)
            said = processes.begin(trainer)
        except UnfitError:
            raise
        except ArchiveError as error:
            latest, previous = (folder_of(path) / name for name in (CHECKPOINT, PREVIOUS))
            if path == previous or not latest.exists() or not previous.exists():
                raise
            raise ArchiveError(f"{error}; the checkpoint before it is still there: "
                               f"ctc-scratch train --resume {previous}") from None
        except StoppedError as stopped:
            raise StoppedError(stopped.signal, " before the first step: nothing is changed") from None
        if changed := changed_versions(checkpoint.header):
            print(f"the last bits may differ from those of a run that never stopped: it began with {changed}")
        return _go_on(run, trainer, mnist, show_profile, signals, checkpoint.path,
                      checkpoint.header["metrics"], said)


def _with_data(settings: Settings, data: str) -> Settings:
    """The settings with the absolute path of a folder of digits, so that a run can resume from anywhere."""
    return replace(settings, data=os.path.abspath(data)) if data else settings


def prepare(settings: Settings, data: str, mapper: Mapper) -> tuple[Mnist, Trainer]:
    """Load the digits of a folder, and make a trainer before its first step."""
    mnist, names = load_data(data or None, settings.transpose)
    train_part, validation_part = training_split(mnist)
    most = min(len(validation_part[1]), len(mnist.test_labels))
    if settings.test_digits > most:
        raise OptionError(f"--test-digits must be at most {most}, the images there are, "
                          f"not {settings.test_digits}")
    return mnist, Trainer(settings, train_part, validation_part, mapper, ("blank", *names))


def _go_on(run: RunFolder, trainer: Trainer, mnist: Mnist, show_profile: bool, signals: _StopSignals,
           file: str | os.PathLike, metrics_size: int, said: str) -> Evaluation:
    """Train to the end of the run, with a trainer that has the state of the checkpoint `file` already."""
    again, step = f"ctc-scratch train --resume {run.folder}", trainer.schedule.step
    try:
        run.go_back(file, metrics_size)
        print(f"going on after step {step} of {run.settings.steps} in {run.folder}/" if step
              else f"training in {run.folder}/")
        if said:
            print(said)
            run.record(trainer.schedule, said=said)
        try:
            stopped = _train(run, trainer, signals)
        except DivergedError as error:
            raise DivergedError(_diverged(run, trainer, error)) from None
        if show_profile:
            print(profile(trainer))
        run.draw()
        model = trainer.best_model()
        run.save(model)
        if not stopped:
            if sentence := trainer.watch.end(trainer.schedule.step):
                print(sentence)
                run.record(trainer.schedule, said=sentence)
            run.show_readings(model, mnist)
            return run.test(trainer, model, mnist)
        run.stopped(trainer.schedule.step)
    except OSError as error:
        what = "its output" if isinstance(error, BrokenPipeError) else error.filename or run.folder
        remedy = "make room, then go on" if error.errno in DISK_IS_FULL else "once that is mended, go on"
        raise DiskError(f"{what}: {error.strerror or error}: ended after step {trainer.schedule.step}, the "
                        f"last checkpoint is whole; {remedy}: {again}") from error
    except StoppedError as error:
        raise StoppedError(error.signal, f" at once; go on from the last checkpoint: {again}") from None
    except RanksError as error:
        raise RanksError(f"{error}: ended after step {trainer.schedule.step}, the last checkpoint is whole; "
                         f"go on with any number of ranks: {again}") from None
    raise StoppedError(stopped, f" after step {trainer.schedule.step}")


def _train(run: RunFolder, trainer: Trainer, signals: _StopSignals) -> int:
    """Take all steps that are left and write a last checkpoint; returns the signal that stopped it, or 0."""
    trainer.start_clock()
    # disable=None: no bar where the output is no terminal, so a log file holds only whole lines.
    with signals.deferred(), tqdm(total=run.settings.steps, initial=trainer.schedule.step, unit="step",
                                  dynamic_ncols=True, smoothing=0.05, disable=None) as bar:
        while not trainer.finished and not signals.received:
            report = trainer.step()
            bar.update()
            if report:
                run.report(bar, trainer.schedule, report, trainer.watch.report(report))
            if trainer.evaluation_is_due:
                _validate(run, trainer, bar)
                run.checkpoint(trainer)
            elif run.checkpoint_is_due() or trainer.finished or signals.received:
                run.checkpoint(trainer)
    if trainer.ended_early:
        count = "an evaluation" if trainer.stale == 1 else f"{trainer.stale} evaluations"
        print(f"ended after step {trainer.schedule.step}: {count} without a better one")
    return 0 if trainer.finished else signals.received


def _validate(run: RunFolder, trainer: Trainer, bar) -> None:
    """Evaluate, print a line of the table, and save the weights if they are the best so far."""
    evaluations = trainer.validate()
    assert trainer.best is not None
    run.validated(bar, trainer.schedule, evaluations, trainer.best)
    if trainer.best.step == trainer.schedule.step:
        run.save(trainer.best_model())


def _diverged(run: RunFolder, trainer: Trainer, error: DivergedError) -> str:
    """Save what a diverged run has learnt; returns, and records, what to tell the user."""
    sentence = (f"step {trainer.schedule.step + 1}: {error}: training diverged, try a smaller --rate than "
                f"{run.settings.rate:g}; ")
    if trainer.best:
        run.save(trainer.best_model())
        sentence += f"{describe_best(trainer.best)}, are in {run.folder}/"
    else:
        sentence += "there was no evaluation before, so no weights are kept"
    run.record(trainer.schedule, said=sentence)
    run.draw()
    return sentence


def load_kernels(trainer: Trainer) -> None:
    """Take a step with a tiny model, so that kernels are compiled, and this is announced, before the run.

    This takes longer than all other preparations, so it comes after them: an error in them is reported
    at once.
    """
    settings = trainer.settings
    print("loading compiled kernels (the first run compiles them, about half a minute) ...", flush=True)
    tiny = Settings(digits=(1, 2), hidden=1, layers=settings.layers, direction=settings.direction,
                    window=settings.window, vertical=min(settings.vertical, 1), batch=4, steps=1, wave=0.1,
                    objective=settings.objective, weight=settings.weight)
    few_digits = trainer.sampler.images[:9], trainer.sampler.labels[:9]
    Trainer(tiny, few_digits, few_digits, class_names=trainer.model.class_names).step()


class _StopSignals:
    """A context in which Ctrl-C and SIGTERM raise StoppedError.

    Within `deferred()` the first signal only sets `received`, so that a step can end; a second one
    raises StoppedError.
    """

    def __init__(self) -> None:
        self.received = 0
        self._is_deferred = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> _StopSignals:
        # Only the main thread may set handlers. A signal that is ignored, as under nohup, stays ignored.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers_before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self):
        """A context in which the first signal only sets `received`."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False

    def _handle(self, number, frame):
        """Python calls this when a signal comes."""
        if not self._is_deferred or self.received:
            raise StoppedError(number)
        self.received = number


__all__ = ["ArchiveError", "DiskError", "DivergedError", "OptionError", "Settings", "StoppedError",
           "resume", "train"]
