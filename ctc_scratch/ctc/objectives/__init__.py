"""Objectives beyond the CTC loss, on the same lattice: entropy, priors, delays, risks, stars, topologies.

Each function takes what `ctc_loss` takes, and returns an `ObjectiveResult`. `common` has what they share: an
objective itself is the value for one sequence, and its derivative w.r.t. ln y.
"""

from .common import ObjectiveResult
from .entropy import entropy_ctc_loss

__all__ = ["ObjectiveResult", "entropy_ctc_loss"]
