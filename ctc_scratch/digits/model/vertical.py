"""A layer that reads each frame from top to bottom, before the other layers read the row across."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...nn.layers import Arrays, check_frames, check_lengths
from ...nn.lstm import BiLSTM
from ..data.mnist_files import SIDE

PATCH = 4
"""Pixel rows per patch."""

STRIDE = 2
"""Pixel rows from one patch to the next, a divisor of 28. Patches overlap: a stroke that one of them cuts
is whole in the next."""

STEPS = SIDE // STRIDE

MARGIN = 2
"""Columns on either side of a frame that are read with it."""

KEPT = 2
"""One step in this many has an output: steps 1, 3 ... 13. Seven heights are enough for the next layer."""

HEIGHTS = STEPS // KEPT


class VerticalCache(NamedTuple):
    """What `VerticalLSTM.forward` keeps for `backward`."""

    running: np.ndarray     # (T, N) bool, False in padding
    inside: Any             # the cache of the BiLSTM


class VerticalLSTM:
    """A bidirectional LSTM that reads each frame from above and from below.

    A layer that takes a frame as a whole has a weight for each pixel, so it has to learn a stroke
    separately at every height where it may stand. This layer cuts a frame, with two columns on either
    side of it, into patches of 4 pixel rows, each two rows below the one before. The same LSTM reads
    all patches, so a stroke learnt at one height is known at every height (the idea is that of ReNet,
    Visin et al. 2015). The 14 patches of a frame are the time axis of this LSTM, and the frames of all
    rows are its batch. Its outputs at every second patch, 7 heights, stand side by side in the output
    of the layer.

    Parameters
    ----------
    window : pixel columns per frame
    H : units per direction
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
        self.window, self.outputs = window, HEIGHTS * 2 * H
        self.lstm = BiLSTM(patch_size(window), H, rng, dtype)
        self.dtype, self.params = self.lstm.dtype, self.lstm.params

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, VerticalCache]:
        """Read each frame from top to bottom.

        Parameters
        ----------
        x : (T, N, window * 28) array of the layer's dtype, as `RowReader.frames` makes it
        lengths : (N,) integers from 0 to T, the frames of each sequence; None means T

        Returns
        -------
        y : (T, N, 7 * 2H) array, height after height; 0 in padded frames, which are never read
        cache : what `backward` needs

        Raises
        ------
        ValueError : wrong shape, dtype or length.
        """
        x = check_frames("x", x, (None, None, self.window * SIDE), self.dtype)
        T, N, _ = x.shape
        running = np.arange(T)[:, None] < check_lengths(lengths, T, N)
        page = self._page(T, N)
        columns = np.where(running[:, :, None], x, 0).reshape(T, N, self.window, SIDE)
        self._inner(page, T)[...] = columns.transpose(1, 0, 2, 3)

        # (sequence, frame, step, column, row) -> (step, frame of all sequences, column and row)
        wide = self.window + 2 * MARGIN
        patches = sliding_window_view(page, (wide, PATCH), axis=(1, 2))[:, ::self.window, ::STRIDE]
        patches = patches[:, :T].transpose(2, 1, 0, 3, 4)[:, running]
        read, inside = self.lstm.forward(patches.reshape(STEPS, -1, wide * PATCH))
        y = np.zeros((T, N, self.outputs), self.dtype)
        y[running] = read[KEPT - 1::KEPT].transpose(1, 0, 2).reshape(-1, self.outputs)
        return y, VerticalCache(running, inside)

    def backward(self, dy: np.ndarray, cache: VerticalCache, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """The gradients of the input and of the parameters.

        Returns
        -------
        dx : (T, N, window * 28) array; None without `input_gradient`
        grads : dict with the names of `params`
        """
        running, inside = cache
        T, N = running.shape
        dy = check_frames("dy", dy, (T, N, self.outputs), self.dtype)
        dread = np.zeros((STEPS, np.count_nonzero(running), self.outputs // HEIGHTS), self.dtype)
        dread[KEPT - 1::KEPT] = dy[running].reshape(-1, HEIGHTS, dread.shape[2]).transpose(1, 0, 2)
        dpatches, grads = self.lstm.backward(dread, inside, input_gradient=input_gradient)
        if dpatches is None:
            return None, grads

        wide = self.window + 2 * MARGIN
        spread = np.zeros((T, N, STEPS, wide, PATCH), self.dtype)
        spread[running] = dpatches.reshape(STEPS, -1, wide, PATCH).transpose(1, 0, 2, 3)
        spread = spread.transpose(1, 0, 2, 3, 4)
        dpage = self._page(T, N)
        # Patches overlap, but the pixels at one place of each patch do not.
        for column, row in np.ndindex(wide, PATCH):
            dpage[:, column:column + T * self.window:self.window, row:row + SIDE:STRIDE] += (
                spread[:, :, :, column, row])
        dx = self._inner(dpage, T).transpose(1, 0, 2, 3).reshape(T, N, self.window * SIDE)
        return np.where(running[:, :, None], dx, 0), grads

    def _page(self, T: int, N: int) -> np.ndarray:
        """Empty paper (N, columns, rows) for T frames of N sequences and the margins around them.

        With T = 0 it has room for one frame, because no window may be wider than what it slides over.
        """
        return np.zeros((N, max(T, 1) * self.window + 2 * MARGIN, SIDE + PATCH - STRIDE), self.dtype)

    def _inner(self, page: np.ndarray, T: int) -> np.ndarray:
        """The frames (N, T, window, 28) on a page, as a view."""
        above = (PATCH - STRIDE) // 2
        frames = page[:, MARGIN:MARGIN + T * self.window, above:above + SIDE]
        return frames.reshape(len(page), T, self.window, SIDE)


def patch_size(window: int) -> int:
    """Pixels per patch of a frame of `window` columns."""
    return (window + 2 * MARGIN) * PATCH
