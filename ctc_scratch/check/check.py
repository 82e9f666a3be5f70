"""`check_ctc` tests an implementation of CTC, names its probable mistake, and shows a small failing problem.

    report = check_ctc(my_ctc)      # my_ctc(logits, target) -> loss, or (loss, gradient)
    print(report)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np

from ..ctc.reference import forward, log_softmax
from .adapter import Adapter, as_adapter
from .answers import (
    PRECISIONS,
    Answer,
    Difference,
    Precision,
    check_options,
    compare,
    distance,
    is_float32,
)
from .laws import EXTRAS, FAMILIES, LAWS, NAMES
from .problems import KINDS, Problem
from .report import Example, Fault, Finding, Report, Row
from .shrink import shrink
from .twins import TWINS, Twin, twin_named

MATCH = {"float64": Precision(1e-7, 2.0 ** -52, np.float64), "float32": PRECISIONS["float32"]}
"""The tolerances for recognising a twin: two programs with the same mistake still round differently."""


class _Asking(NamedTuple):
    """One problem, the answer to it, the right answer, and how they differ."""

    problem: Problem
    answer: Answer
    right: Answer
    difference: Difference | None


class _Asked:
    """Gives problems to an implementation, compares its answers with the right ones, and keeps them."""

    def __init__(self, adapter: Adapter, precision: Precision):
        self.adapter, self.precision = adapter, precision
        self.answers: list[_Asking] = []

    def __call__(self, problem: Problem) -> Answer:
        self.answers.append(self.compare(problem))
        return self.answers[-1].answer

    def compare(self, problem: Problem) -> _Asking:
        answer = self.adapter.call(problem, self.precision.dtype)
        right = self.adapter.right(problem)
        return _Asking(problem, answer, right, compare(answer, right, self.precision))


def check_ctc(fn: Callable[..., Any] | Adapter, *, precision: str = "float64", seed: int = 0, **options: Any
              ) -> Report:
    """Test an implementation of CTC on several hundred problems, and say what is probably wrong with it.

    Parameters
    ----------
    fn : callable or Adapter
        `fn(logits, target)` returns the loss, or the loss and its gradient w.r.t. the logits (T, C). If it
        has an argument `blank`, the blank is passed there; else the blank is class 0. `Adapter` describes
        functions that are called in another way.
    precision : {"float64", "float32"}
        "float64" allows errors of 1e-9, relative to max(1, |answer|). "float32" allows 2e-5, and the inputs
        are then passed in float32.
    seed : int
        Seed of the random problems.
    **options
        Fields of `Adapter`.

    Returns
    -------
    Report
        `ok`, `faults`, and `findings`, which say what is probably wrong. Print it to read it.

    >>> from ctc_scratch.ctc import reference
    >>> check_ctc(reference.loss_and_grad).ok
    True
    """
    adapter = as_adapter(fn, **options)
    check_options(precision, adapter.skip, NAMES)
    asked = _Asked(adapter, PRECISIONS[precision])
    rows, faults = [], []
    for name, check in _checks(adapter):
        before = len(asked.answers)
        with np.errstate(all="ignore"):     # wrong answers may be inf and NaN
            found = list(check(asked, np.random.default_rng([seed, NAMES.index(name)])))
        here = asked.answers[before:]
        found += [Fault(name, each.problem, str(each.difference)) for each in here if each.difference]
        faults += found
        rows.append(Row(name, len(here), len(found), max(
            [each.difference.error if each.difference else distance(each.answer, each.right)
             for each in here], default=0.0)))
    gives_gradient = any(each.answer.grad is not None for each in asked.answers)
    report = Report(tuple(rows), tuple(faults), gives_gradient=gives_gradient, skipped=adapter.skip)
    if not faults:
        return report
    with np.errstate(all="ignore"):
        return replace(report, findings=tuple(_findings(asked)))


Check = Callable[[_Asked, np.random.Generator], Iterator[Fault]]


def _checks(adapter: Adapter) -> Iterator[tuple[str, Check]]:
    """The name of each family and law that the implementation promises, and the function that tests it."""

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

    for name, make, batched in FAMILIES:
        if name not in adapter.skip and (adapter.batched or not batched):
            yield name, family(make)
    for name, function, batched in LAWS:
        if name not in adapter.skip and (adapter.batched or not batched):
            yield name, law(name, function)
    for name, function in EXTRAS.items():
        if name not in adapter.skip and getattr(adapter, name) is not None:
            yield name, law(name, function)


def _findings(asked: _Asked) -> Iterator[Finding]:
    """One finding if a known mistake explains all answers; else one for each kind of problem with a fault."""
    wrong = [each for each in asked.answers if each.difference]
    if not wrong:       # only laws are broken that compare answers with each other
        return
    twins = _twins(asked, asked.answers)
    if twins:
        kinds = {"all problems": asked.answers}
    else:
        kinds = {kind: [each for each in asked.answers if each.problem.kind == kind] for kind in KINDS}
    for kind, answers in kinds.items():
        count = sum(each.difference is not None for each in answers)
        if count:
            example = _example(asked, answers)
            yield Finding(kind, count, twins or _twins(asked, answers), example,
                          _first_alpha(asked.adapter, example.problem))


def _twins(asked: _Asked, answers: list[_Asking]) -> tuple[Twin, ...]:
    """The twins that reproduce all of these answers, at least one of which is wrong."""
    # Wrong answers are compared first, since most twins fail there.
    ordered = sorted(answers, key=lambda each: each.difference is None)
    closely = MATCH["float64" if asked.precision is PRECISIONS["float64"] else "float32"]
    twins = tuple(twin for twin in TWINS if not twin.rounding and any(
        _gives(asked, solve, ordered, closely) for solve in twin.solvers()))
    # Some mistakes are recognised by the kind of error, although no twin gives exactly these numbers.
    if not twins and is_float32([(each.answer, each.right) for each in ordered]):
        return (twin_named("float32 inside"),)
    if not twins and all("-inf" in each.problem.kind and each.answer.has_nan
                         for each in ordered if each.difference):
        return (twin_named("NaN at logits of -inf"),)
    return twins


def _gives(asked: _Asked, solve: Callable[..., Any], answers: list[_Asking], closely: Precision) -> bool:
    """Whether a twin reproduces all of these answers, at least one of which is wrong."""
    is_wrong = False
    for each in answers:
        twins = asked.adapter.right(each.problem, solve)
        if compare(each.answer, twins, closely) is not None:
            return False
        is_wrong = is_wrong or bool(each.difference and compare(twins, each.right, asked.precision))
    return is_wrong


def _example(asked: _Asked, answers: list[_Asking]) -> Example:
    """The smallest problem with a wrong answer, made smaller as long as the answer stays wrong."""
    start = min((each for each in answers if each.difference), key=lambda each: each.problem.size)
    kind, raises = start.problem.kind, start.answer.error is not None

    def is_faulty(problem: Problem) -> bool:
        # The kind stays the same, because the implementation may not promise the other kinds.
        if (not problem.is_valid() or problem.kind != kind
                or asked.adapter.at_home(problem).blank != problem.blank):
            return False
        asking = asked.compare(problem)
        return asking.difference is not None and (asking.answer.error is not None) == raises

    problem = shrink(start.problem, is_faulty)
    asking = asked.compare(problem)
    return Example(problem, str(asking.difference), asking.answer, asking.right)


def _first_alpha(adapter: Adapter, problem: Problem) -> str:
    """A sentence on the first wrong entry of the implementation's log alpha; "" if there is no log alpha."""
    if adapter.alpha is None or not len(problem.logits[0]):
        return ""
    right = forward(log_softmax(problem.logits[0]), problem.targets[0], problem.blank)
    try:
        alpha = adapter.single(adapter.alpha, problem.single(0)).reshape(right.shape)
    except Exception as error:      # the function may raise anything
        return f"log alpha cannot be compared: {type(error).__name__}: {error}"
    with np.errstate(invalid="ignore"):
        wrong = ~((alpha == right) | (np.abs(alpha - right) <= 1e-6 * np.maximum(1, np.abs(right))))
    if not wrong.any():
        return "log alpha is right in every frame, so the mistake is made after it"
    t, s = map(int, np.argwhere(wrong)[0])
    return (f"log alpha is first wrong at frame {t}, state {s}: it is {alpha[t, s]:.10g}, expected "
            f"{right[t, s]:.10g} (see forward in ctc_scratch/ctc/reference.py)")
