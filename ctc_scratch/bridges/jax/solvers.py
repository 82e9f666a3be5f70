"""The callbacks that JAX calls: NumPy arrays in, NumPy arrays out, computed by the functions of `ctc`.

Nothing in this file uses JAX: a callback that starts a JAX computation may wait forever for the thread that
runs it. Nor may a callback raise. Shapes and types have been checked in `arguments`. In a compiled function,
values are known only here; so a sequence that `ctc` refuses gets NaN, and the rest of its batch is solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Literal, Sequence

import numpy as np
from numpy.typing import NDArray

from ...ctc.hessian import ctc_loss_hvp, log_partition_hvp
from ...ctc.inputs.frames import Layout
from ...ctc.loss import ctc_loss, solve_batch
from ...ctc.partition import log_partition

Results = tuple[NDArray, ...]
Want = Literal["values", "gradients", "product"]


@dataclass(frozen=True)
class Callback:
    """A solver as a callback of JAX; equal callbacks have equal hashes, so JAX compiles a call only once.

    want : "values" (*B,); "gradients", which are values and gradients in the shape of the logits; or
        "product", the Hessian of each value times a vector, in that shape
    """

    solver: Solver
    want: Want

    def __call__(self, batch: Sequence[Any], shared: Sequence[Any]) -> Results:
        """Solve a batch of shape B, which is () for one sequence, (N,), or longer after `vmap`.

        batch : logits (*B, T, C), targets (*B, U), and so on; with "product" the last of them are vectors in
            the shape of the logits. In layout "TNC", the last axis of B comes after T
        shared : the options that all sequences share
        """
        arrays, options = [np.asarray(array) for array in batch], [np.asarray(array) for array in shared]
        B = arrays[1].shape[:-1]
        results = self._solve(arrays, options, self.solver.layout) if len(B) == 1 else None
        return results or self._solve_flat(arrays, options, B)

    def _solve_flat(self, batch: list[NDArray], options: list[NDArray], B: tuple[int, ...]) -> Results:
        """Solve a batch of any shape B as one batch (N, T, C); sequences that `ctc` refuses get NaN."""
        swap = self.solver.layout == "TNC"
        for k in [0, -1] if self.want == "product" else [0]:
            batch[k] = batch[k].swapaxes(-2, -3) if swap else batch[k]
        N = int(np.prod(B))
        flat = [array.reshape((N, *array.shape[len(B):])) for array in batch]
        results = self._solve(flat, options, "NTC")
        if results is None:
            nan = np.full_like(flat[0], np.nan)
            value = np.full(N, np.nan, flat[0].dtype)
            results = {"values": (value,), "gradients": (value, nan), "product": (nan,)}[self.want]
            for n in range(N):
                alone = self._solve([array[n:n + 1] for array in flat], options, "NTC") or ()
                for result, part in zip(results, alone):
                    result[n] = part[0]
        shaped = [result.reshape((*B, *result.shape[1:])) for result in results]
        return tuple(array.swapaxes(-2, -3) if swap and array.ndim > len(B) else array for array in shaped)

    def _solve(self, batch: list[NDArray], options: list[NDArray], layout: Layout) -> Results | None:
        """The results for a batch (N,), in the type of its logits; None if `ctc` refuses it."""
        try:
            if self.want == "values":
                results: Results = (np.asarray(self.solver.value(layout, *batch, *options)),)
            elif self.want == "gradients":
                results = self.solver.value_and_gradient(layout, *batch, *options)
            else:
                *arrays, vectors = batch
                results = self.solver.product(layout, vectors, *arrays, *options)
        except (ValueError, TypeError):
            return None
        return tuple(result.astype(batch[0].dtype, copy=False) for result in results)


@dataclass(frozen=True)
class Solver:
    """The values and derivatives of a batch. `layout` is that of the caller, or NTC for one sequence."""

    blank: int
    layout: Layout

    @property
    def name(self) -> str:
        raise NotImplementedError

    def value(self, layout: Layout, *batch: Any) -> NDArray:
        """The values (N,), without gradients if there is a quicker way to them."""
        return self.value_and_gradient(layout, *batch)[0]

    def value_and_gradient(self, layout: Layout, *batch: Any) -> Results:
        raise NotImplementedError

    def product(self, layout: Layout, vectors: NDArray, *batch: Any) -> Results:
        raise NotImplementedError


@dataclass(frozen=True)
class CTCLoss(Solver):
    """The CTC loss; inf for a target that does not fit its frames."""

    name = "ctc_loss"

    def value(self, layout, logits, targets, logit_lengths, target_lengths):
        return solve_batch(logits, targets, logit_lengths, target_lengths, blank=self.blank, reduction="none",
                           infeasible="inf", layout=layout, want_grad=False).loss

    def value_and_gradient(self, layout, logits, targets, logit_lengths, target_lengths):
        result = ctc_loss(logits, targets, logit_lengths, target_lengths, blank=self.blank, infeasible="inf",
                          layout=layout)
        return result.loss, result.grad

    def product(self, layout, vectors, logits, targets, logit_lengths, target_lengths):
        return ctc_loss_hvp(logits, targets, vectors, logit_lengths, target_lengths, blank=self.blank,
                            infeasible="inf", layout=layout).hvp,


@dataclass(frozen=True)
class PaddedCTCLoss(CTCLoss):
    """The CTC loss from logits (N, T, C), targets (N, U), and which frames and labels are padding.

    Padded frames are moved to the end of their sequence; their gradient is 0.
    """

    def value(self, layout, logits, targets, frame_is_padding, label_is_padding):
        order, lengths = _order(frame_is_padding), _lengths(frame_is_padding, label_is_padding)
        return super().value(layout, _move(logits, order), targets, *lengths)

    def value_and_gradient(self, layout, logits, targets, frame_is_padding, label_is_padding):
        order, lengths = _order(frame_is_padding), _lengths(frame_is_padding, label_is_padding)
        loss, grad = super().value_and_gradient(layout, _move(logits, order), targets, *lengths)
        return loss, _move(grad, order.argsort(axis=1))

    def product(self, layout, vectors, logits, targets, frame_is_padding, label_is_padding):
        order, lengths = _order(frame_is_padding), _lengths(frame_is_padding, label_is_padding)
        product, = super().product(layout, _move(vectors, order), _move(logits, order), targets, *lengths)
        return _move(product, order.argsort(axis=1)),


def _order(is_padding: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The frames of each sequence (N, T), padding last."""
    return is_padding.argsort(axis=1, kind="stable")


def _move(array: NDArray, order: NDArray[np.intp]) -> NDArray:
    """Put the frames of an array (N, T, C) into another order (N, T)."""
    kept = (order == np.arange(order.shape[1])).all()
    return array if kept else np.take_along_axis(array, order[:, :, None], axis=1)


def _lengths(*is_padding: NDArray[np.bool_]) -> list[NDArray]:
    return [np.count_nonzero(~padding, axis=1) for padding in is_padding]


@dataclass(frozen=True)
class LogPartition(Solver):
    """ln Z; -inf for a target that does not fit its frames."""

    name = "log_partition"

    def value(self, layout, scores, targets, logit_lengths, target_lengths):
        return 0.0 - solve_batch(scores, targets, logit_lengths, target_lengths, blank=self.blank,
                                 reduction="none", infeasible="inf", layout=layout, normalise=False,
                                 want_grad=False).loss

    def value_and_gradient(self, layout, scores, targets, logit_lengths, target_lengths):
        result = log_partition(scores, targets, logit_lengths, target_lengths, blank=self.blank,
                               layout=layout, want="occupancy")
        return result.log_z, result.occupancy

    def product(self, layout, vectors, scores, targets, logit_lengths, target_lengths):
        return log_partition_hvp(scores, targets, vectors, logit_lengths, target_lengths, blank=self.blank,
                                 layout=layout).hvp,


@dataclass(frozen=True)
class Objective(Solver):
    """A function of `ctc.objectives`.

    fixed : (name, value) of each option that is known while JAX traces
    given : the names of the options that are arrays, in the order of the arrays after target_lengths
    """

    function: Callable[..., Any]
    fixed: tuple[tuple[str, Any], ...]
    given: tuple[str, ...]

    @property
    def name(self):
        return self.function.__name__

    def value(self, layout, *batch):
        return self._call(layout, *batch, want_grad=False).loss

    def value_and_gradient(self, layout, *batch):
        result = self._call(layout, *batch)
        return result.loss, result.grad

    def product(self, layout, vectors, *batch):
        return self._call(layout, *batch, vectors=vectors).hvp,

    def _call(self, layout, logits, targets, logit_lengths, target_lengths, *options, **more):
        given = {name: as_option(name, array) for name, array in zip(self.given, options)}
        return self.function(logits, targets, logit_lengths, target_lengths, **dict(self.fixed), **given,
                             blank=self.blank, infeasible="inf", layout=layout, **more)


def as_option(name: str, array: NDArray) -> Any:
    """Convert an array to the form in which the function of an objective takes the option.

    A prior in float32 sums to 1 only to rounding, so it is divided by its sum. Hypotheses (N, K, U) have
    negative numbers as padding.
    """
    if name == "hypotheses":
        return [[labels[labels >= 0] for labels in one] for one in array]
    if name == "prior":
        total = array.sum(dtype=np.float64)
        return array / total if abs(total - 1) < 1e-4 else array
    return float(array) if array.ndim == 0 else array
