"""One batch, cut into shards: each is a task of its own, and their gradients add up.

The cut does not depend on the threads: they only decide who computes which
shard. As the sums are made in the order of the shards, any number of threads
gives the same bits.

The seam is `Mapper`, a function from the shards of a batch to what each gives.
`on_threads` is the one there is; one that sends shards to other machines takes
its place without a change elsewhere, and to the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ...ctc import ctc_loss
from ..data.rows import RowBatch
from ..model.parallel import run_tasks
from ..model.reader import BLANK, RowReader, digits_to_labels

SHARDS = 2
"""Of a batch of 64: 16 rows are too few for an LSTM's products, four shards take a fifth longer."""


class DivergedError(RuntimeError):
    """What the network computes is no longer finite, or is not going to be of use."""


class Shard(NamedTuple):
    """What one shard gives: sums over its rows, and what the network said."""

    loss: float  # nats, summed over rows
    grads: dict[str, np.ndarray]  # of that sum, under the names of the parameters
    logits: np.ndarray  # (T, N, C)
    lengths: np.ndarray  # (N,)
    seconds: tuple[float, float, float]  # of forward, CTC, backward


Mapper = Callable[[RowReader, list[RowBatch]], list[Shard]]


def gradients(model: RowReader, batch: RowBatch) -> Shard:
    """Forward, CTC, backward over the rows of one shard; DivergedError if the forward pass overflows.

    To be called by way of `run_tasks`: two BLAS threads sum in another order than one.
    """
    start = time.perf_counter()
    x, lengths = model.frames(batch.images, batch.widths)
    logits, cache = model.forward(x, lengths)
    if not np.isfinite(logits).all():
        raise DivergedError("the network's outputs are not finite")
    forward = time.perf_counter()
    targets = [digits_to_labels(row) for row in batch.labels]
    result = ctc_loss(logits, targets, lengths, blank=BLANK, reduction="sum")
    ctc = time.perf_counter()
    grads = model.backward(result.grad, cache)
    seconds = forward - start, ctc - forward, time.perf_counter() - ctc
    return Shard(float(result.loss), grads, logits, lengths, seconds)


def on_threads(model: RowReader, parts: list[RowBatch]) -> list[Shard]:
    """The gradients of all parts, computed by the threads of this process."""
    return run_tasks(lambda part: gradients(model, part), parts, [part.images.size for part in parts])


def batch_gradients(model: RowReader, batch: RowBatch, shards: int = SHARDS,
                    mapper: Mapper = on_threads) -> tuple[float, dict[str, np.ndarray], list[Shard]]:
    """The mean loss per row of a batch, its gradient, and the shards it was made of."""
    found = mapper(model, cut(batch, shards))
    N = len(batch.labels)
    grads = mean_gradient(model, [shard.grads for shard in found], N)
    return sum(shard.loss for shard in found) / N, grads, found


def mean_gradient(model: RowReader, grads: Sequence[dict[str, np.ndarray]], N: int) -> dict[str, np.ndarray]:
    """The gradient of a mean over N rows, from those of sums over parts of them, added in their order."""
    return {name: sum(some[name] for some in grads) / N for name in model.params}


def cut(batch: RowBatch, parts: int) -> list[RowBatch]:
    """The rows of a batch in at most `parts` runs of about the same number."""
    N = len(batch.labels)
    parts = min(parts, N)
    edges = [N * k // parts for k in range(parts + 1)]
    return [
        RowBatch(batch.images[i:j], batch.widths[i:j], batch.labels[i:j])
        for i, j in zip(edges, edges[1:])
    ]
