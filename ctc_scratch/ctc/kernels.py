"""The kernel to read: `reference`, line beside line, compiled by Numba.

One sequence at a time, in log space with a true -inf; the states are float64
whatever the logits are. The kernels fill arrays that the caller owns and
allocate, raise and print nothing. Shapes, for one sequence:

    rows       (R, C)   the logits of the whole batch, one row per frame and sequence;
                        frame t of this sequence is row  first + t * stride
    labels     (U,)     ext, skips (S,)
    log_probs  (T, C)   log_alpha, log_beta (T, S)
    occupancy  (C,)     of one frame; weight is the factor of the loss in a reduction
"""

import math

import numpy as np

from ..compiled.cache import cached_njit

# nogil: the driver runs batches on several threads. cache: compiled once a machine.
# error_model: no test for division by zero. No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")


@kernel
def log_add(a, b, c):
    """ln(e^a + e^b + e^c); -inf if all three are, where the shifted form would give NaN."""
    top = max(a, b, c)
    if top == -np.inf:
        return top
    return top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))


@kernel
def log_softmax(rows, first, stride, log_probs):
    """log_probs[t] = rows[first + t * stride] - ln sum exp of it."""
    T, C = log_probs.shape
    for t in range(T):
        row = rows[first + t * stride]
        top = row[0]
        for c in range(1, C):
            top = max(top, row[c])
        total = 0.0
        for c in range(C):
            log_probs[t, c] = np.float64(row[c]) - np.float64(top)
            total += math.exp(log_probs[t, c])
        for c in range(C):
            log_probs[t, c] -= math.log(total)


@kernel
def extend(labels, blank, ext, skips):
    """ext = blanks before, between and after the labels; skips[s] = ext[s] != ext[s-2]."""
    for s in range(len(ext)):
        ext[s] = labels[s // 2] if s % 2 == 1 else blank
        skips[s] = s >= 2 and ext[s] != ext[s - 2]


@kernel
def forward(log_probs, ext, skips, log_alpha):
    """alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + alpha_{t-1}(s-2) if skips(s)] y_t(l'_s)."""
    T, S = log_alpha.shape
    for s in range(S):
        log_alpha[0, s] = log_probs[0, ext[s]] if s < 2 else -np.inf
    for t in range(1, T):
        for s in range(S):
            stay = log_alpha[t - 1, s]
            step = log_alpha[t - 1, s - 1] if s >= 1 else -np.inf
            skip = log_alpha[t - 1, s - 2] if skips[s] else -np.inf
            log_alpha[t, s] = log_add(stay, step, skip) + log_probs[t, ext[s]]


@kernel
def backward(log_probs, ext, skips, log_beta):
    """beta_t(s) = sum over the three moves to s' of beta_{t+1}(s') y_{t+1}(l'_{s'})."""
    T, S = log_beta.shape
    for s in range(S):
        log_beta[T - 1, s] = 0.0 if s >= S - 2 else -np.inf
    for t in range(T - 2, -1, -1):
        after, emit = log_beta[t + 1], log_probs[t + 1]
        for s in range(S):
            stay = after[s] + emit[ext[s]]
            step = after[s + 1] + emit[ext[s + 1]] if s + 1 < S else -np.inf
            skip = after[s + 2] + emit[ext[s + 2]] if s + 2 < S and skips[s + 2] else -np.inf
            log_beta[t, s] = log_add(stay, step, skip)


@kernel
def log_likelihood(log_alpha):
    """ln p(labels | x): ln of the sum of the last frame's last two alphas."""
    T, S = log_alpha.shape
    last = log_alpha[T - 1]
    return log_add(last[S - 1], last[S - 2] if S > 1 else -np.inf, -np.inf)


@kernel
def gradient(log_probs, log_alpha, log_beta, ext, weight, first, stride, occupancy, grad):
    """grad[row of t] = weight * (probs - occupancy), occupancy_t(c) = sum of gamma_t(s) over l'_s = c."""
    T, C = log_probs.shape
    S = len(ext)
    for t in range(T):
        top = -np.inf
        for s in range(S):
            top = max(top, log_alpha[t, s] + log_beta[t, s])
        total = 0.0
        for s in range(S):
            total += math.exp(log_alpha[t, s] + log_beta[t, s] - top)
        occupancy[:] = 0.0
        for s in range(S):
            occupancy[ext[s]] += math.exp(log_alpha[t, s] + log_beta[t, s] - top) / total
        for c in range(C):
            grad[first + t * stride, c] = weight * (math.exp(log_probs[t, c]) - occupancy[c])


@kernel
def loss_and_grad(rows, first, stride, labels, blank, weight, work, log_probs, log_alpha, log_beta, grad):
    """The loss of one sequence; its rows of grad are filled, or left alone where no path exists."""
    ext, skips, occupancy = work
    if len(log_probs) == 0:
        return 0.0 if len(labels) == 0 else np.inf
    log_softmax(rows, first, stride, log_probs)
    extend(labels, blank, ext, skips)
    forward(log_probs, ext, skips, log_alpha)
    loss = 0.0 - log_likelihood(log_alpha)  # never -0.0
    if loss < np.inf:
        backward(log_probs, ext, skips, log_beta)
        gradient(log_probs, log_alpha, log_beta, ext, weight, first, stride, occupancy, grad)
    return loss


@kernel
def batch(samples, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses, grad):
    """losses[n] and the gradient rows of every n in samples; sequence n has labels[offsets[n]:offsets[n+1]].

    The one place that allocates: scratch for the largest of the samples.
    """
    C = rows.shape[1]
    longest, widest, cells = 0, 0, 0
    for n in samples:
        T, S = lengths[n], 2 * (offsets[n + 1] - offsets[n]) + 1
        longest, widest, cells = max(longest, T), max(widest, S), max(cells, T * S)
    log_probs = np.empty((longest, C))
    alpha_cells, beta_cells = np.empty(cells), np.empty(cells)
    ext, skips, occupancy = np.empty(widest, np.intp), np.empty(widest, np.bool_), np.empty(C)
    for n in samples:
        T, S = lengths[n], 2 * (offsets[n + 1] - offsets[n]) + 1
        losses[n] = loss_and_grad(
            rows, n * n_stride, t_stride, labels[offsets[n]:offsets[n + 1]], blank, weights[n],
            (ext[:S], skips[:S], occupancy), log_probs[:T],
            alpha_cells[:T * S].reshape(T, S), beta_cells[:T * S].reshape(T, S), grad,
        )
