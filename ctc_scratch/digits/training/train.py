"""Train a row reader, to its end or until something ends it, and go on from there.

    ctc-scratch train --digits 3-6 --steps 2000
    ctc-scratch train --resume runs/NAME

`trainer.py` has what a step does, `run.py` what is in the folder of a run.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ..data.mnist_files import Mnist, load_mnist, training_split
from ..errors import ArchiveError, OptionError, UnfitError
from ..model.evaluate import Evaluation
from .gradients import DivergedError
from .run_folder import CHECKPOINT, PREVIOUS, Run, chosen, folder_of, locked, new_folder, profile
from .settings import Settings
from .trainer import Trainer, other_versions

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StoppedError(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a run; what it had learnt by its last checkpoint is kept.

    Attributes
    ----------
    signal : its number
    """

    def __init__(self, number: int, what_now: str = ""):
        super().__init__(f"stopped by {signal.Signals(number).name}{what_now}")
        self.signal = number


class DiskError(RuntimeError):
    """The folder of a run takes no more; the last checkpoint in it is whole."""


def train(settings: Settings, show_profile: bool = False) -> Evaluation:
    """Train, evaluate on the test rows, and write everything into the run's folder.

    Returns
    -------
    Evaluation
        of the test rows, by the weights that validation rows have chosen

    Raises
    ------
    OptionError, DataError
        Before anything is written.
    StoppedError
        After Ctrl-C or SIGTERM, at the end of a step; `resume` goes on from there. At once after a
        second one; then from the last checkpoint.
    DivergedError
        Logits or gradient became infinite or NaN, or exploded; what validation rows had chosen
        before, if they had, is kept.
    DiskError
        A file could not be written.
    """
    settings.check()
    folder = new_folder(settings)
    with _Stop() as stop:
        try:
            data, settings = settings.data, _with_data(settings, settings.data)
            mnist, trainer = _prepare(settings, data)
            _load_kernels(trainer)
            try:
                run = Run.create(folder, settings, trainer)
            except OSError as error:
                new_folder(replace(settings, out=str(folder)))      # another run may have made it meanwhile
                raise OptionError(f"--out {folder} cannot be made: {error.strerror}") from error
        except StoppedError as stopped:
            raise StoppedError(stopped.signal, " before the first step: nothing is written") from None
        with locked(run.folder):
            return _go_on(run, trainer, mnist, show_profile, stop, run.folder / CHECKPOINT, 0)


def resume(path: str | os.PathLike, show_profile: bool = False, data: str = "") -> Evaluation:
    """Go on with a run as if it had never ended, to the same weights bit for bit.

    Parameters
    ----------
    path : the folder of the run; or one of the checkpoints in it
    data : where its digits are now, if they have moved

    Raises
    ------
    ArchiveError
        There is none, or it is damaged, foreign, or of other data; nothing is changed then.
    OptionError
        Another process is training in the folder.
    StoppedError, DivergedError, DiskError, DataError
        As in `train`.
    """
    path = Path(path)
    with locked(folder_of(path)), _Stop() as stop:
        try:
            run, file, settings, header, entries = Run.reopen(path)
            mnist, trainer = _prepare(_with_data(settings, data), data or settings.data)
            trainer.restore(file, header, entries)
            _load_kernels(trainer)
        except UnfitError:
            raise
        except ArchiveError as error:
            checkpoint, previous = (folder_of(path) / name for name in (CHECKPOINT, PREVIOUS))
            if path == previous or not checkpoint.exists() or not previous.exists():
                raise
            raise ArchiveError(f"{error}; the checkpoint before it is still there: "
                               f"ctc-scratch train --resume {previous}") from None
        except StoppedError as stopped:
            raise StoppedError(stopped.signal, " before the first step: nothing is changed") from None
        if changed := other_versions(header):
            print(f"the last bits may differ from those of a run that never stopped: it began with {changed}")
        return _go_on(run, trainer, mnist, show_profile, stop, file, header["metrics"])


def _with_data(settings: Settings, data: str) -> Settings:
    """The settings with this folder of digits, if one is named, so that it is found from anywhere."""
    return replace(settings, data=os.path.abspath(data)) if data else settings


def _prepare(settings: Settings, data: str) -> tuple[Mnist, Trainer]:
    """The digits of a folder, and a trainer before its first step."""
    mnist = load_mnist(data or None)
    train_part, validation_part = training_split(mnist)
    most = min(len(validation_part[1]), len(mnist.test_labels))
    if settings.test_digits > most:
        raise OptionError(f"--test-digits must be at most {most}, the images there are, "
                          f"not {settings.test_digits}")
    return mnist, Trainer(settings, train_part, validation_part)


def _go_on(run: Run, trainer: Trainer, mnist: Mnist, show_profile: bool, stop: _Stop, file: Path,
           metrics: int) -> Evaluation:
    """From a checkpoint, where the trainer stands, to the end of the run."""
    again, step = f"ctc-scratch train --resume {run.folder}", trainer.schedule.step
    try:
        run.go_back(file, metrics)
        print(f"going on after step {step} of {run.settings.steps} in {run.folder}/" if step
              else f"training in {run.folder}/")
        try:
            stopped = _train(run, trainer, stop)
        except DivergedError as error:
            raise DivergedError(_diverged(run, trainer, error)) from None
        if show_profile:
            print(profile(trainer))
        run.draw()
        model = trainer.kept()
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
        mend = "make room, then go on" if error.errno in FULL else "once that is mended, go on"
        raise DiskError(f"{what}: {error.strerror or error}: ended after step {trainer.schedule.step}, the "
                        f"last checkpoint is whole; {mend}: {again}") from error
    except StoppedError as error:
        raise StoppedError(error.signal, f" at once; go on from the last checkpoint: {again}") from None
    raise StoppedError(stopped, f" after step {trainer.schedule.step}")


def _train(run: Run, trainer: Trainer, stop: _Stop) -> int:
    """All steps that are left, with a checkpoint at the end; the signal that ended it, or 0."""
    trainer.start_clock()
    # disable: a bar is for terminals, a log file gets the lines alone.
    with stop.gently(), tqdm(total=run.settings.steps, initial=trainer.schedule.step, unit="step",
                             dynamic_ncols=True, smoothing=0.05, disable=None) as bar:
        while not trainer.finished and not stop.signal:
            report = trainer.step()
            bar.update()
            if report:
                run.report(bar, trainer.schedule, report, trainer.watch.report(report))
            if trainer.evaluation_is_due:
                _validate(run, trainer, bar)
                run.checkpoint(trainer)
            elif run.checkpoint_is_due() or trainer.finished or stop.signal:
                run.checkpoint(trainer)
    if trainer.ended_early:
        count = "an evaluation" if trainer.stale == 1 else f"{trainer.stale} evaluations"
        print(f"ended after step {trainer.schedule.step}: {count} without a better one")
    return 0 if trainer.finished else stop.signal


def _validate(run: Run, trainer: Trainer, bar) -> None:
    last, average = trainer.validate()
    assert trainer.best is not None
    run.validated(bar, trainer.schedule, last, average, trainer.best)
    if trainer.best.step == trainer.schedule.step:
        run.save(trainer.kept())


def _diverged(run: Run, trainer: Trainer, error: DivergedError) -> str:
    """What to say of a run that diverged; it is in the metrics, too, and what was learnt in the folder."""
    said = (f"step {trainer.schedule.step + 1}: {error}: training diverged, try a smaller --rate than "
            f"{run.settings.rate:g}; ")
    if trainer.best:
        run.save(trainer.kept())
        said += f"{chosen(trainer.best)}, are in {run.folder}/"
    else:
        said += "no evaluation had chosen weights before"
    run.record(trainer.schedule, said=said)
    run.draw()
    return said


def _load_kernels(trainer: Trainer) -> None:
    """A step of a tiny model, so that a first run's compilation is no mystery at step 0.

    Whatever can go wrong before a run begins has done so by now: this takes longest.
    """
    settings = trainer.settings
    print("loading compiled kernels (a first run compiles them, in half a minute) ...", flush=True)
    tiny = Settings(digits=(1, 2), hidden=1, layers=settings.layers, direction=settings.direction,
                    window=settings.window, vertical=min(settings.vertical, 1), batch=4, steps=1, wave=0.1)
    few = trainer.sampler.images[:9], trainer.sampler.labels[:9]
    Trainer(tiny, few, few).step()


class _Stop:
    """What Ctrl-C and SIGTERM do: they raise StoppedError; `gently`, the first one only sets `signal`."""

    def __init__(self):
        self.signal = 0
        self.waits = False
        self.before: dict = {}

    def __enter__(self):
        # Only the main thread may say what a signal does; one that is ignored, as under nohup, stays so.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) != signal.SIG_IGN:
                    self.before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    @contextmanager
    def gently(self):
        """Let a step end first."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def _handle(self, number, frame):
        if not self.waits or self.signal:
            raise StoppedError(number)
        self.signal = number


__all__ = ["ArchiveError", "DiskError", "DivergedError", "Settings", "OptionError", "StoppedError",
           "resume", "train"]
