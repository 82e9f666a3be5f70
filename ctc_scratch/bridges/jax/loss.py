"""`ctc_loss` with the signature of optax, `ctc_loss_from_logits` with that of `ctc`, and `log_partition`."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ...ctc.inputs.frames import Layout
from ...ctc.loss import Reduction
from .arguments import as_jax, check, check_options, reduce
from .derivatives import values
from .solvers import CTCLoss, LogPartition, PaddedCTCLoss

Infeasible = Literal["inf", "zero"]


def ctc_loss(
    logits: ArrayLike, logit_paddings: ArrayLike, labels: ArrayLike, label_paddings: ArrayLike, *,
    blank_id: int = 0,
) -> jax.Array:
    """The CTC loss of each sequence, with the arguments and the result of `optax.ctc_loss`.

    Parameters
    ----------
    logits : (B, T, K) floats, unnormalised scores; the softmax over K is taken inside
    logit_paddings : (B, T), 1 for a frame that is padding, at any place, and 0 for the others
    labels : (B, N) integers in 0..K-1 without the blank; padding may hold anything
    label_paddings : (B, N), 1 for a label that is padding, after all others, and 0 for the others
    blank_id : which class is the blank, an int

    Returns
    -------
    (B,) losses; inf, with a gradient of exactly 0, for a target that does not fit its frames. optax instead
    counts each forbidden move as 1e5 (`log_epsilon`, which does not exist here).

    Notes
    -----
    See `ctc_loss_from_logits` for types, derivatives and bad values.

    Examples
    --------
    Four frames and three classes, all equally likely: 15 of the 81 paths spell (1, 2).

    >>> loss = ctc_loss(jnp.zeros((1, 4, 3)), jnp.zeros((1, 4)), jnp.array([[1, 2]]), jnp.zeros((1, 2)))
    >>> round(float(loss[0]), 5)
    1.6864
    """
    logits, labels = as_jax(logits, "logits"), as_jax(labels, "labels")
    frame_is_padding = as_jax(logit_paddings, "logit_paddings") != 0
    label_is_padding = as_jax(label_paddings, "label_paddings") != 0
    for name, padding, of, shape in (("logit_paddings", frame_is_padding, "logits", logits.shape[:2]),
                                     ("label_paddings", label_is_padding, "labels", labels.shape)):
        if padding.shape != shape:
            raise ValueError(f"{name} must have the shape {shape} that the {of} have, got {padding.shape}")
    if logits.ndim != 3:
        raise ValueError(f"logits must have shape (B, T, K), got {logits.shape}")
    batch = check(logits, labels, None, jnp.sum(~label_is_padding, axis=1), blank_id, "NTC")
    return values(PaddedCTCLoss(batch.blank, batch.layout), batch.logits,
                  (batch.targets, frame_is_padding, label_is_padding), ())


def ctc_loss_from_logits(
    logits: ArrayLike, targets: ArrayLike, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, reduction: Reduction = "none",
    infeasible: Infeasible = "inf", layout: Layout = "TNC",
) -> jax.Array:
    """The CTC loss -ln p(target | softmax(logits)) of a batch or of one sequence.

    Parameters
    ----------
    logits : (T, N, C) floats, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        float32 and float64 are kept; float16 and bfloat16 are computed as float32, and their gradient is
        rounded to their type.
    targets : (N, U) integers in 0..C-1 without the blank, or (U,) for one sequence
    logit_lengths, target_lengths : (N,) integers, optional
        How many frames and labels of each sequence are used; the others are padding, which may hold anything.
    blank : which class is the blank, an int
    reduction : "none", "sum", "batchmean" or "mean", as for `ctc_scratch.ctc_loss`
    infeasible : the loss of a target that does not fit its frames, "inf" or "zero"; its gradient is exactly 0
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    (N,) losses; a scalar for one sequence, or with another reduction. float64 for float64, else float32

    Raises
    ------
    ValueError, TypeError
        While JAX traces the function, if a shape, a type or an option is wrong. Values are checked as well if
        they are known then, as labels and lengths are outside of `jit`. Nothing is raised later: logits that
        are NaN or +inf, a frame with nothing but -inf, and bad labels and lengths within `jit` give a loss
        and a gradient of NaN.

    Notes
    -----
    `grad`, `jvp`, `jacfwd`, `jacrev` and `hessian` can be nested up to the second derivative, with `jit` and
    `vmap` anywhere between them; a third derivative raises NotImplementedError. The loss is computed on the
    CPU, by a callback; so on other devices the logits are copied to the CPU, and the gradient back, and a
    sharded batch is gathered.

    On a machine with one core, calls from several Python threads at once can wait for each other forever,
    since JAX hands over the arguments of a callback in a thread that may be busy (jax#24255). On such a
    machine, call jax.config.update("jax_cpu_enable_async_dispatch", False) before anything else.

    Examples
    --------
    At the first frame each class has the probability 1/3; ten of the 15 alignments begin with the label 1.

    >>> grad = jax.grad(ctc_loss_from_logits)(jnp.zeros((4, 3)), jnp.array([1, 2]))
    >>> [round(3 * float(g)) for g in grad[0]]
    [0, -1, 1]
    """
    check_options(reduction, infeasible)
    batch = check(logits, targets, logit_lengths, target_lengths, blank, layout)
    losses = values(CTCLoss(batch.blank, batch.layout), batch.logits, batch.each, ())
    return reduce(losses, batch, reduction, infeasible)


def log_partition(
    scores: ArrayLike, targets: ArrayLike, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: Layout = "TNC",
) -> jax.Array:
    """ln Z of each sequence, where Z sums exp(total score) over all alignments; there is no softmax.

    Arguments, derivatives, and the results for bad values are as for `ctc_loss_from_logits`. The gradient is
    the occupancy. If there is no alignment, ln Z is -inf and its gradient is 0.

    >>> round(float(jnp.exp(log_partition(jnp.zeros((4, 3)), jnp.array([1, 2])))), 3)
    15.0
    """
    batch = check(scores, targets, logit_lengths, target_lengths, blank, layout, "scores")
    return values(LogPartition(batch.blank, batch.layout), batch.logits, batch.each, ())
