"""Cases of `log_partition`: scores of batches in every form that `ctc_loss` takes."""

from __future__ import annotations

import numpy as np

from ctc_scratch.ctc import log_partition
from tests.fuzz.case import Case, describe, expect, expect_close, returned
from tests.fuzz.cases.loss import draw_arguments
from tests.fuzz.cases.loss_check import U64
from tests.fuzz.conditions import draw_conditions, under
from tests.fuzz.draw import draw_batch


def log_partition_case(draw):
    batch = draw_batch(draw)
    given = draw_arguments(draw, batch)
    arguments = {"scores": given["logits"], "target": given["targets"], "want": "gamma"} | {
        name: given[name] for name in ("logit_lengths", "target_lengths", "blank", "layout", "workspace")
        if name in given}
    arguments["method"] = draw.choice(["auto", "auto", "exact"])
    if draw.chance(0.5):
        arguments["want"] = "occupancy"
    before, conditions = np.array(arguments["scores"]), draw_conditions(draw)

    def check(outcome, answers):
        expect(np.array_equal(np.asarray(arguments["scores"]), before, equal_nan=True), "scores were written")
        check_partition(batch, arguments, returned(outcome), answers)

    return Case(lambda: under(conditions, log_partition, arguments), check,
                describe("log_partition", arguments, conditions),
                batch.problems(batch.clean.astype(np.longdouble)))


def check_partition(batch, arguments, result, answers):
    """log_z and the one array that was asked for, which is exactly 0 outside each sequence."""
    want, shape = arguments["want"], np.shape(arguments["scores"])
    array, other = result.gamma, result.occupancy
    if want == "occupancy":
        array, other = other, array
    expect(other is None and array is not None, f"it did not return {want} alone")
    S = 2 * max(map(len, batch.targets), default=0) + 1
    expect(array.shape == (*shape[:-1], S if want == "gamma" else shape[-1]), f"{want} has {array.shape}")
    expect(array.dtype == (np.float64 if want == "gamma" else batch.computed), f"{want} is {array.dtype}")
    expect(not np.signbit(array).any(), f"{want} holds a negative zero")
    expect(np.shape(result.log_z) == (() if len(shape) == 2 else (len(answers),)), "shape of log_z")
    log_z = np.reshape(result.log_z, len(answers))
    if len(shape) == 2:
        array = array[:, None]
    elif arguments.get("layout") == "NTC":
        array = array.swapaxes(0, 1)
    rounding = 2.0**-24 if array.dtype == np.float32 else 0.0
    for n, (T, answer) in enumerate(zip(batch.lengths.tolist(), answers)):
        right, x = getattr(answer, want), batch.clean[:T, n]
        off, size = allowance(batch, arguments["method"], x, answer)
        expect_close(array[:T, n, :right.shape[1]], right, off + rounding * right, f"{want} of {n} [t, :] ")
        expect(not array[T:, n].any() and not array[:, n, right.shape[1]:].any(), f"{want} outside {n}")
        expect_close(log_z[n], answer.log_likelihood, off + (T + 4) * U64 * size, f"log_z of {n}")


def allowance(batch, method, x, answer):
    """By how much gamma, its sums and ln Z of scores x (T, C) may be off, and what ln Z is rounded to."""
    (T, C), top = x.shape, x.max(axis=1, initial=-np.inf)
    off = answer.error + (20 + C / 4) * T * U64
    if method == "auto":
        off += 1e-12
        if batch.computed == np.float32:
            below = np.where(answer.occupancy > 0, top[:, None] - x, 0)
            off += 1e-6 + 2.02 * float((answer.occupancy * (3 + C + below)).sum()) * 2.0**-24
    size = float(np.abs(top).sum()) + abs(float(answer.log_likelihood))
    return off, size if np.isfinite(size) else 0.0
