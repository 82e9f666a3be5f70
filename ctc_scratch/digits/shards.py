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
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from ..ctc import ctc_loss, threads
from .data import Batch
from .model import BLANK, RowReader, digits_to_labels

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


Mapper = Callable[[RowReader, list[Batch]], list[Shard]]


def gradients(model: RowReader, batch: Batch) -> Shard:
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


def on_threads(model: RowReader, parts: list[Batch]) -> list[Shard]:
    """The gradients of all parts, computed by the threads of this process."""
    shards: list[Shard] = [None] * len(parts)  # type: ignore[list-item]

    def task(samples):
        for k in samples:
            shards[k] = gradients(model, parts[k])

    run_tasks(task, [part.images.size for part in parts])
    return shards


def batch_gradients(model: RowReader, batch: Batch, shards: int = SHARDS,
                    mapper: Mapper = on_threads) -> tuple[float, dict[str, np.ndarray], list[Shard]]:
    """The mean loss per row of a batch, its gradient, and the shards it was made of."""
    found = mapper(model, cut(batch, shards))
    N = len(batch.labels)
    grads = {name: sum(shard.grads[name] for shard in found) / N for name in model.params}
    return sum(shard.loss for shard in found) / N, grads, found


def cut(batch: Batch, parts: int) -> list[Batch]:
    """The rows of a batch in at most `parts` runs of about the same number."""
    N = len(batch.labels)
    parts = min(parts, N)
    edges = [N * k // parts for k in range(parts + 1)]
    return [
        Batch(batch.images[i:j], batch.widths[i:j], batch.labels[i:j])
        for i, j in zip(edges, edges[1:])
    ]


def run_tasks(task, pixels: list[int]) -> None:
    """Run tasks side by side, each with one BLAS thread.

    The products of an LSTM are so small that a second BLAS thread slows them
    down; it pays to give each thread a task of its own.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        threads.run(task, costs=100 * np.array(pixels))  # a pixel costs about 100 lattice cells


@cache
def _libraries() -> ThreadpoolController:
    """To look for the loaded libraries takes half a millisecond, too long for every step."""
    return ThreadpoolController()
