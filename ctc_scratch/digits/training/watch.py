"""Watch a run: the rates of each report, and the signs of a plateau, of no learning and of divergence."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...ctc import greedy_decode, label_error_rate
from ..model.reader import BLANK, digits_to_labels
from .gradients import DivergedError, ShardGradients
from .settings import Settings

PLATEAU = (
    "The network answers blank at every frame. That is the normal beginning: blank is\n"
    "in nearly every alignment, so it is learnt first. Digits follow once the loss has\n"
    "fallen to about 2.3 nats per digit, usually within a few hundred steps."
)
PLATEAU_ROWS = 64_000
"""Training rows after which the plateau should have ended; it ends after about 10 000 to 30 000."""

EXPLODED = 3.0
"""A loss above this multiple of the first one is a bad sign: the first one is that of a guess, and a run that
learns is never worse for long."""

EXPLODED_NORM = 100.0
"""A gradient's norm above this multiple of the first one is a bad sign."""

IN_A_ROW = 20
"""How many steps (for the plateau: reports) in a row must show a bad sign before it counts."""


class Report(NamedTuple):
    """What a training step showed: the fields of a training record in metrics.jsonl."""

    step: int
    loss: float                 # plain CTC, nats per row
    label_error_rate: float     # of the batch, before the step learnt from it
    blank_rate: float           # fraction of the frames where blank is the most probable class
    gradient_norm: float        # before clipping
    rate: float                 # learning rate
    objective: float | None = None  # what training minimises, per row, if that is not the loss


def batch_rates(shards: list[ShardGradients], truth: list[np.ndarray]) -> tuple[float, float]:
    """The label error rate of a batch read greedily, and the fraction of its frames that are blank."""
    read = [labels for shard in shards for labels in greedy_decode(shard.logits, shard.lengths, blank=BLANK)]
    blanks = frames = 0
    for shard in shards:
        used = np.arange(len(shard.logits))[:, None] < shard.lengths
        blanks += np.count_nonzero((shard.logits.argmax(axis=2) == BLANK) & used)
        frames += np.count_nonzero(used)
    classes = shards[0].logits.shape[2]
    return label_error_rate(read, [digits_to_labels(row, classes).tolist() for row in truth]), blanks / frames


class Watch:
    """Looks at each step and each report of a run, and remembers what a checkpoint has to keep.

    Attributes
    ----------
    state : dict that JSON can hold. `first_loss` and `first_norm` are those of the first step.
        `exploded` counts the steps in a row that were far above them, `blank` the reports in a row
        with nothing but blanks. `told` lists the keys of the sentences that have been said.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.state: dict[str, Any] = dict(first_loss=0.0, first_norm=0.0, exploded=0, blank=0, told=[])

    def __repr__(self) -> str:
        return f"Watch({self.state})"

    def step(self, loss: float, norm: float) -> None:
        """Look at one step; DivergedError if the run cannot go on, or has exploded."""
        state = self.state
        if not np.isfinite(norm):
            raise DivergedError(f"the gradient's norm is {norm}")
        if not state["first_loss"]:
            state.update(first_loss=loss, first_norm=norm)
        far_above = loss > EXPLODED * state["first_loss"] or norm > EXPLODED_NORM * state["first_norm"]
        state["exploded"] = state["exploded"] + 1 if far_above else 0
        if state["exploded"] >= IN_A_ROW:
            raise DivergedError(
                f"the gradients explode: for {IN_A_ROW} steps the loss (now {loss:.0f} nats, at first "
                f"{state['first_loss']:.0f}) or the gradient's norm (now {norm:.0f}, at first "
                f"{state['first_norm']:.0f}) was far above where it began")

    def report(self, report: Report) -> str | None:
        """What to tell the user after a report, if anything: this is the plateau, or it does not end."""
        state, settings = self.state, self.settings
        state["blank"] = state["blank"] + 1 if report.blank_rate > 0.99 else 0
        if state["blank"] == 0:
            return None
        if report.step * settings.batch > PLATEAU_ROWS and state["blank"] >= IN_A_ROW:
            return self._once("stuck", (
                f"WARNING: after {report.step} steps the network still answers blank at every frame, where "
                f"digits usually appear within {PLATEAU_ROWS // settings.batch // 2}: it does not learn; try "
                f"a --rate other than {settings.rate:g}, a --window below {settings.window} or more --hidden "
                f"than {settings.hidden}."))
        return self._once("plateau", PLATEAU)

    def is_beginning(self, step: int) -> bool:
        """Whether the network answers only blank, after so few steps that this is normal."""
        return self.state["blank"] > 0 and step * self.settings.batch <= PLATEAU_ROWS

    def end(self, step: int) -> str | None:
        """What to tell the user when a run has ended after this step: that it was too short, or nothing."""
        if not self.is_beginning(step):
            return None
        rows = step * self.settings.batch
        more = "--steps or --minutes" if self.settings.minutes else "--steps"
        return (f"The run has ended while the network still answers blank at every frame: it has seen {rows} "
                f"rows, and digits appear after about 10 000 to 30 000; give it more {more}.")

    def _once(self, key: str, sentence: str) -> str | None:
        """The sentence if it has not been said under this key, else None."""
        if key in self.state["told"]:
            return None
        self.state["told"].append(key)
        return sentence
