"""The LSTM in plain NumPy, frame by frame, with its backpropagation.

    i, f, g, o = σ, σ, tanh, σ of weight_ih x_t + bias_ih + weight_hh h_{t-1} + bias_hh
    c_t = f c_{t-1} + i g
    h_t = o tanh c_t

It gives what `nn.LSTM` does not: initial states, final states and two biases. Each wrong twin in `twins.py`
and `gradient_twins.py` is this file with a few places changed, so it is kept plain.

Sizes: T frames, N sequences, D inputs, H hidden units, K directions. Arrays of K directions have them first:

    weights     weight_ih (K, 4H, D), weight_hh (K, 4H, H), bias_ih (K, 4H), bias_hh (K, 4H)
    h0, c0      (K, N, H)
    x, dy       (T, N, D), (T, N, K, H)
"""

from __future__ import annotations

from typing import Mapping, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray


class Cache(NamedTuple):
    """What the backward pass of a frame needs: the input, the states before it, the gates, the new c."""

    x: NDArray
    h: NDArray
    c: NDArray
    gates: tuple[NDArray, ...]
    c_new: NDArray


def sigmoid(z: NDArray) -> NDArray:
    """σ(z), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def step(x: NDArray, h: NDArray, c: NDArray, weights: Mapping[str, NDArray]) -> tuple[NDArray, NDArray,
                                                                                      Cache]:
    """The states h and c (H,) after a frame x (D,), and the cache for `step_back`."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights.values()
    z = weight_ih @ x + bias_ih + weight_hh @ h + bias_hh
    i, f, g, o = z.reshape(4, -1)
    i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
    c_new = f * c + i * g
    h_new = o * np.tanh(c_new)
    return h_new, c_new, Cache(x, h, c, (i, f, g, o), c_new)


def step_back(dh: NDArray, dc: NDArray, cache: Cache, weights: Mapping[str, NDArray]
              ) -> tuple[NDArray, NDArray, NDArray, list[NDArray]]:
    """The gradients of x, of h and c before the frame, and of the four weights: `step` line by line."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights.values()
    x, h, c, (i, f, g, o), c_new = cache
    # h_new = o tanh c_new
    do = dh * np.tanh(c_new)
    dc = dc + dh * o * (1 - np.tanh(c_new) ** 2)
    # c_new = f c + i g
    df = dc * c
    di = dc * g
    dg = dc * i
    dc_before = dc * f
    # i, f, g, o = σ, σ, tanh, σ
    di = di * i * (1 - i)
    df = df * f * (1 - f)
    dg = dg * (1 - g ** 2)
    do = do * o * (1 - o)
    # z = weight_ih x + bias_ih + weight_hh h + bias_hh
    dz = np.concatenate([di, df, dg, do])
    dx = weight_ih.T @ dz
    dh_before = weight_hh.T @ dz
    dweight_ih = np.outer(dz, x)
    dweight_hh = np.outer(dz, h)
    dbias_ih, dbias_hh = dz, dz
    return dx, dh_before, dc_before, [dweight_ih, dweight_hh, dbias_ih, dbias_hh]


def solve(x: NDArray, lengths: NDArray, weights: Mapping[str, NDArray], h0: NDArray, c0: NDArray, dy: NDArray,
          reverse: Sequence[bool]) -> dict[str, NDArray]:
    """Outputs, final states and gradients by name; direction k reads from the end if `reverse[k]`.

    The gradients are those of the sum of y dy. Padded frames are never read; y and dx are 0 there.
    """
    (T, N, D), (K, _, H) = x.shape, h0.shape
    y, dx = np.zeros((T, N, K, H)), np.zeros((T, N, D))
    h_n, c_n, dh0, dc0 = np.zeros((4, K, N, H))
    grads = {name: np.zeros(array.shape) for name, array in weights.items()}
    for k in range(K):
        own = {name: array[k] for name, array in weights.items()}
        orders, caches = [], []
        for n in range(N):
            frames = range(lengths[n])[::-1] if reverse[k] else range(lengths[n])
            h, c = h0[k, n], c0[k, n]
            for t in frames:
                h, c, cache = step(x[t, n], h, c, own)
                y[t, n, k] = h
                caches.append(cache)
            h_n[k, n], c_n[k, n] = h, c
            orders.append(frames)
        for n in reversed(range(N)):
            frames = orders[n]
            dh, dc = np.zeros((2, H))
            for t in reversed(frames):
                dx_t, dh, dc, dweights = step_back(dy[t, n, k] + dh, dc, caches.pop(), own)
                dx[t, n] += dx_t
                for name, dweight in zip(grads, dweights):
                    grads[name][k] += dweight
            dh0[k, n], dc0[k, n] = dh, dc
    return {"y": y.reshape(T, N, K * H), "h_n": h_n, "c_n": c_n, "gradient of x": dx,
            **{f"gradient of {name}": grad for name, grad in grads.items()},
            "gradient of h0": dh0, "gradient of c0": dc0}
