"""CTC in torch training loops: losses as functions of tensors, with first and second derivatives."""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError('ctc_scratch.torch needs PyTorch: pip install "ctc_scratch[torch]"') from error

from .loss import CTCLoss, ctc_loss, ctc_loss_from_logits

__all__ = ["CTCLoss", "ctc_loss", "ctc_loss_from_logits"]
