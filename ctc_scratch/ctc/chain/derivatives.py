"""Derivatives of a posterior along a direction of the scores, for the second derivatives of objectives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...arrays import underflow_is_zero
from .solve import Posterior
from .tilt import Sum, Tilt, add_by_class, tilt, tilted_covariance


@underflow_is_zero
def derivatives_along(
    found: Posterior, labels: NDArray[np.intp], blank: int, along: NDArray[np.float64], *,
    values: NDArray[np.float64] | None = None, leave: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The derivatives of `found.occupancy` and `found.covariance` when the scores move along `along` (T, C).

    found : the result of `posterior` for labels (U,), without `star`, with the same `values` or `leave`, and
        with xi
    values : (T, C), if the values change with the scores by `along`, too, as those of an entropy do
    leave : (T,) r, if V sums r[t] / leaving[u]; then `leaving` moves, too

    Both results are (T, C). O(T U) time and memory.
    """
    T, C = along.shape
    S = 2 * len(labels) + 1
    d_occupancy, d_covariance = np.zeros((2, T, C))
    if T == 0 or found.xi is None or found.log_z == -np.inf:
        return d_occupancy, d_covariance
    classes = np.full(S, blank)
    classes[1::2] = labels
    tilted = Tilt(np.zeros((T, 3, S)), np.zeros((T, 3, S)), np.zeros((T + 1, S)), np.zeros((T + 1, S)))
    v = _centred(along[:, classes], found.xi)
    tilt(found.xi, v, tilted)

    w = Sum(np.zeros((T, S)), np.zeros((T, S)), np.zeros(T), np.zeros(S), np.zeros(S))
    if values is not None:
        w = w._replace(values=_centred(values[:, classes], found.xi), d_values=v)
    if leave is not None and found.leaving is not None:
        w = w._replace(leave=leave)
        w.factors[1::2] = 1 / found.leaving
        w.d_factors[:] = -_derivative_of_leaving(tilted, leave) * w.factors**2
    cov, d_cov, (rest, d_rest) = np.zeros((T, S)), np.zeros((T, S)), np.zeros((2, T + 1, S))
    tilted_covariance(tilted, w, rest, d_rest, cov, d_cov)
    add_by_class(tilted.d_gamma[1:], classes, d_occupancy)
    add_by_class(d_cov, classes, d_covariance)
    return d_occupancy, d_covariance


def _centred(values: NDArray[np.float64], xi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (T, S) of states less their mean at each frame, which no covariance depends on."""
    gamma = xi[1:].sum(axis=1)
    return np.ascontiguousarray(values - (gamma * values).sum(axis=1, keepdims=True))


def _derivative_of_leaving(tilted: Tilt, leave: NDArray[np.float64]) -> NDArray[np.float64]:
    """The derivative (S,) of the mean of r at the end of each label."""
    out, d_out = tilted.shares[1:, 1:].sum(axis=1), tilted.d_shares[1:, 1:].sum(axis=1)  # by step or skip
    left = tilted.d_gamma[1:-1] * out + tilted.gamma[1:-1] * d_out
    return leave[:-1] @ left + leave[-1] * tilted.d_gamma[-1]
