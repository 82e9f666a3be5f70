"""Checks of the arguments, made while JAX traces a function: shapes, types, and values where they are known.

The checks are those of `ctc`, with its messages; they run on NumPy arrays of the same shape and type. While
JAX traces an array, as inside `jit`, its values are not known; `solvers` says what happens to bad ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...arrays import as_array
from ...ctc.inputs.frames import Layout
from ...ctc.inputs.options import check_choice
from ...ctc.inputs.targets import check_batch
from ...ctc.loss import REDUCTIONS

INFEASIBLE = ("inf", "zero")


class Batch(NamedTuple):
    """The checked arguments of a batch, (N, T, C), or of one sequence, (T, C)."""

    logits: jax.Array  # in the layout of the caller, float32 or float64
    targets: jax.Array  # (N, U)
    logit_lengths: jax.Array  # (N,)
    target_lengths: jax.Array  # (N,)
    blank: int
    layout: Layout  # NTC for one sequence

    @property
    def each(self) -> tuple[jax.Array, ...]:
        """The targets and lengths: what each sequence has besides its logits."""
        return self.targets, self.logit_lengths, self.target_lengths


def check(
    logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any, blank: Any, layout: Layout,
    what: str = "logits",
) -> Batch:
    """Check the arguments and convert them to JAX arrays; half precision becomes float32."""
    logits = as_jax(logits, what)
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"{what} must be floats, got an array of {logits.dtype}")
    targets = as_jax(targets, "targets")
    if targets.size == 0 and not jnp.issubdtype(targets.dtype, jnp.integer):
        targets = targets.astype(jnp.int32)  # an empty list has no integers that would give it a type
    if logits.ndim in (2, 3) and targets.ndim != logits.ndim - 1:
        raise ValueError("targets must have shape " + ("(U,) for one sequence" if logits.ndim == 2 else
                         "(N, U), padded, with target_lengths (N,)") + f"; got {targets.shape}")
    logit_lengths = None if logit_lengths is None else as_jax(logit_lengths, "logit_lengths")
    target_lengths = None if target_lengths is None else as_jax(target_lengths, "target_lengths")
    N = targets.shape[:-1]
    if is_known(targets) and is_known(target_lengths):
        labels, used = stand_in(targets), stand_in(target_lengths)
    else:  # labels that are not known are not checked
        labels = zeros_like(targets)
        used = np.zeros(N, np.intp) if target_lengths is None else zeros_like(target_lengths)
    blank = check_batch(np.empty(logits.shape, np.float32), labels, stand_in(logit_lengths), used, blank,
                        layout, what)[2]
    T, U = logits.shape[0 if layout == "TNC" else -2], targets.shape[-1]
    return Batch(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), targets,
                 jnp.full(N, T) if logit_lengths is None else logit_lengths.reshape(N),
                 jnp.full(N, U) if target_lengths is None else target_lengths.reshape(N), blank,
                 layout if logits.ndim == 3 else "NTC")


def reduce(values: jax.Array, batch: Batch, reduction: str, infeasible: str) -> jax.Array:
    """Reduce losses (N,) as `ctc_loss` of `ctc` does."""
    if infeasible == "zero":
        values = jnp.where(values == jnp.inf, 0, values)
    if reduction == "none":
        return values
    if reduction == "mean":
        values = values / jnp.maximum(batch.target_lengths, 1)
    total = jnp.sum(values)
    return total if reduction == "sum" else total / max(values.size, 1)


def check_options(reduction: Any, infeasible: Any) -> None:
    check_choice("reduction", reduction, REDUCTIONS)
    check_choice("infeasible", infeasible, INFEASIBLE)


def is_known(array: jax.Array | None) -> bool:
    """Whether the values of an array are known, as they are outside of `jit` and `vmap`."""
    return not isinstance(array, jax.core.Tracer)


def stand_in(array: jax.Array | None) -> np.ndarray | None:
    """The array in NumPy; zeros of its shape and type if its values are not known."""
    if array is None:
        return None
    return np.asarray(array) if is_known(array) else zeros_like(array)


def zeros_like(array: jax.Array) -> np.ndarray:
    return np.zeros(array.shape, array.dtype)


def as_jax(values: Any, name: str) -> jax.Array:
    return values if isinstance(values, jax.Array) else jnp.asarray(as_array(values, name))
