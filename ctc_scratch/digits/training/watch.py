"""Is the run going well? What a batch shows, and the signs of a run that goes wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...ctc import greedy_decode, label_error_rate
from ..model.reader import BLANK, digits_to_labels
from .gradients import DivergedError, ShardGradients
from .settings import Settings

PLATEAU = (
    "The network answers blank at every frame. That is the normal beginning: blank\n"
    "takes part in nearly every alignment, so it is learnt first; digits follow once\n"
    "the loss has fallen to about 2.3 nats a digit, usually within a few hundred steps."
)
PLATEAU_ROWS = 64_000
"""Training rows after which digits should have come; they come after some 10 000 to 30 000."""

EXPLODED = 3.0
"""Times the loss of the first step, which guesses; a run that learns is never above it for long."""

EXPLODED_NORM = 100.0
"""Times the gradient's norm at the first step."""

IN_A_ROW = 20
"""Steps (reports, for the plateau) that a bad sign must last before it counts."""


class Report(NamedTuple):
    """What a training step showed: fields of a line of metrics."""

    step: int
    loss: float                 # nats per row
    label_error_rate: float     # of the batch, before it was learnt from
    blank_rate: float           # share of frames
    gradient_norm: float        # before clipping
    rate: float                 # learning rate


def batch_rates(shards: list[ShardGradients], truth: list[np.ndarray]) -> tuple[float, float]:
    """Label error rate of the batch that was just learnt from, and the share of blank frames."""
    read = [labels for shard in shards for labels in greedy_decode(shard.logits, shard.lengths, blank=BLANK)]
    blanks = frames = 0
    for shard in shards:
        used = np.arange(len(shard.logits))[:, None] < shard.lengths
        blanks += np.count_nonzero((shard.logits.argmax(axis=2) == BLANK) & used)
        frames += np.count_nonzero(used)
    return label_error_rate(read, [digits_to_labels(row) for row in truth]), blanks / frames


class Watch:
    """Follows a run; its state is plain numbers, for a checkpoint to keep.

    Attributes
    ----------
    state : dict. `first_loss` and `first_norm` are those of the first step, `exploded` counts the
        steps in a row that were far above them, `blank` the reports in a row with nothing but
        blanks; `told` says which sentences have been said.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state: dict = dict(first_loss=0.0, first_norm=0.0, exploded=0, blank=0, told=[])

    def step(self, loss: float, norm: float) -> None:
        """Look at one step; DivergedError if it cannot go on, or there is no use in it."""
        state = self.state
        if not np.isfinite(norm):
            raise DivergedError(f"the gradient's norm is {norm}")
        if not state["first_loss"]:
            state.update(first_loss=loss, first_norm=norm)
        far = loss > EXPLODED * state["first_loss"] or norm > EXPLODED_NORM * state["first_norm"]
        state["exploded"] = state["exploded"] + 1 if far else 0
        if state["exploded"] >= IN_A_ROW:
            raise DivergedError(
                f"the gradients explode: for {IN_A_ROW} steps the loss (now {loss:.0f} nats, at first "
                f"{state['first_loss']:.0f}) or the gradient's norm (now {norm:.0f}, at first "
                f"{state['first_norm']:.0f}) was far above where it began")

    def report(self, report: Report) -> str | None:
        """What should be said about a report: the plateau once, and once that it does not end."""
        state, settings = self.state, self.settings
        state["blank"] = state["blank"] + 1 if report.blank_rate > 0.99 else 0
        if state["blank"] == 0:
            return None
        if report.step * settings.batch > PLATEAU_ROWS and state["blank"] >= IN_A_ROW:
            return self._once("stuck", (
                f"WARNING: after {report.step} steps the network still answers blank at every frame, where "
                f"digits usually come within {PLATEAU_ROWS // settings.batch // 2}: it is not learning; try "
                f"a --rate other than {settings.rate:g}, a --window below {settings.window} or more --hidden "
                f"than {settings.hidden}."))
        return self._once("plateau", PLATEAU)

    def is_beginning(self, step: int) -> bool:
        """Whether the network answers blank at every frame, as it should after so few steps."""
        return self.state["blank"] > 0 and step * self.settings.batch <= PLATEAU_ROWS

    def end(self, step: int) -> str | None:
        """What should be said of a run that has ended after so many steps: that it was too short."""
        if not self.is_beginning(step):
            return None
        rows = step * self.settings.batch
        more = "--steps or --minutes" if self.settings.minutes else "--steps"
        return (f"The run has ended while the network answers blank at every frame: it has seen {rows} rows, "
                f"and digits come after some 10 000 to 30 000; let it have more {more}.")

    def _once(self, key: str, sentence: str) -> str | None:
        if key in self.state["told"]:
            return None
        self.state["told"].append(key)
        return sentence
