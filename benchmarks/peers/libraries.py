"""The CTC loss of each library, called in the same way: one sequence as a batch of one, loss and gradient.

Each function of LIBRARIES imports its library and returns `solve(case) -> (loss, gradient (T, C))`. Nothing
here imports `ctc_scratch`, except for its own entry, so that a library can have an environment of its own.

Numbers are passed as they are. A label or length that the integers of a library cannot hold raises an error
in NumPy, which counts as refused.
"""

from __future__ import annotations

import os
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Inputs(NamedTuple):
    """One problem. logits : (T, C), float32 or float64; frames and labels beyond the lengths are padding"""

    logits: NDArray
    target: list
    blank: Any
    logit_length: Any
    target_length: Any

    @property
    def is_in_range(self) -> bool:
        """Whether the blank, the labels and the lengths are in range."""
        (T, C), U = self.logits.shape, len(self.target)
        return (self.blank in range(C) and self.logit_length in range(T + 1)
                and self.target_length in range(U + 1) and all(label in range(C) for label in self.target))


Solve = Callable[[Inputs], tuple[Any, Any]]


def integers(values: list, dtype: type) -> NDArray:
    """The values as integers of this type, or as floats if one of them is not an integer."""
    array = np.array(values) if values else np.zeros(0, dtype)
    return array if array.dtype.kind == "f" else np.array(values, dtype)


def ours() -> tuple[str, Solve]:
    import ctc_scratch

    def solve(case: Inputs) -> tuple[Any, Any]:
        result = ctc_scratch.ctc_loss(case.logits[:, None], [case.target], [case.logit_length],
                                      [case.target_length], blank=case.blank, infeasible="inf")
        return result.loss[0], result.grad[:, 0]

    return ctc_scratch.__version__, solve


def torch() -> tuple[str, Solve]:
    import torch

    def solve(case: Inputs) -> tuple[Any, Any]:
        logits = torch.tensor(case.logits[:, None], requires_grad=True)
        losses = torch.nn.functional.ctc_loss(
            logits.log_softmax(2), torch.tensor(integers([case.target], np.int64)),
            torch.tensor([case.logit_length]), torch.tensor([case.target_length]), blank=case.blank,
            reduction="none")
        losses.sum().backward()
        return losses.detach().numpy()[0], logits.grad.numpy()[:, 0]

    return torch.__version__, solve


SHAPES = ((16, 8, 8), (64, 64, 64), (64, 16, 1024), (512, 128, 64), (2048, 512, 128))
"""T, U and C to which problems for JAX are padded, because it compiles for each shape."""


def optax() -> tuple[str, Solve]:
    """The loss of optax, for problems padded with frames, labels, and classes of probability 0 on both sides.

    The blank is then the class in the middle. Cases that must be refused are passed without such padding.
    """
    import jax
    import optax

    def total(logits: Any, frame_padding: Any, targets: Any, label_padding: Any, blank: Any) -> Any:
        return optax.ctc_loss(logits, frame_padding, targets, label_padding, blank_id=blank).sum()

    compiled = jax.jit(jax.value_and_grad(total), static_argnums=4)

    def solve(case: Inputs) -> tuple[Any, Any]:
        (T, C), U, blank = case.logits.shape, len(case.target), case.blank
        frames, labels, left, right = T, U, 0, 0
        if case.is_in_range:
            frames, labels, half = next(shape for shape in SHAPES if all(np.less_equal((T, U, C), shape)))
            left, right, blank = half - blank, half - C + blank, half
        lowest = np.min(case.logits, initial=0, where=np.isfinite(case.logits)) - 800   # e^-800 is 0
        logits = np.pad(case.logits, ((0, frames - T), (left, right)), constant_values=lowest)
        targets = np.pad(integers(case.target, np.int32) + left, (0, labels - U), constant_values=left)
        is_padding = [
            np.pad(np.arange(size) >= length, (0, padded - size), constant_values=True)[None]
            for size, length, padded in ((T, case.logit_length, frames), (U, case.target_length, labels))]
        with jax.enable_x64(logits.dtype == np.float64):
            loss, grad = compiled(logits[None], is_padding[0].astype(logits.dtype), targets[None],
                                  is_padding[1].astype(logits.dtype), blank)
            return np.asarray(loss), np.asarray(grad)[0, :T, left:left + C]

    return f"{optax.__version__}, JAX {jax.__version__}", solve


def tensorflow() -> tuple[str, Solve]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    return tf.__version__, _in_tensorflow(tf, lambda targets, logits, counts, lengths, blank: tf.nn.ctc_loss(
        targets, logits, counts, lengths, logits_time_major=False, blank_index=blank))


def keras() -> tuple[str, Solve]:
    """The loss of Keras with its default backend, TensorFlow."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    return keras.__version__, _in_tensorflow(tf, lambda targets, logits, counts, lengths, blank: (
        keras.ops.ctc_loss(targets, logits, counts, lengths, mask_index=blank)))


def _in_tensorflow(tf: Any, function: Callable) -> Solve:
    """`function(targets, logits, target lengths, logit lengths, blank)`, traced for each type and blank."""

    @tf.function(reduce_retracing=True)
    def loss_and_grad(targets: Any, logits: Any, counts: Any, lengths: Any, blank: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = function(targets, logits, counts, lengths, blank)
        return loss, tape.gradient(loss, logits)

    def solve(case: Inputs) -> tuple[Any, Any]:
        loss, grad = loss_and_grad(
            tf.constant(integers([case.target], np.int32)), tf.constant(case.logits[None]),
            tf.constant(integers([case.target_length], np.int32)),
            tf.constant(integers([case.logit_length], np.int32)), case.blank)
        return loss.numpy()[0], grad.numpy()[0]

    return solve


def paddle() -> tuple[str, Solve]:
    import paddle

    def solve(case: Inputs) -> tuple[Any, Any]:
        logits = paddle.to_tensor(case.logits[:, None], stop_gradient=False)
        losses = paddle.nn.functional.ctc_loss(
            logits, paddle.to_tensor(integers([case.target], np.int32)),
            paddle.to_tensor(integers([case.logit_length], np.int64)),
            paddle.to_tensor(integers([case.target_length], np.int64)), blank=case.blank, reduction="none")
        losses.sum().backward()
        return losses.numpy().reshape(-1)[0], logits.grad.numpy()[:, 0]

    return paddle.__version__, solve


def mindspore() -> tuple[str, Solve]:
    import mindspore
    from mindspore import Tensor, ops

    mindspore.set_device("CPU")

    def solve(case: Inputs) -> tuple[Any, Any]:
        arrays = [Tensor(integers(values, np.int32)) for values in
                  ([case.target], [case.logit_length], [case.target_length])]

        def total(logits: Any) -> Any:
            return ops.ctc_loss(ops.log_softmax(logits, 2), *arrays, case.blank, "none", False)[0].sum()

        loss, grad = mindspore.value_and_grad(total)(Tensor(case.logits[:, None]))
        return loss.asnumpy(), grad.asnumpy()[:, 0]

    return mindspore.__version__, solve


LIBRARIES: dict[str, Callable[[], tuple[str, Solve]]] = {
    "ctc_scratch": ours, "torch": torch, "optax": optax, "tensorflow": tensorflow, "keras": keras,
    "paddle": paddle, "mindspore": mindspore}
