"""The check of what `ctc_loss` returns: loss and gradient are as close to the oracle as its bound claims."""

from __future__ import annotations

import numpy as np

from ctc_scratch.ctc import CTCResult, InfeasibleTargetError
from tests.fuzz.case import expect, expect_close, returned
from tests.fuzz.draw import Batch
from tests.tools import oracle

U64, U32 = 2.0**-53, 2.0**-24
"""Half a unit in the last place of 1, in float64 and in float32."""


def check_loss(batch: Batch, log_probs, arguments, outcome, answers):
    """The result has the loss, gradient and bound that these arguments must give, or is the right error."""
    single, N = np.ndim(arguments["logits"]) == 2, len(batch.targets)
    log_p = np.array([answer.log_likelihood for answer in answers], dtype=np.longdouble)
    impossible = log_p == -np.inf
    if arguments["infeasible"] == "raise" and impossible.any():
        return check_infeasible(batch, impossible, outcome)
    result = returned(outcome)
    expect(isinstance(result, CTCResult), f"it returned a {type(result).__name__}")
    loss, grad, shape = np.asarray(result.loss), np.asarray(result.grad), () if single else (N,)
    expect(grad.shape == np.shape(arguments["logits"]), f"grad has shape {grad.shape}")
    expect(grad.dtype == batch.computed, f"grad has dtype {grad.dtype}")
    expect(np.shape(result.bound) == np.shape(result.exact) == shape, "shape of bound or exact")
    reduced = arguments["reduction"] != "none"
    expect(loss.shape == (() if reduced else shape), f"loss has shape {loss.shape}")
    expect((loss >= 0).all(), "loss {}", loss)
    if single:
        grad = grad[:, None]
    elif arguments.get("layout") == "NTC":
        grad = grad.transpose(1, 0, 2)

    bound, by_exact = np.reshape(result.bound, N), np.reshape(result.exact, N)
    check_bounds(batch, arguments["method"], bound, by_exact, impossible)
    y, occupancy = np.exp(log_probs), np.zeros_like(log_probs)
    for n, answer in enumerate(answers):
        occupancy[:batch.lengths[n], n] = answer.occupancy
    y[(np.arange(len(y))[:, None] >= batch.lengths) | impossible] = 0.0
    off, emissions = allowance(batch, arguments["method"], bound, by_exact, answers, occupancy)
    weights = reduction_weights(batch, arguments["reduction"])[:, None]
    unit = U64 if batch.computed == np.float64 else U32
    allowed = (off + 2 * emissions.sum(axis=(0, 2)))[:, None] + 4 * unit * (y + occupancy)
    if emissions.any():
        allowed = allowed + y * depth(batch)
    allowed = np.where((y > 0) | (occupancy > 0), weights * allowed, 0)  # elsewhere grad is exactly 0
    expect_close(grad, weights * (y - occupancy), allowed, "grad[t, n, c] ")

    losses = np.where(impossible, np.inf if arguments["infeasible"] == "inf" else 0.0, -log_p)
    size = np.where(impossible, 0, losses)
    allowed = np.where(impossible, 0, off + emissions.sum(axis=(0, 2)) + 4 * U64 * size)
    if reduced:
        weights = weights[:, 0]
        allowed = (weights * allowed).sum() + N * U64 * (weights * size).sum()
        expect_close(loss, (weights * losses).sum(), allowed, "loss")
    else:
        expect_close(loss.reshape(N), losses, allowed, "loss[n] ")


def check_infeasible(batch, impossible, outcome):
    """The error names the first target that needs too many frames, or else the first without a path."""
    expect(isinstance(outcome, InfeasibleTargetError), f"no InfeasibleTargetError, but {outcome!r:.200}")
    too_short = batch.lengths < batch.required
    n = int(np.argmax(too_short if too_short.any() else impossible))
    said = outcome.index, outcome.required, outcome.available, outcome.repeats
    right = n, int(batch.required[n]), int(batch.lengths[n]), int(batch.repeats[n])
    expect(said == right, f"InfeasibleTargetError says {said}, not {right}")
    expect(str(outcome).startswith(f"target {n} "), str(outcome))


def check_bounds(batch, method, bound, by_exact, impossible):
    """The bounds that `ctc_loss` claims for its answers must be small enough to mean something."""
    T, C = batch.lengths, batch.clean.shape[2]
    if method == "log":
        expect(np.isnan(bound[~impossible & (T > 0)]).all() and not by_exact.any(), "bounds of log space")
        return
    width = 1e-6 if batch.computed == np.float32 else 1e-12
    most = width + (20 + min(C, 67) + C / 512) * T * U64
    expect(((bound >= 0) & (bound <= 1.001 * most)).all(), "bound {}, which may be at most {}", bound, most)
    expect(not bound[impossible].any(), "an impossible target has a bound")
    expect(method == "auto" or by_exact[~impossible & (T > 0)].all(), "the exact kernel was asked for")


def reduction_weights(batch, reduction):
    """The weight of each loss in the reduction."""
    N = len(batch.targets)
    if reduction == "mean":
        return np.array([1 / (N * max(len(target), 1)) for target in batch.targets])
    return np.full(N, 1 / max(N, 1) if reduction == "batchmean" else 1.0)


def allowance(batch, method, bound, by_exact, answers, occupancy):
    """By how much each posterior (N,) may be off, and (T, N, C) what emissions in float32 add to that.

    If the emissions of a path are off by D in all, its probability is multiplied by e^D. Then ln p is off
    by the mean of D over the posterior, and a sum of gamma by at most twice that. Higher orders add 1 % at
    most, as D stays below 0.01.
    """
    error = np.array([answer.error for answer in answers])
    none = np.zeros((1, len(answers), 1))
    if method == "log":
        return error * (1 + 8 * U64 / oracle.EPS), none
    off = bound + error
    if batch.computed == np.float64:
        return off, none
    off = off + np.where(by_exact, (20 + batch.clean.shape[2] / 4) * batch.lengths * U64, 0)
    return off, np.where((occupancy > 0) & ~by_exact[:, None], 1.01 * occupancy * depth(batch), 0)


def depth(batch):
    """The relative error that an emission in float32 may have: (3 + min(C, 67) + |x - max|) 2^-24."""
    x = batch.clean
    below = x.max(axis=2, keepdims=True, initial=-np.inf) - x
    return (3 + min(x.shape[2], 67) + np.where(below < np.inf, below, 0.0)) * U32
