"""The trainer: everything that training changes, and what one step does to it.

Rows are drawn at random from all digits, so the state of the random generator *is* the position in
the data. `checkpoint.py` writes a trainer to a file and restores it; `train.py` calls `step` until
the run is over.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...nn import Adam, Average, Muon, clip_by_global_norm, one_cycle
from ..data.rows import RowSampler
from ..model.evaluate import Evaluation, evaluate, mean_of
from ..model.parallel import run_tasks
from ..model.reader import CLASS_NAMES, RowReader
from .gradients import Mapper, batch_gradients, on_threads
from .objective import Objective
from .schedule import Schedule
from .settings import Settings
from .watch import Report, Watch, batch_rates

REPORT_EVERY = 10
"""Steps between two training records."""

CLOSE_GAPS = (None, 0, -2)
"""With `close`, validation digits are read in boxes side by side, touching, and overlapping by 2 columns."""

LabelledImages = tuple[np.ndarray, np.ndarray]
"""Images (count, 28, 28) and their labels (count,)."""


class Best(NamedTuple):
    """The best evaluation so far; the weights it evaluated are `Trainer.best_params`."""

    step: int
    averaged: bool
    label_error_rate: float
    row_accuracy: float


class Evaluations(NamedTuple):
    """The evaluations on validation rows of the weights, and of their average if there is one."""

    last: Evaluation
    average: Evaluation | None


class Trainer:
    """The state of a run between two steps.

    Parameters
    ----------
    settings : settings that `check` has accepted
    train_part : images and labels that rows are drawn from
    validation_part : images and labels of the rows that choose the best weights
    mapper : computes the gradients of a batch's shards
    class_names : of the model; label n of an image is class n + 1

    Attributes
    ----------
    seconds : dict, the time that each part of a step has taken, summed over the steps of this process
    timed : the number of these steps
    data_checksum : int, of all images and labels; a run can only be resumed with the same digits
    """

    def __init__(self, settings: Settings, train_part: LabelledImages, validation_part: LabelledImages,
                 mapper: Mapper = on_threads, class_names: Sequence[str] = CLASS_NAMES):
        self.settings, self.validation_part, self.mapper = settings, validation_part, mapper
        self.rng = np.random.default_rng(settings.seed)
        self.model = RowReader(**settings.reader, rng=self.rng, class_names=class_names)
        augment = settings.augmentation
        self.sampler = RowSampler(*train_part, settings.digits, self.rng,
                                  augment.__call__ if any(augment) else None)
        self.optimiser = (Adam(self.model.params) if settings.optimiser == "adam"
                          else Muon(self.model.params, self.model.matrices, share=_share_matrices))
        self.objective = (None if settings.objective == "ctc" else
                          Objective(settings.objective, settings.weight, len(class_names)))
        self.average = Average(self.model.params, settings.average) if settings.average else None
        self.schedule = Schedule(settings.steps, settings.minutes)
        self.watch = Watch(settings)
        self.evaluations = self.stale = 0       # how many in all; how many since the best one
        self.best: Best | None = None
        self.best_params = {name: param.copy() for name, param in self.model.params.items()}
        self.seconds = dict.fromkeys(("data", "forward", "CTC", "backward", "optimiser"), 0.0)
        self.timed = 0
        self.data_checksum = _checksum(train_part, validation_part)
        self._start = time.monotonic()

    def __repr__(self) -> str:
        best = f", best {self.best.label_error_rate:.2%} at step {self.best.step}" if self.best else ""
        return f"Trainer(after step {self.schedule.step} of {self.schedule.steps}{best})"

    # ---- training -------------------------------------------------------------------------

    def step(self) -> Report | None:
        """Learn from one batch; returns a report in some steps, otherwise None.

        There is a report every `REPORT_EVERY` steps, before each evaluation and at the end. If this raises
        DivergedError, the weights are as they were.
        """
        settings, clock = self.settings, time.perf_counter
        start = clock()
        batch = self.sampler.batch(settings.batch)
        drawn = clock()
        loss, grads, shards = batch_gradients(self.model, batch, settings.shards, self.mapper, self.objective)
        computed = clock()
        norm = clip_by_global_norm(grads, settings.clip)
        self.watch.step(loss, norm)
        rate = one_cycle(self.schedule.progress, 1, settings.rate)
        self.optimiser.step(grads, rate)
        if self.objective:
            self.objective.update((shard.logits, shard.lengths) for shard in shards)
        if self.average:
            self.average.step()
        self.schedule.advance(time.monotonic() - self._start)

        # Shards run side by side: the time that passed is divided in proportion to what each part took.
        spent = np.sum([shard.seconds for shard in shards], axis=0)
        forward, ctc, backward = spent * (computed - drawn) / spent.sum()
        for part, seconds in zip(self.seconds, (drawn - start, forward, ctc, backward, clock() - computed)):
            self.seconds[part] += seconds
        self.timed += 1
        if self.schedule.step % REPORT_EVERY == 0 or self.evaluation_is_due or self.schedule.finished:
            minimised = sum(shard.objective for shard in shards) / settings.batch if self.objective else None
            return Report(self.schedule.step, loss, *batch_rates(shards, batch.labels), float(norm), rate,
                          minimised)
        return None

    def start_clock(self) -> None:
        """Start the clock of training; the time until now, and between two sessions, does not count."""
        self._start = time.monotonic() - self.schedule.seconds

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or too many evaluations in a row have brought nothing better."""
        return self.schedule.finished or self.ended_early

    @property
    def ended_early(self) -> bool:
        """Whether as many evaluations in a row as `patience` allows have brought nothing better."""
        return 0 < self.settings.patience <= self.stale

    # ---- validation -----------------------------------------------------------------------

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the progress so far calls for one more evaluation."""
        return self._evaluations_by_now > self.evaluations

    @property
    def _evaluations_by_now(self) -> int:
        """How many evaluations the progress so far calls for."""
        # 1e-9 makes up for rounding: step / steps * evaluations may fall just below a whole number.
        return int(self.schedule.progress * self.settings.evaluations + 1e-9)

    def validate(self) -> Evaluations:
        """Evaluate the weights, and their average if there is one; the best weights so far are kept."""
        self.evaluations = self._evaluations_by_now
        if not self.watch.is_beginning(self.schedule.step):     # patience begins after the plateau
            self.stale += 1
        last = self._evaluate(self.model.params, averaged=False)
        average = self._evaluate(self.average.average, averaged=True) if self.average else None
        return Evaluations(last, average)

    def skip_evaluation(self) -> None:
        """Count the evaluation that is due, if one is, as made: another process makes it."""
        self.evaluations = self._evaluations_by_now

    def _evaluate(self, params: dict[str, np.ndarray], averaged: bool) -> Evaluation:
        """Evaluate these weights, and keep a copy if they are the best so far."""
        model, digits = self.model.with_weights(params), self.settings.test_digits
        gaps = CLOSE_GAPS if self.settings.close else (None,)
        evaluation = mean_of([evaluate(model, *self.validation_part, digits, gap=gap) for gap in gaps])
        better, no_worse = _compare(evaluation, self.best)
        if better:
            self.stale = 0
        if no_worse:
            self.best = Best(self.schedule.step, averaged, evaluation.label_error_rate,
                             evaluation.row_accuracy)
            for name, param in params.items():
                self.best_params[name][...] = param
        return evaluation

    def best_model(self) -> RowReader:
        """A reader with the weights best on validation rows, or the last ones if there was no evaluation."""
        return self.model.with_weights(self.best_params if self.best else self.model.params)

    # ---- what a checkpoint keeps ----------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays that training changes, named group/name; a restored run is written into them."""
        groups = {"params": self.model.params, "optimiser": self.optimiser.state, "best": self.best_params}
        if self.average:
            groups["average"] = self.average.state
        if self.objective and self.objective.running_prior:
            groups["objective"] = {"prior": self.objective.running_prior.prior}
        return {f"{group}/{name}": array for group, arrays in groups.items()
                for name, array in arrays.items()}

    def position(self) -> dict[str, Any]:
        """How far the run has come, in numbers, strings, lists and dicts that JSON can hold."""
        schedule = self.schedule
        return dict(step=schedule.step, progress=schedule.progress, seconds=schedule.seconds,
                    generator=self.rng.bit_generator.state, watch=self.watch.state,
                    evaluations=self.evaluations, stale=self.stale)

    def set_position(self, position: dict[str, Any], best: Best | None) -> None:
        """Go on from a position, after `arrays` have been restored.

        Raises NumPy's error (TypeError, ValueError, OverflowError) if the generator rejects its state.
        """
        self.rng.bit_generator.state = position["generator"]
        schedule = self.schedule
        schedule.step, schedule.progress = position["step"], min(position["progress"], 1.0)
        schedule.seconds = position["seconds"]
        self.evaluations, self.stale = position["evaluations"], position["stale"]
        self.watch.state.update(position["watch"])
        if self.objective and self.objective.running_prior:
            self.objective.running_prior.is_new = schedule.step == 0
        self.best = best
        self.start_clock()


def _compare(new: Evaluation, best: Best | None) -> tuple[bool, bool]:
    """Whether an evaluation is better than the best, and whether it is at least as good.

    Of two that are as good as each other the later one is kept: it has learnt longer.
    """
    if best is None:
        return True, True
    new_rank, best_rank = ((e.label_error_rate, -e.row_accuracy) for e in (new, best))
    return new_rank < best_rank, new_rank <= best_rank


def _share_matrices(task, parts) -> None:
    """Let the threads share the matrices that Muon changes in a step."""
    run_tasks(task, parts, [matrix.size for matrix, _ in parts])


def _checksum(*parts: LabelledImages) -> int:
    """CRC-32 of all images and labels; 50 million pixels take 20 ms."""
    value = 0
    for array in (array for part in parts for array in part):
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return value
