"""The folder of a run, and what is printed on the way.

    settings.json            what it was asked to do
    metrics.jsonl            one JSON object a line: training and validation figures
    checkpoint.npz           all that going on needs; checkpoint.previous.npz is the one before
    model.npz                the best weights so far, by validation rows
    learning_curve.png       loss and rates against steps
    reading.png              four test rows: image, posteriors, greedy path, what was read
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ...ctc import greedy_decode
from ...ctc.reference import log_softmax
from ..data.mnist_files import Mnist
from ..data.rows import consecutive_rows
from ..errors import ArchiveError, OptionError
from ..model.archive import Entry, copy_file, sync_folder
from ..model.evaluate import Evaluation, evaluate, model_logits
from ..model.model_file import digest, save_model
from ..model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from .schedule import Schedule
from .settings import Settings
from .trainer import Best, Trainer, read_checkpoint
from .watch import Report

try:
    import fcntl
except ImportError:     # not on Windows: two trainers in one folder go unnoticed there
    fcntl = None        # type: ignore[assignment]

CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"

TABLE = "  step    loss  errors blanks     rate    norm validation  averaged  right"
"""80 columns with the mark behind: label error rates on training and validation rows, rows right there."""


def new_folder(settings: Settings) -> Path:
    """Where a new run goes; OptionError if it is there already, or cannot be made."""
    folder = Path(settings.out or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
    if os.path.lexists(folder):
        raise OptionError(f"--out {folder} exists: a run is never overwritten, name another folder; to go "
                          f"on with a run: ctc-scratch train --resume {folder}")
    parent = next(path for path in folder.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OptionError(f"--out {folder} cannot be made: {parent} is no folder that can be written to")
    return folder


class Run:
    """An open folder: metrics, checkpoints, models and figures go in, lines come out on the terminal."""

    def __init__(self, folder: Path, settings: Settings):
        self.folder, self.settings = folder, settings
        self.records: list[dict] = []
        self.saved_at = 0.0
        self.headed = False

    @classmethod
    def create(cls, folder: Path, settings: Settings, trainer: Trainer) -> Run:
        """A new folder, there with a first checkpoint or not at all; OSError if it cannot be made."""
        unfinished = folder.with_name(f".{folder.name}.{os.getpid()}.unfinished")
        run = cls(unfinished, settings)
        try:
            unfinished.mkdir(parents=True)
            (unfinished / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n")
            run.checkpoint(trainer)
            unfinished.rename(folder)
            sync_folder(folder.parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        run.folder = folder
        return run

    @classmethod
    def reopen(cls, path: Path) -> tuple[Run, Path, Settings, dict, dict[str, Entry]]:
        """The run of a folder, or of one checkpoint in it: with the file, and what `read_checkpoint` says.

        Raises
        ------
        ArchiveError
            There is no checkpoint, or it is damaged.
        """
        folder = folder_of(path)
        if path == folder:
            path = folder / CHECKPOINT
            # A run that ended between the two renames of a checkpoint has the previous one alone.
            if not path.exists() and (folder / PREVIOUS).exists():
                path = folder / PREVIOUS
        settings, header, entries = read_checkpoint(path)
        return cls(folder, settings), path, settings, header, entries

    # ---- files ----------------------------------------------------------------------------

    def checkpoint(self, trainer: Trainer) -> None:
        """All of the trainer into the folder; with it how much of the metrics belongs to it."""
        metrics, size = self.folder / "metrics.jsonl", 0
        if metrics.exists():
            with open(metrics, "ab") as file:
                os.fsync(file.fileno())     # or a power cut could leave less of it than the checkpoint says
                size = file.tell()
        trainer.save(self.folder / CHECKPOINT, self.folder / PREVIOUS, metrics=size)
        self.saved_at = time.monotonic()

    def checkpoint_is_due(self) -> bool:
        return time.monotonic() - self.saved_at >= self.settings.save_every

    def go_back(self, file: Path, size: int) -> None:
        """To a checkpoint and its bytes of metrics: the lines after them will be written again.

        A copy of the file takes the place of the latest, for the next one to push out.
        """
        latest = self.folder / CHECKPOINT
        if file != latest:
            before, step = _step(latest), _step(file)
            if before > step:
                print(f"{latest}, after step {before}, is replaced by {file}, after step {step}")
            copy_file(file, latest)
        with open(self.folder / "metrics.jsonl", "a+b") as metrics:
            metrics.seek(0)
            whole = metrics.read()[:size]
            whole = whole[:whole.rfind(b"\n") + 1]
            metrics.truncate(len(whole))        # cut, never written anew: a kill here loses no line
        self.records = [record for line in whole.splitlines() if (record := _record(line))]

    def save(self, model: RowReader) -> None:
        """The weights that count."""
        save_model(self.folder / "model.npz", model)

    def draw(self) -> None:
        """The learning curve."""
        from ... import plots

        plots.learning_figure(self.records).savefig(self.folder / "learning_curve.png", dpi=120)

    def show_readings(self, model: RowReader, mnist: Mnist) -> None:
        """The picture of four test rows."""
        from ... import plots

        digits = self.settings.test_digits
        rows, truth = consecutive_rows(mnist.test_images[:4 * digits], mnist.test_labels[:4 * digits], digits)
        figure = plots.reading_figure(_readings(model, rows, truth), model.window, CLASS_NAMES, BLANK)
        figure.savefig(self.folder / "reading.png", dpi=120)

    def record(self, schedule: Schedule, **values) -> None:
        """One line of metrics, with the step and the seconds of training."""
        record = {"step": schedule.step, **values, "seconds": round(schedule.seconds, 3)}
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)

    # ---- on the way -----------------------------------------------------------------------

    def report(self, bar, schedule: Schedule, report: Report, sentence: str | None) -> None:
        """A training record and the line under the bar; and what there is to be said."""
        self.record(schedule, **report._asdict())
        bar.set_postfix_str(f"loss {report.loss:.2f}, errors {report.label_error_rate:.1%}, "
                            f"blank {report.blank_rate:.0%}")
        if sentence:
            bar.write(sentence)
            self.record(schedule, said=sentence)

    def validated(self, bar, schedule: Schedule, last: Evaluation, average: Evaluation | None,
                  best: Best) -> None:
        """A validation record, and a line of the table: training as the mean since the line before.

        Rows right are those of the average, if there is one.
        """
        step = schedule.step
        self.record(
            schedule, validation_label_error_rate=last.label_error_rate,
            validation_row_accuracy=last.row_accuracy,
            **dict(average_label_error_rate=average.label_error_rate,
                   average_row_accuracy=average.row_accuracy) if average else {})
        if not self.headed:
            self.headed = True
            bar.write(TABLE)
        lines = self._reports_since_the_last_line()
        loss, errors, blanks, norm = (np.mean([line[key] for line in lines]) for key in (
            "loss", "label_error_rate", "blank_rate", "gradient_norm"))
        averaged = f"{average.label_error_rate:9.2%}" if average else f"{'-':>9}"
        bar.write(f"{step:6d} {loss:7.3f} {errors:7.2%} {blanks:6.0%} {lines[-1]['rate']:.2e} {norm:7.2f} "
                  f"{last.label_error_rate:10.2%} {averaged} {(average or last).row_accuracy:6.1%}"
                  f"{' best' if best.step == step else ''}")

    def _reports_since_the_last_line(self) -> list[dict]:
        lines: list[dict] = []
        for record in reversed(self.records[:-1]):
            if "validation_label_error_rate" in record:
                break
            if "loss" in record:
                lines.insert(0, record)
        return lines

    # ---- at the end -----------------------------------------------------------------------

    def test(self, trainer: Trainer, model: RowReader, mnist: Mnist) -> Evaluation:
        """The one look at the test rows."""
        step, best = trainer.schedule.step, trainer.best
        evaluation = evaluate(model, mnist.test_images, mnist.test_labels, self.settings.test_digits)
        last, kept = digest(trainer.model.params), digest(model.params)
        self.record(trainer.schedule, test_label_error_rate=evaluation.label_error_rate,
                    test_row_accuracy=evaluation.row_accuracy, sha256=last, model_sha256=kept)
        if best and (best.averaged or best.step != step):
            print(f"kept: {chosen(best)}: SHA-256 {kept}")
        print(f"test rows of {evaluation.digits} digits: label error rate {evaluation.label_error_rate:.2%}, "
              f"rows right {evaluation.row_accuracy:.2%}\n"
              f"trained {trainer.schedule.seconds:.0f} s; see {self.folder}/\n"
              f"weights after step {step}: SHA-256 {last}")
        return evaluation

    def stopped(self, step: int) -> None:
        print(f"stopped after step {step}; what was learnt so far is in {self.folder}/\n"
              f"go on with it: ctc-scratch train --resume {self.folder}\n"
              f"see how well it reads: ctc-scratch evaluate {self.folder}")


@contextmanager
def locked(folder: Path):
    """One trainer in a folder at a time, or OptionError; the lock ends with the process, in any case."""
    if not fcntl:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptionError(f"{folder} is being trained by another process: wait for its end, or end "
                              f"it, before you go on with the run") from None
        except OSError:
            pass    # some network file systems know no locks
        yield
    finally:
        os.close(descriptor)


def folder_of(path: Path) -> Path:
    """The folder of a run from its own path or that of a checkpoint in it; ArchiveError if it is none."""
    folder = path.parent if path.suffix == ".npz" and not path.is_dir() else path
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise ArchiveError(f"{folder}: expected the folder of a run, found {found}")
    return folder


def _step(path: Path) -> int:
    """How far the run of a checkpoint had come; -1 if it is none."""
    try:
        step = read_checkpoint(path)[1].get("step")
    except ArchiveError:
        return -1
    return step if isinstance(step, int) else -1


def _record(line: bytes) -> dict | None:
    """A line of metrics, if it is whole; a damaged one leaves a gap in a figure, no more."""
    try:
        record = json.loads(line)
        numbers = {key for key, value in record.items() if isinstance(value, (int, float))}
    except (ValueError, AttributeError):
        return None
    return record if numbers >= {"step", *(Report._fields if "loss" in record else ())} else None


def chosen(best: Best) -> str:
    """Which weights are kept."""
    kind = "averaged weights" if best.averaged else "weights"
    return f"the {kind} of step {best.step}, the best by validation rows"


def profile(trainer: Trainer) -> str:
    """The share of each part in the training steps of this process."""
    total, steps = sum(trainer.seconds.values()), trainer.timed
    if not steps:
        return "no training step was made, so there is no profile of one"
    lines = [f"{name:<10}{1000 * value / steps:9.2f} ms {value / total:7.1%}"
             for name, value in trainer.seconds.items()]
    return "\n".join([f"a training step, mean of {steps}", *lines,
                      f"{'all':<10}{1000 * total / steps:9.2f} ms"])


def _readings(model: RowReader, rows: np.ndarray, truth: list[list[int]]) -> list:
    from ...plots import PlottedRow

    logits, lengths = model_logits(model, rows)
    decoded = greedy_decode(logits, lengths, blank=BLANK)
    return [
        PlottedRow(row, np.exp(log_softmax(logits[:, n])), decoded[n], digits_to_labels(truth[n]))
        for n, row in enumerate(rows)
    ]
