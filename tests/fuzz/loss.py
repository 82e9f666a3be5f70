"""Cases of `ctc_loss` for `fuzz`: what is passed, and what must come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable

import numpy as np

from ctc_scratch.ctc import CTCResult, InfeasibleTargetError, Workspace, ctc_loss
from ctc_scratch.ctc.exact import batch as exact
from ctc_scratch.ctc.running import solver, threads
from tests.fuzz.draw import Batch, draw_batch, dress, dress_integers
from tests.tools import oracle

U64, U32 = 2.0**-53, 2.0**-24
WORKSPACE = Workspace()


@dataclass
class Case:
    """One call, and what its outcome must be."""

    call: Callable[[], Any]
    check: Callable[[Any, list], None]  # of what was returned or raised, and the oracle's answers
    words: Callable[[], str]  # what it is, for people
    problems: list = field(default_factory=list)  # for the oracle

    @property
    def what(self):
        return self.words()

    def run(self, answers):
        """Call and check; AssertionError if the outcome is not what it must be."""
        try:
            outcome = self.call()
        except Exception as error:  # any other than those expected is a finding
            outcome = error
        self.check(outcome, answers)


def expect(truth, what, *values):
    """An assertion; {} in `what` stand for the values, which are printed only if it fails."""
    if not truth:
        raise AssertionError(what.format(*values) if values else what)


def expect_close(actual, right, allowed, what):
    """Each entry is within what is allowed of it; infinities are equal."""
    actual = np.asarray(actual, dtype=np.longdouble)
    with np.errstate(invalid="ignore"):
        wrong = ~((actual == right) | (np.abs(actual - right) <= allowed))
    if wrong.any():
        place = tuple(int(k[0]) for k in np.nonzero(wrong)) if np.ndim(wrong) else ()
        right, allowed = (np.broadcast_to(x, wrong.shape)[place] for x in (right, allowed))
        raise AssertionError(f"{what}{list(place)} is {float(actual[place])!r}, not {float(right)!r}: off by "
                             f"{float(abs(actual[place] - right)):.2e}, allowed {float(allowed):.2e}")


def returned(outcome):
    """The outcome, unless it is an error."""
    if isinstance(outcome, Exception):
        raise AssertionError(f"{type(outcome).__name__}: {outcome}") from outcome
    return outcome


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
    kept = solver.BUDGET, solver.SHORT, exact.batch, Workspace._take

    def planted(workspace, size):
        numbers = kept[-1](workspace, size)
        numbers[:] = conditions["garbage"]
        return numbers

    try:
        if "budget" in conditions:
            solver.BUDGET = conditions["budget"]
            exact.batch = lambda *rest: kept[2](*rest, budget=conditions["budget"])
        if "alone" in conditions:
            solver.SHORT = 0
        if "threads" in conditions:
            threads.SERIAL_COST = threads.TOGETHER_COST = 0
        if "garbage" in conditions:
            Workspace._take = planted
        return function(**arguments)
    finally:
        solver.BUDGET, solver.SHORT, exact.batch, Workspace._take = kept
        threads.SERIAL_COST, threads.TOGETHER_COST = costs


def describe(name, arguments, conditions=None):
    """A call in words, when they are asked for: printing arrays takes longer than most calls."""
    return partial(_words, name, arguments, conditions)


def _words(name, arguments, conditions):
    words = []
    for key, value in {**arguments, **(conditions or {})}.items():
        if isinstance(value, np.ndarray) and value.ndim > 1:
            value = f"{value.dtype} array {value.shape}"
        words.append(f"{key}={'a Workspace' if isinstance(value, Workspace) else value}")
    text = f"{name}: " + " ".join(", ".join(words).split())
    return text if len(text) < 400 else text[:400] + "..."


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


# ---- what must come back


def check_loss(batch: Batch, log_probs, arguments, outcome, answers):
    """The loss, the gradient and the bound that these arguments must give; or the error."""
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
    allowed = np.where((y > 0) | (occupancy > 0), weights * allowed, 0)  # elsewhere it is exactly 0
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
    """The error that names the first target that is too long, or else the first without a path."""
    expect(isinstance(outcome, InfeasibleTargetError), f"no InfeasibleTargetError, but {outcome!r:.200}")
    too_short = batch.lengths < batch.required
    n = int(np.argmax(too_short if too_short.any() else impossible))
    said = outcome.index, outcome.required, outcome.available, outcome.repeats
    right = n, int(batch.required[n]), int(batch.lengths[n]), int(batch.repeats[n])
    expect(said == right, f"InfeasibleTargetError says {said}, not {right}")
    expect(str(outcome).startswith(f"target {n} "), str(outcome))


def check_bounds(batch, method, bound, by_exact, impossible):
    """What is claimed for the answers must be worth something."""
    T, C = batch.lengths, batch.clean.shape[2]
    if method == "log":
        expect(np.isnan(bound[~impossible & (T > 0)]).all() and not by_exact.any(), "bounds of log space")
        return
    width = 1e-6 if batch.computed == np.float32 else 1e-12
    most = width + (20 + min(C, 67) + C / 512) * T * U64
    expect(((bound >= 0) & (bound <= 1.001 * most)).all(), "bound {}, but it can be {} at most", bound, most)
    expect(not bound[impossible].any(), "an impossible target has a bound")
    expect(method == "auto" or by_exact[~impossible & (T > 0)].all(), "the exact kernel was asked for")


def reduction_weights(batch, reduction):
    """What each loss counts."""
    N = len(batch.targets)
    if reduction == "mean":
        return np.array([1 / (N * max(len(target), 1)) for target in batch.targets])
    return np.full(N, 1 / max(N, 1) if reduction == "batchmean" else 1.0)


def allowance(batch, method, bound, by_exact, answers, occupancy):
    """What each posterior (N,) may be off by, and (T, N, C) what the emissions of float32 add to it.

    A path whose emissions are off by D in all has its probability multiplied by e^D: ln p is off
    by the mean of D over the posterior, and a sum of gamma by twice that. Of the higher orders
    there is 1 %, as D stays below 0.01.
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
    """What each emission in float32 may be off by, relatively: (3 + min(C, 67) + |x - max|) 2^-24."""
    x = batch.clean
    below = x.max(axis=2, keepdims=True, initial=-np.inf) - x
    return (3 + min(x.shape[2], 67) + np.where(below < np.inf, below, 0.0)) * U32
