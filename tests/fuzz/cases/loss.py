"""Cases of `ctc_loss`: good arguments in every form, and batches that are cut in two."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ctc_scratch.ctc import Workspace, ctc_loss
from tests.fuzz.case import Case, describe, expect, returned
from tests.fuzz.cases.loss_check import check_loss
from tests.fuzz.conditions import draw_conditions, under
from tests.fuzz.draw import draw_batch
from tests.fuzz.dress import dress, dress_integers
from tests.tools import oracle

WORKSPACE = Workspace()
"""One workspace for all cases, so that it still holds numbers of earlier calls."""


def draw_arguments(draw, batch):
    """Keyword arguments that pass this batch to `ctc_loss`, in one of many forms."""
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
    """The targets in one of the forms of `ctc_loss`: lists, a padded array, or joined in one sequence."""
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
        # An empty list would mean that there are no targets. The dtype of an empty array does not matter.
        joined = dress_integers(draw, joined, C) if joined else np.empty(0, draw.choice([int, float]))
        return {"targets": joined, "target_lengths": U}
    return {"targets": [dress_integers(draw, target, C) for target in targets]}


def loss_case(draw):
    """A call of `ctc_loss` with good arguments."""
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
        elif out is not None and too_short:  # which is known before anything is computed
            expect(np.array_equal(out, untouched, equal_nan=True), "out was written to")

    what = describe("ctc_loss", arguments, conditions)
    call = partial(under, conditions, ctc_loss, arguments)
    return Case(call, check, what, batch.problems(log_probs))


def twice_case(draw):
    """A batch, and the same batch cut in two and in another order: `ctc_loss` gives the same bits."""
    batch = draw_batch(draw, draw.choice(["small", "lanes", "medium"]))
    method = draw.choice(["auto", "auto", "exact", "log"])
    options = {"blank": batch.blank, "infeasible": "inf", "method": method}
    N = len(batch.targets)
    order = draw.sample(range(N), N)
    cut = draw.randint(0, N)

    def solve(samples):
        samples = list(samples)
        return ctc_loss(np.ascontiguousarray(batch.logits[:, samples]), [batch.targets[n] for n in samples],
                        batch.lengths[samples], **options)

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
