"""Cases of `ctc_loss`: arguments in every form, conditions that must not matter, and batches cut in two."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ctc_scratch.ctc import Workspace, ctc_loss, exact
from ctc_scratch.ctc.running import plan, solver, threads
from tests.fuzz.case import Case, describe, expect, returned
from tests.fuzz.cases.loss_check import check_loss
from tests.fuzz.draw import draw_batch
from tests.fuzz.dress import dress, dress_integers
from tests.tools import oracle

WORKSPACE = Workspace()


# ---- what is passed


def draw_arguments(draw, batch):
    """Keyword arguments of `ctc_loss` that mean this batch."""
    single = len(batch.targets) == 1 and draw.chance(0.4)
    layout = draw.choice(["TNC", "NTC"])
    logits = batch.logits[:, 0] if single else batch.logits
    if layout == "NTC" and not single:
        logits = logits.transpose(1, 0, 2)
    arguments: dict[str, Any] = {"logits": dress(draw, logits, lists=batch.logits.dtype in (float, int))}
    arguments |= draw_targets(draw, batch, single)
    lengths = batch.lengths.tolist()
    if any(length < len(batch.logits) for length in lengths) or draw.chance(0.3):
        scalar, most = single and draw.chance(0.5), len(batch.logits)
        arguments["logit_lengths"] = lengths[0] if scalar else dress_integers(draw, lengths, most)
    if batch.blank or draw.chance(0.5):
        arguments["blank"] = draw.choice([int, np.int64, np.uint16, np.int32])(batch.blank)
    if layout == "NTC" or draw.chance(0.3):
        arguments["layout"] = layout
    arguments["infeasible"] = draw.weighted(inf=4, zero=4, **{"raise": 2})
    arguments["method"] = draw.weighted(auto=70, exact=18, log=12)
    arguments["reduction"] = draw.weighted(none=6, sum=1, mean=2, batchmean=1)
    if draw.chance(0.4):
        arguments["workspace"] = WORKSPACE
    if draw.chance(0.3):
        shape = np.shape(arguments["logits"])
        arguments["out"] = np.full(shape, draw.choice([np.nan, 3.0, -np.inf]), batch.computed)
    return arguments


def draw_targets(draw, batch, single):
    """The targets in one of the forms that they may have."""
    targets, C = batch.targets, batch.logits.shape[2]
    longer = max(map(len, targets), default=0) + draw.randint(0, 2)
    if single:
        target = targets[0]
        if draw.chance(0.2):
            more = target + [draw.choice([-7, 99])] * draw.randint(0, 3)
            U = len(target)
            return {"targets": dress_integers(draw, more, 9999) if min(more, default=0) >= 0 else more,
                    "target_lengths": draw.choice([U, [U], np.array([U])])}
        return {"targets": dress_integers(draw, target, C)}
    form = draw.weighted(lists=5, padded=3, joined=2)
    U = [len(target) for target in targets]
    if form == "padded":
        padded = np.full((len(targets), longer), draw.choice([-7, -1, 0, 99, 2**40]))
        for n, target in enumerate(targets):
            padded[n, :U[n]] = target
        if padded.max(initial=0) < 2**15 and draw.chance(0.5):
            padded = padded.astype(np.int16)
        padded = dress(draw, padded, lists=False)
        return {"targets": padded, "target_lengths": dress_integers(draw, U, longer)}
    if form == "joined" and targets:
        joined = [label for target in targets for label in target]
        # An empty list would be a list of no targets; an empty array has any dtype.
        joined = dress_integers(draw, joined, C) if joined else np.empty(0, draw.choice([int, float]))
        return {"targets": joined, "target_lengths": U}
    return {"targets": [dress_integers(draw, target, C) for target in targets]}


def draw_conditions(draw):
    """What the call must not depend on: budgets that ask for checkpoints, threads, what a workspace holds,
    and whether short sequences go side by side or alone."""
    conditions = {}
    if draw.chance(0.06):
        conditions["budget"] = draw.choice([1, 300])
    if draw.chance(0.02):
        conditions["threads"] = True
    if draw.chance(0.15):
        conditions["alone"] = True
    if draw.chance(0.03):
        conditions["garbage"] = draw.choice([np.nan, np.inf, -1e300])
    return conditions


def under(conditions, function, arguments):
    """function(**arguments) under conditions that users cannot ask for."""
    costs = threads.SERIAL_COST, threads.TOGETHER_COST
    kept = solver.BUDGET, plan.SHORT, exact.solve_samples, Workspace._take

    def planted(workspace, size):
        numbers = kept[-1](workspace, size)
        numbers[:] = conditions["garbage"]
        return numbers

    try:
        if "budget" in conditions:
            solver.BUDGET = conditions["budget"]
            exact.solve_samples = lambda *rest: kept[2](*rest, budget=conditions["budget"])
        if "alone" in conditions:
            plan.SHORT = 0
        if "threads" in conditions:
            threads.SERIAL_COST = threads.TOGETHER_COST = 0
        if "garbage" in conditions:
            Workspace._take = planted
        return function(**arguments)
    finally:
        solver.BUDGET, plan.SHORT, exact.solve_samples, Workspace._take = kept
        threads.SERIAL_COST, threads.TOGETHER_COST = costs


def loss_case(draw):
    """A call of `ctc_loss` that is in order."""
    batch = draw_batch(draw)
    arguments, conditions = draw_arguments(draw, batch), draw_conditions(draw)
    before, out = np.array(arguments["logits"]), arguments.get("out")
    untouched, too_short = np.copy(out), (batch.lengths < batch.required).any()
    log_probs = oracle.log_softmax(batch.clean)

    def check(outcome, answers):
        now = np.asarray(arguments["logits"])
        expect(np.array_equal(now, before, equal_nan=True), "the logits were written to")
        check_loss(batch, log_probs, arguments, outcome, answers)
        if out is not None and not isinstance(outcome, Exception):
            expect(outcome.grad is out, "grad is not out")
        elif out is not None and too_short:  # known before anything is computed
            expect(np.array_equal(out, untouched, equal_nan=True), "out was written to")

    what = describe("ctc_loss", arguments, conditions)
    call = partial(under, conditions, ctc_loss, arguments)
    return Case(call, check, what, batch.problems(log_probs))


def twice_case(draw):
    """The same batch cut in two, in another order: `ctc_loss` gives the same bits."""
    batch = draw_batch(draw, draw.choice(["small", "lanes", "medium"]))
    method = draw.choice(["auto", "auto", "exact", "log"])
    options = {"blank": batch.blank, "infeasible": "inf", "method": method}
    N = len(batch.targets)
    order = draw.sample(range(N), N)
    cut = draw.randint(0, N)

    def solve(some):
        some = list(some)
        return ctc_loss(np.ascontiguousarray(batch.logits[:, some]), [batch.targets[n] for n in some],
                        batch.lengths[some], **options)

    def call():
        return solve(range(N)), solve(order[:cut]), solve(order[cut:])

    def check(outcome, _):
        whole, first, second = returned(outcome)
        for name in ("loss", "bound", "exact"):
            parts = np.concatenate([getattr(first, name), getattr(second, name)])
            same = np.array_equal(parts, getattr(whole, name)[order], equal_nan=True)
            expect(same, f"{name} depends on the batch")
        parts = np.concatenate([first.grad, second.grad], axis=1)
        expect(np.array_equal(parts, whole.grad[:, order]), "grad depends on the batch")

    return Case(call, check, describe("ctc_loss twice", {"logits": batch.logits, **options}))
