"""The folder of a run, and the lines that a run prints.

    settings.json            what the run was asked to do
    metrics.jsonl            one JSON object per line: training and validation figures
    checkpoint.npz           everything needed to go on; checkpoint.previous.npz is the one before it
    model.npz                the best weights so far, chosen by validation rows
    learning_curve.png       loss and error rates against steps
    reading.png              four test rows: image, posteriors, greedy path, digits read
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...ctc import greedy_decode
from ...ctc.reference import log_softmax
from ..data.mnist_files import Mnist
from ..data.rows import consecutive_rows
from ..errors import ArchiveError, OptionError
from ..model.archive import copy_file, sync_folder
from ..model.evaluate import Evaluation, evaluate
from ..model.model_file import digest, save_model
from ..model.places import find_places
from ..model.reader import BLANK, RowReader, digits_to_labels
from .checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from .schedule import Schedule
from .settings import Settings
from .trainer import Best, Evaluations, Trainer
from .watch import Report

try:
    import fcntl
except ImportError:     # Windows has none: two trainers in one folder go unnoticed there
    fcntl = None        # type: ignore[assignment]

CHECKPOINT, PREVIOUS = "checkpoint.npz", "checkpoint.previous.npz"

TABLE = "  step    loss  errors blanks     rate    norm validation  averaged  right"
"""The head of the table. A line with the mark "best" at its end has 80 columns. `errors`, `validation` and
`averaged` are label error rates, `right` is the share of validation rows read without an error."""


def new_folder(settings: Settings) -> Path:
    """The path for a new run; OptionError if something is there already, or it cannot be made."""
    folder = Path(settings.out or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")
    if os.path.lexists(folder):
        raise OptionError(f"--out {folder} exists: a run is never overwritten, name another folder; to go "
                          f"on with a run: ctc-scratch train --resume {folder}")
    parent = next(path for path in folder.absolute().parents if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OptionError(f"--out {folder} cannot be made: {parent} is not a folder that can be written to")
    return folder


class RunFolder:
    """The open folder of a run: it takes metrics, checkpoints, models and figures, and prints the table.

    Attributes
    ----------
    records : list of dict, the lines of metrics.jsonl
    """

    def __init__(self, folder: Path, settings: Settings):
        self.folder, self.settings = folder, settings
        self.records: list[dict[str, Any]] = []
        self._saved_at = 0.0
        self._has_table_head = False

    def __repr__(self) -> str:
        return f"RunFolder({str(self.folder)!r}, {len(self.records)} records)"

    @classmethod
    def create(cls, folder: Path, settings: Settings, trainer: Trainer) -> RunFolder:
        """Make a folder with settings and a first checkpoint; after an OSError no part of it is left."""
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
    def reopen(cls, path: Path) -> tuple[RunFolder, Checkpoint]:
        """Open the folder of a run, with its latest checkpoint or the one that `path` names.

        ArchiveError if there is no checkpoint, or it is damaged.
        """
        folder = folder_of(path)
        if path == folder:
            path = folder / CHECKPOINT
            # A run killed between the two renames of a checkpoint has only the previous one.
            if not path.exists() and (folder / PREVIOUS).exists():
                path = folder / PREVIOUS
        checkpoint = read_checkpoint(path)
        return cls(folder, checkpoint.settings), checkpoint

    # ---- files ----------------------------------------------------------------------------

    def checkpoint(self, trainer: Trainer) -> None:
        """Write a checkpoint that also says how many bytes of metrics belong to it."""
        metrics, size = self.folder / "metrics.jsonl", 0
        if metrics.exists():
            with open(metrics, "ab") as file:
                os.fsync(file.fileno())     # or a power cut could leave fewer bytes than the checkpoint says
                size = file.tell()
        write_checkpoint(trainer, self.folder / CHECKPOINT, self.folder / PREVIOUS, size)
        self._saved_at = time.monotonic()

    def checkpoint_is_due(self) -> bool:
        """Whether the last checkpoint is older than the settings allow."""
        return time.monotonic() - self._saved_at >= self.settings.save_every

    def go_back(self, file: str | os.PathLike, metrics_size: int) -> None:
        """Return the folder to a checkpoint: cut off the metrics written after it.

        `file` is copied to the latest checkpoint unless it is that. The next checkpoint then renames the
        copy to the previous one, and leaves `file` as it is.
        """
        latest = self.folder / CHECKPOINT
        if Path(file) != latest:
            latest_step, step = _step(latest), _step(file)
            if latest_step > step:
                print(f"{latest}, after step {latest_step}, is replaced by {file}, after step {step}")
            copy_file(file, latest)
        with open(self.folder / "metrics.jsonl", "a+b") as metrics:
            metrics.seek(0)
            kept = metrics.read()[:metrics_size]
            kept = kept[:kept.rfind(b"\n") + 1]
            metrics.truncate(len(kept))     # cut, never rewritten: a kill here loses no line
        self.records = [record for line in kept.splitlines() if (record := _record(line))]

    def save(self, model: RowReader) -> None:
        """Write the weights of a model to model.npz."""
        save_model(self.folder / "model.npz", model)

    def draw(self) -> None:
        """Draw the learning curve. Readings drawn before, by another model, are removed."""
        from ... import plots

        (self.folder / "reading.png").unlink(missing_ok=True)
        plots.learning_figure(self.records).savefig(self.folder / "learning_curve.png", dpi=200)

    def show_readings(self, model: RowReader, mnist: Mnist) -> None:
        """Draw how the model reads three test rows."""
        from ... import plots

        digits = self.settings.test_digits
        rows, truth = consecutive_rows(mnist.test_images[:3 * digits], mnist.test_labels[:3 * digits], digits)
        figure = plots.reading_figure(_readings(model, rows, truth), model.window, model.class_names, BLANK)
        figure.savefig(self.folder / "reading.png", dpi=200)

    def record(self, schedule: Schedule, **values: Any) -> None:
        """Append one line of metrics, with the step and the seconds of training."""
        record = {"step": schedule.step, **values, "seconds": round(schedule.seconds, 3)}
        with open(self.folder / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")
        self.records.append(record)

    # ---- during training ------------------------------------------------------------------

    def report(self, bar, schedule: Schedule, report: Report, sentence: str | None) -> None:
        """Record a training report and show it beside the progress bar; print and record the sentence."""
        known = {name: value for name, value in report._asdict().items() if value is not None}
        self.record(schedule, **known)
        bar.set_postfix_str(f"loss {report.loss:.2f}, errors {report.label_error_rate:.1%}, "
                            f"blank {report.blank_rate:.0%}")
        if sentence:
            bar.write(sentence)
            self.record(schedule, said=sentence)

    def validated(self, bar, schedule: Schedule, evaluations: Evaluations, best: Best) -> None:
        """Record an evaluation and print a line of the table.

        The training figures are means over the reports since the line before. The share of right rows
        is that of the averaged weights, if there are any.
        """
        last, average = evaluations
        self.record(
            schedule, validation_label_error_rate=last.label_error_rate,
            validation_row_accuracy=last.row_accuracy,
            **dict(average_label_error_rate=average.label_error_rate,
                   average_row_accuracy=average.row_accuracy) if average else {})
        if not self._has_table_head:
            self._has_table_head = True
            bar.write(TABLE)
        reports = self._reports_since_the_last_line()
        loss, errors, blanks, norm = (np.mean([report[key] for report in reports]) for key in (
            "loss", "label_error_rate", "blank_rate", "gradient_norm"))
        averaged = f"{average.label_error_rate:9.2%}" if average else f"{'-':>9}"
        bar.write(f"{schedule.step:6d} {loss:7.3f} {errors:7.2%} {blanks:6.0%} {reports[-1]['rate']:.2e} "
                  f"{norm:7.2f} {last.label_error_rate:10.2%} {averaged} "
                  f"{(average or last).row_accuracy:6.1%}{' best' if best.step == schedule.step else ''}")

    def _reports_since_the_last_line(self) -> list[dict[str, Any]]:
        """The training records between the last two evaluations, or before the first one."""
        reports: list[dict[str, Any]] = []
        for record in reversed(self.records[:-1]):
            if "validation_label_error_rate" in record:
                break
            if "loss" in record:
                reports.insert(0, record)
        return reports

    # ---- at the end -----------------------------------------------------------------------

    def test(self, trainer: Trainer, model: RowReader, mnist: Mnist) -> Evaluation:
        """Evaluate the chosen model on the test rows, once; record and print the result."""
        step, best = trainer.schedule.step, trainer.best
        evaluation = evaluate(model, mnist.test_images, mnist.test_labels, self.settings.test_digits)
        last, kept = digest(trainer.model.params), digest(model.params)
        self.record(trainer.schedule, test_label_error_rate=evaluation.label_error_rate,
                    test_row_accuracy=evaluation.row_accuracy, sha256=last, model_sha256=kept)
        if best and (best.averaged or best.step != step):
            print(f"kept: {describe_best(best)}: SHA-256 {kept}")
        print(f"test rows of {evaluation.digits} digits: label error rate {evaluation.label_error_rate:.2%}, "
              f"rows right {evaluation.row_accuracy:.2%}")
        if self.settings.close:
            touching = evaluate(model, mnist.test_images, mnist.test_labels, self.settings.test_digits, gap=0)
            self.record(trainer.schedule, touching_label_error_rate=touching.label_error_rate,
                        touching_row_accuracy=touching.row_accuracy)
            print(f"the same digits, touching: label error rate {touching.label_error_rate:.2%}, "
                  f"rows right {touching.row_accuracy:.2%}")
        print(f"trained for {trainer.schedule.seconds:.0f} s; see {self.folder}/\n"
              f"weights after step {step}: SHA-256 {last}")
        return evaluation

    def stopped(self, step: int) -> None:
        """Print how to go on with a run that a signal has stopped."""
        print(f"stopped after step {step}; what was learnt so far is in {self.folder}/\n"
              f"go on with it: ctc-scratch train --resume {self.folder}\n"
              f"see how well it reads: ctc-scratch evaluate {self.folder}")


@contextmanager
def locked(folder: Path):
    """Let only one process train in a folder; OptionError if another one does.

    The operating system releases the lock when the process ends, however it ends.
    """
    if not fcntl:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptionError(f"{folder} is being trained by another process: wait until it ends, or "
                              f"end it, before you go on with the run") from None
        except OSError:
            pass    # some network file systems have no locks
        yield
    finally:
        os.close(descriptor)


def folder_of(path: Path) -> Path:
    """The folder of a run, given its path or that of a checkpoint in it; ArchiveError if it is not there."""
    folder = path.parent if path.suffix == ".npz" and not path.is_dir() else path
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        raise ArchiveError(f"{folder}: expected the folder of a run, found {found}")
    return folder


def _step(path: str | os.PathLike) -> int:
    """The step after which a checkpoint was written; -1 if the file is no checkpoint."""
    try:
        step = read_checkpoint(path).header.get("step")
    except ArchiveError:
        return -1
    return step if isinstance(step, int) else -1


def _record(line: bytes) -> dict[str, Any] | None:
    """The record in a line of metrics, or None if it is damaged, which only leaves a gap in a figure."""
    try:
        record = json.loads(line)
        numbers = {key for key, value in record.items() if isinstance(value, (int, float))}
    except (ValueError, AttributeError):
        return None
    needed = set(Report._fields) - {"objective"} if "loss" in record else {"step"}
    return record if numbers >= needed else None


def describe_best(best: Best) -> str:
    """Which weights are kept, in words."""
    kind = "averaged weights" if best.averaged else "weights"
    return f"the {kind} of step {best.step}, the best by validation rows"


def profile(trainer: Trainer) -> str:
    """The mean time of each part of a training step, a line each, over the steps of this process."""
    total, steps = sum(trainer.seconds.values()), trainer.timed
    if not steps:
        return "no training step was taken, so there are no times to show"
    lines = [f"{name:<10}{1000 * value / steps:9.2f} ms {value / total:7.1%}"
             for name, value in trainer.seconds.items()]
    return "\n".join([f"a training step, mean of {steps}", *lines,
                      f"{'all':<10}{1000 * total / steps:9.2f} ms"])


def _readings(model: RowReader, rows: np.ndarray, truth: list[list[int]]) -> list:
    """What the figure of the readings shows of each row: image, probabilities, labels and their places."""
    from ...plots import PlottedRow

    readings = []
    for row, digits in zip(rows, truth):
        scores, cache = model.forward(*model.frames(row[None], np.array([row.shape[1]])))
        logits = scores[:, 0]
        decoded = greedy_decode(logits, blank=BLANK)
        places = find_places(model, row, logits, cache, [label - 1 for label in decoded])
        readings.append(PlottedRow(row, np.exp(log_softmax(logits)), decoded,
                                   digits_to_labels(digits, len(model.class_names)).tolist(), places))
    return readings
