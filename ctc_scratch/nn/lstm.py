"""The LSTM and its backpropagation, one direction or both.

    i, f, g, o = σ, σ, tanh, σ of W [x_t, 1, h_{t-1}]       W = [weight_ih, bias, weight_hh]
    c_t = f c_{t-1} + i g
    h_t = o tanh c_t

(Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.) In each step one product
gives what goes into the gates, and backward one carries the gates' gradients back to h_{t-1}; two
over all frames then give the gradients of x and of W. All but the last are `product`, for
which weights are cut into panels once a batch.

A batch is *packed*: sequences sorted by falling length, then frame after frame, so that the
sequences still running at a step are a block of rows, and padding is nowhere. Reading backward is
the same packing with each sequence listed from its own end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .layers import Arrays, check_dtype, check_frames, check_lengths
from .product import into_panels, product
from .steps import pack, steps_backward, steps_forward, unpack_add


class Packing(NamedTuple):
    """Where the rows of a packed batch come from."""

    frames: np.ndarray      # (K,): row k is frame n of time t, frames[k] = t * N + n
    starts: np.ndarray      # (steps + 1,): step s owns the rows starts[s]:starts[s + 1]


class LSTMCache(NamedTuple):
    """What one direction keeps for its backward pass; shapes in `steps.py`."""

    packing: Packing
    z: np.ndarray
    gates: np.ndarray
    cells: np.ndarray
    shape: tuple[int, int, int]         # (T, N, D) of x


def pack_frames(lengths: np.ndarray, N: int, reverse: bool) -> Packing:
    """The frames of a padded batch in the order an LSTM reads them."""
    order = np.argsort(-lengths, kind="stable")
    steps = np.arange(lengths.max(initial=0))
    running = lengths[order] > steps[:, None]                   # (steps, N)
    step, rank = np.nonzero(running)
    n = order[rank]
    t = lengths[n] - 1 - step if reverse else step
    starts = np.concatenate([[0], running.sum(axis=1).cumsum()])
    return Packing(t * N + n, starts.astype(np.intp))


class LSTM:
    """One layer, one direction; every sequence starts from the state 0.

    Parameters
    ----------
    D, H : sizes of an input frame and of the hidden state.
    rng : the generator that draws the weights. `weight_ih` (4H, D) is Glorot-uniform for each
        gate, which keeps the gates' inputs at the scale of x; `weight_hh` (4H, H) is orthogonal
        for each gate, which neither shrinks nor blows up a state that goes through many steps.
        `bias` (4H,) is 0 and 1 for the forget gate: a new network remembers.
        The gates stand in the order i, f, g, o. (torch splits the bias in two: bias_ih + bias_hh.)
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
        orthogonal = [np.linalg.qr(rng.standard_normal((H, H)))[0] for _ in range(4)]
        bias = np.zeros(4 * H)
        bias[H:2 * H] = 1
        self.params: Arrays = {
            "weight_ih": rng.uniform(-bound, bound, (4 * H, D)).astype(self.dtype),
            "weight_hh": np.concatenate(orthogonal).astype(self.dtype),
            "bias": bias.astype(self.dtype),
        }

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, LSTMCache]:
        """Hidden states of every frame, and the cache for `backward`.

        Parameters
        ----------
        x : (T, N, D) array of the layer's dtype.
        lengths : (N,) integers from 0 to T, the frames of each sequence; None means T.

        Returns
        -------
        y : (T, N, H); 0 in padded frames, which are never read.
        cache : to be handed to `backward`.

        Raises
        ------
        ValueError : wrong shape, dtype or length.
        """
        x, lengths, y = _prepare(self, x, lengths, 1)
        return y, _run(self.params, x, pack_frames(lengths, x.shape[1], False), y, 0)

    def backward(self, dy: np.ndarray, cache: LSTMCache, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """Gradients for dy (T, N, H) = dloss/dy; padded frames of dy are never read.

        Returns
        -------
        dx : (T, N, D), 0 in padded frames; None without `input_gradient`, which a first layer has
            no use for.
        grads : the gradients of `params`, under the same names.
        """
        H = cache.cells.shape[1]
        dy = check_frames("dy", dy, (*cache.shape[:2], H), self.dtype)
        dx = np.zeros(cache.shape, self.dtype) if input_gradient else None
        return dx, _run_back(self.params, dy, cache, dx, 0)


class BiLSTM:
    """Two LSTMs side by side, one of which reads each sequence from its own end.

    `params` are `forward.weight_ih` ... and `reverse.weight_ih` ..., drawn as for `LSTM`.

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

    def forward(self, x: np.ndarray, lengths: Any = None
                ) -> tuple[np.ndarray, tuple[LSTMCache, LSTMCache]]:
        """y (T, N, 2H), forward states first, and the cache; otherwise as `LSTM.forward`."""
        ahead, back = self.directions["forward"], self.directions["reverse"]
        x, lengths, y = _prepare(ahead, x, lengths, 2)
        N, H = x.shape[1], y.shape[2] // 2
        return y, (_run(ahead.params, x, pack_frames(lengths, N, False), y, 0),
                   _run(back.params, x, pack_frames(lengths, N, True), y, H))

    def backward(self, dy: np.ndarray, cache: tuple[LSTMCache, LSTMCache], *,
                 input_gradient: bool = True) -> tuple[np.ndarray | None, Arrays]:
        """dx (T, N, D) and the gradients of `params` for dy (T, N, 2H); as `LSTM.backward`."""
        shape, H = cache[0].shape, cache[0].cells.shape[1]
        dy = check_frames("dy", dy, (*shape[:2], 2 * H), self.dtype)
        dx = np.zeros(shape, self.dtype) if input_gradient else None
        grads = {}
        for (name, lstm), lstm_cache, column in zip(self.directions.items(), cache, (0, H)):
            found = _run_back(lstm.params, dy, lstm_cache, dx, column)
            grads.update({f"{name}.{key}": grad for key, grad in found.items()})
        return dx, grads


def _prepare(lstm, x, lengths, directions):
    """Checked input and lengths, and an output whose padding is already 0."""
    H = lstm.params["weight_hh"].shape[1]
    D = lstm.params["weight_ih"].shape[1]
    x = check_frames("x", x, (None, None, D), lstm.dtype)
    T, N, _ = x.shape
    return x, check_lengths(lengths, T, N), np.zeros((T, N, directions * H), x.dtype)


def _run(params, x, packing, y, column):
    """All steps of one direction; the hidden states go to y[:, :, column:column + H]."""
    T, N, D = x.shape
    H = params["weight_hh"].shape[1]
    frames, starts = packing
    K = frames.size
    z, gates = np.empty((K, D + 1 + H), x.dtype), np.empty((K, 4 * H), x.dtype)
    c_start, cells = np.zeros((N, H), x.dtype), np.empty((K, H), x.dtype)
    y = y.reshape(T * N, y.shape[2])

    pack(x.reshape(T * N, D), frames, z)
    z[:N, D + 1:] = 0
    weights = np.concatenate([params["weight_ih"], params["bias"][:, None], params["weight_hh"]], axis=1)
    steps_forward(z, into_panels(weights.T), gates, c_start, cells, frames, starts, y, column)
    return LSTMCache(packing, z, gates, cells, (T, N, D))


def _run_back(params, dy, cache, dx, column):
    """All steps of one direction, last one first; adds to dx, returns the parameters' gradients."""
    (frames, starts), z, gates, cells, (T, N, D) = cache
    K, H = cells.shape
    dgates = np.empty((K, 4 * H), z.dtype)
    c_start, dh, dc = np.zeros((3, N, H), z.dtype)
    dy = dy.reshape(T * N, dy.shape[2])

    weight_hh = into_panels(params["weight_hh"])
    steps_backward(gates, c_start, cells, frames, starts, dy, column, weight_hh, dh, dc, dgates)
    if dx is not None:
        rows = np.empty((K, D), z.dtype)
        product(dgates, into_panels(params["weight_ih"]), rows)
        unpack_add(rows, frames, dx.reshape(T * N, D))
    dweights = dgates.T @ z
    return {"weight_ih": dweights[:, :D].copy(), "weight_hh": dweights[:, D + 1:].copy(),
            "bias": dweights[:, D].copy()}
