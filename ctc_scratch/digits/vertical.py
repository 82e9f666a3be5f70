"""A layer that reads each frame from top to bottom, before others read the row from left to right."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..nn.layers import Arrays, check_frames, check_lengths
from ..nn.lstm import BiLSTM
from .data import SIDE

PATCH = 4
"""Rows of pixels that are read at a time, a divisor of 28."""

STEPS = SIDE // PATCH


class VerticalCache(NamedTuple):
    """What `VerticalLSTM.forward` keeps for `backward`."""

    running: np.ndarray     # (T, N) bool: is this frame one of its sequence, or padding?
    inside: Any             # of the BiLSTM


class VerticalLSTM:
    """What a bidirectional LSTM says at each of the 7 heights of a frame, side by side.

    A layer that takes a frame whole has a weight for each of its pixels, and learns a stroke anew
    at every height where it can stand. This one cuts the frame into patches of 4 rows, the same LSTM
    reads them all, from above and from below, and so knows a stroke wherever it has met one (the
    idea is that of ReNet, Visin et al. 2015). The heights of a frame are its time, the frames of all
    rows its batch.

    Parameters
    ----------
    window : pixel columns in a frame
    H : units in each direction
    rng, dtype : as for `BiLSTM`, whose `params` are those of this layer

    Examples
    --------
    >>> layer = VerticalLSTM(window=2, H=3, rng=np.random.default_rng(0))
    >>> y, cache = layer.forward(np.ones((5, 4, 56), np.float32), lengths=[5, 5, 2, 0])
    >>> dx, grads = layer.backward(np.ones_like(y), cache)
    >>> y.shape, dx.shape, layer.outputs
    ((5, 4, 42), (5, 4, 56), 42)
    """

    def __init__(self, window: int, H: int, rng: np.random.Generator, dtype: Any = np.float32):
        self.window, self.outputs = window, STEPS * 2 * H
        self.lstm = BiLSTM(window * PATCH, H, rng, dtype)
        self.dtype, self.params = self.lstm.dtype, self.lstm.params

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, VerticalCache]:
        """What is read in each frame, and the cache for `backward`.

        Parameters
        ----------
        x : (T, N, window * 28) array of the layer's dtype, as `RowReader.frames` makes it
        lengths : (N,) integers from 0 to T, the frames of each sequence; None means T

        Returns
        -------
        y : (T, N, 7 * 2H), height after height; 0 in padded frames, which are never read
        cache : to be handed to `backward`

        Raises
        ------
        ValueError : wrong shape, dtype or length.
        """
        x = check_frames("x", x, (None, None, self.window * SIDE), self.dtype)
        T, N, _ = x.shape
        running = np.arange(T)[:, None] < check_lengths(lengths, T, N)
        # (frame, column, height, row) -> (height, frame, column and row)
        patches = x[running].reshape(-1, self.window, STEPS, PATCH).transpose(2, 0, 1, 3)
        read, inside = self.lstm.forward(patches.reshape(STEPS, -1, self.window * PATCH))
        y = np.zeros((T, N, self.outputs), self.dtype)
        y[running] = read.transpose(1, 0, 2).reshape(-1, self.outputs)
        return y, VerticalCache(running, inside)

    def backward(self, dy: np.ndarray, cache: VerticalCache, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """dx (T, N, window * 28), None without `input_gradient`, and the gradients of `params`."""
        T, N = cache.running.shape
        dy = check_frames("dy", dy, (T, N, self.outputs), self.dtype)
        dread = dy[cache.running].reshape(-1, STEPS, self.outputs // STEPS).transpose(1, 0, 2)
        dpatches, grads = self.lstm.backward(dread, cache.inside, input_gradient=input_gradient)
        if dpatches is None:
            return None, grads
        dx = np.zeros((T, N, self.window * SIDE), self.dtype)
        frames = dpatches.reshape(STEPS, -1, self.window, PATCH).transpose(1, 2, 0, 3)
        dx[cache.running] = frames.reshape(-1, self.window * SIDE)
        return dx, grads
