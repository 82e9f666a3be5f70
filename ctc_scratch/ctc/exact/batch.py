"""The kernel that is always right: linear space, every state with an exponent of its own.

A long product of probabilities leaves the range of a float64; that is all that is
wrong with computing CTC as the papers write it. Log space cures it with three `exp`
and a `log` a cell, and with an error that grows with the loss. One scale factor a
frame cures it for states about as likely as the likeliest, and loses the others
without a word. Here nothing can get lost: a state is a pair

    alpha_t(s) = m 2^e          m a float64 in [1, 2), or 0;  e a whole number

and so is an emission. Products multiply the m and add the e. A sum lifts its terms to
the largest e of them, adds, and reads the new exponent off the bits. A 0 carries the
exponent EMPTY, which no sum ever chooses. e is kept in a float64 as well, where whole
numbers are exact up to 2^53 and nothing overflows behind that.

**Recursion.** The one of `reference`, without logarithms (stay, step, skip):

    alpha_t(s) = [alpha_{t-1}(s) + alpha_{t-1}(s-1) + skips(s) alpha_{t-1}(s-2)] y_t(s)

from all mass in the first blank before the first frame. The backward pass mirrors it,
from the last blank behind the last frame; beta_t(s) leaves out the emission of frame t.
Work is done only on states that are reachable and can still finish (`reach`).

**Error.** All terms are positive, so nothing cancels. A frame brings a state two
additions, one product and the emission's own error, powers of two being exact: the
*relative* error of a state, and of the likelihood, is at most about 4 T 2^-53 plus
what the emissions bring. An emission is e^(x - top) / total. The difference x - top is
kept as the exact sum of two floats and its multiple of ln 2 is taken out exactly; so
e^(x - top) is right within 2^-52 for |x - top| up to 2^40. Beyond, it is that of a
difference perturbed by a few 2^-53 of itself: the loss is right to relative rounding
(logits saturate at 2^1000), but gamma need not be. The total is summed by halves, in
log2(C) roundings at most; it enters all states of a frame alike and so cancels in
gamma, which is divided by the same frame's own sum.

**The loss** is -(ln m + e ln 2), with every digit where the likelihood is small. Near
1 that would forget what p lacks. So where p >= 1/2 the lack itself is summed: 1 - p
is the probability of all paths that stop being the beginning of an alignment, each
counted at the frame where it does,

    1 - p = sum over t, s of alpha_{t-1}(s) (what frame t gives to classes that are no move from s)

a sum of positive terms once more. loss = -log1p(-(1 - p)) then has a relative error
like all the rest, be it 1e-3 or 1e-300, and is never negative.

**Memory.** Forward states are kept for all frames while they fit a budget, else only
before every ~sqrt(T)-th; the backward pass computes those between again, to the same
bit.

Shapes, for one sequence. States are stored with two zeros before and two behind, so
that no move needs a case: state s stands at s + 2.

    frames       float32 rows, float64 rows (R, C), one of them empty; grads likewise;
                 frame t is row  first + t * stride
    problem      classes (K,) used, the blank last; slots (S,) of the states among them;
                 skips (S + 2,) 1.0 where a state may be skipped into; windows (T + 1, 2)
    block        of B frames: alpha (B + 1, 2, S + 4), mantissas and exponents, the states
                 before the block first; emit (B, 2, K); norms (B, 2), top and total
    checkpoints  (ceil(T / B), 2, S + 4)
    scratch      betas (2, 2, S + 4), joints (S,), sums (S + 2,), occupancy (K,), x, probs (C,)
"""

import math

import numpy as np

from ...compiled.bits import bits_of_float64, float64_from_bits
from ...compiled.cache import cached_njit

# nogil, cache: as in `kernels`. No fastmath whatever: the exact differences below must stay as they are
# written, and without it no bit depends on how the compiler orders or fuses a machine's instructions.
kernel = cached_njit(nogil=True, error_model="numpy")

BUDGET = 32 * 2**20
"""Bytes of forward states kept at a time; longer problems keep checkpoints and compute them again."""

EMPTY = -(2.0**1022)  # the exponent of a 0: below every other, and twice it is still finite
LIMIT = 2.0**1000  # where logits saturate
LN2, LOG2E = 0.6931471805599453, 1.4426950408889634
LN2_HI, LN2_LO = 0.6931471803691238, 1.9082149292705877e-10  # 32 bits, and the rest
LN2_A, LN2_B, LN2_C = 0.6931471675634384, 1.2996506759677118e-08, 1.3421277060097865e-16  # 26, 26, the rest
TO_INT, TO_26 = 1.5 * 2.0**52, 1.5 * 2.0**78  # added and taken away: round to multiples of 1, of 2^26
FRACTION, ONE = (1 << 52) - 1, 1023 << 52
COUNT_BITS, COUNT_BIAS = 1075 << 52, 2.0**52 + 1023  # float64_from_bits(COUNT_BITS | j) = 2^52 + j


@kernel
def power_of_two(n):
    """2^n for a whole n in [-1022, 1023]."""
    return float64_from_bits(bits_of_float64(n + COUNT_BIAS) << 52)


@kernel
def plain(m, e):
    """m 2^e as a number, 0 if e is too low for one."""
    return m * power_of_two(min(e, 900.0)) if e >= -1022.0 else 0.0


# Assigning one array to another would bring in Numba's text of a shape error: a third of all compilation.
@kernel
def copy(source, out):
    for k in range(source.shape[0]):
        out[k] = source[k]


@kernel
def copy_states(source, out):
    copy(source[0], out[0])
    copy(source[1], out[1])


# ---- emissions


@kernel
def load(frames, r, x):
    """x = row r as float64, saturated, -inf as EMPTY: every difference of them is finite."""
    rows32, rows64 = frames
    for c in range(x.shape[0]):
        value = rows64[r, c] if rows64.shape[0] > 0 else np.float64(rows32[r, c])
        x[c] = min(max(value, -LIMIT), LIMIT) if value > -np.inf else EMPTY


@kernel
def store(probs, weight, grads, r):
    """Row r of the gradient = weight * probs, in its own type."""
    grad32, grad64 = grads
    for c in range(probs.shape[0]):
        if grad64.shape[0] > 0:
            grad64[r, c] = weight * probs[c]
        else:
            grad32[r, c] = weight * probs[c]


@kernel
def exp_reduced(r):
    """e^r for |r| <= ln(2) / 2: the Taylor series up to r^13, the 1 added last."""
    r2 = r * r
    r4 = r2 * r2
    a = (1 / 6 * r + 1 / 2) + (1 / 120 * r + 1 / 24) * r2
    b = (1 / 5040 * r + 1 / 720) + (1 / 362880 * r + 1 / 40320) * r2
    c = (1 / 39916800 * r + 1 / 3628800) + (1 / 6227020800 * r + 1 / 479001600) * r2
    return 1.0 + (r + r2 * (a + r4 * (b + r4 * c)))


@kernel
def difference(x, top):
    """hi + lo = x - top without any error (TwoSum)."""
    hi = x - top
    back = hi - x
    return hi, (x - (hi - back)) - (top + back)


@kernel
def exp_split(x, top):
    """m, n with m 2^n = e^(x - top), m in (0.7, 1.42); m = 0 for x = EMPTY."""
    hi, lo = difference(x, top)
    n = (hi * LOG2E + TO_INT) - TO_INT
    n_26 = (n + TO_26) - TO_26
    n_1 = n - n_26
    r = (((hi - n_26 * LN2_A) - n_1 * LN2_A) - n_26 * LN2_B) - n_1 * LN2_B  # exact to here
    r = (r - n * LN2_C) + lo
    m = exp_reduced(min(max(r, -0.35), 0.35))
    return (m, n) if x > EMPTY else (0.0, EMPTY)


@kernel
def split_all(m, x, top):
    """m, n = exp_split(x) of all classes used; the n take the place of x."""
    for k in range(m.shape[0]):
        m[k], x[k] = exp_split(x[k], top)


@kernel
def exp_row(x, top):
    """x = e^(x - top), 0 where that is no normal number."""
    for c in range(x.shape[0]):
        hi, lo = difference(x[c], top)
        n = (max(hi, -800.0) * LOG2E + TO_INT) - TO_INT
        r = ((max(hi, -800.0) - n * LN2_HI) - n * LN2_LO) + lo
        x[c] = exp_reduced(r) * power_of_two(max(n, -1022.0)) if hi > -708.0 else 0.0


@kernel
def fold(values, n):
    """Sums by halves until n values are left: log2 of the length many roundings; n = 2 keeps odd and even."""
    length = values.shape[0]
    while length > n:
        half = ((length + 1) // 2 + n - 1) // n * n
        add(values[:length - half], values[half:length])
        length = half


@kernel
def add(values, others):
    for k in range(values.shape[0]):
        values[k] += others[k]


@kernel
def emissions(x, classes, normalise, emit, norm):
    """y_c = e^(x_c - top) / total of the classes used, mantissa and exponent; x is used up for the total."""
    top, total = 0.0, 1.0
    if normalise:
        top = x[0]
        for c in range(x.shape[0]):
            top = max(top, x[c])
    for k in range(classes.shape[0]):
        emit[1, k] = x[classes[k]]
    split_all(emit[0], emit[1], top)
    if normalise:
        exp_row(x, top)
        fold(x, 1)
        total = x[0]
    for k in range(classes.shape[0]):
        emit[0, k] /= total
    norm[0], norm[1] = top, total


@kernel
def softmax(x, norm):
    """x = the probabilities of the whole row as plain numbers, from what `emissions` has kept of it."""
    exp_row(x, norm[0])
    for c in range(x.shape[0]):
        x[c] /= norm[1]


# ---- the recursion, one frame; `before`, `after` and rows of states start two states early


@kernel
def joined(stay, stay_exp, step, step_exp, skip, skip_exp, can_skip):
    """m, e with m 2^e = stay + step + (skip if can_skip), m in [1, 2) or 0."""
    top = max(stay_exp, step_exp)
    top = max(top, skip_exp) if can_skip > 0.0 else top
    # Below 2^-960 a term is lost beside the largest one anyway.
    m = (stay * power_of_two(max(stay_exp - top, -960.0))
         + step * power_of_two(max(step_exp - top, -960.0))
         + can_skip * skip * power_of_two(min(max(skip_exp - top, -960.0), 0.0)))
    bits = bits_of_float64(m)
    e = top + (float64_from_bits(COUNT_BITS | (bits >> 52)) - COUNT_BIAS)
    return (float64_from_bits((bits & FRACTION) | ONE), e) if m > 0.0 else (0.0, EMPTY)


@kernel
def forward(before, before_exp, skips, m, e):
    """alpha_t without its emission: what stays, steps and skips into each state."""
    for s in range(m.shape[0]):
        m[s], e[s] = joined(before[s + 2], before_exp[s + 2], before[s + 1], before_exp[s + 1],
                            before[s], before_exp[s], skips[s])


@kernel
def backward(after, after_exp, skips, m, e):
    """beta_t: what each state stays in, steps and skips to, the emissions of t + 1 included."""
    for s in range(m.shape[0]):
        m[s], e[s] = joined(after[s], after_exp[s], after[s + 1], after_exp[s + 1],
                            after[s + 2], after_exp[s + 2], skips[s + 2])


@kernel
def emitting(states, emit, slots, lo, hi):
    """Every state of the window times its emission; 0 around the window: more than that is never read."""
    multiply(states[0, lo + 2:hi + 2], states[1, lo + 2:hi + 2], emit[0], emit[1], slots[lo:hi])
    for s in (lo, lo + 1, hi + 2, hi + 3):
        states[0, s], states[1, s] = 0.0, EMPTY


@kernel
def multiply(m, e, y, y_exp, slots):
    for s in range(m.shape[0]):
        m[s] *= y[slots[s]]
        e[s] += y_exp[slots[s]]


# ---- what is made of alpha and beta, one frame


@kernel
def joint(alpha, alpha_exp, beta, beta_exp, top, out):
    """out = alpha beta 2^-top"""
    for s in range(out.shape[0]):
        out[s] = plain(alpha[s] * beta[s], (alpha_exp[s] + beta_exp[s]) - top)


@kernel
def posterior(alpha, beta, lo, hi, top, slots, joints, sums, occupancy, gamma):
    """occupancy (K,) of the classes used, divided by its own sum; gamma (S,) too, unless it is empty."""
    K, n = occupancy.shape[0], max(hi - lo, 2)
    sums[n - 2:n] = 0.0
    # At every frame the joints add up to the likelihood, so its exponent is a scale for them: a second turn,
    # with the largest exponent there is, comes only where exponents are too large to be exact.
    for turn in range(2):
        joint(alpha[0, lo + 2:hi + 2], alpha[1, lo + 2:hi + 2],
              beta[0, lo + 2:hi + 2], beta[1, lo + 2:hi + 2], top, joints[lo:hi])
        copy(joints[lo:hi], sums)
        fold(sums[:n], 2)
        if 0.5 < sums[0] + sums[1] < 4.0:
            break
        top = EMPTY
        for s in range(lo + 2, hi + 2):
            top = max(top, alpha[1, s] + beta[1, s])
    total = sums[0] + sums[1]
    occupancy[:] = 0.0
    for s in range(lo + 1 - lo % 2, hi, 2):
        occupancy[slots[s]] += joints[s]
    occupancy[K - 1] = sums[lo % 2]
    for k in range(K):
        occupancy[k] /= total
    if gamma.shape[0] > 0:
        gamma[:] = 0.0
        for s in range(lo, hi):
            gamma[s] = joints[s] / total


@kernel
def lost(alpha, lo, hi, next_lo, next_hi, classes, slots, skips, probs, x):
    """sum over s of alpha_{t-1}(s) times what frame t gives to the classes that are no move from s."""
    # Nothing is taken from 1. Of the classes that are no move, those among the three most probable are
    # added up; all the rest is summed once, and what is taken from it is no larger than what was added.
    first = second = third = -1
    for c in range(probs.shape[0]):
        if first < 0 or probs[c] > probs[first]:
            first, second, third = c, first, second
        elif second < 0 or probs[c] > probs[second]:
            second, third = c, second
        elif third < 0 or probs[c] > probs[third]:
            third = c
    copy(probs, x)
    for c in (first, second, third):
        if c >= 0:
            x[c] = 0.0
    fold(x, 1)
    mass = 0.0
    for s in range(lo, hi):
        stay = classes[slots[s]] if next_lo <= s < next_hi else -1
        step = classes[slots[s + 1]] if next_lo <= s + 1 < next_hi else -1
        skip = classes[slots[s + 2]] if next_lo <= s + 2 < next_hi and skips[s + 2] > 0.0 else -1
        others = x[0]
        for c in (first, second, third):
            if c >= 0 and c != stay and c != step and c != skip:
                others += probs[c]
        for c in (stay, step, skip):
            if c >= 0 and c != first and c != second and c != third:
                others -= probs[c]
        mass += plain(alpha[0, s + 2], alpha[1, s + 2]) * others
    return mass


# ---- one sequence


@kernel
def index(labels, blank, slot_of, classes, slots, skips):
    """The classes used, the blank last; the slot of each state among them; skips[s] = may be skipped into."""
    K, U = classes.shape[0], labels.shape[0]
    classes[K - 1] = blank
    slots[:] = K - 1
    skips[:] = 0.0
    for label in labels:
        slot_of[label] = K
    k = 0
    for u in range(U):
        if slot_of[labels[u]] == K:
            slot_of[labels[u]], classes[k] = k, labels[u]
            k += 1
        slots[2 * u + 1] = slot_of[labels[u]]
        skips[2 * u + 1] = 1.0 if u > 0 and labels[u] != labels[u - 1] else 0.0


@kernel
def reach(skips, windows):
    """windows[t + 1] = first and end of the states that frame t can reach and that can still finish.

    A state is reached one frame after the one before it, or together with it if a skip leads
    there: label u at t = u + repeats(labels[:u+1]). The end mirrors this. True if the last
    label is reached in time.
    """
    T, S = windows.shape[0] - 1, skips.shape[0] - 2
    windows[0, 0], windows[0, 1] = 0, 1  # before the first frame all mass is in the first blank
    hi, at = 0, 0
    for t in range(T):
        while hi < S and at <= t:
            hi += 1
            at += 1 if hi >= 2 and skips[hi] == 0.0 else 0
        windows[t + 1, 1] = hi
    lo, at = S, T - 1
    for t in range(T - 1, -1, -1):
        while lo > 0 and at >= t:
            lo -= 1
            at -= 1 if lo <= S - 2 and skips[lo + 1] == 0.0 else 0
        windows[t + 1, 0] = lo
    return hi >= S - 1


@kernel
def forward_block(frames, first, stride, start, stop, normalise, problem, block, x):
    """alpha[k + 1], emit[k], norms[k] of frames start + k < stop, from alpha[0], the states before them."""
    classes, slots, skips, windows = problem
    alpha, emit, norms = block
    for t in range(start, stop):
        k, lo, hi = t - start, windows[t + 1, 0], windows[t + 1, 1]
        load(frames, first + t * stride, x)
        emissions(x, classes, normalise, emit[k], norms[k])
        before, now = alpha[k], alpha[k + 1]
        forward(before[0, lo:hi + 2], before[1, lo:hi + 2], skips[lo:hi],
                now[0, lo + 2:hi + 2], now[1, lo + 2:hi + 2])
        emitting(now, emit[k], slots, lo, hi)


@kernel
def solve(frames, first, stride, weight, normalise, problem, block, checkpoints, scratch, grads, gamma):
    """The loss of one sequence; its rows of grad and gamma are filled, or left alone where no path exists."""
    classes, slots, skips, windows = problem
    alpha, emit, norms = block
    betas, joints, sums, occupancy, x, probs = scratch
    T, S, B = windows.shape[0] - 1, slots.shape[0], emit.shape[0]
    if T == 0:
        return 0.0 if S == 1 else np.inf
    if not reach(skips, windows):
        return np.inf

    last = (T - 1) // B
    alpha[0, 0], alpha[0, 1] = 0.0, EMPTY
    alpha[0, 0, 2], alpha[0, 1, 2] = 1.0, 0.0
    for j in range(last + 1):
        if j > 0:
            copy_states(alpha[B], alpha[0])
        copy_states(alpha[0], checkpoints[j])
        forward_block(frames, first, stride, j * B, min(T, (j + 1) * B), normalise, problem, block, x)
    end = alpha[T - last * B]
    likelihood, top = joined(end[0, S + 1], end[1, S + 1], end[0, S], end[1, S], 0.0, EMPTY, 0.0)
    if likelihood == 0.0:
        return np.inf

    nearly_certain, lack = normalise and top >= -1.0, 0.0
    betas[T % 2, 0], betas[T % 2, 1] = 0.0, EMPTY  # behind the last frame all mass is in the last blank
    betas[T % 2, 0, S + 1], betas[T % 2, 1, S + 1] = 1.0, 0.0
    for t in range(T - 1, -1, -1):
        j, k, row = t // B, t % B, first + t * stride
        if j < last and k == B - 1:
            copy_states(checkpoints[j], alpha[0])
            forward_block(frames, first, stride, j * B, (j + 1) * B, normalise, problem, block, x)
        lo, hi = windows[t + 1, 0], windows[t + 1, 1]
        after, beta = betas[(t + 1) % 2], betas[t % 2]
        backward(after[0, lo + 2:hi + 4], after[1, lo + 2:hi + 4], skips[lo:hi + 2],
                 beta[0, lo + 2:hi + 2], beta[1, lo + 2:hi + 2])
        posterior(alpha[k + 1], beta, lo, hi, top, slots, joints, sums, occupancy, gamma[row, :S])
        emitting(beta, emit[k], slots, lo, hi)
        probs[:] = 0.0
        if normalise:
            load(frames, row, probs)
            softmax(probs, norms[k])
        if nearly_certain:
            lack += lost(alpha[k], windows[t, 0], windows[t, 1], lo, hi, classes, slots, skips, probs, x)
        for k in range(classes.shape[0]):
            probs[classes[k]] -= occupancy[k]
        store(probs, weight, grads, row)
    if nearly_certain:
        return -math.log1p(-lack)
    if likelihood > 1.4142135623730951:  # the ln of a mantissa next to 1 cancels nothing
        likelihood, top = 0.5 * likelihood, top + 1.0
    return -(math.log(likelihood) + top * LN2)


@kernel
def solve_all(samples, frames, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses,
              grads, gamma, normalise, budget):
    """`batch` for both types; the one place that allocates."""
    C = frames[0].shape[1]
    slot_of = np.empty(C, np.intp)
    for n in samples:
        T, target = lengths[n], labels[offsets[n]:offsets[n + 1]]
        S, K = 2 * target.shape[0] + 1, 1
        slot_of[:] = 0
        for label in target:
            K += 1 - slot_of[label]
            slot_of[label] = 1
        B = max(T, 1)
        if T * 16 * (S + 4 + K + 1) > budget:
            B = int(math.ceil(math.sqrt(T)))
        problem = np.empty(K, np.intp), np.empty(S, np.uintp), np.empty(S + 2), np.empty((T + 1, 2), np.intp)
        block = np.empty((B + 1, 2, S + 4)), np.empty((B, 2, K)), np.empty((B, 2))
        checkpoints = np.empty(((T + B - 1) // B, 2, S + 4))
        scratch = (np.empty((2, 2, S + 4)), np.empty(S), np.empty(S + 2),
                   np.empty(K), np.empty(C), np.empty(C))
        index(target, blank, slot_of, problem[0], problem[1], problem[2])
        losses[n] = solve(frames, n * n_stride, t_stride, weights[n], normalise,
                          problem, block, checkpoints, scratch, grads, gamma)


def batch(samples, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses, grad,
          gamma=None, normalise=True, budget=BUDGET):
    """losses[n] and the gradient rows of every n in samples: `kernels.batch`, and more.

    Parameters
    ----------
    gamma : (R, S of the longest target) float64 array, optional
        The posterior of the states goes into the first S columns of the rows that
        the gradient goes into.
    normalise : False leaves out the softmax: y = e^rows; the loss is -ln Z, of either
        sign, where Z = sum over all alignments of prod_t y_t; the gradient is -occupancy
    budget : bytes of forward states above which a sequence is done by checkpoints

    Rows of an infeasible target (loss inf) are left alone. Several threads may call
    this at once for disjoint samples; nearly all of it runs without the GIL.
    """
    R, C = rows.shape
    if gamma is None:
        gamma = np.empty((R, 0))
    solve_all(samples, _by_type(rows), n_stride, t_stride, lengths, labels, offsets, blank, weights, losses,
              _by_type(grad), gamma, normalise, budget)


def _by_type(rows):
    """(rows, nothing) or (nothing, rows), float32 first: the kernels are then compiled once for both."""
    nothing = np.empty((0, rows.shape[1]), np.float64 if rows.dtype == np.float32 else np.float32)
    return (rows, nothing) if rows.dtype == np.float32 else (nothing, rows)
