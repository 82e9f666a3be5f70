"""Layers in plain NumPy: the affine map, tanh, the logistic function and the positive part, with gradients.

A forward function takes x (..., D) and parameters; its backward function takes dy, the gradient of the
output, before the same arguments, and returns the gradients of x and of the parameters. Each wrong twin in
`layer_twins.py` is this file with a few places changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Gradients = dict[str, NDArray]


def linear(x: NDArray, weight: NDArray, bias: NDArray) -> NDArray:
    """y = weight x + bias for each frame: (..., C) for x (..., D), weight (C, D) and bias (C,)."""
    return x @ weight.T + bias


def linear_back(dy: NDArray, x: NDArray, weight: NDArray, bias: NDArray) -> Gradients:
    """The gradients of x, weight and bias; those of weight and bias are sums over all frames and samples."""
    dx = dy @ weight
    dweight = dy.reshape(-1, dy.shape[-1]).T @ x.reshape(-1, x.shape[-1])
    dbias = dy.sum(axis=tuple(range(dy.ndim - 1)))
    return {"x": dx, "weight": dweight, "bias": dbias}


def tanh(x: NDArray) -> NDArray:
    """tanh of each entry."""
    y = np.tanh(x)
    return y


def tanh_back(dy: NDArray, x: NDArray) -> Gradients:
    """tanh' = 1 - tanh²."""
    return {"x": dy * (1 - np.tanh(x) ** 2)}


def sigmoid(x: NDArray) -> NDArray:
    """σ(x) = 1 / (1 + exp(-x)) of each entry, without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def sigmoid_back(dy: NDArray, x: NDArray) -> Gradients:
    """σ' = σ (1 - σ)."""
    s = sigmoid(x)
    return {"x": dy * s * (1 - s)}


def relu(x: NDArray) -> NDArray:
    """The positive part of each entry."""
    return np.maximum(x, 0)


def relu_back(dy: NDArray, x: NDArray) -> Gradients:
    """relu' is 1 where x > 0, else 0. No problem has an x of 0, where there is no derivative."""
    return {"x": dy * (x > 0)}
