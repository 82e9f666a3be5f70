"""The readable kernels: the functions of `reference`, compiled by Numba, and a loop over a batch.

Each function has the name and the arguments of its twin in `reference`. Where the twin returns an array, the
kernel fills an array that the caller passes as the last argument; intermediate results go into arrays of the
caller, too. So the functions for one sequence allocate, raise and print nothing. They work in log space with
a true -inf, and in float64 whatever the type of the logits. `solve_samples` calls them for each sequence of
a batch.

Shapes, for one sequence:

    logits, log_probs, occupancy, grad (T, C)    labels (U,)    log_alpha, log_beta, gamma (T, S), S = 2U + 1
"""

import math

import numpy as np

from ..compiled.cache import cached_njit

# nogil: several threads solve one batch. error_model: no test for division by zero. No fastmath: -inf has to
# stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")


@kernel
def log_softmax(logits, log_probs):
    """ln y: the logits, shifted so that every row sums to 1 after exp."""
    T, C = log_probs.shape
    for t in range(T):
        top = logits[t, 0]
        for c in range(1, C):
            top = max(top, logits[t, c])
        total = 0.0
        for c in range(C):
            log_probs[t, c] = np.float64(logits[t, c]) - np.float64(top)
            total += math.exp(log_probs[t, c])
        for c in range(C):
            log_probs[t, c] -= math.log(total)


@kernel
def log_add(a, b, c):
    """ln(e^a + e^b + e^c); -inf if all three are, where the shifted form would give NaN."""
    top = max(a, b, c)
    if top == -np.inf:
        return top
    return top + math.log(math.exp(a - top) + math.exp(b - top) + math.exp(c - top))


@kernel
def emitted(labels, blank, s):
    """The class that state s emits, l'_s: even states emit the blank, state 2u + 1 emits label u."""
    return labels[s // 2] if s % 2 == 1 else blank


@kernel
def can_skip(labels, s):
    """Whether state s may be entered from state s - 2: it is a label, and differs from the label before."""
    return s % 2 == 1 and s >= 3 and labels[s // 2] != labels[s // 2 - 1]


@kernel
def forward(log_probs, labels, blank, log_alpha):
    """alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + alpha_{t-1}(s-2) if can_skip(s)] y_t(l'_s)."""
    T, S = log_alpha.shape
    if T == 0:
        return
    for s in range(S):  # a path begins with the blank or the first label
        log_alpha[0, s] = log_probs[0, emitted(labels, blank, s)] if s < 2 else -np.inf
    for t in range(1, T):
        for s in range(S):
            stay = log_alpha[t - 1, s]
            step = log_alpha[t - 1, s - 1] if s >= 1 else -np.inf
            skip = log_alpha[t - 1, s - 2] if can_skip(labels, s) else -np.inf
            log_alpha[t, s] = log_add(stay, step, skip) + log_probs[t, emitted(labels, blank, s)]


@kernel
def backward(log_probs, labels, blank, log_beta):
    """beta_t(s) = sum over the three moves to s' of beta_{t+1}(s') y_{t+1}(l'_{s'})."""
    T, S = log_beta.shape
    if T == 0:
        return
    for s in range(S):  # a path ends with the last label or the blank after it
        log_beta[T - 1, s] = 0.0 if s >= S - 2 else -np.inf
    for t in range(T - 2, -1, -1):
        after, y = log_beta[t + 1], log_probs[t + 1]
        for s in range(S):
            stay = after[s] + y[emitted(labels, blank, s)]
            step = after[s + 1] + y[emitted(labels, blank, s + 1)] if s + 1 < S else -np.inf
            skip = after[s + 2] + y[emitted(labels, blank, s + 2)] if (
                s + 2 < S and can_skip(labels, s + 2)) else -np.inf
            log_beta[t, s] = log_add(stay, step, skip)


@kernel
def log_likelihood(log_probs, labels, blank, log_alpha):
    """ln p(labels | x): ln of the sum of the last two alphas of the last frame; fills log_alpha."""
    T, S = log_alpha.shape
    if T == 0:
        return 0.0 if S == 1 else -np.inf
    forward(log_probs, labels, blank, log_alpha)
    return log_add(log_alpha[T - 1, S - 1], log_alpha[T - 1, S - 2] if S > 1 else -np.inf, -np.inf)


@kernel
def gamma(log_probs, labels, blank, log_alpha, posterior):
    """alpha beta / p(labels | x), the posterior (T, S); log_alpha is the one of `forward`."""
    T, S = posterior.shape
    backward(log_probs, labels, blank, posterior)  # log beta, replaced by gamma frame by frame below
    for t in range(T):
        top = -np.inf
        for s in range(S):
            posterior[t, s] += log_alpha[t, s]
            top = max(top, posterior[t, s])
        total = 0.0
        for s in range(S):
            posterior[t, s] = math.exp(posterior[t, s] - top)
            total += posterior[t, s]
        for s in range(S):
            posterior[t, s] /= total


@kernel
def occupancy(log_probs, labels, blank, log_alpha, state_posterior, posterior):
    """The posterior (T, C) of emitting class c at frame t: gamma summed over the states of c.

    Fills state_posterior with gamma.
    """
    gamma(log_probs, labels, blank, log_alpha, state_posterior)
    T, S = state_posterior.shape
    posterior[:] = 0.0
    for t in range(T):
        for s in range(S):
            posterior[t, emitted(labels, blank, s)] += state_posterior[t, s]


@kernel
def loss_and_grad(logits, labels, blank, log_probs, log_alpha, state_posterior, grad):
    """The loss -ln p(labels | x); grad = probs - occupancy, or 0 where no path exists."""
    log_softmax(logits, log_probs)
    loss = 0.0 - log_likelihood(log_probs, labels, blank, log_alpha)  # never -0.0
    if loss == np.inf:
        grad[:] = 0.0
        return loss
    occupancy(log_probs, labels, blank, log_alpha, state_posterior, grad)
    T, C = grad.shape
    for t in range(T):
        for c in range(C):
            grad[t, c] = math.exp(log_probs[t, c]) - grad[t, c]
    return loss


@kernel
def solve_samples(samples, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses, grad):
    """losses[n] and weights[n] * gradient of every n in samples; the one function here that allocates.

    rows and grad hold the frames of all sequences as (R, C): frame t of sequence n is row
    n * n_stride + t * t_stride. The target of sequence n is labels[offsets[n]:offsets[n + 1]].
    """
    C = rows.shape[1]
    longest, cells = 0, 0
    for n in samples:
        T, S = lengths[n], 2 * (offsets[n + 1] - offsets[n]) + 1
        longest, cells = max(longest, T), max(cells, T * S)
    log_probs, sample_grad = np.empty((longest, C)), np.empty((longest, C))
    alpha_cells, posterior_cells = np.empty(cells), np.empty(cells)
    for n in samples:
        T, S = lengths[n], 2 * (offsets[n + 1] - offsets[n]) + 1
        first, end = n * n_stride, n * n_stride + T * t_stride
        losses[n] = loss_and_grad(
            rows[first:end:t_stride], labels[offsets[n]:offsets[n + 1]], blank, log_probs[:T],
            alpha_cells[:T * S].reshape(T, S), posterior_cells[:T * S].reshape(T, S), sample_grad[:T])
        for t in range(T):
            for c in range(C):
                grad[first + t * t_stride, c] = weights[n] * sample_grad[t, c]
