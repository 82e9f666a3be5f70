"""How the posterior changes when the scores move: derivatives of shares, gamma and covariances.

The scores move along a direction in which state s of frame t has the value v_t(s). A derivative along it is
written d_. V is the sum of v along an alignment, and B_t(s) is the mean, over the alignments through state s
of frame t, of the part of V after that frame. With s' the state that move m leads to,

    d_share_t(s, m) = share_t(s, m) (v_t(s') + B_t(s') - B_{t-1}(s))

and every other sum of `sweep` is differentiated term by term, by the product rule: gamma, and, for a second
sum W along alignments, the covariance cov_t(s) = gamma_t(s) (A_t(s) + B_t(s) - E[W]), where A and B are those
of W. The values that W sums may depend on the scores themselves, so they come with derivatives. If they do
not, d_cov is the third cumulant of V, W and "the path is in state s at frame t".

These are passes over plain float64, for all states and frames at once. Only second derivatives of objectives
whose first derivative is a covariance need them. Shares are computed from xi, which is exact
enough for them wherever gamma is not 0.
"""

from typing import NamedTuple

from numpy.typing import NDArray

from ..exact.flags import kernel, part


class Tilt(NamedTuple):
    """Shares and gamma with their derivatives, which `tilt` fills. Row t + 1 of gamma is frame t."""

    shares: NDArray  # (T, 3, S) of the moves into each frame, indexed by the state they leave
    d_shares: NDArray  # (T, 3, S)
    gamma: NDArray  # (T + 1, S)
    d_gamma: NDArray  # (T + 1, S)


class Sum(NamedTuple):
    """The values that W sums, with their derivatives."""

    values: NDArray  # (T, S) of being in a state
    d_values: NDArray
    leave: NDArray  # (T,) r: a label whose last frame is t adds r[t] times its factor
    factors: NDArray  # (S,), 0 for blanks
    d_factors: NDArray


@kernel
def tilt(xi, v, tilted):
    """Fill `tilted`, whose arrays are zeros, from xi (T + 1, 3, S) and the direction v (T, S)."""
    T, S = v.shape
    gamma, d_gamma = tilted.gamma, tilted.d_gamma
    rest, means = v[0] * 0.0, v[0] * 0.0
    for t in range(T + 1):
        for s in range(S):
            gamma[t, s] = xi[t, 0, s] + xi[t, 1, s] + xi[t, 2, s]
    for t in range(T - 1, -1, -1):
        shares, d_shares = tilted.shares[t], tilted.d_shares[t]
        means[:] = 0.0
        for m in range(3):  # stay, step and skip lead from s to s + m
            for s in range(S - m):
                shares[m, s] = xi[t, m, s] / gamma[t, s] if gamma[t, s] > 0.0 else 0.0
                means[s] += shares[m, s] * (v[t, s + m] + rest[s + m])
        for m in range(3):
            for s in range(S - m):
                d_shares[m, s] = shares[m, s] * (v[t, s + m] + rest[s + m] - means[s])
        rest[:] = means
    for t in range(T):
        for m in range(3):
            for s in range(S - m):
                d_gamma[t + 1, s + m] += (d_gamma[t, s] * tilted.shares[t, m, s]
                                          + gamma[t, s] * tilted.d_shares[t, m, s])


@part
def value(w, t, m, s):
    """What W gains by move m from state s into frame t, and its derivative."""
    left = w.leave[t - 1] if m > 0 and t > 0 else 0.0
    return w.values[t, s + m] + left * w.factors[s], w.d_values[t, s + m] + left * w.d_factors[s]


@kernel
def tilted_covariance(tilted, w, rest, d_rest, cov, d_cov):
    """Fill cov and d_cov (T, S) for a `Sum` w, and B into rest and d_rest (T + 1, S); all start at 0."""
    T, S = cov.shape
    for s in range(S):  # a label may end after the last frame
        rest[T, s], d_rest[T, s] = w.leave[T - 1] * w.factors[s], w.leave[T - 1] * w.d_factors[s]
    for t in range(T - 1, -1, -1):
        shares, d_shares = tilted.shares[t], tilted.d_shares[t]
        for m in range(3):
            for s in range(S - m):
                gain, _ = value(w, t, m, s)
                rest[t, s] += shares[m, s] * (gain + rest[t + 1, s + m])
        for m in range(3):
            for s in range(S - m):
                gain, d_gain = value(w, t, m, s)
                # d_shares sum to 0 over m, so a constant may be subtracted: it makes the terms small.
                d_rest[t, s] += (d_shares[m, s] * (gain + rest[t + 1, s + m] - rest[t, s])
                                 + shares[m, s] * (d_gain + d_rest[t + 1, s + m]))
    # First cov holds gamma A, frame by frame; then the rest is added.
    for t in range(T):
        shares, d_shares = tilted.shares[t], tilted.d_shares[t]
        for m in range(3):
            for s in range(S - m):
                gain, d_gain = value(w, t, m, s)
                gamma, d_gamma = tilted.gamma[t, s], tilted.d_gamma[t, s]
                before = gamma * gain + (cov[t - 1, s] if t > 0 else 0.0)
                d_before = d_gamma * gain + gamma * d_gain + (d_cov[t - 1, s] if t > 0 else 0.0)
                cov[t, s + m] += before * shares[m, s]
                d_cov[t, s + m] += d_before * shares[m, s] + before * d_shares[m, s]
    for t in range(T):
        for s in range(S):
            more, d_more = rest[t + 1, s] - rest[0, 0], d_rest[t + 1, s] - d_rest[0, 0]
            cov[t, s] += tilted.gamma[t + 1, s] * more
            d_cov[t, s] += tilted.d_gamma[t + 1, s] * more + tilted.gamma[t + 1, s] * d_more


@kernel
def add_by_class(array, classes, out):
    """Add array (T, S) to out (T, C), where state s belongs to classes[s]."""
    for t in range(array.shape[0]):
        for s in range(array.shape[1]):
            out[t, classes[s]] += array[t, s]
