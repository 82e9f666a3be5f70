"""The fuzzer finds nothing in a short run and finds every planted error; its oracle is right."""

import dataclasses
import os
import signal
import time
import warnings

import numpy as np
import pytest
from mpmath import mp

from ctc_scratch.ctc import Workspace, exact, loss
from ctc_scratch.ctc.diagnosis.findings import Diagnosis, Finding
from ctc_scratch.ctc.running import plan, solver, threads
from tests.fuzz import run
from tests.fuzz.case import Case
from tests.fuzz.cases.loss import WORKSPACE, loss_case
from tests.fuzz.conditions import under
from tests.fuzz.draw import Draw
from tests.tools import oracle, truth


def test_the_oracle_agrees_with_arbitrary_precision():
    """Likelihood and posterior are within the error that the oracle claims, for logits up to 1e5."""
    rng, feasible = np.random.default_rng(0), 0
    problems, logit_problems = [], []
    for k in range(40):
        T, C = int(rng.integers(0, 13)), int(rng.integers(1, 6))
        blank = int(rng.integers(C))
        classes = [c for c in range(C) if c != blank]
        labels = rng.choice(classes, size=rng.integers(0, T // 2 + 2)).tolist() if classes else []
        logits = 10.0 ** rng.uniform(-1, 5) * rng.standard_normal((T, C))
        logits[rng.random((T, C)) < 0.1 * (k % 3)] = -np.inf
        logits[:, blank] = 0.0
        problems.append(oracle.Problem(oracle.log_softmax(logits), labels, blank))
        logit_problems.append((logits, labels, blank))
    for problem, answer, (logits, labels, blank) in zip(problems, oracle.solve(problems), logit_problems):
        true = truth.solve(logits, labels, blank, bits=1200)
        if true.loss == mp.inf:
            assert answer.log_likelihood == -np.inf and not answer.gamma.any() and not answer.occupancy.any()
            continue
        feasible += 1
        with mp.workprec(200):
            off = float(abs(true.loss + mp.mpf(str(answer.log_likelihood))))
        assert off <= answer.error, (off, answer.error)
        once = 2.0**-53  # the truth is rounded to a float64
        assert np.abs(answer.gamma - true.gamma).max(initial=0) <= answer.error + once
        grad = np.exp(problem.log_probs) - answer.occupancy
        assert np.abs(grad - true.grad).max(initial=0) <= answer.error + once
        assert oracle.best(problem) <= answer.log_likelihood + answer.error
        assert answer.error < 1e-10, "the oracle must be more exact than what it judges"
    assert feasible > 20


def test_seed_and_number_determine_a_case():
    for number in (0, 7, 12345):
        one, two = (loss_case(Draw(3, number)) for _ in range(2))
        assert one.what == two.what
        for a, b in zip(one.problems, two.problems):
            assert np.array_equal(a.log_probs, b.log_probs) and a.labels == b.labels
    assert len({run.make_case(seed, number).what for seed in range(3) for number in range(30)}) == 90


@pytest.mark.slow
def test_a_short_run_finds_nothing():
    assert run.run_cases(0, range(600)) == []


@pytest.mark.slow
def test_a_very_short_run_finds_nothing():
    assert run.run_cases(1, range(40)) == []


def test_cases_have_the_intended_sizes():
    problems = [problem for number in range(400) for problem in run.make_case(0, number).problems]
    frames = np.array([len(problem.log_probs) for problem in problems])
    assert np.median(frames) <= 20 and frames.max() > 100 and (frames == 0).any()
    depths = [-problem.log_probs[np.isfinite(problem.log_probs)].min(initial=0) for problem in problems]
    assert max(depths) > 1e5
    assert any((problem.log_probs == -np.inf).any() for problem in problems)


# ---- planted errors are found


def spoil_grad(losses, grad):
    grad *= 1.001


def spoil_loss(losses, grad):
    losses *= 1.001


def put_nan(losses, grad):
    grad.reshape(-1)[:1] = np.nan


def shift_a_frame(losses, grad):
    grad[:] = np.roll(grad, 1, axis=0)


def forget_the_last_sequence(losses, grad):
    losses[-1:] = 0.0


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [spoil_grad, spoil_loss, put_nan, shift_a_frame, forget_the_last_sequence])
@pytest.mark.parametrize("method", ["auto", "exact", "log"])
def test_a_planted_error_is_found(monkeypatch, spoil, method):
    """Errors in any kernel are found within 150 cases."""

    def wrong(problem, grad, used, *others):
        solution = solver.solve(problem, grad, used, *others)
        if used == method:
            spoil(solution.losses, grad)
        return solution

    monkeypatch.setattr(loss, "solve", wrong)
    assert run.run_cases(0, range(150), make=make_loss_case)


@pytest.mark.slow
def test_a_bound_that_is_too_small_is_found(monkeypatch):
    """Answers that are off by slightly more than their bound are found."""

    def wrong(problem, grad, *others):
        solution = solver.solve(problem, grad, *others)
        if grad.dtype == np.float64:
            grad *= 1 + 1e-11
        return solution

    monkeypatch.setattr(loss, "solve", wrong)
    assert run.run_cases(0, range(150), make=make_loss_case)


def make_loss_case(seed, number):
    return loss_case(Draw(seed, number))


def spoilt(value):
    """Another value of the same kind; an empty one stays as it is."""
    if isinstance(value, Exception):
        return IndexError("planted")
    if isinstance(value, Diagnosis):
        return Diagnosis() if value.errors else Diagnosis([Finding("planted", False, [], "", "")])
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return type(value)(*map(spoilt, value))
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **{name: spoilt(part) for name, part in fields(value).items()})
    if isinstance(value, (list, tuple)):
        return type(value)(map(spoilt, value))
    if isinstance(value, np.ndarray) and value.dtype.kind in "iub":
        return (value == 0).astype(value.dtype)
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, np.integer)):
        return int(value == 0)
    if isinstance(value, (float, np.floating, np.ndarray)):
        return np.where(np.isfinite(value), value + 1, 0)[()]
    return "" if isinstance(value, str) else value


def fields(value):
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}


def spoilt_in_one_part(outcome):
    """Yield (part, the outcome with only this part changed) for each of its parts."""
    if isinstance(outcome, Exception):
        yield "error", spoilt(outcome)
        yield "no error", 3
    elif isinstance(outcome, tuple) and not hasattr(outcome, "_replace"):
        for k in range(len(outcome)):
            yield k, (*outcome[:k], spoilt(outcome[k]), *outcome[k + 1:])
    elif dataclasses.is_dataclass(outcome):
        for name, part in fields(outcome).items():
            yield name, dataclasses.replace(outcome, **{name: spoilt(part)})
    else:
        yield "all", spoilt(outcome)


UNPROVED = {("loss_case", "exact")}
"""Parts of outcomes that say how the answer was found: no check can tell that they are wrong."""


# These take from two seconds to a quarter of a minute each.
SLOW = {"log_partition_case", "loss_case", "beam_case", "twice_case"}


@pytest.mark.parametrize("kind", [
    pytest.param(kind, id=kind.__name__, marks=pytest.mark.slow if kind.__name__ in SLOW else [])
    for kind in run.KINDS])
def test_every_kind_of_case_finds_each_part_spoilt(kind):
    """If one part of what a call returns or raises is changed, the check must fail with an AssertionError."""
    parts, found = set(), set()
    for number in range(40):
        case = kind(Draw(0, number))
        answers, = run.answers_of([case])
        try:
            outcome = case.call()
        except Exception as error:
            outcome = error
        case.check(outcome, answers)
        for part, other in spoilt_in_one_part(outcome):
            parts.add(part)
            try:
                case.check(other, answers)
            except AssertionError:
                found.add(part)
    missed = {part for part in parts - found if (kind.__name__, part) not in UNPROVED}
    assert parts and not missed


def crash(seed, number):
    """Case 3 ends the process."""
    call = (lambda: os.kill(os.getpid(), signal.SIGKILL)) if number == 3 else lambda: None
    return Case(call, lambda *_: None, lambda: "a crash")


def crash_after_a_failure(seed, number):
    return fail(seed, 4) if number == 2 else crash(seed, number)


def crash_while_it_is_made(seed, number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return fail(seed, 4) if number in (1, 6) else crash(seed, 0)


def hang(seed, number):
    call = (lambda: time.sleep(600)) if number == 2 else lambda: None
    return Case(call, lambda *_: None, lambda: "a hang")


def fail(seed, number):
    return Case(lambda: 1 / (number - 4), _must_not_raise, lambda: "a division")


def _must_not_raise(outcome, _):
    assert not isinstance(outcome, Exception), outcome


@pytest.mark.slow
@pytest.mark.parametrize("make, still, said", [
    (crash, 60, {3: "signal SIGKILL"}),
    pytest.param(hang, 3, {2: "made no progress for 3 seconds"}, marks=pytest.mark.alone),
    (fail, 60, {4: "division by zero"}),
    (crash_after_a_failure, 60, {2: "division by zero", 3: "signal SIGKILL"}),
    (crash_while_it_is_made, 60, {3: "signal SIGKILL\n    while it was made", 1: "division by zero",
                                  6: "division by zero"}),
], ids=["crash", "hang", "failure", "crash after a failure", "crash while a case is made"])
def test_crashes_and_hangs_are_found_and_the_run_goes_on(capfd, make, still, said):
    assert run.fuzz(5, 0, 8, 30.0, make, still) == (8, len(said))
    out = capfd.readouterr().out
    for number, words in said.items():
        of_this, = [part for part in out.split("FAILED ") if f"--seed 5 --only {number}:" in part]
        assert words in of_this


def test_a_failure_is_reported_before_the_next_case_runs():
    ran = []

    def make(seed, number):
        return fail(seed, 4) if number == 2 else Case(lambda: ran.append(number), lambda *_: None, str)

    failures = run.failing(0, range(5), make)
    assert next(failures)[0] == 2 and ran == [0, 1]
    assert list(failures) == [] and ran == [0, 1, 3, 4]


def test_a_single_case_fails_as_it_does_among_others(monkeypatch, capsys):
    """With --only, too, a warning is an error, even if this process only shows warnings."""
    case = Case(lambda: warnings.warn("planted"), _must_not_raise, lambda: "a warning")
    monkeypatch.setattr(run, "make_case", lambda seed, number: case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AssertionError, match="planted"):
            run.main(["--only", "5"])


def test_garbage_is_planted_in_every_workspace():
    seen = []

    def call():
        seen.extend(one._take(size).copy() for one in (Workspace(), WORKSPACE) for size in (3, 50))

    under({"garbage": 7.5}, call, {})
    assert all((numbers == 7.5).all() for numbers in seen) and len(seen) == 4


def test_conditions_end_with_their_call():
    def state():
        return (solver.BUDGET, plan.SHORT, threads.SERIAL_COST, threads.TOGETHER_COST, exact.solve_samples,
                Workspace._take)

    before = state()
    seen = under({"alone": True, "budget": 1, "garbage": 0.0, "threads": True}, state, {})
    assert seen[:4] == (1, 0, 0, 0) and seen[4] is not before[4] and seen[5] is not before[5]
    assert state() == before


def test_command_line(capsys, monkeypatch):
    assert run.main(["--seed", "0", "--only", "5"]) == 0
    assert capsys.readouterr().out.endswith("passed\n")
    monkeypatch.setattr(run, "fuzz", lambda *_: (100, 2))
    assert run.main(["--cases", "100"]) == 1
    assert "100 cases, 0 to 99" in capsys.readouterr().out
