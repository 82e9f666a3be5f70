"""The arrays of `sweep`: what it reads, what it fills, and what it works in.

Shapes: T frames, S states, K columns of scores, blocks of B frames, J blocks. Rows of S + 2 numbers begin
with two zeros: state s has index s + 2.
"""

import math
from typing import NamedTuple

from numpy.typing import NDArray

from ..exact.flags import kernel

BUDGET = 64 * 2**20
"""How many bytes of shares, gamma and means may be kept at a time: a block has as many frames as fit."""


class Weights(NamedTuple):
    """The log-weights of alignments, and the values whose covariances are asked for."""

    scores: NDArray  # (T, K) log-weight of each column; -inf is legal
    enter: NDArray  # (T,) log-weight of a move into a label at each frame, or (0,) for none
    values: NDArray  # (T, K) v, finite, or (0, K) for none
    moves: NDArray  # (T + 1, 3, S + 2) w of each move, laid out as the shares, or (0, 3, S + 2) for none
    leave: NDArray  # (T,) r > 0 of a label that ends at each frame, or (0,) for none


class Outputs(NamedTuple):
    """The arrays to fill, zeros at first; an array without rows is not computed.

    Without rows of occupancy nothing but ln Z is computed.
    """

    occupancy: NDArray  # (T, K) the sum of gamma over the states of each column
    covariance: NDArray  # (T, K) the sum of cov over the states of each column; until then the centred v
    leaving: NDArray  # (S,) the mean of r at the end of each label
    gamma: NDArray  # (T, S)
    xi: NDArray  # (T + 1, 3, S) of each move into each frame; xi[T, 0], a stay after the last, is the end
    entropies: NDArray  # (T,) of the moves into each frame [nats]


class Memory(NamedTuple):
    """Working memory for one sequence."""

    shares: NDArray  # (B, 3, S + 2) of the moves into each frame of a block, indexed by the state they leave
    gamma: NDArray  # (B + 1, S + 2) of a block, the frame before it first
    mean: NDArray  # (B + 1, S + 2) gamma A of a block, the frame before it first
    leaving: NDArray  # (S + 2,) the mean of r at the end of each label, then its reciprocal
    moves: NDArray  # (3, S + 2) w of the moves into a frame
    joints: NDArray  # (2, 2, S + 4) joint of a frame and of the next, in turn
    entered: NDArray  # (2, S + 4) joint of a frame; for labels, times the weight of entering them
    ends: NDArray  # (J, 2, S + 4) joint at the last frame of each block
    starts: NDArray  # (J, 2, S + 2) gamma and mean at the frame before each block
    row: NDArray  # (2, K) emissions of a frame as pairs, or occupancy
    rest: NDArray  # (2, S + 4) B of a frame and of the next, in turn
    terms: NDArray  # (S + 2,)


def frames_per_block(T, S, K, budget):
    """B: as many of the T frames as fit in `budget` bytes, but at least sqrt(T)."""
    return min(T, max(budget // (8 * (5 * (S + 2) + K)), math.ceil(math.sqrt(T))))


def memory_size(T, S, K, B):
    """How many numbers the `Memory` of a sequence holds."""
    J = -(-T // B)
    return (B * 3 + (B + 1) * 2 + 2 * J + 5) * (S + 2) + (8 + 2 * J) * (S + 4) + 2 * K


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
    k = i + S + 2
    leaving, i = numbers[i:k], k
    k = i + 3 * (S + 2)
    moves, i = numbers[i:k].reshape(3, S + 2), k
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
    return Memory(shares, gamma, mean, leaving, moves, joints, entered, ends, starts, row, rest,
                  numbers[i:i + S + 2])
