"""The losses for JAX: they work under `jit`, `vmap`, `grad` and, up to the second order, any nesting of them.

JAX calls the NumPy functions of `ctc` on the CPU, in a `pure_callback`. `solvers` is what it calls there,
`derivatives` tells JAX how to differentiate it, and `arguments` checks shapes and types. The public functions
are in `loss` and `objectives`.
"""

try:
    import jax as _  # noqa: F401
except ImportError as error:
    raise ImportError("ctc_scratch.jax needs JAX: pip install 'ctc_scratch[jax]'", name="jax") from error

from .loss import ctc_loss, ctc_loss_from_logits, log_partition
from .objectives import (
    bayes_risk_ctc_loss,
    delay_ctc_loss,
    entropy_ctc_loss,
    focal_ctc_loss,
    min_risk_ctc_loss,
    prior_ctc_loss,
    star_ctc_loss,
    topology_ctc_loss,
)

__all__ = [
    "bayes_risk_ctc_loss",
    "ctc_loss",
    "ctc_loss_from_logits",
    "delay_ctc_loss",
    "entropy_ctc_loss",
    "focal_ctc_loss",
    "log_partition",
    "min_risk_ctc_loss",
    "prior_ctc_loss",
    "star_ctc_loss",
    "topology_ctc_loss",
]
