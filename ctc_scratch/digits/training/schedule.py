"""How far a run has come, from 0 to 1, by its steps or by the clock."""

from __future__ import annotations

WARM_UP = 0.02
"""The fraction of the time limit before which the pace is not looked at, because the first steps are slow."""


class Schedule:
    """Progress from 0 to 1; each step calls `advance` once.

    Without a limit of minutes, progress is step / steps. With a limit, the steps still to go are those
    that fit into the time left at the pace so far, and each of them takes an equal part of the progress
    left. A run that is too slow for its steps therefore still goes through all of its learning rates,
    and ends in time; the clock then decides what is computed. If all steps fit, the clock decides
    nothing.

    Parameters
    ----------
    steps : the most steps to take
    minutes : the most minutes to use; 0 is no limit

    Attributes
    ----------
    step, progress, seconds : how far the run has come; a checkpoint keeps these three

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

    def __repr__(self) -> str:
        return f"Schedule(step {self.step} of {self.steps}, progress {self.progress:.3f})"

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or there is no time for another one."""
        return self.progress >= 1

    def advance(self, seconds: float) -> None:
        """Count one more step, which ended `seconds` after the start of training, without pauses."""
        left = self.steps - self.step           # includes the step that has just ended
        self.step += 1
        self.seconds = seconds
        if not self.minutes:
            self.progress = self.step / self.steps
            return
        budget = 60 * self.minutes
        fit = (budget - seconds) * self.step / seconds if seconds > WARM_UP * budget else left
        left = min(left, 1 + int(max(fit, 0)))
        self.progress = 1.0 if left <= 1 else self.progress + (1 - self.progress) / left
