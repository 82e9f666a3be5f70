"""The LSTM and its backpropagation, one direction or both.

    i, f, g, o = σ, σ, tanh, σ of W [x_t, 1, h_{t-1}]       W = [weight_ih, bias, weight_hh]
    c_t = f c_{t-1} + i g
    h_t = o tanh c_t

(Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.) Forward, each step needs one
matrix product, W [x_t, 1, h_{t-1}]. Backward, each step needs one that carries the gates' gradients back to
h_{t-1}; two products over all frames at once then give the gradients of W and of x.

A batch is *packed* before its steps: the sequences are sorted, longest first, and their frames are listed
step by step. So the sequences that still run at a step are one block of rows, and no row is padding. To
read from the end, each sequence is listed from its own last frame.

This file allocates the arrays and has the products over all frames; `steps.py` has the steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .layers import Arrays, check_dtype, check_frames, check_lengths
from .product import into_panels, product
from .steps import pack, steps_backward, steps_forward, unpack_add


class Packing(NamedTuple):
    """For each row of a packed batch, the frame of the padded batch that it holds."""

    frames: np.ndarray      # (K,): row k is frame n of time t, frames[k] = t * N + n
    starts: np.ndarray      # (steps + 1,): step s has the rows starts[s]:starts[s + 1]


class LSTMCache(NamedTuple):
    """What one direction keeps for its backward pass; `steps.py` lists the shapes."""

    packing: Packing
    z: np.ndarray
    gates: np.ndarray
    cells: np.ndarray
    shape: tuple[int, int, int]         # (T, N, D) of x

    def __repr__(self) -> str:
        T, N, D = self.shape
        return f"LSTMCache({T=}, {N=}, {D=}, H={self.cells.shape[1]}, {len(self.cells)} frames in use)"


def pack_frames(lengths: np.ndarray, N: int, reverse: bool) -> Packing:
    """The frames of a padded batch in the order in which an LSTM reads them."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.arange(lengths.max(initial=0))
    running = lengths[order] > steps[:, None]                   # (steps, N)
    step, rank = np.nonzero(running)
    n = order[rank]
    t = lengths[n] - 1 - step if reverse else step
    starts = np.concatenate([[0], running.sum(axis=1).cumsum()])
    return Packing(t * N + n, starts.astype(np.intp))


class LSTM:
    """An LSTM of one layer and one direction, which starts each sequence with h = c = 0.

    Parameters
    ----------
    D, H : sizes of an input frame and of the hidden state.
    rng : the generator that draws the weights. `weight_ih` (4H, D) is Glorot-uniform for each
        gate, which keeps the gates' inputs at the scale of x. `weight_hh` (4H, H) is orthogonal
        for each gate, so that many steps neither shrink a state nor blow it up. `bias` (4H,) is 1
        for the forget gate and 0 elsewhere, so that a new network keeps most of its cell state.
        The order of the gates is i, f, g, o, as in torch, which adds two biases, bias_ih + bias_hh.
    dtype : float32 or float64.

    Examples
    --------
    >>> lstm = LSTM(3, 2, np.random.default_rng(0))
    >>> y, cache = lstm.forward(np.ones((5, 2, 3), np.float32), lengths=[5, 4])
    >>> dx, grads = lstm.backward(np.ones_like(y), cache)
    >>> y[4, 1], dx[4, 1]
    (array([0., 0.], dtype=float32), array([0., 0., 0.], dtype=float32))
    >>> {name: grad.shape for name, grad in grads.items()}
    {'weight_ih': (8, 3), 'weight_hh': (8, 2), 'bias': (8,)}
    """

    def __init__(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float32):
        self.dtype = check_dtype(dtype)
        bound = np.sqrt(6 / max(D + H, 1))
        recurrent = [np.linalg.qr(rng.standard_normal((H, H)))[0] for _ in range(4)]
        bias = np.zeros(4 * H)
        bias[H:2 * H] = 1
        self.params: Arrays = {
            "weight_ih": rng.uniform(-bound, bound, (4 * H, D)).astype(self.dtype),
            "weight_hh": np.concatenate(recurrent).astype(self.dtype),
            "bias": bias.astype(self.dtype),
        }

    def __repr__(self) -> str:
        (_, D), (_, H) = self.params["weight_ih"].shape, self.params["weight_hh"].shape
        return f"LSTM({D=}, {H=}, {self.dtype})"

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, LSTMCache]:
        """Hidden states of every frame, and the cache for `backward`.

        Parameters
        ----------
        x : (T, N, D) array of the layer's dtype.
        lengths : (N,) integers from 0 to T, the number of frames of each sequence; None means T.

        Returns
        -------
        y : (T, N, H); 0 in padded frames, which are never read.
        cache : what `backward` needs.

        Raises
        ------
        ValueError : wrong shape, dtype or length.
        """
        x, lengths, y = _check_input(self, x, lengths, 1)
        return y, _forward(self.params, x, pack_frames(lengths, x.shape[1], False), y, 0)

    def backward(self, dy: np.ndarray, cache: LSTMCache, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """Gradients of the input and the parameters, from those of the output.

        Parameters
        ----------
        dy : (T, N, H) array, dloss/dy; its padded frames are never read.
        cache : from `forward`.
        input_gradient : whether to compute dx, which the first layer of a network does not need.

        Returns
        -------
        dx : (T, N, D), 0 in padded frames; None without `input_gradient`.
        grads : the gradients of `params`, under the same names.
        """
        H = cache.cells.shape[1]
        dy = check_frames("dy", dy, (*cache.shape[:2], H), self.dtype)
        dx = np.zeros(cache.shape, self.dtype) if input_gradient else None
        return dx, _backward(self.params, dy, cache, dx, 0)


class BiLSTM:
    """Two LSTMs side by side: one reads each sequence from its start, the other from its end.

    Their parameters are called `forward.weight_ih` ... and `reverse.weight_ih` ...; they are drawn
    as for `LSTM`.

    Examples
    --------
    >>> lstm = BiLSTM(3, 2, np.random.default_rng(0))
    >>> y, cache = lstm.forward(np.ones((5, 2, 3), np.float32), lengths=[5, 4])
    >>> y.shape, bool((y[0, 1, 2:] == y[1, 0, 2:]).all())    # both 4 frames from the end
    ((5, 2, 4), True)
    >>> dx, grads = lstm.backward(np.ones_like(y), cache)
    >>> list(grads) == list(lstm.params)
    True
    """

    def __init__(self, D: int, H: int, rng: np.random.Generator, dtype: Any = np.float32):
        self.directions = {"forward": LSTM(D, H, rng, dtype), "reverse": LSTM(D, H, rng, dtype)}
        self.dtype = check_dtype(dtype)
        self.params: Arrays = {f"{name}.{key}": array for name, lstm in self.directions.items()
                               for key, array in lstm.params.items()}

    def __repr__(self) -> str:
        return f"Bi{self.directions['forward']!r}"

    def forward(self, x: np.ndarray, lengths: Any = None
                ) -> tuple[np.ndarray, tuple[LSTMCache, LSTMCache]]:
        """y (T, N, 2H), the forward direction first, and the cache; otherwise as `LSTM.forward`."""
        ahead, back = self.directions["forward"], self.directions["reverse"]
        x, lengths, y = _check_input(ahead, x, lengths, 2)
        N, H = x.shape[1], y.shape[2] // 2
        return y, (_forward(ahead.params, x, pack_frames(lengths, N, False), y, 0),
                   _forward(back.params, x, pack_frames(lengths, N, True), y, H))

    def backward(self, dy: np.ndarray, cache: tuple[LSTMCache, LSTMCache], *,
                 input_gradient: bool = True) -> tuple[np.ndarray | None, Arrays]:
        """dx (T, N, D) and the gradients of `params` for dy (T, N, 2H); as `LSTM.backward`."""
        shape, H = cache[0].shape, cache[0].cells.shape[1]
        dy = check_frames("dy", dy, (*shape[:2], 2 * H), self.dtype)
        dx = np.zeros(shape, self.dtype) if input_gradient else None
        grads = {}
        for (name, lstm), lstm_cache, column in zip(self.directions.items(), cache, (0, H)):
            lstm_grads = _backward(lstm.params, dy, lstm_cache, dx, column)
            grads.update({f"{name}.{key}": grad for key, grad in lstm_grads.items()})
        return dx, grads


def _check_input(lstm: LSTM, x: np.ndarray, lengths: Any, directions: int
                 ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Checked input and lengths, and an array for the output whose padding is already 0."""
    H = lstm.params["weight_hh"].shape[1]
    D = lstm.params["weight_ih"].shape[1]
    x = check_frames("x", x, (None, None, D), lstm.dtype)
    T, N, _ = x.shape
    return x, check_lengths(lengths, T, N), np.zeros((T, N, directions * H), x.dtype)


def _forward(params: Arrays, x: np.ndarray, packing: Packing, y: np.ndarray, column: int) -> LSTMCache:
    """Run one direction; its hidden states go to y[:, :, column:column + H]."""
    T, N, D = x.shape
    H = params["weight_hh"].shape[1]
    frames, starts = packing
    K = frames.size
    z, gates = np.empty((K, D + 1 + H), x.dtype), np.empty((K, 4 * H), x.dtype)
    c_start, cells = np.zeros((N, H), x.dtype), np.empty((K, H), x.dtype)
    y = y.reshape(T * N, y.shape[2])

    pack(x.reshape(T * N, D), frames, z)        # z = [x, 1, h]
    z[:N, D + 1:] = 0                           # h = 0 before the first step
    weights = np.concatenate([params["weight_ih"], params["bias"][:, None], params["weight_hh"]], axis=1)
    steps_forward(gates, c_start, cells, frames, starts, y, column, into_panels(weights.T), z)
    return LSTMCache(packing, z, gates, cells, (T, N, D))


def _backward(params: Arrays, dy: np.ndarray, cache: LSTMCache, dx: np.ndarray | None, column: int) -> Arrays:
    """The lines of `_forward` in reverse; adds to dx and returns the gradients of `params`."""
    (frames, starts), z, gates, cells, (T, N, D) = cache
    K, H = cells.shape
    dgates = np.empty((K, 4 * H), z.dtype)
    c_start, dh, dc = np.zeros((3, N, H), z.dtype)
    dy = dy.reshape(T * N, dy.shape[2])

    weight_hh = into_panels(params["weight_hh"])
    steps_backward(gates, c_start, cells, frames, starts, dy, column, weight_hh, dh, dc, dgates)
    dweights = dgates.T @ z                     # of [weight_ih, bias, weight_hh]
    grads = {"weight_ih": dweights[:, :D].copy(), "weight_hh": dweights[:, D + 1:].copy(),
             "bias": dweights[:, D].copy()}
    if dx is not None:                          # z = [x, 1, h]
        dx_rows = np.empty((K, D), z.dtype)
        product(dgates, into_panels(params["weight_ih"]), dx_rows)
        unpack_add(dx_rows, frames, dx.reshape(T * N, D))
    return grads
