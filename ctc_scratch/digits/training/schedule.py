"""How far a run has come, by steps or by the clock."""

from __future__ import annotations

FIRST = 0.02
"""Part of the time that passes before the pace is looked at."""


class Schedule:
    """Progress from 0 to 1, one call of `advance` a step.

    Without a budget of minutes, progress is step / steps and nothing else. With one, the steps still
    to go are those that fit into the time left at the pace so far, and each takes an equal part of
    the progress left: a run that is too slow for its steps still goes through the whole of its
    learning rates, and ends in time. The clock then decides what is computed. Where all steps fit, it
    decides nothing; and the first ones, slow while memory is new, are not asked for their pace.

    Parameters
    ----------
    steps : to go at most
    minutes : to use at most; 0 is no limit

    Attributes
    ----------
    step, progress, seconds : so far; a checkpoint keeps these three

    Examples
    --------
    >>> schedule = Schedule(4, minutes=0)
    >>> schedule.advance(seconds=100.0)
    >>> schedule.progress, schedule.finished
    (0.25, False)
    """

    def __init__(self, steps: int, minutes: float):
        self.steps, self.minutes = steps, minutes
        self.step, self.progress, self.seconds = 0, 0.0, 0.0

    @property
    def finished(self) -> bool:
        return self.progress >= 1

    def advance(self, seconds: float) -> None:
        """One more step is done, `seconds` after the start of training, pauses left out."""
        left = self.steps - self.step           # with the step just done
        self.step += 1
        self.seconds = seconds
        if not self.minutes:
            self.progress = self.step / self.steps
            return
        budget = 60 * self.minutes
        fit = (budget - seconds) * self.step / seconds if seconds > FIRST * budget else left
        left = min(left, 1 + int(max(fit, 0)))
        self.progress = 1.0 if left <= 1 else self.progress + (1 - self.progress) / left
