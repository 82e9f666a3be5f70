"""What every right CTC satisfies: agreement with the reference, and laws that need no reference.

A family is a list of problems whose answers are compared with the reference. A law asks for the answers to
several problems and compares them with each other; it yields a problem and one line for each fault.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Callable, Iterator, NamedTuple

import numpy as np

from ..ctc.enumeration import alignments
from ..ctc.labels import collapse
from ..ctc.reference import forward, log_softmax
from . import problems
from .adapter import Adapter
from .answers import Answer, Precision, compare
from .cases import load_cases
from .problems import Problem

Ask = Callable[[Problem], Answer]
"""Returns the implementation's answer; an exception or a wrong shape becomes `Answer.error`."""


class Family(NamedTuple):
    """`make(rng)` returns the problems; `batched` says whether they are batches."""

    name: str
    make: Callable[[np.random.Generator], list[Problem]]
    batched: bool = False


FAMILIES = (
    Family("every small target", problems.small),
    Family("random", problems.random),
    Family("infeasible targets", problems.infeasible),
    Family("no frames", problems.no_frames),
    Family("logits of +-1000", problems.extreme),
    Family("logits of -inf", problems.closed),
    Family("long", problems.long),
    Family("batches", problems.batches, True),
    Family("an infeasible sample", problems.batch_with_infeasible, True),
)


class Law(NamedTuple):
    """`check(ask, adapter, rng, precision)` yields (problem, one line) for each fault."""

    name: str
    check: Callable[[Ask, Adapter, np.random.Generator, Precision], Iterator[tuple[Problem, str]]]
    batched: bool = False


def loss_of(answer: Answer, problem: Problem, adapter: Adapter) -> float:
    """The loss of a single sample, before any reduction; NaN if there is no answer."""
    if answer.loss is None:
        return np.nan
    factor = max(len(problem.targets[0]), 1) if adapter.reduction == "mean" else 1
    return float(answer.loss.reshape(-1)[0]) * factor


def grad_of(answer: Answer, problem: Problem, adapter: Adapter) -> np.ndarray | None:
    """The gradient (T, C) of the loss of a single sample w.r.t. the logits; None if there is none."""
    if answer.grad is None:
        return None
    factor = max(len(problem.targets[0]), 1) if adapter.reduction == "mean" else 1
    grad = answer.grad[:, 0] * factor
    probs = np.exp(log_softmax(problem.logits[0]))
    if adapter.variable == "probs":
        grad = grad * probs
    return grad if adapter.variable == "logits" else grad - probs * grad.sum(axis=1, keepdims=True)


def sum_to_one(ask, adapter, rng, precision):
    """The probabilities of all labellings sum to 1."""
    for T in (1, 2, 3):
        logits, total = problems.random_logits(rng, T, 3), 0.0
        for U in range(T + 1):
            for labels in itertools.product((1, 2), repeat=U):
                if problems.min_frames(labels) <= T:
                    problem = adapter.at_home(problems.one(logits, *labels))
                    with np.errstate(over="ignore"):
                        total += np.exp(-loss_of(ask(problem), problem, adapter))
        if not abs(total - 1) <= 10 * precision.tolerance:
            problem = adapter.at_home(problems.one(logits))
            yield problem, f"the probabilities of all labellings of {T} frames sum to {total:.10g}, not 1"


def constants(ask, adapter, rng, precision):
    """A constant added to all logits of a frame changes nothing."""
    for T, labels in [(3, (1, 2)), (4, (1, 1))]:
        problem = adapter.at_home(problems.one(problems.random_logits(rng, T, 3), *labels))
        moved = replace(problem, logits=(problem.logits[0] + np.arange(T)[:, None],))
        first, second = (loss_of(ask(each), each, adapter) for each in (problem, moved))
        if not abs(first - second) <= 10 * precision.tolerance * max(1, abs(first)):
            yield moved, f"the loss changes from {first:.10g} to {second:.10g}"


def rows(ask, adapter, rng, precision):
    """Each row of the gradient w.r.t. the logits sums to 0."""
    for T, labels in [(3, (1, 2)), (5, (2, 2)), (4, ())]:
        problem = adapter.at_home(problems.one(problems.random_logits(rng, T, 4), *labels))
        answer = ask(problem)
        if answer.grad is not None and adapter.variable == "logits":
            sums = answer.grad[:, 0].sum(axis=1)
            t = int(np.argmax(np.abs(sums)))
            if not abs(sums[t]) <= 10 * precision.tolerance:
                yield problem, f"the gradient of frame {t} sums to {sums[t]:.10g}, not 0"


def finite_differences(ask, adapter, rng, precision):
    """The gradient is the slope of the loss. (Both may be wrong in the same way.)"""
    step, allowed = (1e-5, 1e-7) if precision.dtype == np.float64 else (1 / 64, 5e-3)
    for T, labels in [(2, (1,)), (3, (1, 2)), (4, (1, 1))]:
        problem = adapter.at_home(problems.one(problems.random_logits(rng, T, 3), *labels))
        grad = grad_of(ask(problem), problem, adapter)
        if grad is None:
            return
        for t, c in np.ndindex(grad.shape):
            ends = []
            for sign in (1, -1):
                logits = problem.logits[0].copy()
                logits[t, c] += sign * step
                moved = replace(problem, logits=(logits,))
                ends.append(loss_of(ask(moved), moved, adapter))
            slope = (ends[0] - ends[1]) / (2 * step)
            if not abs(slope - grad[t, c]) <= allowed:
                yield problem, f"gradient{[t, c]} is {grad[t, c]:.6g}, the slope of the loss {slope:.6g}"
                break


def reversed_time(ask, adapter, rng, precision):
    """Frames and labels in reverse order have the same loss, and the gradient in reverse order."""
    for T, labels in [(3, (1, 2)), (5, (2, 2, 1))]:
        problem = adapter.at_home(problems.one(problems.random_logits(rng, T, 3), *labels))
        other = replace(problem, logits=(problem.logits[0][::-1],), targets=(problem.targets[0][::-1],))
        yield from _same(ask(problem), ask(other), problem, precision, "reversed", flip=True)


def renamed_classes(ask, adapter, rng, precision):
    """Renaming the classes changes only the order of the gradient's columns."""
    problem = adapter.at_home(problems.one(problems.random_logits(rng, 4, 4), 1, 3))
    labels = [c for c in range(problem.classes) if c != problem.blank]
    order = np.arange(problem.classes)      # class c of the new problem is class order[c] of the old one
    order[labels] = labels[1:] + labels[:1]
    new = replace(problem, logits=(problem.logits[0][:, order],),
                  targets=(tuple(int(np.flatnonzero(order == c)[0]) for c in problem.targets[0]),))
    first, second = ask(problem), ask(new)
    if first.grad is not None:
        first = replace(first, grad=first.grad[:, :, order])
    yield from _same(first, second, new, precision, "renamed")


def repeatable(ask, adapter, rng, precision):
    """The same call gives the same answer."""
    problem = adapter.at_home(problems.one(problems.random_logits(rng, 5, 3), 1, 2))
    first = ask(problem)
    ask(adapter.at_home(problems.one(problems.random_logits(rng, 7, 4), 3, 3)))
    yield from _same(first, ask(problem), problem, precision, "asked again")


def padding_unread(ask, adapter, rng, precision):
    """The numbers in padded frames do not change the answer."""
    for problem in problems.batches(rng)[:3]:
        problem = adapter.at_home(replace(problem, padding=1))
        other = replace(problem, fill=-3.0)
        yield from _same(ask(problem), ask(other), problem, precision, "with another padding")


def batch_is_singles(ask, adapter, rng, precision):
    """The losses of a batch, or their reduction, are those of its samples alone."""
    for problem in problems.batches(rng)[:3]:
        problem = adapter.at_home(problem)
        answer = ask(problem)
        singles = [problem.single(n) for n in range(len(problem.logits))]
        losses = np.array([loss_of(ask(single), single, adapter) for single in singles])
        if adapter.reduction == "mean":
            losses = losses / [max(len(target), 1) for target in problem.targets]
        expected = {"none": losses, "sum": losses.sum(), "mean": losses.mean(), "batchmean": losses.mean()}
        yield from _same(answer, Answer(np.asarray(expected[adapter.reduction])), problem, precision, "alone")


def vectors(ask, adapter, rng, precision):
    """Loss and gradient of the published test vectors with at most 24 frames and 64 classes.

    An answer that differs from the reference too is reported by that comparison alone.
    """
    for case in load_cases("toy", "core", "hard"):
        problem = Problem((case.used_logits,), (tuple(case.used_target),), case.blank)
        if problem.frames > 24 or problem.classes > 64 or problem.kind in _not_promised(adapter):
            continue
        home = adapter.at_home(problem)
        answer = ask(home)
        if case.result != "valid":
            continue
        grad, expected = grad_of(answer, home, adapter), case.expected("gradient")
        if grad is not None:
            order = np.arange(home.classes)     # published classes in the order of those here
            order[[case.blank, home.blank]] = home.blank, case.blank
            grad = case.observed("gradient", grad[:, order[:problem.classes]])[:, None, None]
        difference = compare(Answer(np.array(loss_of(answer, home, adapter)), grad),
                             Answer(np.array(case.answers["loss"]), expected[:, None, None]), precision)
        if difference and compare(answer, adapter.right(home), precision) is None:
            yield home, f"the {difference.what} is not that of the published case {case.id}"


def _not_promised(adapter: Adapter) -> set[str]:
    """The kinds of problems that the implementation does not promise, as its `skip` says."""
    names = {"infeasible targets", "no frames", "logits of -inf"} & set(adapter.skip)
    if names & {"infeasible targets", "logits of -inf"}:
        names.add("logits of -inf, no path")
    return names


def _same(first, second, problem, precision, what, flip=False, name="loss"):
    """Yield a fault if the answers differ; `flip` first reverses the second gradient in time.

    name : what the first number of an answer is, for the text of the fault
    """
    if first.error or second.error:
        if bool(first.error) != bool(second.error):
            yield problem, f"{what}: {first.error or 'no error'} against {second.error or 'no error'}"
        return
    pairs = [(name, first.loss, second.loss)]
    if first.grad is not None and second.grad is not None:
        pairs.append(("gradient", first.grad, second.grad[::-1] if flip else second.grad))
    for name, a, b in pairs:
        if a.shape != b.shape:
            yield problem, f"{what}: the {name} has shape {b.shape}, not {a.shape}"
            return
        with np.errstate(invalid="ignore"):
            error = np.where((a == b) | np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b))
            wrong = ~(error <= 10 * precision.tolerance * np.maximum(1, np.abs(a)))
        if wrong.any():
            place = tuple(map(int, np.argwhere(wrong)[0]))
            yield problem, f"{name}{list(place) or ''} is {a[place]:.10g}, but {b[place]:.10g} {what}"
            return


LAWS = (
    Law("probabilities sum to 1", sum_to_one),
    Law("constant per frame", constants),
    Law("gradient rows sum to 0", rows),
    Law("finite differences", finite_differences),
    Law("reversed in time", reversed_time),
    Law("renamed classes", renamed_classes),
    Law("same call, same answer", repeatable),
    Law("published test vectors", vectors),
    Law("padding is not read", padding_unread, True),
    Law("batch equals singles", batch_is_singles, True),
)

# ---- what else an implementation may return, for a single sequence


def alpha(ask, adapter, rng, precision):
    """log alpha (T, S) is that of the reference."""
    for problem in _some(adapter, rng):
        right = forward(log_softmax(problem.logits[0]), problem.targets[0], problem.blank)
        found = adapter.single(adapter.alpha, problem)
        if found.shape != right.shape:
            yield problem, f"log alpha has shape {found.shape}, expected {right.shape}"
            continue
        yield from _same(Answer(right), Answer(found), problem, precision, "from the implementation",
                         name="log alpha")


def align(ask, adapter, rng, precision):
    """The alignment spells the target, and no other alignment is more probable."""
    for problem in _some(adapter, rng):
        (logits,), (target,), blank = problem.logits, problem.targets, problem.blank
        path, log_probs = [int(c) for c in adapter.single(adapter.align, problem)], log_softmax(logits)
        if len(path) != len(logits) or tuple(collapse(path, blank)) != target:
            yield problem, f"the alignment {path} does not spell {list(target)}"
            continue
        score = log_probs[np.arange(len(path)), path].sum()
        best = max(log_probs[np.arange(len(path)), other].sum()
                   for other in alignments(target, len(logits), blank))
        if not score >= best - precision.tolerance * max(1, abs(best)):
            yield problem, f"the alignment {path} has ln p {score:.10g}, the best {best:.10g}"


def decode(ask, adapter, rng, precision):
    """The labels are those of the most probable class of each frame, repeats merged, then blanks dropped."""
    for problem in _some(adapter, rng):
        found = [int(c) for c in adapter.single(adapter.decode, problem)]
        expected = collapse(problem.logits[0].argmax(axis=1), problem.blank)
        if found != expected:
            yield problem, f"the labels are {found}, expected {expected}"


def _some(adapter: Adapter, rng: np.random.Generator) -> list[Problem]:
    return [adapter.at_home(problems.one(problems.random_logits(rng, T, 3, 2), *labels))
            for T, labels in [(1, ()), (1, (1,)), (2, (1, 2)), (3, (1, 1)), (4, (2, 1)), (5, (1, 1, 2))]]


EXTRAS = {"alpha": alpha, "align": align, "decode": decode}

NAMES = (*(each.name for each in (*FAMILIES, *LAWS)), *EXTRAS)
