"""The best path of one labelling and the sum of all its paths, over those states alone that can matter.

Both are the backward recursion of `reference`, each frame's own emission included, once with
max and once with a sum over the moves stay, step and skip:

    E_t(s) = y_t(l'_s) max E_{t+1}(s')          E_t(s) = y_t(l'_s) sum E_{t+1}(s')

States are kept in pairs, blank u and label u, for u = 0..U (label U does not exist). A frame's
window is the pairs that can be reached and can still finish, less those at either end that
provably do not matter. So a frame costs what is in doubt there: with outputs of a trained
network a few pairs, however long the target.

**Best path.** Scores are logarithms. No beginning of t frames is worth more than the likeliest
class of each, so what E_t(s) lacks to that, from t on, every path through s at t lacks at
least. Pairs are dropped that lack more than `reach` nats. If the path that is found lacks less
than that, no dropped one is as good; else a wider reach is tried, at last an infinite one.
Which move was best is all that is kept: three bits a pair, the moves of 21 frames a word. Of
moves that lead on equally well the first is taken, so that every tie ends in one of the best
paths, the same one each time, whatever the reach. Going backward has no other reason: the tie
rule then reads forward in time. Now and then the top is taken out of the scores, so that they
and their rounding errors stay small, however long the sequence.

**Sum.** Linear, 2^960 in place of 1, and never rescaled. The beginnings of t frames have
probability 1 in all, so dropping state s at frame t changes the sum by at most E_t(s). With a
lower bound of the sum, as a beam search has one, pairs are dropped that are below 2^-60 / T of
it, and all of those together are below rounding. A state under FLOOR is raised to it, which
adds, for the same reason, at most 3 T FLOOR in all. If the result is not far above that, which
it is down to a probability of e^-1200, or is below the bound that was given, there is no proof,
and nan is returned.

Shapes:  log_probs, probs (T, K), columns of the K classes used, the blank first;  tops (T,), no
class of a frame has a higher log-probability;  columns (U,) of the labels;  firsts, lasts (T,), the
pairs of each frame that can be reached and can still finish;  barred (U + 2,), -inf where label u
repeats label u - 1, which no skip may enter, else 0;  opened (U + 2,), 0 there, else 1;  blanks,
letters (U + 2,), the states of a frame;  emitted (U + 2,), what it gives the labels;  moves (words,),
rows (G, 2): the word of pair u in frames 21 g .. 21 g + 20 is moves[rows[g, 0] + u - rows[g, 1]].
"""

import math

import numpy as np

from ...compiled.cache import cached_njit

# nogil: the driver runs batches on several threads. cache: compiled once a machine. error_model:
# no test for division by zero. No fastmath for scores: -inf has to stay -inf.
kernel = cached_njit(nogil=True, error_model="numpy")
# forceinline: for what a frame calls, as handing over arrays takes as long as a narrow window.
inlined = cached_njit(nogil=True, error_model="numpy", forceinline=True)

FRAMES = 21  # whose moves a word holds
RENEW = 32  # frames after which the top is taken out of the scores again

HEADROOM = 960
ONE = 2.0**HEADROOM  # what stands for 1 in the sum
FLOOR_EXPONENT = -900
FLOOR = 2.0**FLOOR_EXPONENT  # times an emission it is a normal number, or it does not matter
LN2 = math.log(2.0)

place = np.uintp  # unsigned: signed indices are tested for wrapping around


# ---- windows --------------------------------------------------------------------------------------


@kernel
def number_classes(labels, blank, found, classes, columns):
    """The classes that are used, the blank first, and which of them each label is; returns how many.

    found (C,) is -1 at first.
    """
    classes[0], found[blank], K = blank, 0, 1
    for u in range(len(labels)):
        c = labels[u]
        if found[c] < 0:
            classes[K], found[c] = c, K
            K += 1
        columns[u] = found[c]
    return K


@kernel
def normalise(logits, norms, classes, log_probs):
    """log_probs (T, K) of some classes; norms (T, 2): largest logit, ln sum exp of (logit - largest)."""
    for t in range(len(logits)):
        for k in range(len(classes)):
            log_probs[t, k] = (logits[t, classes[k]] - norms[t, 0]) - norms[t, 1]


@kernel
def band(columns, need, firsts, lasts, repeats):
    """Fill firsts, lasts and repeats (U + 2,), which is False at first; need (U,) is for use here.

    Label u is reached at frame need[u] = u + repeats(labels[:u + 1]) at the earliest, each
    repeat asking for a blank before it; the end mirrors this. Blank u is reached right after
    label u - 1.
    """
    T, U = len(firsts), len(columns)
    for u in range(U):
        repeats[u] = u > 0 and columns[u] == columns[u - 1]
        need[u] = 0 if u == 0 else need[u - 1] + (2 if repeats[u] else 1)
    last, first = 0, U
    for t in range(T):
        while last < U and need[last] < t:
            last += 1
        lasts[t] = last
    for t in range(T - 1, -1, -1):
        while first > 0 and need[U - 1] - need[first - 1] <= T - 1 - t:
            first -= 1
        firsts[t] = first


@inlined
def trim(blanks, letters, low, high, limit, nothing):
    """Drop pairs at both ends of a window that are below the limit; returns what is left."""
    while high >= low and blanks[high] < limit and letters[high] < limit:
        blanks[high] = letters[high] = nothing
        high -= 1
    while low <= high and blanks[low] < limit and letters[low] < limit:
        blanks[low] = letters[low] = nothing
        low += 1
    return low, high


@inlined
def gather(scores, t, columns, low, stop, emitted):
    """What frame t gives each label: a loop of its own, as the others are vectorised."""
    for u in range(place(low), place(stop)):
        emitted[u] = scores[place(t), place(columns[u])]


# ---- the best path --------------------------------------------------------------------------------


@inlined
def choose(barred, emitted, blank, low, stop, shift, blanks, letters, moves, start):
    """The best move from both states of each pair, and its score; a frame's bits: 1 blank steps,
    2 label steps, 4 label skips."""
    nothing = np.int64(0)
    blank_steps, step, skip = np.int64(1) << shift, np.int64(2) << shift, np.int64(4) << shift
    for u in range(place(low), place(stop)):
        after, word = u + place(1), u - place(low) + place(start)
        here, label = blanks[u], letters[u]
        next_blank, next_label = blanks[after], letters[after] + barred[after]
        leaves = label > here
        blanks[u] = (label if leaves else here) + blank

        steps = next_blank > label
        best = next_blank if steps else label
        skips = next_label > best
        letters[u] = (next_label if skips else best) + emitted[u]
        taken = skip if skips else step if steps else nothing
        moves[word] |= taken | (blank_steps if leaves else nothing)


@inlined
def take_top_out(low, high, blanks, letters):
    """Scores relative to the best of a frame, which is returned; 0 if that is -inf."""
    top = -np.inf
    for u in range(low, high + 1):
        top = max(top, blanks[u], letters[u])
    if top == -np.inf:
        return 0.0
    for u in range(low, high + 1):
        blanks[u] -= top
        letters[u] -= top
    return top


@kernel
def best_moves(log_probs, tops, columns, barred, firsts, lasts, reach, blanks, letters, emitted, moves, rows):
    """All moves; returns the state to begin in, -1 if no path is within reach, and the frame that told."""
    T, U = len(log_probs), len(columns)
    low, high, free, limit = U, U, 0, -reach
    blanks[:] = letters[:] = -np.inf
    blanks[U] = 0.0  # behind the last frame
    for t in range(T - 1, -1, -1):
        g, high = t // FRAMES, min(high, lasts[t])
        if t == T - 1 or t % FRAMES == FRAMES - 1:
            # At the low end a frame adds a pair at most, at the high end none.
            rows[g, 0], rows[g, 1] = free, max(firsts[g * FRAMES], low - FRAMES)
            for k in range(high - rows[g, 1] + 1):
                moves[free] = 0
                free += 1
        low = max(low - 1, firsts[t])
        stop = min(high + 1, U)
        gather(log_probs, t, columns, low, stop, emitted)
        choose(barred, emitted, log_probs[t, 0], low, stop, 3 * (t % FRAMES), blanks, letters, moves,
               rows[g, 0] + low - rows[g, 1])
        if high == U:
            blanks[U] += log_probs[t, 0]
        blanks[high + 1] = letters[high + 1] = -np.inf
        limit += tops[t]
        low, high = trim(blanks, letters, low, high, limit, -np.inf)
        if low > high:
            return -1, t
        if t % RENEW == 0:
            limit -= take_top_out(low, high, blanks, letters)
    best = max(blanks[0], letters[0])
    if best == -np.inf or best < limit + 1.0:  # a nat: for what rounding may have done to those dropped
        return -1, 0
    return 0 if blanks[0] == best else 1, 0


@kernel
def trace(moves, rows, first, states):
    """states (T,) of the path that begins in state `first` and follows the moves."""
    s = first
    states[0] = s
    for t in range(len(states) - 1):
        g = t // FRAMES
        code = moves[rows[g, 0] + s // 2 - rows[g, 1]] >> (3 * (t % FRAMES))
        s += (code >> 1) & 3 if s % 2 == 1 else code & 1
        states[t + 1] = s


@kernel
def locate(states, log_probs, columns, firsts, lasts, confidences):
    """Each label's first and last frame on a path, and its mean probability there: all (U,)."""
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
def add(opened, emitted, blank, low, stop, blanks, letters):
    """The sum over the moves from both states of each pair."""
    for u in range(place(low), place(stop)):
        after = u + place(1)
        label = letters[u]
        in_blank = (blanks[u] + label) * blank
        in_label = (label + blanks[after] + opened[after] * letters[after]) * emitted[u]
        blanks[u] = in_blank if in_blank > FLOOR else FLOOR
        letters[u] = in_label if in_label > FLOOR else FLOOR


@kernel
def log_sum(probs, columns, opened, firsts, lasts, least, blanks, letters, emitted):
    """ln of the sum, which is at least `least`; nan if there is no proof of it."""
    T, U = len(probs), len(columns)
    low, high, limit = U, U, math.exp(least - math.log(T) + (HEADROOM - 60) * LN2)
    blanks[:] = letters[:] = 0.0
    blanks[U] = ONE  # behind the last frame
    for t in range(T - 1, -1, -1):
        low, high = max(low - 1, firsts[t]), min(high, lasts[t])
        stop = min(high + 1, U)
        gather(probs, t, columns, low, stop, emitted)
        add(opened, emitted, probs[t, 0], low, stop, blanks, letters)
        if high == U:
            blanks[U] = max(blanks[U] * probs[t, 0], FLOOR)
        blanks[high + 1] = letters[high + 1] = 0.0
        low, high = trim(blanks, letters, low, high, limit, 0.0)
    mantissa, exponent = math.frexp(blanks[0] + letters[0])
    if mantissa == 0.0:
        return np.nan
    result = math.log(mantissa) + (exponent - HEADROOM) * LN2
    # Far above the floor: 2^50 times what raising may have added.
    proved = result >= math.log(3.0 * T) + (FLOOR_EXPONENT - HEADROOM + 50) * LN2
    return result if proved and result >= least - 1e-6 else np.nan
