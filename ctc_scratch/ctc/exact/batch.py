"""One sequence: forward, then backward with the gradient; and the loop over the sequences of a batch."""

import math

import numpy as np

from ...compiled.bits import EMPTY, LN2, near_one
from .emissions import emissions, load, softmax, store
from .flags import kernel, part
from .layout import Answer, Frames, allocate, describe_target
from .pairs import copy_states, joined
from .posterior import lost, posterior
from .recursion import backward, emitting, forward

BUDGET = 32 * 2**20
"""Bytes of forward states that may be kept at a time; above it, checkpoints are kept instead."""


@part
def forward_block(frames, target, memory, start):
    """alpha, emissions and norms of the block that begins at `start`; alpha[0] holds the states before it."""
    T, B = target.windows.shape[0] - 1, memory.emit.shape[0]
    for t in range(start, min(T, start + B)):
        k, lo, hi = t - start, target.windows[t + 1, 0], target.windows[t + 1, 1]
        load(frames, t, memory.row)
        emissions(memory.row, target.classes, frames.normalise, memory.emit[k], memory.norms[k])
        before, now = memory.alpha[k], memory.alpha[k + 1]
        forward(before[0, lo:hi + 2], before[1, lo:hi + 2], target.skips[lo:hi],
                now[0, lo + 2:hi + 2], now[1, lo + 2:hi + 2])
        emitting(now, memory.emit[k], target.slots, lo, hi)


@part
def forward_pass(frames, target, memory):
    """The likelihood as a pair; memory then holds the last block, and a checkpoint before each block."""
    T, S, B = target.windows.shape[0] - 1, target.slots.shape[0], memory.emit.shape[0]
    alpha, blocks = memory.alpha, (T + B - 1) // B
    alpha[0, 0], alpha[0, 1] = 0.0, EMPTY
    alpha[0, 0, 2], alpha[0, 1, 2] = 1.0, 0.0  # before the first frame all mass is in the first blank
    for j in range(blocks):
        if j > 0:
            copy_states(alpha[B], alpha[0])
        copy_states(alpha[0], memory.checkpoints[j])
        forward_block(frames, target, memory, j * B)
    end = alpha[T - (blocks - 1) * B]
    return joined(end[0, S + 1], end[1, S + 1], end[0, S], end[1, S], 0.0, EMPTY, 0.0)


@part
def backward_pass(frames, target, memory, top, nearly_certain, answer):
    """Fill the answer, whose gradient is written if it has rows; `top` is the exponent of the likelihood p.

    Returns 1 - p if p is nearly certain, else 0.
    """
    T, S, B = target.windows.shape[0] - 1, target.slots.shape[0], memory.emit.shape[0]
    alpha, betas, probs, lack, last = memory.alpha, memory.betas, memory.probs, 0.0, (T - 1) // B
    betas[T % 2, 0], betas[T % 2, 1] = 0.0, EMPTY
    betas[T % 2, 0, S + 1], betas[T % 2, 1, S + 1] = 1.0, 0.0  # after the last frame: in the last blank
    for t in range(T - 1, -1, -1):
        j, k = t // B, t % B
        if j < last and k == B - 1:
            copy_states(memory.checkpoints[j], alpha[0])  # until now memory held the block after this one
            forward_block(frames, target, memory, j * B)
        lo, hi = target.windows[t + 1, 0], target.windows[t + 1, 1]
        after, beta = betas[(t + 1) % 2], betas[t % 2]
        backward(after[0, lo + 2:hi + 4], after[1, lo + 2:hi + 4], target.skips[lo:hi + 2],
                 beta[0, lo + 2:hi + 2], beta[1, lo + 2:hi + 2])
        posterior(alpha[k + 1], beta, target, t, top, memory, answer.gamma[t])
        emitting(beta, memory.emit[k], target.slots, lo, hi)
        probs[:] = 0.0
        if frames.normalise:
            load(frames, t, probs)
            softmax(probs, memory.norms[k])
        if nearly_certain:
            lack += lost(alpha[k], target, t, probs, memory.row)
        for slot in range(target.classes.shape[0]):
            probs[target.classes[slot]] -= memory.occupancy[slot]
        if wanted(answer):
            store(probs, t, answer)
    return lack


@part
def wanted(answer):
    """Whether the gradient is asked for."""
    return answer.single.shape[0] + answer.double.shape[0] > 0


@part
def solve(frames, target, memory, answer):
    """The loss of one sequence; the answer is filled, or left alone where no path exists."""
    T, S = target.windows.shape[0] - 1, target.slots.shape[0]
    if target.windows[T, 1] < S - 1:  # the last label cannot be reached
        return np.inf
    likelihood, top = forward_pass(frames, target, memory)
    if likelihood == 0.0:
        return np.inf
    nearly_certain = frames.normalise and top >= -1.0
    lack = 0.0
    if nearly_certain or wanted(answer):
        lack = backward_pass(frames, target, memory, top, nearly_certain, answer)
    if nearly_certain:
        return -math.log1p(-lack)
    mantissa, exponent = near_one(likelihood, top)
    return -(math.log(mantissa) + exponent * LN2)


@kernel
def solve_each(samples, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses, grads,
               gamma, normalise, budget):
    """`solve_samples`, compiled; rows and grads are pairs of arrays, float32 and float64."""
    C = rows[0].shape[1]
    for n in samples:
        T, target_labels = lengths[n], labels[offsets[n]:offsets[n + 1]]
        S = 2 * target_labels.shape[0] + 1
        if T == 0:
            losses[n] = 0.0 if S == 1 else np.inf
            continue
        first, end = n * n_stride, n * n_stride + T * t_stride
        frames = Frames(rows[0][first:end:t_stride], rows[1][first:end:t_stride], normalise)
        answer = Answer(grads[0][first:end:t_stride], grads[1][first:end:t_stride],
                        gamma[first:end:t_stride, :S], weights[n])
        target = describe_target(target_labels, blank, T, C)
        memory = allocate(T, C, S, target.classes.shape[0], budget)
        losses[n] = solve(frames, target, memory, answer)


def solve_samples(samples, rows, n_stride, t_stride, lengths, labels, offsets, blank, weights, losses, grad,
                  gamma=None, normalise=True, budget=BUDGET):
    """losses[n] and the gradient rows of every n in samples, like `kernels.solve_samples`.

    Without a row for any gradient, only losses are computed.

    Parameters
    ----------
    gamma : (R, S of the longest target) float64 array, optional
        Is filled with the posteriors of the states: those of a frame go into the first S
        columns of the row that has the same index as its gradient.
    normalise : False leaves out the softmax: y = e^rows; the loss is -ln Z, of either
        sign, where Z = sum over all alignments of prod_t y_t; the gradient is -occupancy
    budget : how many bytes of forward states may be kept; if they take more, only
        checkpoints are kept

    Rows of an infeasible target (loss inf) are left alone. Several threads may call
    this at once for disjoint samples; nearly all of it runs without the GIL.
    """
    if gamma is None:
        gamma = np.empty((len(rows), 0))
    solve_each(samples, _by_type(rows), n_stride, t_stride, lengths, labels, offsets, blank, weights, losses,
               _by_type(grad), gamma, normalise, budget)


def _by_type(rows):
    """(float32 rows, float64 rows), one of them empty: so the kernels are compiled once for both types."""
    nothing = np.empty((0, rows.shape[1]), np.float64 if rows.dtype == np.float32 else np.float32)
    return (rows, nothing) if rows.dtype == np.float32 else (nothing, rows)
