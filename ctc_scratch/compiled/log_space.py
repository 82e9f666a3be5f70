"""Probabilities kept as logarithms: ln(e^a + e^b), and the softmax of one frame.

`ctc.kernels` has the same functions in the form that is easiest to read. These are faster, for the
decoders. -inf stands for a probability of 0, and never turns into NaN.
"""

import math

import numpy as np

from .cache import cached_njit

# nogil: callers run batches on several threads. error_model: no test for division by zero.
# No fastmath: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# inline: called once per frame, and an ordinary call would count a reference to each of its arrays.
inlined = cached_njit(nogil=True, error_model="numpy", inline="always")

NEGLIGIBLE = 37.0
"""e^-37 is less than half the last bit of 1, so adding it to 1 changes nothing."""


# ---- ln(e^a + e^b), in two ways -------------------------------------------------------------------
#
# The prefix beam search spends most of its time on this sum. It uses the table, as exp and log take one and
# a half times as long. The search for the most probable labelling proves its answer with such sums. It uses
# the formula itself, whose error follows from those of exp and log.


@kernel
def log_add_by_exp(a, b):
    """ln(e^a + e^b) as max + ln(1 + e^-|a - b|); -inf if both are."""
    if a < b:
        a, b = b, a
    if b < a - NEGLIGIBLE or b == -np.inf:
        return a
    return a + math.log(1.0 + math.exp(b - a))


def _softplus_table(width, limit, degree):
    """ln(1 + e^-x) for 0 <= x < limit: one row of polynomial coefficients per interval of this width.

    Each row is the polynomial in x - middle that interpolates at the Chebyshev nodes of its interval.
    """
    powers, middles = np.arange(degree + 1), (np.arange(round(limit / width)) + 0.5) * width
    nodes = np.cos((powers + 0.5) * np.pi / (degree + 1))
    values = np.log1p(np.exp(-(middles[:, None] + 0.5 * width * nodes)))
    return np.linalg.solve(np.vander(nodes, increasing=True), values.T).T / (0.5 * width) ** powers


SOFTPLUS = _softplus_table(0.5, NEGLIGIBLE, 10)


@kernel
def log_add_by_table(a, b):
    """ln(e^a + e^b), with ln(1 + e^-x) from a table; -inf if both are.

    The error is at most 2^-51, plus the rounding of the result.
    """
    if a < b:
        a, b = b, a
    if b < a - NEGLIGIBLE or b == -np.inf:
        return a
    x = a - b
    interval = min(int(2.0 * x), len(SOFTPLUS) - 1)
    x -= 0.5 * interval + 0.25
    k, x2 = np.uintp(interval), x * x
    x4 = x2 * x2
    low = (SOFTPLUS[k, 0] + SOFTPLUS[k, 1] * x) + x2 * (SOFTPLUS[k, 2] + SOFTPLUS[k, 3] * x)
    high = (SOFTPLUS[k, 4] + SOFTPLUS[k, 5] * x) + x2 * (SOFTPLUS[k, 6] + SOFTPLUS[k, 7] * x)
    highest = (SOFTPLUS[k, 8] + SOFTPLUS[k, 9] * x) + x2 * SOFTPLUS[k, 10]
    return a + (low + x4 * (high + x4 * highest))


# ---- the softmax ----------------------------------------------------------------------------------


@inlined
def log_softmax(rows, r, log_probs, norm):
    """log_probs (C,) = rows[r] - ln sum exp(rows[r]).

    norm (2,) receives the largest logit of the row and ln sum exp(logit - largest), from which
    `log_probs_of_classes` computes the same numbers again.
    """
    C = len(log_probs)
    top = rows[r, 0]
    for c in range(1, C):
        top = max(top, rows[r, c])
    total = 0.0
    for c in range(C):
        log_probs[c] = np.float64(rows[r, c]) - np.float64(top)
        total += math.exp(log_probs[c])
    log_total = math.log(total)
    for c in range(C):
        log_probs[c] -= log_total
    norm[0], norm[1] = top, log_total


@kernel
def log_probs_of_classes(logits, norms, classes, log_probs):
    """Fill log_probs (T, K) for these K classes alone, given the norms (T, 2) of all frames."""
    for t in range(len(logits)):
        for k in range(len(classes)):
            log_probs[t, k] = (logits[t, classes[k]] - norms[t, 0]) - norms[t, 1]
