"""Adapters for the CTC losses of torch and optax, which are imported only when they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapter import Adapter


def torch_adapter(**options: Any) -> Adapter:
    """An adapter for `torch.nn.functional.ctc_loss` after log_softmax, with the gradient by autograd."""
    import torch

    def loss(logits: Any, targets: Any, lengths: Any, target_lengths: Any, blank: int) -> tuple[Any, Any]:
        logits.requires_grad_()
        losses = torch.nn.functional.ctc_loss(
            logits.log_softmax(2), targets, lengths, target_lengths, blank=blank, reduction="none")
        losses.sum().backward()
        return losses, logits.grad

    return Adapter(loss, **{"layout": "TNC", "tensor": torch.from_numpy, **options})


def optax_adapter(**options: Any) -> Adapter:
    """An adapter for `optax.ctc_loss`, with the gradient by JAX.

    JAX compiles the loss for each shape and each blank, which takes a second or more. To compile only a few
    times, every problem is padded to one of a few shapes: with samples that have no frames, with frames and
    labels after the lengths, and with classes of probability 0 on both sides, which put the blank in the
    middle.
    """
    import jax
    import optax

    def total(logits: Any, frame_padding: Any, targets: Any, label_padding: Any, blank: int) -> Any:
        losses = optax.ctc_loss(logits, frame_padding, targets, label_padding, blank_id=blank)
        return losses.sum(), losses

    compiled = jax.jit(jax.value_and_grad(total, has_aux=True), static_argnums=4)

    def loss(logits: NDArray, targets: NDArray, lengths: NDArray, target_lengths: NDArray, blank: int
             ) -> tuple[Any, Any]:
        (N, T, C), U = logits.shape, targets.shape[1]
        step = next(k for k in range(1, 9) if T <= 16 ** k and max(U, C) <= 8 ** k)
        frames, labels, middle = 16 ** step, 8 ** step, 8 ** step
        samples = -(-N // 8) * 8
        first = middle - blank      # the padded index of class 0
        lowest = np.min(logits, initial=0, where=np.isfinite(logits)) - 800     # e^-800 is 0 in float64
        padded = np.full((samples, frames, 2 * middle), lowest, logits.dtype)
        padded[:N, :T, first:first + C] = logits
        shifted = np.full((samples, labels), middle + 1, np.int32)
        shifted[:N, :U] = targets + first
        frame_padding, label_padding = (
            (np.arange(size) >= np.pad(counts, (0, samples - N))[:, None]).astype(logits.dtype)
            for size, counts in ((frames, lengths), (labels, target_lengths)))
        with jax.enable_x64(logits.dtype == np.float64):
            (_, losses), grad = compiled(padded, frame_padding, shifted, label_padding, middle)
            return np.asarray(losses)[:N], np.asarray(grad)[:N, :T, first:first + C]

    return Adapter(loss, **{"layout": "NTC", **options})
