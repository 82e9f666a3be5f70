"""The passes over one sequence: backward for shares, forward for gamma, backward for covariances.

Frame t belongs to block t // B. `Memory.shares` holds the shares of one block at a time. The first backward
pass ends with those of block 0; each later pass computes the shares of every other block again before it uses
them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...compiled.bits import EMPTY, LN2, near_one
from ..exact.flags import kernel, part
from ..exact.pairs import copy_states
from ..exact.recursion import emitting
from .forward import add_values, centre, entropy_of, move, move_valued, occupancy_of, sum_of
from .shares import emissions, enter_labels, moves_out

BUDGET = 32 * 2**20
"""Bytes of shares that may be kept at a time; above it, checkpoints are kept instead."""

# The comments give shapes: T frames, S states, K columns of scores, blocks of B frames, J blocks. Rows of
# S + 2 numbers begin with two zeros: state s has index s + 2.


class Weights(NamedTuple):
    """The log-weights of alignments, and the values whose covariances are asked for."""

    scores: NDArray  # (T, K) log-weight of each column; -inf is legal
    enter: NDArray  # (T,) log-weight of a move into a label at each frame, or (0,) for none
    values: NDArray  # (T, K) v, finite, or (0, K) if no covariance is asked for
    moves: NDArray  # (T + 1, 3, S + 2) w of each move, laid out as the shares, or (0, 3, S + 2) for none


class Outputs(NamedTuple):
    """The arrays to fill, zeros at first; an array without rows is not asked for."""

    occupancy: NDArray  # (T, K) the sum of gamma over the states of each column
    covariance: NDArray  # (T, K) the sum of cov over the states of each column
    gamma: NDArray  # (T, S)
    xi: NDArray  # (T + 1, 3, S) of each move into each frame; xi[T, 0], a stay after the last, is the end
    entropies: NDArray  # (T,) of the moves into each frame [nats]


class Memory(NamedTuple):
    """Working memory for one sequence."""

    shares: NDArray  # (B, 3, S + 2) of the moves into each frame of a block, indexed by the state they leave
    gamma: NDArray  # (B + 1, S + 2) of a block, the frame before it first
    mean: NDArray  # (B + 1, S + 2) gamma A of a block, the frame before it first
    values: NDArray  # (B, K) v, centred under gamma
    joints: NDArray  # (2, 2, S + 4) joint of a frame and of the next, in turn
    entered: NDArray  # (2, S + 4) joint of a frame, its labels times the weight of entering them
    ends: NDArray  # (J, 2, S + 4) joint at the last frame of each block
    starts: NDArray  # (J, 2, S + 2) gamma and mean at the frame before each block
    row: NDArray  # (2, K) emissions of a frame as pairs, or occupancy
    rest: NDArray  # (2, S + 4) B of a frame and of the next, in turn
    terms: NDArray  # (S + 2,)


def frames_per_block(T, S, K, budget):
    """B: all T frames in one block if that takes at most `budget` bytes, else sqrt(T) frames per block."""
    return T if T * 8 * (5 * (S + 2) + K) <= budget else math.ceil(math.sqrt(T))


def memory_size(T, S, K, B):
    """How many numbers the `Memory` of a sequence holds."""
    J = -(-T // B)
    return (B * 3 + (B + 1) * 2) * (S + 2) + (B + 2) * K + (8 + 2 * J) * (S + 4) + (2 * J + 1) * (S + 2)


@kernel
def carve(numbers, T, S, K, B):
    """The `Memory` of a sequence, cut from an array of arbitrary numbers."""
    J = (T + B - 1) // B
    i = B * 3 * (S + 2)
    shares = numbers[:i].reshape(B, 3, S + 2)
    k = i + (B + 1) * (S + 2)
    gamma, i = numbers[i:k].reshape(B + 1, S + 2), k
    k = i + (B + 1) * (S + 2)
    mean, i = numbers[i:k].reshape(B + 1, S + 2), k
    k = i + B * K
    values, i = numbers[i:k].reshape(B, K), k
    k = i + 4 * (S + 4)
    joints, i = numbers[i:k].reshape(2, 2, S + 4), k
    k = i + 2 * (S + 4)
    entered, i = numbers[i:k].reshape(2, S + 4), k
    k = i + J * 2 * (S + 4)
    ends, i = numbers[i:k].reshape(J, 2, S + 4), k
    k = i + J * 2 * (S + 2)
    starts, i = numbers[i:k].reshape(J, 2, S + 2), k
    k = i + 2 * K
    row, i = numbers[i:k].reshape(2, K), k
    k = i + 2 * (S + 4)
    rest, i = numbers[i:k].reshape(2, S + 4), k
    return Memory(shares, gamma, mean, values, joints, entered, ends, starts, row, rest,
                  numbers[i:i + S + 2])


@part
def clear(memory):
    """Set to zero the states outside the windows, which a sweep reads without having written them."""
    for k in range(memory.joints.shape[0]):
        memory.joints[k, 0], memory.joints[k, 1] = 0.0, EMPTY
        memory.rest[k] = 0.0
    memory.starts[0] = 0.0
    memory.shares[:] = 0.0


# ---- backward: beta as pairs, and the shares


@part
def shares_of_block(weights, states, memory, j):
    """Fill memory.shares with block j, whose last joint is memory.ends[j].

    The joint of the frame before the block is left in memory.joints. Before block 0, that is Z, at the blank
    in which every path is before the first frame.
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
def forward_block(weights, states, memory, outputs, j, first_time):
    """Fill memory.gamma, .mean and .values with block j, and if `first_time`, the outputs of its frames."""
    T, B = states.windows.shape[0] - 1, memory.shares.shape[0]
    memory.gamma[0], memory.mean[0] = memory.starts[j, 0], memory.starts[j, 1]
    for t in range(j * B, min(T, (j + 1) * B)):
        k, occupancy = t - j * B, memory.row[0]
        before, shares = memory.gamma[k], memory.shares[k]
        gamma, mean = memory.gamma[k + 1], memory.mean[k + 1]
        lo, hi = states.windows[t + 1, 0], states.windows[t + 1, 1]
        move(before, shares, lo, hi, gamma)
        occupancy_of(gamma, states.slots, lo, hi, occupancy)
        if weights.values.shape[0] > 0:
            centre(weights.values[t], occupancy, memory.row[1], memory.values[k])
            if weights.moves.shape[0] > 0:
                move_valued(memory.mean[k], before, shares, weights.moves[t], lo, hi, mean)
            else:
                move(memory.mean[k], shares, lo, hi, mean)
            add_values(gamma, memory.values[k], states.slots, lo, hi, mean)
        if first_time:
            first, end = states.windows[t, 0], states.windows[t, 1]
            outputs.occupancy[t] = occupancy
            if outputs.entropies.shape[0] > 0:
                outputs.entropies[t] = entropy_of(before, shares, first, end, memory.terms)
            if outputs.gamma.shape[0] > 0:
                outputs.gamma[t, lo:hi] = gamma[lo + 2:hi + 2]
            if outputs.xi.shape[0] > 0:
                for m in range(3):
                    multiply(before[first + 2:end + 2], shares[m, first + 2:end + 2],
                             outputs.xi[t, m, first:end])


# ---- backward again: the rest of V, and covariances


@part
def covariance_block(weights, states, memory, outputs, j):
    """Fill outputs.covariance for block j, and leave B of the frame before the block in memory.rest."""
    T, B = states.windows.shape[0] - 1, memory.shares.shape[0]
    for t in range(min(T, (j + 1) * B) - 1, j * B - 1, -1):
        k, covariance = t - j * B, outputs.covariance[t]
        rest, before = memory.rest[t % 2], memory.rest[(t + 1) % 2]
        shares, values = memory.shares[k], memory.values[k]
        lo, hi = states.windows[t + 1, 0], states.windows[t + 1, 1]
        covariances(memory.gamma[k + 1], memory.mean[k + 1], rest, lo, hi, memory.terms)
        occupancy_of(memory.terms, states.slots, lo, hi, covariance)
        slots = states.slots
        for s in range(lo, hi):
            rest[s + 2] += values[slots[s]]
        first, end = states.windows[t, 0], states.windows[t, 1]
        go_back(shares, rest, first, end, before)
        if weights.moves.shape[0] > 0:
            add_moves(shares, weights.moves[t], first, end, before)


@part
def multiply(a, b, out):
    """out = a * b, element by element."""
    for s in range(out.shape[0]):
        out[s] = a[s] * b[s]


@part
def go_back(shares, rest, lo, hi, before):
    """before(s) = the sum of share * rest over the moves out of each of the states lo..hi-1."""
    stay, step, skip = shares[0], shares[1], shares[2]
    for s in range(lo + 2, hi + 2):
        before[s] = stay[s] * rest[s] + step[s] * rest[s + 1] + skip[s] * rest[s + 2]


@part
def add_moves(shares, values, lo, hi, before):
    """before(s) += the sum of share * value over the moves out of each of the states lo..hi-1."""
    stay, step, skip = shares[0], shares[1], shares[2]
    v, w, x = values[0], values[1], values[2]
    for s in range(lo + 2, hi + 2):
        before[s] += stay[s] * v[s] + step[s] * w[s] + skip[s] * x[s]


@part
def covariances(gamma, mean, rest, lo, hi, out):
    """out(s) = gamma(s) (D(s) - the mean of D under gamma), where D = mean / gamma + rest.

    The mean is taken twice, as in `centre`.
    """
    for s in range(lo + 2, hi + 2):
        out[s] = mean[s] + gamma[s] * rest[s]
    middle = sum_of(out[lo + 2:hi + 2])
    for s in range(lo + 2, hi + 2):
        out[s] = mean[s] + gamma[s] * (rest[s] - middle)
    middle = sum_of(out[lo + 2:hi + 2])
    for s in range(lo + 2, hi + 2):
        out[s] -= gamma[s] * middle


# ---- all passes


@kernel
def sweep(weights, states, memory, outputs, first_time):
    """Fill the outputs for a sequence of at least one frame, and return ln Z; -inf if there is no alignment.

    Without an alignment the outputs stay as they are. With first_time=False only the covariance is filled,
    and the number returned has no meaning; if the memory of the first call has a single block, its shares are
    used again.
    """
    T, S, B = states.windows.shape[0] - 1, states.slots.shape[0], memory.shares.shape[0]
    if states.windows[T, 1] < S - 1:  # the last label cannot be reached
        return -np.inf
    if first_time:
        clear(memory)
    blocks, z, exponent = (T + B - 1) // B, 1.0, 0.0
    if first_time or blocks > 1:
        z, exponent = backward_pass(weights, states, memory)
    if z == 0.0:
        return -np.inf
    memory.starts[0, 0, 2] = 1.0  # before the first frame all mass is in the first blank
    for j in range(blocks):
        if j > 0:
            shares_of_block(weights, states, memory, j)
            memory.starts[j, 0], memory.starts[j, 1] = memory.gamma[B], memory.mean[B]
        forward_block(weights, states, memory, outputs, j, first_time)
    if outputs.xi.shape[0] > 0 and first_time:
        lo, hi = states.windows[T, 0], states.windows[T, 1]
        outputs.xi[T, 0, lo:hi] = memory.gamma[T - (blocks - 1) * B, lo + 2:hi + 2]
    if weights.values.shape[0] > 0:
        if weights.moves.shape[0] > 0:
            memory.rest[(T - 1) % 2, 2:S + 2] = weights.moves[T, 0, 2:]
        for j in range(blocks - 1, -1, -1):
            if j < blocks - 1:
                shares_of_block(weights, states, memory, j)
                forward_block(weights, states, memory, outputs, j, False)
            covariance_block(weights, states, memory, outputs, j)
    mantissa, exponent = near_one(z, exponent)
    return math.log(mantissa) + exponent * LN2
