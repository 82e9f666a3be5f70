"""The loss of a batch and its gradient: forward, CTC, backward, over shards that run side by side.

A batch is cut into shards, each a task for one thread. The cut does not depend on the number of
threads, and the gradients of the shards are added in their order. The result therefore has the same
bits with any number of threads.

A `Mapper` decides where the shards are computed. `on_threads` uses the threads of this process. The mapper
of `ranks/` leaves some shards to other machines, and gives the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from ...ctc import ctc_loss
from ...ctc.loss import Infeasible
from ...ctc.reference import log_softmax
from ..data.rows import RowBatch
from ..model.parallel import run_tasks
from ..model.reader import BLANK, RowReader, digits_to_labels
from .objective import Objective

SHARDS = 2
"""For a batch of 64: shards of 16 rows are too small for an LSTM's products, and take a fifth longer."""


class DivergedError(RuntimeError):
    """The network's outputs or gradients are no longer finite, or have grown beyond use."""


class ShardGradients(NamedTuple):
    """The losses and the gradient of one shard, N rows of a batch."""

    loss: float  # plain CTC, nats, summed over the rows
    losses: np.ndarray  # (N,) nats; inf for a row that has no path
    objective: float  # what the gradient is of, summed over the rows: `loss`, unless an objective is given
    grads: dict[str, np.ndarray]  # by the names of the parameters
    logits: np.ndarray  # (T, N, C)
    lengths: np.ndarray  # (N,) frames of each row
    seconds: tuple[float, float, float]  # spent in forward, CTC, backward

    def __repr__(self) -> str:
        return f"ShardGradients({len(self.losses)} rows, {self.loss:.4g} nats, {len(self.grads)} gradients)"


class BatchGradients(NamedTuple):
    """The mean loss of the rows of a batch, the gradient, and the shards it was computed from."""

    loss: float  # plain CTC, nats per row
    grads: dict[str, np.ndarray]  # of the mean loss or objective, by the names of the parameters
    shards: list[ShardGradients]

    def __repr__(self) -> str:
        return f"BatchGradients({self.loss:.4g} nats per row, {len(self.shards)} shards)"


def shard_gradients(model: RowReader, shard: RowBatch, claimed_frames: int | None = None,
                    log_prior: np.ndarray | None = None, objective: Objective | None = None
                    ) -> ShardGradients:
    """Forward, CTC and backward over the rows of one shard.

    Training uses the defaults, or an objective; the lessons vary two more things.

    Parameters
    ----------
    claimed_frames : the number of frames that the loss is given for each row, in place of the true one.
        A row that needs more has an infinite loss and a gradient of 0.
    log_prior : (C,) array in the logits' dtype, subtracted from the logits before CTC computes gamma. The
        gradient stays probs - occupancy, as if gamma were given: an expectation step under the prior,
        a maximisation step without it. The losses are those without the prior.
    objective : the gradient is that of this objective, in place of plain CTC. The losses are still those of
        plain CTC.

    Raises
    ------
    DivergedError
        The logits are not finite.

    Notes
    -----
    The last bits depend on the number of BLAS threads. `run_tasks` gives each task one.
    """
    start = time.perf_counter()
    x, lengths = model.frames(shard.images, shard.widths)
    logits, cache = model.forward(x, lengths)
    if not np.isfinite(logits).all():
        raise DivergedError("the network's outputs are not finite")
    forward = time.perf_counter()
    targets = [digits_to_labels(row, len(model.class_names)) for row in shard.labels]
    claimed = lengths if claimed_frames is None else np.full_like(lengths, claimed_frames)
    infeasible: Infeasible = "raise" if claimed_frames is None else "inf"
    result = ctc_loss(logits, targets, claimed, blank=BLANK, infeasible=infeasible)
    losses, dlogits = np.asarray(result.loss), result.grad
    loss = minimised = float(np.dot(np.ones_like(losses), losses))    # as reduction="sum" adds them
    if objective is not None:
        of_rows = objective(logits, targets, claimed)
        minimised, dlogits = float(np.asarray(of_rows.loss).sum()), of_rows.grad
    if log_prior is not None:
        scores = logits - log_prior
        prior_grad = ctc_loss(scores, targets, claimed, blank=BLANK, infeasible=infeasible).grad
        occupancy = np.exp(log_softmax(scores)) - prior_grad
        dlogits = (np.exp(log_softmax(logits)) - occupancy).astype(logits.dtype)
    ctc = time.perf_counter()
    grads = model.backward(dlogits, cache)
    seconds = forward - start, ctc - forward, time.perf_counter() - ctc
    return ShardGradients(loss, losses, minimised, grads, logits, lengths, seconds)


Compute = Callable[[RowReader, RowBatch], ShardGradients]
"""`shard_gradients`, or a partial of it."""


class Mapper(Protocol):
    """Computes the gradients of all shards of a batch, and returns them in the order of the shards."""

    def __call__(self, model: RowReader, shards: list[RowBatch],
                 compute: Compute = shard_gradients) -> list[ShardGradients]: ...


def on_threads(model: RowReader, shards: list[RowBatch], compute: Compute = shard_gradients,
               ) -> list[ShardGradients]:
    """`compute` for each shard, shared out over the threads of this process."""
    return run_tasks(lambda shard: compute(model, shard), shards, [shard.images.size for shard in shards])


def batch_gradients(model: RowReader, batch: RowBatch, shards: int = SHARDS,
                    mapper: Mapper = on_threads, objective: Objective | None = None) -> BatchGradients:
    """The mean loss per row of a batch, and its gradient or the objective's, from at most `shards` shards."""
    parts = cut(batch, shards)
    if objective is None:
        results = mapper(model, parts)
    else:
        results = mapper(model, parts, partial(shard_gradients, objective=objective))
    N = len(batch.labels)
    grads = mean_gradient(model, [result.grads for result in results], N)
    return BatchGradients(sum(result.loss for result in results) / N, grads, results)


def mean_gradient(model: RowReader, grads: Sequence[dict[str, np.ndarray]], N: int) -> dict[str, np.ndarray]:
    """The gradient of the mean loss over N rows, from the gradient of each shard's summed loss."""
    return {name: np.asarray(sum(shard[name] for shard in grads)) / N for name in model.params}


def cut(batch: RowBatch, shards: int) -> list[RowBatch]:
    """Cut a batch into at most `shards` shards of neighbouring rows, about the same number in each."""
    rows = edges(len(batch.labels), shards)
    return [
        RowBatch(batch.images[i:j], batch.widths[i:j], batch.labels[i:j])
        for i, j in zip(rows, rows[1:])
    ]


def edges(N: int, shards: int) -> list[int]:
    """The rows at which a batch of N is cut into at most `shards` shards: 0, ..., N.

    >>> edges(7, 3)
    [0, 2, 4, 7]
    """
    shards = min(shards, N)
    return [N * k // shards for k in range(shards + 1)]
