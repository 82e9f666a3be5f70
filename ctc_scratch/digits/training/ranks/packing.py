"""Pack the arrays of a rank's shards into one block of bytes, and unpack them; a `Label` holds the rest.

    block       the shards one after another, each with its arrays in the order
                losses (N,), lengths (N,), logits (T, N, C), then the gradients in the order of the parameters
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..gradients import ShardGradients

ALIGNED = 8
"""Each array begins at a multiple of this many bytes, so that it can be used without a copy."""


class Label(NamedTuple):
    """What unpacking a shard needs besides the block: its numbers, and the shape of its logits."""

    loss: float
    objective: float
    seconds: tuple[float, float, float]
    logits_shape: tuple[int, int, int]


def label(shard: ShardGradients) -> Label:
    """The label that is sent with a shard."""
    T, N, C = shard.logits.shape
    return Label(shard.loss, shard.objective, shard.seconds, (T, N, C))


def pack(shards: Sequence[ShardGradients], params: dict[str, np.ndarray], block: np.ndarray) -> np.ndarray:
    """The arrays of shards as bytes (size,) uint8, in `block` if it is large enough, else in a new one."""
    arrays = [array for shard in shards for array in
              (shard.losses, shard.lengths, shard.logits, *(shard.grads[name] for name in params))]
    starts = [0, *np.cumsum([_room(array.nbytes) for array in arrays]).tolist()]
    if len(block) < starts[-1]:
        block = np.empty(starts[-1], np.uint8)
    for array, start in zip(arrays, starts):
        block[start:start + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    return block[:starts[-1]]


def unpack(labels: Sequence[Label], block: np.ndarray, params: dict[str, np.ndarray]
           ) -> Iterator[ShardGradients]:
    """The shards in a block of bytes; their arrays are views into it, valid until it is overwritten.

    params : of the model; the gradients have the same names, shapes and dtypes
    """
    dtype, start = next(iter(params.values())).dtype, 0

    def take(shape: tuple[int, ...], kind: Any = dtype) -> np.ndarray:
        nonlocal start
        first, size = start, int(np.prod(shape)) * np.dtype(kind).itemsize
        start += _room(size)
        return block[first:first + size].view(kind).reshape(shape)

    for loss, objective, seconds, logits_shape in labels:
        N = logits_shape[1]
        losses, lengths = take((N,), np.float64), take((N,), np.int64)
        logits = take(logits_shape)
        grads = {name: take(param.shape) for name, param in params.items()}
        yield ShardGradients(loss, losses, objective, grads, logits, lengths, seconds)


def _room(size: int) -> int:
    """How many bytes of a block an array of `size` bytes takes up."""
    return -(-size // ALIGNED) * ALIGNED
