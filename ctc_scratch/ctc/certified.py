"""The kernel to use: linear space, vectorised, and every answer comes with a proof.

**Recursion.** The extended labels are split into blanks ab[u], u = 0..U, and labels
al[u], u = 0..U-1, so that no state looks its symbol up:

    ab_t[u] = (ab[u] + al[u-1]) y_t(blank)                                  stay, step
    al_t[u] = (al[u] + ab[u] + skip[u] al[u-1]) y_t(label u)                stay, step, skip

with skip[u] = label u differs from label u-1. All terms are positive, so nothing
cancels: a frame brings a state at most four roundings, relative ones. Labels that
repeat are rare: the vectorised loop lets every label skip, and those few are done
once more.

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
(3 + |x - max|) 2^-24 of itself.

**Lanes.** Where frames and labels are few, several sequences go side by side: entry
u * L + j of a row is label u of lane j, and the neighbour u - 1 stands L entries before.
So one loop over all entries serves one sequence and eight. What a lane computes does
not depend on the others: windows of reachable states are closed for each by itself.

**Memory.** alpha is kept for all frames while it fits a budget, else for stretches of
about sqrt(T) frames, computed again on the way back, to the same bit.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

# nogil: the driver runs batches on several threads. cache: compiled once a machine. error_model:
# no test for division by zero, which would keep LLVM from vectorising. contract: multiply and add
# may be fused, which only rounds less.
kernel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
# reassoc: a sum may run in several lanes. Only for sums of positive terms.
summing = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc"})

LN2 = math.log(2.0)

HEADROOM = 460
TOP = 2.0**HEADROOM  # where the sum of the states starts and is brought back to: A B stays below 2^1022
FLOOR = 2.0**-800  # under it a state is raised or dropped: times an emission's floor it is still normal
RESCALE_BELOW, RESCALE_ABOVE = 2.0 ** (HEADROOM - 32), 2.0 ** (HEADROOM + 20)
RESCALE_MASK = 3  # look at every fourth frame


# ---- exp: a power of two times a polynomial, so that LLVM can vectorise it ------------------------


def float32_from_bits(bits):
    """The float32 that these 32 bits spell."""
    return np.int32(bits).view(np.float32)


def bits_of_float32(x):
    """The bits of a float32, as an int32."""
    return np.float32(x).view(np.int32)


def float64_from_bits(bits):
    """The float64 that these 64 bits spell."""
    return np.int64(bits).view(np.float64)


def bits_of_float64(x):
    """The bits of a float64, as an int64."""
    return np.float64(x).view(np.int64)


def _bitcast(source, target, llvm_type):
    @intrinsic
    def cast(context, value):
        def codegen(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), codegen

    return cast


_to_float32 = _bitcast(numba.int32, numba.float32, ir.FloatType())
_to_int32 = _bitcast(numba.float32, numba.int32, ir.IntType(32))
_to_float64 = _bitcast(numba.int64, numba.float64, ir.DoubleType())
_to_int64 = _bitcast(numba.float64, numba.int64, ir.IntType(64))
overload(float32_from_bits)(lambda bits: lambda bits: _to_float32(bits))
overload(bits_of_float32)(lambda x: lambda x: _to_int32(x))
overload(float64_from_bits)(lambda bits: lambda bits: _to_float64(bits))
overload(bits_of_float64)(lambda x: lambda x: _to_int64(x))

f32, i32, place = np.float32, np.int32, np.uintp
# Adding 1.5 * 2^23 (2^52 in float64) rounds to an integer and leaves it in the low bits.
ROUND_32, ROUND_64 = f32(12582912.0), 6755399441055744.0
LOG2E_32, LOG2E_64 = f32(1.4426950408889634), 1.4426950408889634
# ln 2 in two parts, the first with so few bits that n times it is exact.
LN2_HIGH_32, LN2_LOW_32 = f32(0.693359375), f32(-2.12194440e-4)
LN2_HIGH_64, LN2_LOW_64 = 0.6931471803691238, 1.9082149292705877e-10
A0, A1, A2, A3, A4 = f32(0.5), f32(0.16666577), f32(0.04166646), f32(0.00836318), f32(0.00139337)
LOWEST_32, LOWEST_64 = f32(-87.0), -708.0
ZERO_32, MANTISSA_32, BIAS_32 = f32(0), i32(23), i32(127 << 23)


@kernel
def exp32(x):
    """e^x for float32 x <= 0, within 1.6 * 2^-24 of itself; 0 below -87."""
    rounded = x * LOG2E_32 + ROUND_32
    n = rounded - ROUND_32
    r = x - n * LN2_HIGH_32
    r = r - n * LN2_LOW_32
    r2 = r * r
    p = (A4 * r2 + (A3 * r + A2)) * r2 + (A1 * r + A0)
    power = float32_from_bits(i32(i32(bits_of_float32(rounded) << MANTISSA_32) + BIAS_32))
    return power + power * (r2 * p + r) if x > LOWEST_32 else ZERO_32


@kernel
def exp64(x):
    """e^x for float64 x <= 0, within 2^-52 of itself; 0 below -708."""
    rounded = x * LOG2E_64 + ROUND_64
    n = rounded - ROUND_64
    r = x - n * LN2_HIGH_64
    r = r - n * LN2_LOW_64
    r2 = r * r
    r4 = r2 * r2
    a = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
    b = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
    c = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
    p = a + r4 * (b + r4 * c)
    power = float64_from_bits((bits_of_float64(rounded) << 52) + (1023 << 52))
    return power + power * (r2 * p + r) if x > LOWEST_64 else 0.0


@kernel
def exp_below32(x, top):
    """e^(x - top) for float32."""
    return exp32(x - top)


@kernel
def exp_below64(x, top):
    """e^(x - top) for float64, with what the difference loses in rounding put back."""
    d = x - top
    back = d - x
    lost = (x - (d - back)) - (top + back)
    y = exp64(d)
    return y + y * lost if y > 0.0 else 0.0


def exp_below(x, top):
    """e^(x - top) for x <= top, in their type."""
    return exp_below32(x, top) if isinstance(x, np.float32) else exp_below64(x, top)


@overload(exp_below)
def _exp_below(x, top):
    if x == numba.float32:
        return lambda x, top: exp_below32(x, top)
    return lambda x, top: exp_below64(x, top)


# ---- loops over one row of logits ------------------------------------------------------------------
# Rows are read as rows[r, c] and not through a view rows[r]: a view costs a reference count, as much as
# a short row. r is unsigned, for the reason given below.


@kernel
def row_max(rows, r):
    """The largest entry of row r. Eight running maxima, as LLVM does not split a maximum into lanes."""
    C = rows.shape[1]
    a = b = c = d = e = f = g = h = rows[r, 0]
    whole = C // 8 * 8
    for k in range(0, whole, 8):
        a, b = max(a, rows[r, k]), max(b, rows[r, k + 1])
        c, d = max(c, rows[r, k + 2]), max(d, rows[r, k + 3])
        e, f = max(e, rows[r, k + 4]), max(f, rows[r, k + 5])
        g, h = max(g, rows[r, k + 6]), max(h, rows[r, k + 7])
    for k in range(whole, C):
        a = max(a, rows[r, k])
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@kernel
def row_exp(rows, r, top, out):
    """out[r] = e^(rows[r] - top)."""
    C = rows.shape[1]
    # A long row from both halves at once: two chains of operations keep the processor busier than one.
    half = place(C // 2 if C >= 256 else 0)
    for c in range(half):
        a, b = exp_below(rows[r, c], top), exp_below(rows[r, half + c], top)
        out[r, c], out[r, half + c] = a, b
    for c in range(half + half, place(C)):
        out[r, c] = exp_below(rows[r, c], top)


@summing
def block_sum(rows, r, start, stop):
    """The sum of a few positive terms, in their own precision."""
    result = rows[r, 0] - rows[r, 0]
    for c in range(start, stop):
        result += rows[r, c]
    return result


@kernel
def row_sum(rows, r):
    """The sum of positive terms, at most 512 of them in their own precision."""
    C, result = rows.shape[1], 0.0
    for start in range(0, C, 512):
        result += block_sum(rows, r, place(start), place(min(start + 512, C)))
    return result


@kernel
def row_scale(rows, r, factor):
    """rows[r] *= factor."""
    for c in range(rows.shape[1]):
        rows[r, c] *= factor


# ---- loops over one frame -------------------------------------------------------------------------
# All states of a group live in one array w, and a loop is told where in it each of its rows begins. The
# places are unsigned, as with signed ones Numba tests for a negative index, which keeps LLVM from
# vectorising; and one array is handed over faster than ten. Index k runs over labels and lanes alike, the
# lane fastest.


@kernel
def raised(state):
    """The forward floor: at least FLOOR, if the state can be reached at all."""
    return FLOOR if 0.0 < state < FLOOR else state


@kernel
def dropped(state):
    """The backward floor: at least FLOOR, or nothing."""
    return state if state >= FLOOR else 0.0


@kernel
def step_forward(w, n, blanks, labels, before, y_blank, y, new_blanks, new_labels):
    """ab'[u] = (ab[u] + al[u-1]) y(blank);  al'[u] = (al[u] + ab[u] + al[u-1]) y(label u).

    `before` is where al[u-1] stands; it skips into every label, also from an equal one.
    """
    n, blanks, labels, before, y_blank, y, new_blanks, new_labels = (
        place(n), place(blanks), place(labels), place(before), place(y_blank), place(y), place(new_blanks),
        place(new_labels))
    for k in range(n):
        arriving = w[blanks + k] + w[before + k]
        w[new_blanks + k] = raised(arriving * w[y_blank + k])
        w[new_labels + k] = raised((w[labels + k] + arriving) * w[y + k])


@kernel
def step_backward(w, n, blanks, blanks_after, emitted, emitted_after, y_blank, new_blanks, new_labels):
    """bb'[u] = bb[u] y(blank) + el[u];  bl'[u] = el[u] + bb[u+1] y(blank) + el[u+1].

    `emitted` holds el[u] = bl[u] y(label u).
    """
    n, blanks, blanks_after, emitted, emitted_after, y_blank, new_blanks, new_labels = (
        place(n), place(blanks), place(blanks_after), place(emitted), place(emitted_after), place(y_blank),
        place(new_blanks), place(new_labels))
    for k in range(n):
        w[new_blanks + k] = dropped(w[blanks + k] * w[y_blank + k] + w[emitted + k])
        w[new_labels + k] = dropped(
            w[emitted + k] + w[blanks_after + k] * w[y_blank + k] + w[emitted_after + k])


@kernel
def emit_forward(w, n, emit, slots, first, y):
    """y = the emission of each label, raised where it was under its floor."""
    n, emit, first, y = place(n), place(emit), place(first), place(y)
    for k in range(n):
        w[y + k] = abs(w[emit + slots[first + k]])


@kernel
def emit_backward(w, n, alpha, beta, emit, slots, first, occupancy, emitted):
    """Occupancy of the label's class += alpha beta;  emitted = beta y;  0 where y was under its floor."""
    n, alpha, beta, emit, first, occupancy, emitted = (
        place(n), place(alpha), place(beta), place(emit), place(first), place(occupancy), place(emitted))
    for k in range(n):
        slot = slots[first + k]
        y = w[emit + slot]
        kept = w[beta + k] if y > 0.0 else 0.0
        w[occupancy + slot] += w[alpha + k] * kept
        w[emitted + k] = kept * y


@kernel
def fill(w, n, at, value):
    """n entries = value."""
    n, at = place(n), place(at)
    for k in range(n):
        w[at + k] = value


@kernel
def tile(w, lanes, n, values, out):
    """out = the values of the lanes, n times over."""
    n, values, out, L = place(n), place(values), place(out), place(len(lanes))
    for u in range(n):
        for j in range(L):
            w[out + u * L + j] = w[values + j]


@summing
def one_sum(w, n, at):
    """The sum of n states."""
    n, at = place(n), place(at)
    result = 0.0
    for k in range(n):
        result += w[at + k]
    return result


@summing
def one_dot(w, n, a, b):
    """The sum of a b over n states."""
    n, a, b = place(n), place(a), place(b)
    result = 0.0
    for k in range(n):
        result += w[a + k] * w[b + k]
    return result


@kernel
def add_sums(w, lanes, n, at, sums):
    """sums[j] += the states of lane j, n of each."""
    L = place(len(lanes))
    if len(lanes) == 1:
        w[sums] += one_sum(w, n, at)
        return
    n, at, sums = place(n), place(at), place(sums)
    for u in range(n):
        for j in range(L):
            w[sums + j] += w[at + u * L + j]


@kernel
def add_dots(w, lanes, n, a, b, sums):
    """sums[j] += the sum of a b over lane j."""
    L = place(len(lanes))
    if len(lanes) == 1:
        w[sums] += one_dot(w, n, a, b)
        return
    n, a, b, sums = place(n), place(a), place(b), place(sums)
    for u in range(n):
        for j in range(L):
            w[sums + j] += w[a + u * L + j] * w[b + u * L + j]


@kernel
def subtract(w, rows, r, factor, occupancy):
    """rows[r] -= factor * occupancy."""
    occupancy = place(occupancy)
    for c in range(place(rows.shape[1])):
        rows[r, c] -= factor * w[occupancy + c]


@kernel
def subtract_columns(w, rows, r, factor, occupancy, columns, start, stop):
    """The same for the classes of columns start..stop-1."""
    for k in range(start, stop):
        rows[r, columns[k]] -= factor * w[occupancy + k]


# ---- a group: one sequence, or LANES of them side by side -----------------------------------------


class Group(NamedTuple):
    """What the frames of a group share; L lanes, U labels in the longest target, K columns.

    A column is a class whose probability the states need; column k of lane j is
    entry j * K + k. Where there is one of a thing for each label, entry
    u * L + j belongs to lane j.
    """

    members: NDArray  # (L,) the sequence in each lane, -1 for none
    lengths: NDArray  # (L,) its frames
    widths: NDArray  # (L,) its labels
    columns: NDArray  # (L * K,) the class of a column
    slots: NDArray  # (U * L,) where in the columns a label's class stands
    need: NDArray  # (U * L,) the first frame at which label u can be reached
    left: NDArray  # (U * L,) how many frames it takes from there to the end
    steady: int  # from this frame on all labels can be reached
    unsteady: int  # before this frame all labels can finish
    repeats: NDArray  # which entries are labels equal to the one before


class Places(NamedTuple):
    """Where in the workspace things stand, and how many there are.

    Blank u and label u of lane j are entry (u + 1) * L + j of their rows, so
    that what comes before the first is there to be read, as 0.
    """

    K: int  # columns of a lane
    width: int  # of a row of states
    blank: int  # the blank's column
    emit: int  # (T, L * K) emissions, raised ones negated
    ab: int  # (G + 1, width) alpha of the blanks, row 0 being the frame before
    al: int  # (G + 1, width) alpha of the labels
    starts: int  # (segments, 2, width) alpha before each segment
    beta: int  # (4, width) blanks of this frame and the next one in turn, labels, labels times emission
    y: int  # (width,) emissions of the labels, as alpha sees them
    y_up: int  # (width,) the blank's emission as alpha sees it, tiled
    y_low: int  # (width,) the same as beta sees it, one frame later
    occupancy: int  # (L * K,) of one frame
    sums: int  # (L,)
    end: int  # how much workspace there must be


@kernel
def is_dense(C, U):
    """Whether every class makes a column: where they are few, loops over them need no indices."""
    return C <= 4 * (U + 1)


@kernel
def segment_length(T, width, budget):
    """Frames of alpha kept at a time: all of them if they fit the budget (in numbers), else about sqrt(T)."""
    return T if 2 * (T + 1) * width <= budget else int(math.ceil(math.sqrt(T)))


@kernel
def make_places(T, U, C, L, blank, budget):
    """The Places of a group of this size."""
    dense = is_dense(C, U)
    K, width = C if dense else min(U + 1, C), (U + 3) * L
    G = segment_length(T, width, budget)
    emit = 0
    ab = emit + T * L * K
    al = ab + (G + 1) * width
    starts = al + (G + 1) * width
    beta = starts + (T + G - 1) // G * 2 * width
    y = beta + 4 * width
    occupancy = y + 3 * width
    sums = occupancy + L * K
    return Places(K, width, blank if dense else 0, emit, ab, al, starts, beta, y, y + width,
                  y + 2 * width, occupancy, sums, sums + L)


@kernel
def make_group(members, lanes, C, lengths, labels, offsets, blank):
    """The Group of these sequences."""
    L = len(lanes)
    T, widths = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for j in range(L):
        if members[j] >= 0:
            T[j] = lengths[members[j]]
            widths[j] = offsets[members[j] + 1] - offsets[members[j]]
    U = widths.max()
    dense = is_dense(C, U)
    K = C if dense else min(U + 1, C)
    columns = np.full(L * K, blank, np.uintp)
    slots, repeats = np.zeros(U * L, np.uintp), np.zeros(U * L, np.intp)
    need, left = np.full(U * L, T.max(), np.intp), np.zeros(U * L, np.intp)
    column_of, steady, unsteady = np.arange(C), 0, T.max()
    repeated = 0
    for j in range(L):
        target = labels[offsets[members[j]]:offsets[members[j]] + widths[j]]
        if dense:
            for c in range(C):
                columns[j * K + c] = c
        else:
            column_of[:] = -1
            taken = 1  # column 0 is the blank's
            for u in range(widths[j]):
                if column_of[target[u]] < 0:
                    column_of[target[u]] = taken
                    columns[j * K + taken] = target[u]
                    taken += 1
        delay = 0
        for u in range(widths[j]):
            slots[u * L + j] = j * K + column_of[target[u]]
            if u > 0 and target[u] == target[u - 1]:
                repeats[repeated] = u * L + j
                repeated += 1
                delay += 1
            need[u * L + j] = u + delay
        for u in range(widths[j]):
            left[u * L + j] = need[(widths[j] - 1) * L + j] - need[u * L + j]
        if widths[j] > 0:
            steady = max(steady, need[(widths[j] - 1) * L + j])
            unsteady = min(unsteady, T[j] - left[j])
    return Group(members, T, widths, columns, slots, need, left, steady, unsteady, repeats[:repeated])


@kernel
def window(t, lanes, lengths, widths, need, left, low, high):
    """Move low[j]..high[j] - 1 to the labels that can be reached at frame t and can still finish.

    Blank high[j] counts in too, as it may be reached; label high[j] comes out
    as 0 by itself. Returns the union over lanes.
    """
    L = len(lanes)
    lowest, highest = need.shape[0] // L, 0
    for j in range(L):
        last = lengths[j] - 1
        while high[j] < widths[j] and need[high[j] * L + j] <= t:
            high[j] += 1
        while high[j] > 0 and need[(high[j] - 1) * L + j] > t:
            high[j] -= 1
        while low[j] < widths[j] and left[low[j] * L + j] > last - t:
            low[j] += 1
        while low[j] > 0 and left[(low[j] - 1) * L + j] <= last - t:
            low[j] -= 1
        lowest, highest = min(lowest, low[j]), max(highest, high[j])
    return lowest, highest


# ---- emissions ------------------------------------------------------------------------------------


@kernel
def mark(w, values, r, inverse, floor, emit):
    """emit = values[r] * inverse; where a value is under the floor, the floor, negated for a mark."""
    emit = place(emit)
    for c in range(place(values.shape[1])):
        value = np.float64(values[r, c])
        w[emit + c] = value * inverse if value > floor else -floor * inverse


@kernel
def mark_columns(w, values, r, columns, start, stop, inverse, floor, emit):
    """The same for the classes of columns start..stop-1."""
    for k in range(start, stop):
        value = np.float64(values[r, columns[k]])
        w[emit + k] = value * inverse if value > floor else -floor * inverse


@kernel
def emission_floor(rows):
    """So far above the smallest normal number that divided by the sum of a row it stays normal."""
    return 2.0**-120 if rows.itemsize == 4 else 2.0**-200


@kernel
def emissions(w, at, group, lanes, rows, n_stride, t_stride, weights, normalise, grad):
    """The softmax of every frame: times the weight into grad, and its columns to at.emit.

    Without `normalise`, e^(score - largest) to at.emit and 0 into grad; returns
    what the logarithms were shifted by in all.
    """
    L, C = len(lanes), rows.shape[1]
    columns, members, lengths = group.columns, group.members, group.lengths
    floor, shift, inverse, factor = emission_floor(rows), 0.0, 1.0, 0.0
    for t in range(lengths.max()):
        emit = at.emit + t * L * at.K
        for j in range(L):
            if t >= lengths[j]:
                fill(w, at.K, emit + j * at.K, 0.0)
                continue
            r = place(members[j] * n_stride + t * t_stride)
            top = row_max(rows, r)
            row_exp(rows, r, top, grad)
            if normalise:
                inverse = 1.0 / row_sum(grad, r)
                factor = weights[members[j]] * inverse
            else:
                shift += top
            if at.K == C:
                mark(w, grad, r, inverse, floor, emit + j * at.K)
            else:
                mark_columns(w, grad, r, columns, j * at.K, (j + 1) * at.K, inverse, floor, emit)
            row_scale(grad, r, rows.dtype.type(factor))
    return shift


# ---- alpha ----------------------------------------------------------------------------------------


@kernel
def close_window(w, lanes, low, high, first, last, blanks, labels):
    """0 around first..last-1, and for each lane around its own window."""
    L = len(lanes)
    for j in range(L):
        for edge in (first - L + j, last + j):
            w[blanks + edge] = w[labels + edge] = 0.0
    if L > 1:
        for j in range(L):
            for edge in (low[j] * L + j, (high[j] + 2) * L + j):
                w[blanks + edge] = w[labels + edge] = 0.0


@kernel
def rescale(w, lanes, first, last, blanks, labels, sums, exponents):
    """Bring each lane's sum back near TOP by a power of two, which rounds nothing."""
    L = len(lanes)
    for j in range(L):
        w[sums + j] = 0.0
    add_sums(w, lanes, (last - first) // L, blanks + first, sums)
    add_sums(w, lanes, (last - first) // L, labels + first, sums)
    for j in range(L):
        total = w[sums + j]
        if 0.0 < total < RESCALE_BELOW or total > RESCALE_ABOVE:
            up = HEADROOM + 1023 - (bits_of_float64(total) >> 52)
            factor = float64_from_bits((up + 1023) << 52)
            for k in range(first + j, last, L):
                w[blanks + k] *= factor
                w[labels + k] *= factor
            exponents[j] -= up


@kernel
def forward(w, at, start, stop, group, lanes, exponents, final, final_exponents):
    """Frames start..stop-1 of alpha into rows 1.. of at.ab and at.al; row 0 is the frame before."""
    L = len(lanes)
    slots, need, left, lengths, widths, repeats = (
        group.slots, group.need, group.left, group.lengths, group.widths, group.repeats)
    steady, unsteady = group.steady, group.unsteady
    U = slots.shape[0] // L
    low, high = np.zeros(L, np.intp), np.zeros(L, np.intp)
    for t in range(start, stop):
        if steady <= t < unsteady:
            lowest, highest = 0, U
            for j in range(L):
                low[j], high[j] = 0, widths[j]
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = (lowest + 1) * L, (highest + 2) * L
        emit, row = at.emit + t * L * at.K, (t - start) * at.width
        b0, l0, b, l = at.ab + row, at.al + row, at.ab + row + at.width, at.al + row + at.width
        emit_forward(w, (min(highest + 1, U) - lowest) * L, emit, slots, first - L, at.y)
        for j in range(L):
            w[at.sums + j] = abs(w[emit + j * at.K + at.blank])
        tile(w, lanes, highest + 1 - lowest, at.sums, at.y_up)
        for j in range(L):
            if high[j] == widths[j]:  # there is no such label
                w[at.y + (widths[j] - lowest) * L + j] = 0.0
            if highest == U:  # nor is there this one
                w[at.y + (U - lowest) * L + j] = 0.0
        step_forward(w, last - first, b0 + first, l0 + first, l0 + first - L, at.y_up, at.y, b + first,
                     l + first)
        for k in repeats:  # no skip from an equal label
            if first <= k + L < last:
                w[l + k + L] = raised((w[l0 + k + L] + w[b0 + k + L]) * w[at.y + k + L - first])
        close_window(w, lanes, low, high, first, last, b, l)
        for j in range(L):
            if t == lengths[j] - 1:
                end = (widths[j] + 1) * L + j
                final[j] = w[b + end] + w[l + end - L]
                final_exponents[j] = exponents[j]
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, last, b, l, at.sums, exponents)


# ---- beta and the gradient ------------------------------------------------------------------------


@kernel
def backward(w, at, start, stop, group, lanes, low, high, exponents, n_stride, t_stride, weights, grad,
             gamma):
    """Frames stop-1..start of beta, and from it and alpha the gradient; at.beta is carried over."""
    L = len(lanes)
    columns, slots, need, left, lengths, widths, repeats, members = (
        group.columns, group.slots, group.need, group.left, group.lengths, group.widths, group.repeats,
        group.members)
    steady, unsteady = group.steady, group.unsteady
    U, dense = slots.shape[0] // L, at.K == grad.shape[1]
    l, emitted = at.beta + 2 * at.width, at.beta + 3 * at.width
    for t in range(stop - 1, start - 1, -1):
        if steady <= t < unsteady:
            lowest, highest = 0, U
            for j in range(L):
                low[j], high[j] = 0, widths[j]
        else:
            lowest, highest = window(t, lanes, lengths, widths, need, left, low, high)
        first, last = (lowest + 1) * L, (highest + 2) * L
        emit, row = at.emit + t * L * at.K, (t - start + 1) * at.width
        b, b_next = at.beta + (t & 1) * at.width, at.beta + (1 - (t & 1)) * at.width
        # b_next, emitted and y_low are of frame t + 1.
        step_backward(w, last - first, b_next + first, b_next + first + L, emitted + first,
                      emitted + first + L, at.y_low, b + first, l + first)
        for k in repeats:  # no skip to an equal label
            if first <= k < last:
                w[l + k] = dropped(w[emitted + k] + w[b_next + k + L] * w[at.y_low + k % L])
        close_window(w, lanes, low, high, first, last, b, l)
        for j in range(L):
            if t == lengths[j] - 1:  # a path ends with the last label or the blank behind it
                end = (widths[j] + 1) * L + j
                w[b + end] = TOP
                w[l + end - L] = TOP if widths[j] > 0 else 0.0
        if t & RESCALE_MASK == 0:
            rescale(w, lanes, first, last, b, l, at.sums, exponents)

        fill(w, L * at.K, at.occupancy, 0.0)
        for j in range(L):
            w[emitted + first - L + j] = w[emitted + last - L + j] = w[emitted + last + j] = 0.0
            w[at.sums + j] = 0.0
        emit_backward(w, (min(highest + 1, U) - lowest) * L, at.al + row + first, l + first, emit, slots,
                      first - L, at.occupancy, emitted + first)
        add_dots(w, lanes, highest + 1 - lowest, at.ab + row + first, b + first, at.sums)
        for j in range(L):
            blank = j * at.K + at.blank
            y = max(w[emit + blank], 0.0)
            w[at.occupancy + blank] = w[at.sums + j] if y > 0.0 else 0.0
            w[at.sums + j] = y
        tile(w, lanes, min(highest + 3 - lowest, U + 3), at.sums, at.y_low)

        for j in range(L):
            columns_of_lane = at.occupancy + j * at.K
            total = one_sum(w, at.K, columns_of_lane)
            w[at.sums + j] = total
            if total > 0.0:
                r, factor = place(members[j] * n_stride + t * t_stride), weights[members[j]] / total
                if dense:
                    subtract(w, grad, r, factor, columns_of_lane)
                else:
                    subtract_columns(w, grad, r, factor, at.occupancy, columns, j * at.K, (j + 1) * at.K)
        if gamma.shape[0] > 0 and w[at.sums] > 0.0:
            for u in range(lowest, highest + 1):
                if w[emit + at.blank] > 0.0:
                    gamma[t, 2 * u] = w[at.ab + row + u + 1] * w[b + u + 1] / w[at.sums]
                if u < U and w[emit + slots[u]] > 0.0:
                    gamma[t, 2 * u + 1] = w[at.al + row + u + 1] * w[l + u + 1] / w[at.sums]


# ---- the whole group ------------------------------------------------------------------------------


@kernel
def copy(w, n, source, target):
    """n entries from source to target."""
    n, source, target = place(n), place(source), place(target)
    for k in range(n):
        w[target + k] = w[source + k]


@kernel
def log_of(state, exponent):
    """ln(state 2^exponent), the power of two out of the logarithm: where both are large they cancel."""
    own = (bits_of_float64(state) >> 52) - 1023
    mantissa = state * float64_from_bits((1023 - own) << 52)
    if mantissa > 1.4142135623730951:
        mantissa, own = 0.5 * mantissa, own + 1
    return math.log(mantissa) + (own + exponent) * LN2


@kernel
def room(groups, lanes, lengths, offsets, C, budget):
    """How many numbers of workspace the largest of the groups needs."""
    most = 0
    for k in range(groups.shape[0]):
        T, U = 0, 0
        for j in range(len(lanes)):
            n = groups[k, j]
            if n >= 0:
                T, U = max(T, lengths[n]), max(U, offsets[n + 1] - offsets[n])
        most = max(most, make_places(T, U, C, len(lanes), 0, budget).end)
    return most


@kernel
def batch(groups, lanes, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, normalise,
          budget, w, grad, gamma, losses, gaps):
    """The losses, gaps and gradients of all members of the groups (G, L), one group after the other.

    gaps: (Z_up - Z_low) / Z_low. The workspace w must have `room`. The loop is here and not around
    a function for one group, because each level of calls is one more time that LLVM goes over it all.
    """
    L = len(lanes)
    for members in groups:
        group = make_group(members, lanes, rows.shape[1], lengths, labels, offsets, blank)
        T, U = group.lengths.max(), group.widths.max()
        at = make_places(T, U, rows.shape[1], L, blank, budget)
        G = segment_length(T, at.width, budget)
        segments = (T + G - 1) // G
        final, final_exponents = np.zeros(L), np.zeros(L, np.int64)
        exponents = np.full(L, -HEADROOM, np.int64)

        shift = emissions(w, at, group, lanes, rows, n_stride, t_stride, weights, normalise, grad)

        fill(w, at.width, at.ab, 0.0)
        fill(w, at.width, at.al, 0.0)
        fill(w, L, at.ab + L, TOP)  # before the first frame: in the first blank, to stay or to step
        for s in range(segments):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            copy(w, at.width, at.ab, kept)
            copy(w, at.width, at.al, kept + at.width)
            forward(w, at, start, stop, group, lanes, exponents, final, final_exponents)
            if stop < T:
                copy(w, at.width, at.ab + G * at.width, at.ab)
                copy(w, at.width, at.al + G * at.width, at.al)

        fill(w, 4 * at.width, at.beta, 0.0)
        fill(w, at.width, at.y_low, 0.0)
        exponents[:] = -HEADROOM
        low, high = group.widths.copy(), group.widths.copy()
        again, again_exponents = np.zeros(L), np.zeros(L, np.int64)
        for s in range(segments - 1, -1, -1):
            start, stop, kept = s * G, min((s + 1) * G, T), at.starts + s * 2 * at.width
            if stop < T:
                copy(w, at.width, kept, at.ab)
                copy(w, at.width, kept + at.width, at.al)
                forward(w, at, start, stop, group, lanes, again_exponents, again, again_exponents)
            backward(w, at, start, stop, group, lanes, low, high, exponents, n_stride, t_stride, weights,
                     grad, gamma)

        for j in range(L):
            n = members[j]
            if n >= 0:
                lower = w[at.beta + L + j] * w[at.y_low + j] + w[at.beta + 3 * at.width + L + j]
                losses[n] = 0.0 - log_of(final[j], final_exponents[j]) - shift
                if lower > 0.0:
                    apart = int(min(max(final_exponents[j] - exponents[j], -2000), 2000))
                    gaps[n] = max(math.ldexp(final[j] / lower, apart) - 1.0, 0.0)
                else:
                    gaps[n] = np.inf
