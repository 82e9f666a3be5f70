"""`check_ctc`: is this CTC right? It asks, compares, finds out what is probably wrong, and shrinks the problem.

    report = check_ctc(my_ctc)      # my_ctc(logits, target) -> loss, or (loss, gradient)
    print(report)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator

import numpy as np

from .adapter import Adapter, as_adapter
from .answers import PRECISIONS, Answer, Difference, Precision, compare, distance
from .laws import FAMILIES, LAWS, NAMES
from .problems import Problem
from .report import Example, Fault, Report, Row
from .shrink import shrink
from .twins import TWINS, Twin

MATCH = Precision(1e-7, 2.0 ** -52, np.float64)
"""How closely an answer must be that of a twin: two programs with the same mistake round differently."""

COARSE = Precision(1e-4, 2.0 ** -20, np.float64)
"""The same for twins whose mistake is their rounding."""


class _Asked:
    """Asks an implementation, compares each answer with the reference, and keeps both."""

    def __init__(self, adapter: Adapter, precision: Precision):
        self.adapter, self.precision = adapter, precision
        self.answers: list[tuple[Problem, Answer, Answer, Difference | None]] = []

    def __call__(self, problem: Problem) -> Answer:
        answer, right, difference = self.compare(problem)
        self.answers.append((problem, answer, right, difference))
        return answer

    def compare(self, problem: Problem) -> tuple[Answer, Answer, Difference | None]:
        answer = self.adapter.call(problem, self.precision.dtype)
        right = self.adapter.right(problem)
        return answer, right, compare(answer, right, self.precision)


def check_ctc(fn: Callable[..., Any] | Adapter, *, precision: str = "float64", seed: int = 0, **options: Any
              ) -> Report:
    """Ask an implementation of CTC several hundred problems, and say what is wrong with it.

    Parameters
    ----------
    fn : callable or Adapter
        `fn(logits, target)` returns the loss, or the loss and its gradient w.r.t. the logits (T, C). If it
        has an argument `blank`, that is passed; else the blank is class 0. For everything else see `Adapter`.
    precision : {"float64", "float32"}
        "float64" asks for errors of at most 1e-9, as a share of max(1, answer); "float32" for 2e-5, and hands
        over inputs in float32.
    seed : int
        Of the random problems.
    **options
        Fields of `Adapter`.

    Returns
    -------
    Report
        `ok`, `faults`, and what is probably wrong; print it.

    >>> from ctc_scratch.ctc import reference
    >>> check_ctc(reference.loss_and_grad).ok
    True
    """
    adapter = as_adapter(fn, **options)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r:.80}")
    for name in adapter.skip:
        if name not in NAMES:
            raise ValueError(f"skip: there is no law {name!r:.80}; the laws are {', '.join(NAMES)}")
    asked = _Asked(adapter, PRECISIONS[precision])
    rows, faults = [], []
    for name, check in _checks(adapter):
        before = len(asked.answers)
        found = list(check(asked, np.random.default_rng([seed, NAMES.index(name)])))
        here = asked.answers[before:]
        found += [Fault(name, problem, str(difference)) for problem, _, _, difference in here if difference]
        faults += found
        rows.append(Row(name, len(here), len(found), max(
            [difference.error if difference else distance(answer, right)
             for _, answer, right, difference in here], default=0.0)))
    gives_gradient = any(answer.grad is not None for _, answer, _, _ in asked.answers)
    report = Report(tuple(rows), tuple(faults), gives_gradient=gives_gradient, skipped=adapter.skip)
    if not faults:
        return report
    twins, similar = _name(asked)
    return replace(report, twins=twins, similar=similar, example=_example(asked))


def _checks(adapter: Adapter) -> Iterator[tuple[str, Callable[[_Asked, np.random.Generator], Iterator[Fault]]]]:
    """For each family and law that the implementation promises: its name, and a function that asks it."""

    def family(make):
        def check(asked, rng):
            for n, problem in enumerate(make(rng)):
                if adapter.any_blank and n % 3:
                    problem = problem.with_blank((problem.classes - 1) if n % 3 == 1 else 1 % problem.classes)
                asked(adapter.at_home(problem))
            return iter(())
        return check

    def law(name, function):
        def check(asked, rng):
            for problem, text in function(asked, adapter, rng, asked.precision):
                yield Fault(name, problem, text)
        return check

    for each in FAMILIES:
        if each.name not in adapter.skip and (adapter.batched or not each.batched):
            yield each.name, family(each.make)
    for each in LAWS:
        if each.name not in adapter.skip and (adapter.batched or not each.batched):
            yield each.name, law(each.name, each.check)


def _name(asked: _Asked) -> tuple[tuple[Twin, ...], tuple[Twin, int, int] | None]:
    """The twins that give all answers; if there is none, the one that gives the most of the wrong answers."""
    wrong = [each for each in asked.answers if each[3]]
    ordered = wrong + [each for each in asked.answers if not each[3]]
    same, best = [], None
    for twin in TWINS:
        for solve in twin.solvers():
            score = _agreements(asked.adapter, solve, ordered, COARSE if twin.coarse else MATCH)
            if score == len(ordered):
                same.append(twin)
                break
            if not twin.coarse and min(score, len(wrong)) > (best[1] if best else 0):
                best = twin, min(score, len(wrong)), len(wrong)
    return tuple(same), None if same else best


def _agreements(adapter: Adapter, solve: Callable[..., Any], ordered: list, precision: Precision) -> int:
    """How many answers are those of a twin, until the first that is not."""
    for count, (problem, answer, right, difference) in enumerate(ordered):
        if compare(answer, adapter.right(problem, solve), precision) is not None:
            return count
    return len(ordered)


def _example(asked: _Asked) -> Example | None:
    """The smallest problem with a wrong answer, made smaller as long as its answer stays wrong."""
    wrong = [each for each in asked.answers if each[3]]
    if not wrong:
        return None
    start = min((problem for problem, *_ in wrong), key=lambda problem: problem.size)
    kind = _kind(start, asked.adapter.right(start))

    def is_faulty(problem: Problem) -> bool:
        if asked.adapter.at_home(problem).blank != problem.blank:
            return False
        answer, right, difference = asked.compare(problem)
        return difference is not None and _kind(problem, right) == kind

    problem = shrink(start, is_faulty)
    answer, right, difference = asked.compare(problem)
    return Example(problem, str(difference), answer, right)


def _kind(problem: Problem, right: Answer) -> tuple[bool, bool]:
    """What must not change when a problem is made smaller: no frames at all; no path."""
    return min(map(len, problem.logits)) == 0, not problem.feasible() or bool(
        right.loss is not None and np.isinf(right.loss).any())
