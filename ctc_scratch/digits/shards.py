"""One batch, cut into shards: each is a task of its own, and their gradients add up.

The cut does not depend on the threads: they only decide who computes which
shard. As the sums are made in the order of the shards, any number of threads
gives the same bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from ..ctc import ctc_loss, threads
from .data import Batch
from .model import BLANK, RowReader, digits_to_labels

SHARDS = 2


class DivergedError(RuntimeError):
    """What the network computes is no longer finite."""


class Shard(NamedTuple):
    """What one shard gives: sums over its rows, and what the network said."""

    loss: float  # nats, summed over rows
    grads: dict[str, np.ndarray]  # of that sum, under the names of the parameters
    logits: np.ndarray  # (T, N, C)
    lengths: np.ndarray  # (N,)


def gradients(model: RowReader, batch: Batch) -> Shard:
    """Forward, CTC, backward over the rows of one shard; DivergedError if the forward pass overflows."""
    x, lengths = model.frames(batch.images, batch.widths)
    logits, cache = model.forward(x, lengths)
    if not np.isfinite(logits).all():
        raise DivergedError("the network's outputs are not finite")
    targets = [digits_to_labels(row) for row in batch.labels]
    result = ctc_loss(logits, targets, lengths, blank=BLANK, reduction="sum")
    return Shard(float(result.loss), model.backward(result.grad, cache), logits, lengths)


def batch_gradients(model: RowReader, batch: Batch) -> tuple[float, dict[str, np.ndarray], list[Shard]]:
    """The mean loss per row of a batch, its gradient, and the shards it was made of."""
    parts = cut(batch, SHARDS)
    shards: list[Shard] = [None] * len(parts)  # type: ignore[list-item]

    def task(samples):
        for k in samples:
            shards[k] = gradients(model, parts[k])

    run_tasks(task, [part.images.size for part in parts])
    N = len(batch.labels)
    grads = {name: sum(shard.grads[name] for shard in shards) / N for name in model.params}
    return sum(shard.loss for shard in shards) / N, grads, shards


def cut(batch: Batch, parts: int) -> list[Batch]:
    """The rows of a batch in at most `parts` runs of about the same number."""
    N = len(batch.labels)
    edges = [N * k // parts for k in range(parts + 1)]
    return [
        Batch(batch.images[i:j], batch.widths[i:j], batch.labels[i:j])
        for i, j in zip(edges, edges[1:]) if j > i
    ]


def run_tasks(task, pixels: list[int]) -> None:
    """Run tasks side by side, each with one BLAS thread.

    The products of an LSTM are so small that a second BLAS thread slows them
    down; it pays to give each thread a task of its own.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        threads.run(task, costs=100 * np.array(pixels))  # a pixel costs about 100 lattice cells
