"""The kernel to use: linear space, vectorised, and every answer comes with a proof.

**Recursion.** The extended labels are split into blanks ab[u], u = 0..U, and labels
al[u], u = 0..U-1, so that no state looks its symbol up:

    ab_t[u] = (ab[u] + al[u-1]) y_t(blank)                                  stay, step
    al_t[u] = (al[u] + ab[u] + skip[u] al[u-1]) y_t(label u)                stay, step, skip

with skip[u] = label u differs from label u-1. All terms are positive, so nothing
cancels: a frame brings a state at most four roundings, relative ones. Backward the
labels are kept times their emission, as the frame before wants them; and the gradient
of a frame is written once, when its beta is there: weight * (y - occupancy).

**Range.** States live between FLOOR and about TOP, relative to a power of two that
each sequence keeps for itself. Every fourth frame, if their sum has left the
neighbourhood of TOP, they are multiplied by another one: nothing rounds. So far
this is rescaling as everyone does it, and as everyone knows it can lose a state that
matters later. Hence

**The bracket.** At every frame, before it is used,

    forward:   a reachable state, or an emission, under its floor is *raised* to it
    backward:  the same is *dropped* to 0

so that the forward states A are upper bounds on alpha and the backward ones B lower
bounds on beta, and the likelihood Z lies between Z_up, made of A, and Z_low, made of B.
More than that: for any frame t and any set K of states

    sum_K (A B - alpha beta) = sum_K (A - alpha) B  -  sum_K alpha (beta - B)

The first term is at most sum (A - alpha) beta <= Z_up - Z: what has been raised until t
flows on through the true recursion, and later raises only add. The second is the mass
of true paths that are dropped behind t, at most Z - Z_low. So

    -(Z - Z_low)  <=  sum_K A B - sum_K alpha beta  <=  Z_up - Z

also if states are left out of the first sum whose emission at t was dropped: their paths
are part of Z - Z_low, and no other path is counted with them. Let a be this error for K
and b that for all states, Q = Z + b the sum of all A B at frame t, Q >= Z_low. With
p = sum_K alpha beta, the posterior of K is p / Z, and what we return is off by

    (p + a) / Q - p / Z  =  (a (1 - p / Z) - b p / Z) / Q

in size at most (Z_up - Z_low) / Z_low. So two numbers that are computed anyway bound
everything:

    bound = (Z_up - Z_low) / Z_low + rho

relatively for the likelihood, absolutely for every gamma and for every sum of them.
rho = (4 T + sum_t eps_t) 2^-53 is rounding, eps_t what the emissions are off by, in
units of 2^-53. For float64 logits e^(x - max) has the rounding of the difference put
back, so eps_t is about 8 and what summing C terms costs. For float32 logits emissions
are float32, and the claim is about those: each is perturbed by at most
(3 + min(C, 67) + ln C + |x - max|) 2^-24 of itself, where min(C, 67) + ln C is for their sum.

**Lanes.** Where frames, labels and classes are few, eight sequences go side by side: entry
u * 8 + j of a row is label u of lane j, and the neighbour u - 1 stands eight entries
before. So loops over all entries serve one sequence and eight. What a lane computes
does not depend on the others: windows of reachable states are closed for each by itself.

**Memory.** alpha is kept for all frames while it fits a budget, else for stretches of
about sqrt(T) frames, computed again on the way back, to the same bit.
"""

import math
from typing import Any, NamedTuple

import numba
import numba.extending
import numpy as np
from numpy.typing import NDArray

from ...compiled.bits import bits_of_float64, float64_from_bits
from ...compiled.cache import cached_njit
from ...compiled.counter import DONE, TAKEN, count
from ...compiled.exp import exp_below
from ...compiled.vector import (
    absolute,
    all_stored,
    eight,
    eight_of,
    first_of,
    larger,
    largest_of,
    narrowed,
    put,
    put_past_cache,
    splat,
    total_of,
    where_over,
    widened,
)

# nogil: the driver runs batches on several threads. cache: compiled once a machine. error_model:
# no test for division by zero, which would keep LLVM from vectorising. contract: multiply and add
# may be fused, which only rounds less.
options: dict[str, Any] = dict(nogil=True, error_model="numpy", fastmath={"contract"},
                               no_cfunc_wrapper=True)
kernel = cached_njit(**options)
# A part of a kernel has no entrance for Python, which must not call it, unless as plain Python: entrances
# would be half of what there is to compile.
inner: dict[str, Any] = dict(options, no_cpython_wrapper=True)
part = cached_njit(**inner)
# forceinline: for what is small and called often, as handing over arrays takes as long as using them.
inlined = cached_njit(**inner, forceinline=True)

LN2 = math.log(2.0)

HEADROOM = 460
TOP = 2.0**HEADROOM  # where the sum of the states starts and is brought back to: A B stays below 2^1022
FLOOR = 2.0**-800  # under it a state is raised or dropped: times an emission's floor it is still normal
RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), 2.0 ** (HEADROOM + 20)
RESCALE_MASK = 3  # look at every fourth frame

PAST_CACHE = 2**22  # bytes of a sequence's gradient from which on it will not be read from the cache again

place = np.uintp


@inlined
def places_to_line(numbers, k):
    """How many numbers there are from number k of an array to the next aligned place."""
    return -(numbers.ctypes.data // numbers.itemsize + k) % 8


# ---- loops over one row of logits ------------------------------------------------------------------
# Rows are read as rows[r, c] and not through a view rows[r]: a view costs a reference count, as much as
# a short row; the indices are unsigned then, for the reason given below.


@kernel
def row_exp(rows, r, top, line, grad, q, other, factor):
    """line = e^(rows[r] - top); returns its sum, at most 512 terms of it added in their own precision.

    Beside it, unless q is -1, grad[q] = other * factor goes past the cache, as nobody reads it soon:
    the processor computes while memory takes in what is written.
    """
    C, total = rows.shape[1], 0.0
    whole, none, factors = C // 8 * 8, splat(line.dtype.type(0)), splat(factor)
    done = C
    if q >= 0:
        done = min(places_to_line(grad, q * C), C)
        write_some(other, factor, grad, q, 0, done)
    for start in range(0, whole, 512):
        some = none
        for k in range(start, min(start + 512, whole), 8):
            y = exp_below(eight(rows, r * C + k), top)
            put(line, k, y)
            some = some + y
            if done + 8 <= C:
                put_past_cache(grad, q * C + done, eight(other, done) * factors)
                done += 8
        total += total_of(some)
    for c in range(place(whole), place(C)):
        y = exp_below(rows[place(r), c], top)
        line[c] = y
        total += y
    if done < C:
        write_some(other, factor, grad, q, done, C)
    return total


@inlined
def write_some(line, factor, rows, r, first, after):
    """rows[r] = line * factor for classes first..after-1."""
    r = place(r)
    for c in range(place(first), place(after)):
        rows[r, c] = line[c] * factor


@inlined
def row_largest(rows, r):
    """The largest entry of a row."""
    C = rows.shape[1]
    k, stop = r * C, (r + 1) * C
    top = rows[place(r), place(0)]
    if C >= 8:
        most = eight(rows, k)
        while k + 8 <= stop:
            most = larger(most, eight(rows, k))
            k += 8
        top = largest_of(most)
    for c in range(place(k - r * C), place(C)):
        top = rows[place(r), c] if rows[place(r), c] > top else top
    return top


# ---- loops over one frame -------------------------------------------------------------------------
# All states of a group live in one array w, and a loop is told where in it each of its rows begins. The
# places are unsigned, as with signed ones Numba tests for a negative index; and one array is handed over
# faster than ten. Index k runs over labels and lanes alike, the lane fastest, in whole blocks of eight:
# what the last block computes behind the last label is 0, as nothing is emitted there.


@inlined
def raised(states):
    """The forward floor: at least FLOOR, if the state can be reached at all."""
    return where_over(states, splat(0.0), larger(states, splat(FLOOR)), splat(0.0))


@inlined
def dropped(states):
    """The backward floor: at least FLOOR, or nothing."""
    return where_over(splat(FLOOR), states, splat(0.0), states)


@inlined
def gathered(numbers, start, slots, k):
    """The Eight of what is start + slots[k...] in numbers."""
    start, k = place(start), place(k)
    return eight_of(
        numbers[start + slots[k]], numbers[start + slots[k + place(1)]],
        numbers[start + slots[k + place(2)]], numbers[start + slots[k + place(3)]],
        numbers[start + slots[k + place(4)]], numbers[start + slots[k + place(5)]],
        numbers[start + slots[k + place(6)]], numbers[start + slots[k + place(7)]])


@inlined
def step_forward(w, L, blocks, blanks, labels, blank, emit, slots, slot, y, skip, new_blanks, new_labels):
    """ab'[u] = (ab[u] + al[u-1]) y(blank);  al'[u] = (al[u] + ab[u] + skip[u] al[u-1]) y(label u).

    `blank` is the Eight of the blank's emissions, of one sequence all the same. Those of the
    labels go to y, for beta.
    """
    for k in range(0, 8 * blocks, 8):
        label = gathered(w, emit, slots, slot + k)
        stay, step = eight(w, blanks + k), eight(w, labels - L + k)
        here = eight(w, labels + k) + stay + eight(w, skip + k) * step
        put(w, new_blanks + k, raised((stay + step) * blank))
        put(w, new_labels + k, raised(here * absolute(label)))
        put(w, y + k, label)


@inlined
def step_backward(w, L, blocks, blanks, emitted, blank, skip, y, ab, al, new_blanks, new_emitted, products):
    """One frame back.

    bb'[u] = bb[u] y(blank) + el[u];  bl'[u] = el[u] + bb[u+1] y(blank) + skip[u+1] el[u+1];

    where `emitted` holds el[u] = bl[u] y(label u), which becomes bl'[u] y'(label u). `products` become
    al' bl', 0 where the emission was under its floor. Returns the sums of ab' bb' and of these, as Eights.
    """
    blank_sum, label_sum = splat(0.0), splat(0.0)
    for k in range(0, 8 * blocks, 8):
        label, stay, step = eight(w, y + k), eight(w, emitted + k), eight(w, emitted + L + k)
        bb = dropped(eight(w, blanks + k) * blank + stay)
        bl = dropped(stay + eight(w, blanks + L + k) * blank + eight(w, skip + L + k) * step)
        bl = where_over(label, splat(0.0), bl, splat(0.0))
        product = eight(w, al + k) * bl
        put(w, new_blanks + k, bb)
        put(w, new_emitted + k, bl * label)
        put(w, products + k, product)
        blank_sum += eight(w, ab + k) * bb
        label_sum += product
    return blank_sum, label_sum


@part
def scatter(w, n, products, slots, first, occupancy):
    """Each product to the occupancy of its label's class."""
    products, first, occupancy = place(products), place(first), place(occupancy)
    for k in range(place(n)):
        w[occupancy + slots[first + k]] += w[products + k]


@part
def fill(w, n, at, value):
    """n entries = value."""
    n, at = place(n), place(at)
    for k in range(n):
        w[at + k] = value


@inlined
def of_lanes(w, lanes, k):
    """The Eight of what is one number for each sequence, from w[k] on."""
    return eight(w, k) if len(lanes) > 1 else splat(w[place(k)])


@inlined
def sum_of_two(w, blocks, a, b):
    """The sum of two rows of states, as an Eight."""
    total = splat(0.0)
    for k in range(0, 8 * blocks, 8):
        total += eight(w, a + k) + eight(w, b + k)
    return total


@inlined
def scale(w, blocks, start, factor):
    """Multiply a row of states by an Eight."""
    for k in range(start, start + 8 * blocks, 8):
        put(w, k, eight(w, k) * factor)


@inlined
def write_grad(w, n, emit, occupancy, factor, weight, rows, r):
    """rows[r] = weight * (y - factor * occupancy), of a sequence that is alone."""
    emit, occupancy = place(emit), place(occupancy)
    for c in range(place(n)):
        y = w[emit + c] if w[emit + c] > 0.0 else 0.0
        rows[r, c] = weight * (y - factor * w[occupancy + c])


@inlined
def write_columns(w, emit, occupancy, factor, weight, rows, r, columns):
    """The same for some of the classes."""
    emit, occupancy = place(emit), place(occupancy)
    for k in range(place(len(columns))):
        y = w[emit + k] if w[emit + k] > 0.0 else 0.0
        rows[r, columns[k]] = weight * (y - factor * w[occupancy + k])


@inlined
def write_lanes(w, n, emit, occupancy, total, weight, line):
    """The same for eight sequences into line, n classes by eight lanes."""
    factor = splat(1.0) / total
    for k in range(0, 8 * n, 8):
        y = larger(eight(w, emit + k), splat(0.0))
        put(line, k, narrowed(weight * (y - factor * eight(w, occupancy + k)), line))


@inlined
def copy_lane(line, j, rows, r):
    """rows[r] = lane j."""
    j = place(j)
    for c in range(place(rows.shape[1])):
        rows[r, c] = line[place(8) * c + j]


# ---- a group: one sequence, or LANES of them side by side -----------------------------------------


class Group(NamedTuple):
    """What the frames of a group share; L lanes, U labels in the longest target, K columns.

    A column is a class whose probability the states need: all of them, or those of a
    sequence's own target. Where there is one of a thing for each column or label,
    entry k * L + j belongs to lane j.
    """

    T: int  # frames of the longest
    U: int
    members: NDArray  # (L,) the sequence in each lane, -1 for none
    lengths: NDArray  # (L,) its frames
    widths: NDArray  # (L,) its labels
    columns: NDArray  # (K,) the class of a column, where they are not all
    slots: NDArray  # (U * L,) and more: the column of a label, L * K for what is no label
    need: NDArray  # (U * L,) the first frame at which label u can be reached
    left: NDArray  # (U * L,) how many frames it takes from there to the end
    shortest: int  # frames that all sequences have
    steady: int  # from this frame on all labels can be reached
    unsteady: int  # before this frame all labels can finish


class Places(NamedTuple):
    """Where in the workspace things stand, and how many there are.

    Blank u and label u of lane j are entry LEAD + u * L + j of their rows, so
    that what comes before the first is there to be read, as 0.
    """

    K: int  # columns of a lane
    dense: bool  # whether all classes are columns
    width: int  # of a row of states
    blank: int  # the blank's column
    emit: int  # (T, emit_width) emissions of the columns, raised ones negated, and a 0 at L * K
    emit_width: int  # of a row of them
    y: int  # (G, width) emissions of the labels
    ab: int  # (G + 1, width) alpha of the blanks, row 0 being the frame before
    al: int  # (G + 1, width) alpha of the labels
    starts: int  # (segments, 2, width) alpha before each segment
    beta: int  # (2, 2, width) of this frame and the next one in turn: blanks, labels times emission
    products: int  # (width,) alpha beta of one frame's labels
    y_low: int  # (8,) the blank's emission as beta sees it, one frame later
    skip: int  # (width,) 1 where a label differs from the one before, else 0
    occupancy: int  # (L * K,) of one frame
    sums: int  # (2, L)
    scales: int  # (3, L) which power of two alpha, alpha once more, beta are relative to
    final: int  # (2, L) the sum of the states that end a path, and its power of two
    end: int  # how much workspace there must be


LEAD = 8  # entries before label 0: a cache line

# Plain Python asks for sizes too: for it they are not compiled.
sized = numba.extending.register_jitable(error_model="numpy")


@sized
def is_dense(C, U, L):
    """Whether every class makes a column: where they are few, loops over them need no indices."""
    return L > 1 or C <= 4 * (U + 1)


@part
def segment_length(T, width, budget):
    """Frames of alpha kept at a time: all of them if they fit the budget (in numbers), else about sqrt(T)."""
    return T if 3 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))


@sized
def row_width(U, L):
    """Entries of a row of states: what lies behind the last block is read, as 0."""
    return LEAD + ((U + 1) * L + 7) // 8 * 8 + 16


@sized
def emit_width(K, L):
    """Entries of a row of emissions: the columns and a 0, up to a whole cache line."""
    return (L * K + 8) // 8 * 8


@part
def make_places(T, U, C, L, blank, budget):
    """The Places of a group of this size."""
    dense = is_dense(C, U, L)
    K = C if dense else min(U + 1, C)
    width, columns = row_width(U, L), emit_width(K, L)
    G = segment_length(T, width, budget)
    emit = 0
    y = emit + T * columns
    ab = y + G * width
    al = ab + (G + 1) * width
    starts = al + (G + 1) * width
    beta = starts + (T + G - 1) // G * 2 * width
    products = beta + 4 * width
    y_low = products + width
    skip = y_low + 8
    occupancy = skip + width
    sums = occupancy + columns
    scales = sums + 2 * L
    return Places(K, dense, width, blank if dense else 0, emit, columns, y, ab, al, starts, beta, products,
                  y_low, skip, occupancy, sums, scales, scales + 3 * L, scales + 5 * L)


@part
def make_group(members, lanes, C, lengths, labels, offsets, blank):
    """The Group of these sequences."""
    L = len(lanes)  # by itself: Numba then knows it, and leaves out what is for another number of lanes
    T, U, shortest = 0, 0, np.iinfo(np.intp).max
    frames, widths = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for j in range(L):
        n = members[j]
        if n >= 0:
            frames[j], widths[j] = lengths[n], offsets[n + 1] - offsets[n]
        T, U, shortest = max(T, frames[j]), max(U, widths[j]), min(shortest, frames[j])
    dense = is_dense(C, U, L)
    K = C if dense else min(U + 1, C)
    columns, slots = np.zeros(K, np.uintp), np.zeros((U + 1) * L + 16, np.uintp)
    columns[0] = blank
    for k in range(len(slots)):
        slots[k] = L * K
    need, left = np.zeros(U * L, np.intp), np.zeros(U * L, np.intp)
    for k in range(U * L):
        need[k] = T
    column_of, steady, unsteady, taken = np.zeros(C, np.intp), 0, T, K
    for j in range(L):
        if widths[j] == 0:
            continue
        first, last = offsets[members[j]], offsets[members[j] + 1] - 1
        if L == 1 and not dense:
            taken = 1  # column 0 is the blank's
            for k in range(first, last + 1):
                if column_of[labels[k]] == 0:
                    column_of[labels[k]] = taken
                    columns[taken] = labels[k]
                    taken += 1
        repeats = 0
        for u in range(widths[j]):
            label = labels[first + u]
            slots[u * L + j] = (label if dense else column_of[label]) * L + j
            repeats += u > 0 and label == labels[first + u - 1]
            need[u * L + j] = u + repeats
        for u in range(widths[j]):
            left[u * L + j] = need[(widths[j] - 1) * L + j] - need[u * L + j]
        steady = max(steady, need[(widths[j] - 1) * L + j])
        unsteady = min(unsteady, frames[j] - left[j])
    return Group(T, U, members, frames, widths, columns[:taken], slots, need, left, shortest, steady,
                 unsteady)


@part
def window(t, lanes, lengths, widths, need, left, low, high):
    """Move low[j]..high[j] - 1 to the labels that can be reached at frame t and can still finish.

    Blank high[j] counts in too, as it may be reached; label high[j] comes out
    as 0 by itself. Returns the union over lanes.
    """
    L = len(lanes)
    lowest, highest = len(need) // L, 0
    for j in range(L):
        first, after = low[j], high[j]
        while after < widths[j] and need[after * L + j] <= t:
            after += 1
        while after > 0 and need[(after - 1) * L + j] > t:
            after -= 1
        while first < widths[j] and left[first * L + j] >= lengths[j] - t:
            first += 1
        while first > 0 and left[(first - 1) * L + j] < lengths[j] - t:
            first -= 1
        low[j], high[j] = first, after
        lowest, highest = min(lowest, first), max(highest, after)
    return lowest, highest


# ---- emissions ------------------------------------------------------------------------------------


@part
def emission_floor(rows):
    """So far above the smallest normal number that divided by the sum of a row it stays normal."""
    return 2.0**-120 if rows.itemsize == 4 else 2.0**-200


@part
def marked(value, inverse, floor):
    """value * inverse; where value is under the floor, the floor, negated for a mark."""
    return value * inverse if value > floor else -floor * inverse


@inlined
def mark(w, values, inverse, floor, emit):
    """emit = the marked emission of every class."""
    emit = place(emit)
    for c in range(place(len(values))):
        w[emit + c] = marked(np.float64(values[c]), inverse, floor)


@inlined
def mark_columns(w, values, columns, inverse, floor, emit):
    """The same for some of the classes."""
    emit = place(emit)
    for k in range(place(len(columns))):
        w[emit + k] = marked(np.float64(values[columns[k]]), inverse, floor)


@part
def emissions(w, at, group, rows, tops, n_stride, t_stride, weights, normalise, grad):
    """The softmax of every frame of one sequence: its columns to at.emit, and times the weight into grad.

    Where all classes are columns nothing needs to be written to grad yet. Without `normalise`,
    e^(score - largest) to at.emit; returns what the logarithms were shifted by in all.
    """
    columns, n, C = group.columns, group.members[0], rows.shape[1]
    line, other = np.empty(C, rows.dtype), np.empty(C, rows.dtype)
    floor, shift, inverse, factor = emission_floor(rows), 0.0, 1.0, rows.dtype.type(0)
    past_cache = not at.dense and group.T * C * rows.itemsize > PAST_CACHE
    for t in range(group.T):
        emit, r = at.emit + t * at.emit_width, n * n_stride + t * t_stride
        w[emit + at.K] = 0.0
        top = tops[r] if len(tops) > 0 else row_largest(rows, r)
        before = r - t_stride if past_cache and t > 0 else -1
        total = row_exp(rows, r, top, line, grad, before, other, factor)
        if normalise:
            inverse = 1.0 / total
        else:
            shift += top
        if at.dense:
            mark(w, line, inverse, floor, emit)
        else:
            mark_columns(w, line, columns, inverse, floor, emit)
            factor = rows.dtype.type(weights[n] * inverse)
            if not past_cache or t == group.T - 1:
                write_some(line, factor, grad, r, 0, C)
            line, other = other, line
    if past_cache:
        all_stored()
    return shift


@part
def emissions_in_lanes(w, at, group, lanes, rows, n_stride, t_stride):
    """The softmax of every frame of eight sequences to at.emit, class by class and lane by lane.

    A lane behind its end, or without a sequence, gets that of some other row: none of its labels is in
    the window there, its beta does not ask for a blank, and nothing of it is written.
    """
    L, C, members, lengths = len(lanes), rows.shape[1], group.members, group.lengths
    floor, line = emission_floor(rows), np.zeros(8 * C, rows.dtype)
    none, lowest = splat(rows.dtype.type(0)), splat(rows.dtype.type(-np.inf))
    flat, starts = rows.ravel(), np.zeros(L, np.uintp)
    for t in range(group.T):
        emit = at.emit + t * at.emit_width
        w[emit + L * C] = 0.0
        for j in range(L):
            if t < lengths[j]:
                starts[place(j)] = place((members[j] * n_stride + t * t_stride) * C)
        top = lowest
        for c in range(C):
            x = gathered(flat, c, starts, 0)
            top = larger(top, x)
            put(line, 8 * c, x)
        total = none
        for k in range(0, 8 * C, 8):
            y = exp_below(eight(line, k), top)
            put(line, k, y)
            total = total + y
        inverse = 1.0 / widened(total)
        for k in range(0, 8 * C, 8):
            value = widened(eight(line, k))
            put(w, emit + k, where_over(value, splat(floor), value, splat(-floor)) * inverse)


# ---- alpha ----------------------------------------------------------------------------------------


@inlined
def close_window(w, lanes, all_labels, low, high, first, last, blocks, blanks, labels):
    """0 on both sides of entries first..last-1, and for each lane on both sides of its own window.

    Of the blanks before `first` nothing is read: forward the window leaves them behind, backward it has
    not come there yet, and they are still 0.
    """
    L, end = len(lanes), first + 8 * blocks
    fill(w, L, labels + first - L, 0.0)
    fill(w, 8, blanks + end, 0.0)
    fill(w, 8, labels + end, 0.0)
    if all_labels:
        return
    fill(w, end - last, blanks + last, 0.0)
    fill(w, end - last, labels + last, 0.0)
    if L > 1:
        for j in range(L):
            for u in (low[j] - 1, high[j] + 1):
                edge = LEAD + u * L + j
                w[blanks + edge] = w[labels + edge] = 0.0


@inlined
def rescale(w, lanes, first, blocks, blanks, labels, sums, scales):
    """Bring each lane's sum back near TOP by a power of two, which rounds nothing."""
    L, todo = len(lanes), False
    total = sum_of_two(w, blocks, blanks + first, labels + first)
    if L == 1:
        w[sums] = total_of(total)
    else:
        put(w, sums, total)
    for j in range(L):
        state, factor = w[sums + j], 1.0
        if 0.0 < state < RESCALE_BELOW or state > RESCALE_ABOVE:
            up = HEADROOM + 1023 - (bits_of_float64(state) >> 52)
            w[scales + j] -= up
            factor, todo = float64_from_bits((up + 1023) << 52), True
        w[sums + j] = factor
    if todo:
        factors = of_lanes(w, lanes, sums)
        scale(w, blocks, blanks + first, factors)
        scale(w, blocks, labels + first, factors)


@part
def forward(w, at, start, stop, group, lanes, scales):
    """Frames start..stop-1 of alpha into rows 1.. of at.ab and at.al; row 0 is the frame before."""
    slots, lengths, widths, need, left = (
        group.slots, group.lengths, group.widths, group.need, group.left)
    L = len(lanes)
    U, steady, unsteady = group.U, group.steady, group.unsteady
    low, high = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for t in range(start, stop):
        if steady <= t < unsteady:
            lowest, highest = 0, U
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = LEAD + lowest * L, LEAD + (highest + 1) * L
        blocks = (last - first + 7) // 8
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        b0, l0, b, l, y = (at.ab + row, at.al + row, at.ab + row + at.width, at.al + row + at.width,
                           at.y + row)
        blank = absolute(of_lanes(w, lanes, emit + at.blank * L))
        step_forward(w, L, blocks, b0 + first, l0 + first, blank, emit, slots, first - LEAD, y + first,
                     at.skip + first, b + first, l + first)
        close_window(w, lanes, steady <= t < unsteady, low, high, first, last, blocks, b, l)
        if t >= group.shortest - 1 and scales == at.scales:  # not when alpha is computed once more
            for j in range(L):
                if t == lengths[j] - 1:
                    end = LEAD + widths[j] * L + j
                    w[at.final + j] = w[b + end] + w[l + end - L]
                    w[at.final + L + j] = w[scales + j]
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, blocks, b, l, at.sums, scales)


# ---- beta and the gradient ------------------------------------------------------------------------


@part
def backward(w, at, start, stop, group, lanes, n_stride, t_stride, weights, grad, gamma):
    """Frames stop-1..start of beta, and from it and alpha the gradient; at.beta is carried over."""
    columns, slots, lengths, widths, need, left, members = (
        group.columns, group.slots, group.lengths, group.widths, group.need, group.left, group.members)
    L = len(lanes)
    U, steady, unsteady = group.U, group.steady, group.unsteady
    p, blank_low = at.products, of_lanes(w, lanes, at.y_low)
    line, weight = np.zeros(8 * at.K, grad.dtype), np.zeros(8)
    for j in range(L):
        weight[j] = weights[members[j]]
    low, high = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for t in range(stop - 1, start - 1, -1):
        if steady <= t < unsteady:
            lowest, highest = 0, U
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = LEAD + lowest * L, LEAD + (highest + 1) * L
        blocks = (last - first + 7) // 8
        emit, row = at.emit + t * at.emit_width, (t - start) * at.width
        ab, al, y = at.ab + row + at.width, at.al + row + at.width, at.y + row
        b, b_next = at.beta + (t & 1) * 2 * at.width, at.beta + (1 - (t & 1)) * 2 * at.width
        e, e_next = b + at.width, b_next + at.width
        if t >= group.shortest - 1:
            for j in range(L):
                if t == lengths[j] - 1:  # behind the last frame a path is in the last blank, at no cost
                    w[b_next + LEAD + widths[j] * L + j] = TOP
        blank_sum, label_sum = step_backward(
            w, L, blocks, b_next + first, e_next + first, blank_low, at.skip + first, y + first, ab + first,
            al + first, b + first, e + first, p + first)
        close_window(w, lanes, steady <= t < unsteady, low, high, first, last, blocks, b, e)

        fill(w, at.emit_width, at.occupancy, 0.0)
        scatter(w, (min(highest + 1, U) - lowest) * L, p + first, slots, first - LEAD, at.occupancy)
        blank = of_lanes(w, lanes, emit + at.blank * L)
        if L == 1:
            blank_sum, label_sum = splat(total_of(blank_sum)), splat(total_of(label_sum))
        blank_sum = where_over(blank, splat(0.0), blank_sum, splat(0.0))  # not where it was raised
        total = blank_sum + label_sum
        if L == 1:
            w[at.occupancy + at.blank], w[at.sums] = first_of(blank_sum), first_of(total)
        else:
            put(w, at.occupancy + 8 * at.blank, blank_sum)
            put(w, at.sums, total)
            write_lanes(w, at.K, emit, at.occupancy, total, eight(weight, 0), line)
        for j in range(L):
            if w[at.sums + j] > 0.0:
                r, factor = place(members[j] * n_stride + t * t_stride), 1.0 / w[at.sums + j]
                if L > 1:
                    copy_lane(line, j, grad, r)
                elif at.dense:
                    write_grad(w, at.K, emit, at.occupancy, factor, weight[0], grad, r)
                else:
                    write_columns(w, emit, at.occupancy, factor, weight[0], grad, r, columns)
        if L == 1:
            if gamma.shape[0] > 0 and w[at.sums] > 0.0:
                for u in range(lowest, highest + 1):
                    k = LEAD + u
                    if w[emit + at.blank] > 0.0:
                        gamma[t, 2 * u] = w[ab + k] * w[b + k] / w[at.sums]
                    if u < U:
                        gamma[t, 2 * u + 1] = w[p + k] / w[at.sums]
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, blocks, b, e, at.sums, at.scales + 2 * L)
        blank_low = larger(blank, splat(0.0))
        if t >= group.shortest:  # a path that has ended stays in its last blank at no cost
            put(w, at.y_low, blank_low)
            for j in range(L):
                if t >= lengths[j]:
                    w[at.y_low + j] = 1.0
            blank_low = eight(w, at.y_low)
    put(w, at.y_low, blank_low)


# ---- the whole batch ------------------------------------------------------------------------------


@part
def copy(w, n, source, target):
    """n entries from source to target."""
    n, source, target = place(n), place(source), place(target)
    for k in range(n):
        w[target + k] = w[source + k]


@part
def log_of(state, exponent):
    """ln(state 2^exponent), the power of two out of the logarithm: where both are large they cancel."""
    own = (bits_of_float64(state) >> 52) - 1023
    mantissa = state * float64_from_bits((1023 - own) << 52)
    if mantissa > 1.4142135623730951:
        mantissa, own = 0.5 * mantissa, own + 1
    return math.log(mantissa) + (own + exponent) * LN2


def room(T, U, C, L, budget):
    """Numbers of workspace that do for every group with at most T frames and U labels."""
    K = C if is_dense(C, U, L) else min(U + 1, C)
    width, G = row_width(U, L), math.ceil(math.sqrt(T))
    alpha = max(budget, (3 * G + 2) * width) + 2 * (G + 1) * width
    return (T + 1) * emit_width(K, L) + alpha + 6 * width + 8 + 7 * L


@kernel
def batch(groups, progress, lanes, rows, tops, n_stride, t_stride, lengths, labels, offsets, blank,
          weights, normalise, budget, w, grad, gamma, losses, gaps):
    """The losses, gaps and gradients of the groups (G, L) that no other thread takes, one after the other.

    gaps: (Z_up - Z_low) / Z_low. progress: the record of `compiled/counter` that all threads share.
    The workspace w must have `room`. The loop is here and not around a function for one group, because
    each level of calls is one more time that LLVM goes over it all.
    """
    L = len(lanes)
    while True:
        g = count(progress, TAKEN, 1)
        if g >= len(groups):
            break
        members = groups[g]
        group = make_group(members, lanes, rows.shape[1], lengths, labels, offsets, blank)
        T, U = group.T, group.U
        at = make_places(T, U, rows.shape[1], L, blank, budget)
        G = segment_length(T, at.width, budget)
        segments = (T + G - 1) // G
        fill(w, 3 * L, at.scales, float(-HEADROOM))

        shift = 0.0
        if L == 1:
            shift = emissions(w, at, group, rows, tops, n_stride, t_stride, weights, normalise, grad)
        else:
            emissions_in_lanes(w, at, group, lanes, rows, n_stride, t_stride)

        fill(w, at.width, at.skip, 0.0)
        for k in range(U * L):
            w[at.skip + LEAD + k] = 1.0 if k < L or group.slots[k] != group.slots[k - L] else 0.0
        fill(w, at.width, at.ab, 0.0)
        fill(w, at.width, at.al, 0.0)
        fill(w, L, at.ab + LEAD, TOP)  # before the first frame: in the first blank, to stay or to step
        for s in range(segments):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            copy(w, at.width, at.ab, kept)
            copy(w, at.width, at.al, kept + at.width)
            forward(w, at, start, stop, group, lanes, at.scales)
            if stop < T:
                copy(w, at.width, at.ab + G * at.width, at.ab)
                copy(w, at.width, at.al + G * at.width, at.al)

        fill(w, 4 * at.width, at.beta, 0.0)
        fill(w, 8, at.y_low, 1.0)
        for s in range(segments - 1, -1, -1):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            if stop < T:
                copy(w, at.width, kept, at.ab)
                copy(w, at.width, kept + at.width, at.al)
                forward(w, at, start, stop, group, lanes, at.scales + L)
            backward(w, at, start, stop, group, lanes, n_stride, t_stride, weights, grad, gamma)

        for j in range(L):
            n = members[j]
            if n >= 0:
                lower = w[at.beta + LEAD + j] * w[at.y_low + j] + w[at.beta + at.width + LEAD + j]
                final, final_scale = w[at.final + j], int(w[at.final + L + j])
                losses[n] = 0.0 - log_of(final, final_scale) - shift
                if lower > 0.0:
                    apart = min(max(final_scale - int(w[at.scales + 2 * L + j]), -1000), 1000)
                    gaps[n] = max(final / lower * math.ldexp(1.0, apart) - 1.0, 0.0)
                else:
                    gaps[n] = np.inf
        count(progress, DONE, 1)
