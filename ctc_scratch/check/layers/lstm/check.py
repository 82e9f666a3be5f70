"""`check_lstm` tests an LSTM, names its probable mistake, and shows a small failing problem.

    report = check_lstm(my_lstm)    # my_lstm(x, weight_ih, weight_hh, bias) -> y
    print(report)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterable, Iterator, NamedTuple

import numpy as np

from ...answers import PRECISIONS, Difference, Precision, check_options
from ...report import Row
from ...shrink import shrink
from ..answers import GRADIENT, Answer, agree, closely, compare, distance, is_gradient
from ..report import LayerFault, LayerFinding, LayerReport
from ..twin import Twin
from . import plain
from .adapter import LSTMAdapter, as_adapter
from .gradient_twins import GRADIENT_TWINS
from .problems import FAMILIES, Problem, random_problem
from .twins import BATCH_TWINS, GATE_TWINS

TWINS = (*GATE_TWINS, *BATCH_TWINS, *GRADIENT_TWINS)

LEAKS = Twin(plain, "state leaks over calls",
             "a call starts with the final states of the call before it",
             ((("h, c = h0[k, n], c0[k, n]", ""),),))
ACCUMULATES = Twin(plain, "gradients accumulate over calls",
                   "the gradients of a call are added to those of the calls before it",
                   ((("np.zeros(array.shape) for name", ""),),))
"""Two mistakes that show only in a second call."""

REPEATED, SLOPES, UNCHANGED = "same call, same answer", "finite differences", "inputs are left as they are"
NAMES = (REPEATED, *(family.name for family in FAMILIES), SLOPES, UNCHANGED)

PARTS: dict[str, Callable[[str], bool]] = {
    "the outputs": lambda name: not is_gradient(name), "the gradients": is_gradient}


class Asking(NamedTuple):
    """One problem, the answer to it, the right answer, and how they differ."""

    problem: Problem
    answer: Answer
    right: Answer
    difference: Difference | None


class Asked:
    """Gives problems to an LSTM, compares each answer with the right one, and keeps both.

    expected : the right answers and those of twins, so that each is computed only once
    """

    def __init__(self, adapter: LSTMAdapter, precision: Precision,
                 expected: dict[tuple[Callable, Problem], Answer] | None = None):
        self.adapter, self.precision = adapter, precision
        self.answers: list[Asking] = []
        self.expected = {} if expected is None else expected

    def ask(self, problem: Problem) -> Answer:
        self.answers.append(self.compare(problem))
        return self.answers[-1].answer

    def compare(self, problem: Problem) -> Asking:
        answer, right = self.adapter.call(problem, self.precision.dtype), self.by(plain.solve, problem)
        return Asking(problem, answer, right, compare(answer, right, self.precision))

    def by(self, solve: Callable[..., Any], problem: Problem) -> Answer:
        """The answer of `plain.solve`, or of a twin."""
        if (solve, problem) not in self.expected:
            self.expected[solve, problem] = self.adapter.right(problem, solve)
        return self.expected[solve, problem]


def check_lstm(fn: Callable[..., Any] | LSTMAdapter, *, precision: str = "float64", seed: int = 0,
               **options: Any
               ) -> LayerReport:
    """Test an LSTM of one layer on up to 45 problems, and say what is probably wrong with it.

    Parameters
    ----------
    fn : callable or LSTMAdapter
        `fn(x, weight_ih, weight_hh, bias)` returns y (T, N, H) for x (T, N, D). The rows of the weights are
        in torch's order of the gates: i, f, g, o. Lengths, initial states, gradients, other layouts and
        directions: see `LSTMAdapter`.
    precision : {"float64", "float32"}
        "float64" allows errors of 1e-9, relative to max(1, largest number of the right answer). "float32"
        allows 2e-5, and the inputs are then passed in float32.
    seed : int
        Seed of the random problems.
    **options
        Fields of `LSTMAdapter`.

    Returns
    -------
    LayerReport
        `ok`, `faults`, and `findings`, which say what is probably wrong. Print it to read it.

    Examples
    --------
    >>> def my_lstm(x, weight_ih, weight_hh, bias):
    ...     T, N, _ = x.shape
    ...     h, c, y = np.zeros((N, len(bias) // 4)), 0, []
    ...     for t in range(T):
    ...         z = x[t] @ weight_ih.T + h @ weight_hh.T + bias
    ...         i, f, o, g = np.split(z, 4, axis=1)
    ...         i, f, o = (0.5 + 0.5 * np.tanh(0.5 * gate) for gate in (i, f, o))
    ...         c = f * c + i * np.tanh(g)
    ...         h = o * np.tanh(c)
    ...         y.append(h)
    ...     return np.stack(y)
    >>> [twin.name for twin in check_lstm(my_lstm).twins]
    ['gate order i, f, o, g']
    """
    adapter = as_adapter(fn, **options)
    check_options(precision, adapter.skip, NAMES)
    asked = Asked(adapter, PRECISIONS[precision])
    rows: list[Row] = []
    faults: list[LayerFault] = []
    findings: list[LayerFinding] = []

    def law(name: str, rng: np.random.Generator, check: Callable) -> list[Any]:
        """Run a check, append its row and its faults to the lists, and return its findings."""
        before = len(asked.answers)
        found = list(check(asked, rng))
        here = asked.answers[before:]
        texts = [each.text for each in found] + [str(each.difference) for each in here if each.difference]
        faults.extend(LayerFault(name, text) for text in texts)
        rows.append(Row(name, len(here) or len(asked.answers), len(texts), max(
            (each.difference.error if each.difference else distance(each.answer, each.right)
             for each in here),
            default=0.0)))
        return found

    with np.errstate(all="ignore"):     # wrong answers may be inf and NaN
        for number, (name, check) in enumerate(_checks(adapter)):
            found = law(name, np.random.default_rng([seed, number]), check)
            findings += found
            if found and name == REPEATED:     # then no later answer can be relied on
                break
        else:
            findings = [*_findings(asked), *findings]
    return LayerReport(tuple(rows), tuple(faults), tuple(findings), _notes(adapter, asked))


def _checks(adapter: LSTMAdapter) -> Iterator[tuple[str, Callable]]:
    """The checks that the LSTM promises to pass, by their names."""

    def family(make: Callable) -> Callable:
        def check(asked: Asked, rng: np.random.Generator) -> Iterable[LayerFinding]:
            for problem in make(rng, adapter.form):
                asked.ask(problem)
            return ()
        return check

    checks = [(REPEATED, _repeated)]
    checks += [(each.name, family(each.make)) for each in FAMILIES if each.can(adapter.form)]
    checks += [(SLOPES, _slopes)] if adapter.backward else []
    return iter([each for each in [*checks, (UNCHANGED, _unchanged)] if each[0] not in adapter.skip])


def _repeated(asked: Asked, rng: np.random.Generator) -> Iterator[LayerFinding]:
    """A second call gives the same answer. If not: were states kept, or gradients added up?"""
    problem = random_problem(rng, asked.adapter.form, (2, 2) if asked.adapter.form.batched else (2,), 2, 2)
    first, second = asked.ask(problem), asked.compare(problem).answer
    difference = compare(second, first, asked.precision)
    if difference is None:
        return
    right = asked.adapter.right(problem).arrays
    left = plain.solve(**problem.arrays(), reverse=asked.adapter.form.reverse)
    leaked = asked.adapter.right(replace(problem, states=np.stack([left["h_n"], left["c_n"]])))
    sums = Answer({name: array * (2 if is_gradient(name) else 1) for name, array in right.items()})
    weights = Answer({name: array * (2 if is_gradient(name) and ("weight" in name or "bias" in name) else 1)
                      for name, array in right.items()})
    close = closely(asked.precision)
    twins = [twin for twin, arrays in [(LEAKS, leaked), (ACCUMULATES, sums), (ACCUMULATES, weights)]
             if compare(second, arrays, close) is None]
    yield LayerFinding("the second of two equal calls", 1, tuple(dict.fromkeys(twins)),
                       tuple(problem.lines(asked.adapter.biases)),
                       f"in the second call {str(difference).replace('expected', 'in the first')}. "
                       "Nothing else was tested, because the answers depend on earlier calls", problem)


def _slopes(asked: Asked, rng: np.random.Generator) -> Iterator[LayerFinding]:
    """The gradient is the slope of the sum of y dy. (Both may be wrong in the same way.)"""
    step, allowed = (1e-5, 1e-7) if asked.precision.dtype == np.float64 else (1 / 128, 1e-2)
    form = asked.adapter.form
    problem = random_problem(rng, form, (3,), 2, 2, states=form.states)
    gradients = asked.ask(problem).arrays
    outputs = replace(asked.adapter, backward=None)

    def total(key: Any, place: tuple[int, ...], distance: float) -> float:
        array = _entries(problem)[key].copy()
        array[place] += distance
        moved = outputs.call(problem.with_array(key, array), asked.precision.dtype)
        return float((moved.arrays["y"][:, 0] * problem.dy[0].reshape(3,
                                                                      -1)).sum()) if moved.arrays else np.nan

    for key, array in _entries(problem).items():
        name = GRADIENT + {("x", 0): "x", ("states", 0): "h0", ("states", 1): "c0"}.get(key, str(key))
        if name == f"{GRADIENT}bias_ih" and form.biases == 1:
            name = f"{GRADIENT}bias"
        gradient = gradients.get(name, np.full(0, np.nan)).reshape(-1)
        for number, place in enumerate(np.ndindex(array.shape) if gradient.size else ()):
            slope = (total(key, place, step) - total(key, place, -step)) / (2 * step)
            if not abs(slope - gradient[number]) <= allowed * max(1.0, np.abs(gradient).max()):
                where = np.unravel_index(number, gradients[name].shape)
                text = (f"{name}{list(map(int, where))} is {gradient[number]:.6g}, but the slope of the "
                        f"LSTM's own output is {slope:.6g}: the gradient is not that of the output")
                yield LayerFinding("finite differences", 1, (), (), text, problem, False)
                break


def _entries(problem: Problem) -> dict[Any, np.ndarray]:
    """The arrays of a problem of one sequence that have a gradient, by their keys in `Problem.with_array`."""
    return {("x", 0): problem.x[0], **problem.weights, ("states", 0): problem.states[0],
            ("states", 1): problem.states[1]}


def _unchanged(asked: Asked, rng: np.random.Generator) -> Iterator[LayerFinding]:
    """No call has written into its arguments."""
    changed = sorted({name for each in asked.answers for name in each.answer.changed})
    if changed:
        yield LayerFinding("arguments", 1, (), (), f"the functions write into {', '.join(changed)}", None,
                           False)


def _findings(asked: Asked) -> Iterator[LayerFinding]:
    """One finding if a known mistake explains all answers; else findings for each part that is wrong."""
    everything = asked.answers
    if not any(each.difference for each in everything):
        return
    if twins := twins_of(asked, everything):
        yield _finding(asked, "all problems", everything, lambda name: True, twins)
        return
    for part, only in PARTS.items():
        if only is is_gradient:     # an error is a wrong output
            everything = [each for each in everything if not each.answer.error]
        wrong = [each for each in everything if not agree(each.answer, each.right, asked.precision, only)]
        twins = twins_of(asked, everything, only) if wrong else ()
        kinds = {part: everything} if twins else {
            f"{kind}: {part}": [each for each in everything if each.problem.kind == kind]
            for kind in dict.fromkeys(each.problem.kind for each in wrong)}
        for kind, answers in kinds.items():
            yield _finding(asked, kind, answers, only, twins or twins_of(asked, answers, only))


def twins_of(asked: Asked, answers: list[Asking], only: Callable[[str], bool] = lambda name: True
             ) -> tuple[Twin, ...]:
    """The twins that reproduce all of these answers, at least one of which is wrong."""
    # Wrong answers are compared first, since most twins fail there.
    ordered = sorted(answers, key=lambda each: (each.difference is None, each.problem.size))
    return tuple(twin for twin in TWINS
                 if any(_gives(asked, solve, ordered, only, twin.coarse)
                        for solve in twin.functions("solve")))


def _gives(asked: Asked, solve: Callable[..., Any], answers: list[Asking], only: Callable[[str], bool],
           coarse: bool) -> bool:
    """Whether a twin reproduces all of these answers, at least one of which is wrong."""
    close = PRECISIONS["float32"] if coarse else closely(asked.precision)
    is_wrong = False
    for each in answers:
        twins = asked.by(solve, each.problem)
        if not agree(each.answer, twins, close, only):
            return False
        given = Answer({name: twins.arrays[name] for name in each.answer.arrays if name in twins.arrays},
                       twins.error)
        is_wrong = is_wrong or not agree(given, each.right, asked.precision, only)
    return is_wrong


def _finding(asked: Asked, kind: str, answers: list[Asking], only: Callable[[str], bool],
             twins: tuple[Twin, ...]) -> LayerFinding:
    """A finding with the smallest problem whose answer is wrong, made smaller as long as it stays wrong."""
    wrong = [each for each in answers if not agree(each.answer, each.right, asked.precision, only)]
    start = min((each.problem for each in wrong), key=lambda problem: problem.size)

    fails = asked.compare(start).answer.error

    def is_faulty(problem: Problem) -> bool:
        if problem.lengths.min() == 0 < start.lengths.min():
            return False
        each = asked.compare(problem)
        if each.answer.error and not fails:
            return False
        return not agree(each.answer, each.right, asked.precision, only)

    problem = shrink(start, is_faulty, lambda problem: problem.smaller())
    each = asked.compare(problem)
    return LayerFinding(kind, len(wrong), twins, tuple(problem.lines(asked.adapter.biases)),
                        str(compare(each.answer, each.right, asked.precision, only)), problem)


def _notes(adapter: LSTMAdapter, asked: Asked) -> tuple[str, ...]:
    """Sentences on what was compared, and on what was not checked."""
    form = adapter.form
    missing = [what for what, given in [
        ("gradients (no backward)", adapter.backward), ("initial states (no h0, c0)", form.states),
        ("batches", form.batched), ("lengths", form.ragged or not form.batched),
        ("final states", any("h_n" in each.answer.arrays for each in asked.answers))] if not given]
    names = {name for each in asked.answers for name in each.answer.arrays}
    if adapter.backward and any(names):
        of = ["x", "weight_ih", "weight_hh", *((), ("bias",), ("bias_ih", "bias_hh"))[adapter.biases]]
        of += ["h0", "c0"] * form.states
        missing += [f"the {GRADIENT}{name}" for name in of if f"{GRADIENT}{name}" not in names]
        missing.append("gradients through final states")
    missing += [f"the row {name!r}" for name in adapter.skip]
    longest = max((int(each.problem.lengths.max()) for each in asked.answers), default=0)
    return (f"Compared with the LSTM of ctc_scratch on {len(asked.answers)} problems of up to {longest} "
            "frames; larger ones were not tried.",) + (
                (f"Not checked: {', '.join(missing)}.",) if missing else ())
