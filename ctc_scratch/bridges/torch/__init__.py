"""CTC in torch training loops: losses as functions of tensors, with first and second derivatives."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError('ctc_scratch.torch needs PyTorch: pip install "ctc_scratch[torch]"') from error

from .linear import linear_ctc_loss
from .loss import CTCLoss, ctc_loss, ctc_loss_from_logits
from .objectives import (
    bayes_risk_ctc_loss,
    delay_ctc_loss,
    entropy_ctc_loss,
    focal_ctc_loss,
    log_partition,
    min_risk_ctc_loss,
    prior_ctc_loss,
    star_ctc_loss,
    topology_ctc_loss,
)
from .paths import align, greedy_decode, prefix_beam_search

__all__ = [
    "CTCLoss",
    "align",
    "bayes_risk_ctc_loss",
    "ctc_loss",
    "ctc_loss_from_logits",
    "delay_ctc_loss",
    "entropy_ctc_loss",
    "focal_ctc_loss",
    "greedy_decode",
    "linear_ctc_loss",
    "log_partition",
    "min_risk_ctc_loss",
    "prefix_beam_search",
    "prior_ctc_loss",
    "star_ctc_loss",
    "topology_ctc_loss",
]
