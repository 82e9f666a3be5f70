"""Objectives beyond the CTC loss, on the same lattice: entropy, priors, delays, risks, stars, topologies.

Each function takes what `ctc_loss` takes, and returns an `ObjectiveResult`. Most files define the value of
their objective for one sequence, and its derivative w.r.t. ln y; `common` does the rest. `focal` and
`min_risk` call `ctc_loss`.
"""

from .bayes_risk import bayes_risk_ctc_loss
from .common import ObjectiveResult
from .delay import DelayResult, delay_ctc_loss
from .entropy import entropy_ctc_loss
from .focal import focal_ctc_loss
from .min_risk import min_risk_ctc_loss
from .prior import RunningPrior, prior_ctc_loss
from .star import star_ctc_loss
from .topology import topology_ctc_loss

__all__ = [
    "DelayResult",
    "ObjectiveResult",
    "RunningPrior",
    "bayes_risk_ctc_loss",
    "delay_ctc_loss",
    "entropy_ctc_loss",
    "focal_ctc_loss",
    "min_risk_ctc_loss",
    "prior_ctc_loss",
    "star_ctc_loss",
    "topology_ctc_loss",
]
