"""The passes over one sequence: backward for shares, forward for gamma, backward for covariances.

Frame t belongs to block t // B. `Memory.shares` holds the shares of one block at a time. The first backward
pass ends with those of block 0. A later pass computes the shares of a block again, unless they are the ones
that the array still holds.
"""

import math

import numpy as np

from ...compiled.bits import EMPTY, LN2, near_one
from ..exact.flags import kernel, part
from ..exact.pairs import copy_states
from ..exact.recursion import emitting
from .forward import add_values, centre, entropy_of, move, move_valued, occupancy_of, sum_of
from .shares import emissions, enter_labels, moves_out


@part
def clear(memory):
    """Set to zero the states outside the windows, which a sweep reads without having written them."""
    for k in range(memory.joints.shape[0]):
        memory.joints[k, 0], memory.joints[k, 1] = 0.0, EMPTY
        memory.rest[k] = 0.0
    memory.starts[0] = 0.0
    memory.starts[0, 0, 2] = 1.0  # before the first frame all mass is in the first blank
    memory.shares[:] = 0.0
    memory.leaving[:] = 0.0
    memory.moves[:] = 0.0


# ---- backward: beta as pairs, and the shares


@part
def shares_of_block(weights, states, memory, j):
    """Fill memory.shares with block j, whose last joint is memory.ends[j].

    The joint of the frame before the block is left in memory.joints. Before block 0 that is Z, in the first
    blank: there every path is before the first frame.
    """
    T, B = states.windows.shape[0] - 1, memory.shares.shape[0]
    end = min(T, (j + 1) * B)
    copy_states(memory.ends[j], memory.joints[(end - 1) % 2])
    for t in range(end - 1, j * B - 1, -1):
        joint, before, entered = memory.joints[t % 2], memory.joints[(t + 1) % 2], memory.entered
        lo, hi = states.windows[t, 0], states.windows[t, 1]  # states at frame t - 1
        if weights.enter.shape[0] > 0:
            enter_labels(joint, weights.enter[t], lo, hi, entered)
        else:
            entered = joint
        moves_out(joint, entered, states, lo, hi, memory.shares[t - j * B], before)
        if t > 0:
            emissions(weights.scores[t - 1], memory.row[0], memory.row[1])
            emitting(before, memory.row, states.slots, lo, hi)


@part
def backward_pass(weights, states, memory):
    """Z as a pair; memory then holds the shares of block 0, and the joint at the end of every block."""
    T, S, B = states.windows.shape[0] - 1, states.slots.shape[0], memory.shares.shape[0]
    last = memory.joints[(T - 1) % 2]
    last[0], last[1] = 0.0, EMPTY
    for s in range(max(S - 2, 0), S):  # an alignment ends in the last blank or the last label
        last[0, s + 2], last[1, s + 2] = 1.0, 0.0
    emissions(weights.scores[T - 1], memory.row[0], memory.row[1])
    emitting(last, memory.row, states.slots, states.windows[T, 0], states.windows[T, 1])
    for j in range((T + B - 1) // B - 1, -1, -1):
        copy_states(memory.joints[(min(T, (j + 1) * B) - 1) % 2], memory.ends[j])
        shares_of_block(weights, states, memory, j)
    return memory.joints[1, 0, 2], memory.joints[1, 1, 2]  # of the blank before frame 0


# ---- forward: gamma, gamma A, entropy


@part
def forward_block(weights, states, memory, outputs, j, first_time, with_means):
    """Fill memory.gamma for block j; if `with_means`, also memory.mean; if `first_time`, also the outputs."""
    T, B = states.windows.shape[0] - 1, memory.shares.shape[0]
    memory.gamma[0], memory.mean[0] = memory.starts[j, 0], memory.starts[j, 1]
    for t in range(j * B, min(T, (j + 1) * B)):
        k = t - j * B
        before, shares, gamma = memory.gamma[k], memory.shares[k], memory.gamma[k + 1]
        lo, hi = states.windows[t + 1, 0], states.windows[t + 1, 1]
        move(before, shares, lo, hi, gamma)
        if first_time:
            first, end = states.windows[t, 0], states.windows[t, 1]
            occupancy_of(gamma, states.slots, lo, hi, outputs.occupancy[t])
            if outputs.entropies.shape[0] > 0:
                outputs.entropies[t] = entropy_of(before, shares, first, end, memory.terms)
            if outputs.gamma.shape[0] > 0:
                outputs.gamma[t, lo:hi] = gamma[lo + 2:hi + 2]
            if outputs.xi.shape[0] > 0:
                for m in range(3):
                    multiply(before[first + 2:end + 2], shares[m, first + 2:end + 2],
                             outputs.xi[t, m, first:end])
            if weights.values.shape[0] > 0:
                centre(weights.values[t], outputs.occupancy[t], memory.row[1], outputs.covariance[t])
            if weights.leave.shape[0] > 0 and t > 0:
                add_leaving(before, shares, weights.leave[t - 1], first, end, memory.leaving)
        if with_means:
            mean = memory.mean[k + 1]
            if weights.moves.shape[0] > 0 or weights.leave.shape[0] > 0:
                moves = moves_into(weights, states, memory, t)
                move_valued(memory.mean[k], before, shares, moves, lo, hi, mean)
            else:
                move(memory.mean[k], shares, lo, hi, mean)
            if weights.values.shape[0] > 0:
                add_values(gamma, outputs.covariance[t], states.slots, lo, hi, mean)


@part
def add_leaving(gamma, shares, r, lo, hi, leaving):
    """Add r times the posterior of a move out of the state, step or skip, for each of the states lo..hi-1."""
    step, skip = shares[1, lo + 2:hi + 2], shares[2, lo + 2:hi + 2]
    gamma, leaving = gamma[lo + 2:hi + 2], leaving[lo + 2:hi + 2]
    for s in range(leaving.shape[0]):
        leaving[s] += r * gamma[s] * (step[s] + skip[s])


@part
def end_leaving(weights, states, memory, outputs):
    """Complete the means of r, copy them to the outputs, and replace them by their reciprocals.

    What is missing is the posterior of ending in the last label, which is no move, times r of the last frame.
    """
    T, S = states.windows.shape[0] - 1, states.slots.shape[0]
    leaving, blocks = memory.leaving, (T + memory.shares.shape[0] - 1) // memory.shares.shape[0]
    leaving[S] += weights.leave[T - 1] * memory.gamma[T - (blocks - 1) * memory.shares.shape[0], S]
    outputs.leaving[:] = leaving[2:]
    leaving[2::2] = 0.0  # blanks
    for s in range(3, S + 2, 2):
        leaving[s] = 1.0 / leaving[s]


@part
def moves_into(weights, states, memory, t):
    """w (3, S + 2) of the moves into frame t: weights.moves[t], or r / (mean of r) where a label ends."""
    if weights.moves.shape[0] > 0:
        return weights.moves[t]
    if t > 0:
        r, lo, hi = weights.leave[t - 1], states.windows[t, 0], states.windows[t, 1]
        reciprocals = memory.leaving[lo + 2:hi + 2]
        steps, skips = memory.moves[1, lo + 2:hi + 2], memory.moves[2, lo + 2:hi + 2]
        for s in range(steps.shape[0]):
            steps[s] = skips[s] = r * reciprocals[s]
    return memory.moves


# ---- backward again: the rest of V, and covariances


@part
def covariance_block(weights, states, memory, outputs, j):
    """Fill outputs.covariance for block j, and leave B_t(s) of the frame before the block in memory.rest."""
    T, B = states.windows.shape[0] - 1, memory.shares.shape[0]
    for t in range(min(T, (j + 1) * B) - 1, j * B - 1, -1):
        k, covariance = t - j * B, outputs.covariance[t]
        rest, before = memory.rest[t % 2], memory.rest[(t + 1) % 2]
        shares, slots = memory.shares[k], states.slots
        lo, hi = states.windows[t + 1, 0], states.windows[t + 1, 1]
        covariances(memory.gamma[k + 1], memory.mean[k + 1], rest, lo, hi, memory.terms)
        if weights.values.shape[0] > 0:  # covariance[t] still holds the centred values
            for s in range(lo, hi):
                rest[s + 2] += covariance[slots[s]]
        occupancy_of(memory.terms, slots, lo, hi, covariance)
        first, end = states.windows[t, 0], states.windows[t, 1]
        go_back(shares, rest, first, end, before)
        if weights.moves.shape[0] > 0 or weights.leave.shape[0] > 0:
            add_moves(shares, moves_into(weights, states, memory, t), first, end, before)


@part
def multiply(a, b, out):
    """out = a * b, element by element."""
    for s in range(out.shape[0]):
        out[s] = a[s] * b[s]


@part
def go_back(shares, rest, lo, hi, before):
    """before(s) = the sum of share * rest over the moves out of each of the states lo..hi-1."""
    stay, step, skip = shares[0, lo + 2:hi + 2], shares[1, lo + 2:hi + 2], shares[2, lo + 2:hi + 2]
    a, b, c, sums = rest[lo + 2:hi + 2], rest[lo + 3:hi + 3], rest[lo + 4:hi + 4], before[lo + 2:hi + 2]
    for s in range(sums.shape[0]):
        sums[s] = stay[s] * a[s] + step[s] * b[s] + skip[s] * c[s]


@part
def add_moves(shares, values, lo, hi, before):
    """before(s) += the sum of share * value over the moves out of each of the states lo..hi-1."""
    stay, step, skip = shares[0, lo + 2:hi + 2], shares[1, lo + 2:hi + 2], shares[2, lo + 2:hi + 2]
    v, w, x = values[0, lo + 2:hi + 2], values[1, lo + 2:hi + 2], values[2, lo + 2:hi + 2]
    sums = before[lo + 2:hi + 2]
    for s in range(sums.shape[0]):
        sums[s] += stay[s] * v[s] + step[s] * w[s] + skip[s] * x[s]


@part
def covariances(gamma, mean, rest, lo, hi, out):
    """out(s) = gamma(s) (D(s) - the mean of D under gamma), where D = mean / gamma + rest.

    The mean is taken twice, as in `centre`.
    """
    gamma, mean = gamma[lo + 2:hi + 2], mean[lo + 2:hi + 2]
    rest, out = rest[lo + 2:hi + 2], out[lo + 2:hi + 2]
    for s in range(out.shape[0]):
        out[s] = mean[s] + gamma[s] * rest[s]
    middle = sum_of(out)
    for s in range(out.shape[0]):
        out[s] = mean[s] + gamma[s] * (rest[s] - middle)
    middle = sum_of(out)
    for s in range(out.shape[0]):
        out[s] -= gamma[s] * middle


# ---- all passes


@kernel
def sweep(weights, states, memory, outputs):
    """Fill the outputs for a sequence of at least one frame, and return ln Z; -inf if there is no alignment.

    Without an alignment the outputs stay as they are.
    """
    T, S, B = states.windows.shape[0] - 1, states.slots.shape[0], memory.shares.shape[0]
    if states.windows[T, 1] < S - 1:  # the last label cannot be reached
        return -np.inf
    clear(memory)
    z, exponent = backward_pass(weights, states, memory)
    if z == 0.0:
        return -np.inf
    mantissa, power = near_one(z, exponent)
    log_z = math.log(mantissa) + power * LN2
    if outputs.occupancy.shape[0] == 0:
        return log_z
    blocks, covariance = (T + B - 1) // B, outputs.covariance.shape[0] > 0
    leave = weights.leave.shape[0] > 0  # the means of r are needed before the values of the moves
    for j in range(blocks):
        next_block(weights, states, memory, j)
        forward_block(weights, states, memory, outputs, j, True, covariance and not leave)
    if outputs.xi.shape[0] > 0:
        lo, hi = states.windows[T, 0], states.windows[T, 1]
        outputs.xi[T, 0, lo:hi] = memory.gamma[T - (blocks - 1) * B, lo + 2:hi + 2]
    if leave:
        end_leaving(weights, states, memory, outputs)
    if leave and covariance:
        if blocks > 1:
            shares_of_block(weights, states, memory, 0)
        for j in range(blocks):
            next_block(weights, states, memory, j)
            forward_block(weights, states, memory, outputs, j, False, True)
    if covariance:
        last = memory.rest[(T - 1) % 2]
        if leave:
            last[S] = weights.leave[T - 1] * memory.leaving[S]
        elif weights.moves.shape[0] > 0:
            last[2:S + 2] = weights.moves[T, 0, 2:]
        for j in range(blocks - 1, -1, -1):
            if j < blocks - 1:
                shares_of_block(weights, states, memory, j)
                forward_block(weights, states, memory, outputs, j, False, True)
            covariance_block(weights, states, memory, outputs, j)
    return log_z


@part
def next_block(weights, states, memory, j):
    """Prepare block j after block j - 1: copy the rows at which it starts, and compute its shares."""
    if j > 0:
        B = memory.shares.shape[0]
        memory.starts[j, 0], memory.starts[j, 1] = memory.gamma[B], memory.mean[B]
        shares_of_block(weights, states, memory, j)
