"""The loss that a training step minimises, if it is not plain CTC: an objective and its weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import numpy as np

from ...ctc import (
    ObjectiveResult,
    RunningPrior,
    bayes_risk_ctc_loss,
    delay_ctc_loss,
    entropy_ctc_loss,
    focal_ctc_loss,
    prior_ctc_loss,
)
from ..model.reader import BLANK

ObjectiveName = Literal["ctc", "entropy", "prior", "focal", "delay", "bayes-risk"]
OBJECTIVES: tuple[str, ...] = get_args(ObjectiveName)

PRIOR_DECAY = 0.95
"""Of the running prior, per step: it averages over the last twenty batches or so."""


class Objective:
    """An objective beside plain CTC, with the state that it keeps between steps.

    Parameters
    ----------
    name : one of OBJECTIVES other than "ctc"
    weight : of the objective; for "focal" the power, which applies to the mean probability per label
    classes : with the blank

    Attributes
    ----------
    running_prior : the `RunningPrior` of "prior", uniform before the first step; None for the others
    """

    def __init__(self, name: str, weight: float, classes: int):
        self.name, self.weight = name, weight
        self.running_prior = RunningPrior(classes, PRIOR_DECAY) if name == "prior" else None

    def __repr__(self) -> str:
        return f"Objective({self.name!r}, {self.weight:g})"

    def __call__(self, logits: np.ndarray, targets: list[np.ndarray], lengths: np.ndarray) -> ObjectiveResult:
        """The objective of each row and its gradient, as of `ctc_loss`; it does not change the state."""
        if self.name == "focal":
            return focal_ctc_loss(logits, targets, lengths, power=self.weight, per_label=True, blank=BLANK)
        if self.running_prior is not None:
            return prior_ctc_loss(logits, targets, lengths, prior=self.running_prior.prior,
                                  weight=self.weight, blank=BLANK)
        function: Any = {"entropy": entropy_ctc_loss, "delay": delay_ctc_loss,
                         "bayes-risk": bayes_risk_ctc_loss}[self.name]
        return function(logits, targets, lengths, weight=self.weight, blank=BLANK)

    def update(self, shards: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Add a batch to the state: the logits (T, N, C) and lengths (N,) of its shards, in their order."""
        if self.running_prior is not None:
            self.running_prior.update(np.concatenate(
                [logits[:T, n] for logits, lengths in shards for n, T in enumerate(lengths)]))
