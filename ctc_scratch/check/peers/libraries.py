"""Adapters for the CTC losses of torch and optax, which are imported only when they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapter import Adapter


def torch_adapter(**options: Any) -> Adapter:
    """`torch.nn.functional.ctc_loss` after log_softmax, with the gradient by torch's autograd."""
    import torch

    def loss(logits: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int) -> tuple[Any, Any]:
        logits.requires_grad_()
        losses = torch.nn.functional.ctc_loss(
            logits.log_softmax(2), targets, lengths, target_lengths, blank=blank, reduction="none")
        losses.sum().backward()
        return losses, logits.grad

    return Adapter(loss, **{"layout": "TNC", "tensor": torch.from_numpy, **options})


def optax_adapter(**options: Any) -> Adapter:
    """`optax.ctc_loss` with the gradient by JAX.

    JAX compiles it for each shape, so inputs are padded to few different ones.
    """
    import jax
    import optax

    def total(logits: Any, frame_padding: Any, targets: Any, label_padding: Any, blank: int) -> Any:
        losses = optax.ctc_loss(logits, frame_padding, targets, label_padding, blank_id=blank)
        return losses.sum(), losses

    compiled = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=4)

    def loss(logits: NDArray, targets: NDArray, lengths: NDArray, target_lengths: NDArray, blank: int
             ) -> tuple[Any, Any]:
        N, T, C = logits.shape
        more = _few_sizes(T) - T, _few_sizes(targets.shape[1]) - targets.shape[1]
        logits = np.pad(logits, ((0, 0), (0, more[0]), (0, 0)))
        targets = np.pad(targets, ((0, 0), (0, more[1])))
        frame_padding = np.arange(T + more[0]) >= lengths[:, None]
        label_padding = np.arange(targets.shape[1]) >= target_lengths[:, None]
        with jax.enable_x64(logits.dtype == np.float64):
            (_, losses), grad = compiled(logits, frame_padding.astype(logits.dtype), targets.astype(np.int32),
                                         label_padding.astype(logits.dtype), blank)
            return np.asarray(losses), np.asarray(grad)[:, :T]

    return Adapter(loss, **{"layout": "NTC", **options})


def _few_sizes(size: int) -> int:
    """The size itself, rounded up to 4, 16, 64, 256, ..."""
    rounded = 4
    while rounded < size:
        rounded *= 4
    return rounded
