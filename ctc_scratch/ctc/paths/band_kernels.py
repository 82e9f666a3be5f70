"""The best path of one labelling, and the sum over all its paths, from the states that can matter.

Both are the backward recursion of `reference`, with each frame's own emission included. The best path takes
the maximum over the moves stay, step and skip, and the sum adds them up:

    E_t(s) = y_t(l'_s) max E_{t+1}(s')          E_t(s) = y_t(l'_s) sum E_{t+1}(s')

States are kept in pairs: pair u is blank u and label u, for u = 0..U (label U does not exist). Each frame
has a *window* of pairs: those that can be reached and can still finish, without those at either end that
provably do not matter. A frame therefore costs only as many pairs as are in doubt there. With the outputs
of a trained network these are a few, however long the target is.

**Best path.** The scores are logarithms. The first t frames of a path are worth at most the product of the
likeliest class of each frame. So if E_t(s) falls short of that product over the frames from t on by some
nats, every path through state s at frame t falls short by at least as many. Pairs that fall short by more
than `reach` nats are dropped. If the path found falls short by less, no path through a dropped pair is as
good. Otherwise the caller tries a wider reach, and at last an infinite one.

Only the best move from each state is kept: three bits per pair, with the moves of 21 frames in one word.
Among moves that are equally good, the first is taken. Ties therefore always end in the same one of the best
paths, whatever the reach is. The recursion runs backward so that this rule reads forward in time. Every 32
frames the top is subtracted from the scores, so that the scores and their rounding errors stay small,
however long the sequence is.

**Sum.** The values are probabilities, scaled so that 2^960 stands for 1, and never rescaled. All beginnings
of t frames together have a probability of at most 1, so dropping state s at frame t changes the sum by at
most E_t(s). Given a lower bound of the sum, as a beam search has one, pairs below 2^-60 / T of it are
dropped; all of them together are smaller than the rounding error. A state below SUM_FLOOR is raised to it.
For the same reason this adds at most 3 T SUM_FLOOR in all. A result that is far above that is proved; this
holds down to a probability of about e^-1200. A result that is not far above it, or that is below the given
lower bound, is not proved, and nan is returned in its place.

Shapes
------
log_probs, probs : (T, K), columns of the K classes that the target uses, the blank first
tops : (T,), no class of a frame has a higher log-probability
columns : (U,), the column of each label
firsts, lasts : (T,), first and last pair of each frame that can be reached and can still finish
barred : (U + 2,), -inf where label u equals label u - 1, so that no skip may enter it, else 0
opened : (U + 2,), 0 where label u equals label u - 1, else 1
at_blank, at_label : (U + 2,), the value of each state at the current frame
emitted : (U + 2,), what the current frame gives each label
moves : (words,), where bits 3 j to 3 j + 2 of a word are the moves of one pair at frame 21 g + j
rows : (G, 2), a row for each 21 frames: where their words begin, and the pair that the first of them is for
"""

import math

import numpy as np

from ...compiled.bits import LN2, unsigned
from ...compiled.cache import cached_njit

# nogil: the driver runs batches on several threads. error_model: no test for division by zero. No fastmath:
# scores of -inf have to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# forceinline: for functions called once per frame, where passing arrays takes as long as a narrow window.
inlined = cached_njit(nogil=True, error_model="numpy", forceinline=True)

FRAMES_PER_WORD = 21  # 3 bits each
BLANK_STEPS, LABEL_STEPS, LABEL_SKIPS = 1, 2, 4  # the bits; a state without one stays
WORDS_BEGIN, FIRST_PAIR = 0, 1  # the columns of `rows`
FRAMES_PER_TOP = 32  # how often the top is subtracted from the scores

SUM_HEADROOM = 960
SUM_ONE = 2.0**SUM_HEADROOM  # stands for a probability of 1
SUM_FLOOR_EXPONENT = -900
SUM_FLOOR = 2.0**SUM_FLOOR_EXPONENT  # times an emission, this is normal or too small to matter


# ---- windows --------------------------------------------------------------------------------------


@inlined
def trim_window(at_blank, at_label, low, high, limit, nothing):
    """Drop pairs below the limit at both ends of a window; returns the window that remains."""
    while high >= low and at_blank[high] < limit and at_label[high] < limit:
        at_blank[high] = at_label[high] = nothing
        high -= 1
    while low <= high and at_blank[low] < limit and at_label[low] < limit:
        at_blank[low] = at_label[low] = nothing
        low += 1
    return low, high


@inlined
def gather_emissions(scores, t, columns, low, stop, emitted):
    """Fill emitted with what frame t gives each label, in a loop of its own so that the others vectorise."""
    for u in range(unsigned(low), unsigned(stop)):
        emitted[u] = scores[unsigned(t), unsigned(columns[u])]


# ---- the best path --------------------------------------------------------------------------------


@inlined
def choose_moves(barred, emitted, blank, low, stop, shift, at_blank, at_label, moves, start):
    """Find the best move from both states of each pair, and its score.

    As u goes up, the states of pair u + 1 still belong to frame t + 1 when pair u reads them.
    """
    stay = np.int64(0)
    blank_steps, label_steps, label_skips = (
        np.int64(BLANK_STEPS) << shift, np.int64(LABEL_STEPS) << shift, np.int64(LABEL_SKIPS) << shift)
    for u in range(unsigned(low), unsigned(stop)):
        after, word = u + unsigned(1), u - unsigned(low) + unsigned(start)
        blank_stays, label_stays = at_blank[u], at_label[u]
        next_blank, next_label = at_blank[after], at_label[after] + barred[after]
        leaves = label_stays > blank_stays
        at_blank[u] = (label_stays if leaves else blank_stays) + blank

        steps = next_blank > label_stays
        best = next_blank if steps else label_stays
        skips = next_label > best
        at_label[u] = (next_label if skips else best) + emitted[u]
        taken = label_skips if skips else label_steps if steps else stay
        moves[word] |= taken | (blank_steps if leaves else stay)


@inlined
def subtract_top(low, high, at_blank, at_label):
    """Make the scores relative to the best of the frame; returns that best score, or 0 if it is -inf."""
    top = -np.inf
    for u in range(low, high + 1):
        top = max(top, at_blank[u], at_label[u])
    if top == -np.inf:
        return 0.0
    for u in range(low, high + 1):
        at_blank[u] -= top
        at_label[u] -= top
    return top


@kernel
def best_moves(
    log_probs, tops, columns, barred, firsts, lasts, reach, at_blank, at_label, emitted, moves, rows
):
    """Fill moves and rows; returns the first state of the best path, and the frame where the search ended.

    The state is -1 if no path is within reach. The frame is then the one at which the window became empty,
    or 0 if the search came to the beginning.
    """
    T, U = len(log_probs), len(columns)
    low, high, free, limit = U, U, 0, -reach
    at_blank[:] = at_label[:] = -np.inf
    at_blank[U] = 0.0  # after the last frame a path is in the last blank
    for t in range(T - 1, -1, -1):
        g, high = t // FRAMES_PER_WORD, min(high, lasts[t])
        if t == T - 1 or t % FRAMES_PER_WORD == FRAMES_PER_WORD - 1:
            # The window grows by at most one pair per frame at the low end, and not at the high end.
            rows[g, WORDS_BEGIN] = free
            rows[g, FIRST_PAIR] = max(firsts[g * FRAMES_PER_WORD], low - FRAMES_PER_WORD)
            for k in range(high - rows[g, FIRST_PAIR] + 1):
                moves[free] = 0
                free += 1
        low = max(low - 1, firsts[t])
        stop = min(high + 1, U)
        gather_emissions(log_probs, t, columns, low, stop, emitted)
        choose_moves(barred, emitted, log_probs[t, 0], low, stop, 3 * (t % FRAMES_PER_WORD), at_blank,
                     at_label, moves, rows[g, WORDS_BEGIN] + low - rows[g, FIRST_PAIR])
        if high == U:
            at_blank[U] += log_probs[t, 0]
        at_blank[high + 1] = at_label[high + 1] = -np.inf
        limit += tops[t]
        low, high = trim_window(at_blank, at_label, low, high, limit, -np.inf)
        if low > high:
            return -1, t
        if t % FRAMES_PER_TOP == 0:
            limit -= subtract_top(low, high, at_blank, at_label)
    best = max(at_blank[0], at_label[0])
    # One nat more, for what rounding may have done to the dropped pairs.
    if best == -np.inf or best < limit + 1.0:
        return -1, 0
    return 0 if at_blank[0] == best else 1, 0


@kernel
def trace(moves, rows, first_state, states):
    """Fill states (T,) with the path that begins in `first_state` and follows the moves."""
    s = first_state
    states[0] = s
    for t in range(len(states) - 1):
        g = t // FRAMES_PER_WORD
        code = moves[rows[g, WORDS_BEGIN] + s // 2 - rows[g, FIRST_PAIR]] >> (3 * (t % FRAMES_PER_WORD))
        s += (code >> 1) & 3 if s % 2 == 1 else code & BLANK_STEPS
        states[t + 1] = s


@kernel
def locate_labels(states, log_probs, columns, firsts, lasts, confidences):
    """The first and last frame of each label on a path, and its mean probability over these frames (U,)."""
    for t in range(len(states)):
        s = states[t]
        if s % 2 == 1:
            u = s // 2
            if t == 0 or states[t - 1] != s:
                firsts[u], confidences[u] = t, 0.0
            lasts[u] = t
            confidences[u] += math.exp(log_probs[t, columns[u]])
    for u in range(len(columns)):
        confidences[u] /= lasts[u] - firsts[u] + 1


# ---- the sum --------------------------------------------------------------------------------------


@inlined
def sum_moves(opened, emitted, blank, low, stop, at_blank, at_label):
    """Sum over the moves from both states of each pair."""
    for u in range(unsigned(low), unsigned(stop)):
        after = u + unsigned(1)
        label_stays = at_label[u]
        in_blank = (at_blank[u] + label_stays) * blank
        in_label = (label_stays + at_blank[after] + opened[after] * at_label[after]) * emitted[u]
        at_blank[u] = in_blank if in_blank > SUM_FLOOR else SUM_FLOOR
        at_label[u] = in_label if in_label > SUM_FLOOR else SUM_FLOOR


@kernel
def log_sum(probs, columns, opened, firsts, lasts, least, at_blank, at_label, emitted):
    """ln of the sum over all paths, or nan without a proof; `least` is a lower bound, -inf if unknown."""
    T, U = len(probs), len(columns)
    low, high, limit = U, U, math.exp(least - math.log(T) + (SUM_HEADROOM - 60) * LN2)
    at_blank[:] = at_label[:] = 0.0
    at_blank[U] = SUM_ONE  # after the last frame a path is in the last blank
    for t in range(T - 1, -1, -1):
        low, high = max(low - 1, firsts[t]), min(high, lasts[t])
        stop = min(high + 1, U)
        gather_emissions(probs, t, columns, low, stop, emitted)
        sum_moves(opened, emitted, probs[t, 0], low, stop, at_blank, at_label)
        if high == U:
            at_blank[U] = max(at_blank[U] * probs[t, 0], SUM_FLOOR)
        at_blank[high + 1] = at_label[high + 1] = 0.0
        low, high = trim_window(at_blank, at_label, low, high, limit, 0.0)
    mantissa, exponent = math.frexp(at_blank[0] + at_label[0])
    if mantissa == 0.0:
        return np.nan
    result = math.log(mantissa) + (exponent - SUM_HEADROOM) * LN2
    # Far above the floor: 2^50 times what raising states to it may have added.
    proved = result >= math.log(3.0 * T) + (SUM_FLOOR_EXPONENT - SUM_HEADROOM + 50) * LN2
    return result if proved and result >= least - 1e-6 else np.nan
