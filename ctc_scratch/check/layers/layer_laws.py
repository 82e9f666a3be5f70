"""Laws of a layer's gradient that hold for every layer, and agreement with a layer of a known kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..adapter import in_one_line
from ..answers import PRECISIONS, Precision
from . import plain_layers
from .answers import GRADIENT, Answer, agree, closely, compare, is_gradient
from .layer_problems import Functions, Problem
from .layer_twins import LAYER_TWINS
from .twin import Twin

MOST_ENTRIES = 40
"""Finite differences move at most this many entries of each array."""

ACCUMULATES = Twin(plain_layers, "gradients accumulate over calls",
                   "the gradients of a call are added to those of the calls before it",
                   ((("dweight = dy", ""),),))


class Layer(NamedTuple):
    """The layer that is checked: its functions, its kind if it is known, its batch axis and its precision."""

    functions: Functions
    kind: str | None
    batch_axis: int
    precision: Precision

    def call(self, problem: Problem) -> Answer:
        return self.functions.call(problem, self.precision.dtype)

    def right(self, problem: Problem, forward: Callable[..., NDArray] | None = None,
              backward: Callable[..., dict[str, NDArray]] | None = None) -> Answer:
        """The right answer of a layer of a known kind, or that of a wrong twin if its functions are given."""
        try:
            y = (forward or getattr(plain_layers, str(self.kind)))(**problem.arrays)
            grads = (backward or getattr(plain_layers, f"{self.kind}_back"))(problem.dy, **problem.arrays)
        except ValueError as error:
            if forward is None:
                raise
            # The twin multiplies matrices whose shapes do not fit.
            return Answer(error=in_one_line(error))
        return Answer({"y": y, **{f"{GRADIENT}{name}": array for name, array in grads.items()}})


class Fault(NamedTuple):
    """What is wrong with the answer to a problem, the size of the error, and known mistakes that cause it."""

    problem: Problem
    text: str
    error: float
    twins: tuple[Twin, ...] = ()


def repeated(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """A second call gives the same answer."""
    first, second = layer.call(problem), layer.call(problem)
    if first.error and not layer.kind:
        yield Fault(problem, f"the call fails: {first.error}", np.inf)
    elif difference := compare(second, first, layer.precision):
        sums = Answer({name: array * (2 if is_gradient(name) and name != f"{GRADIENT}x" else 1)
                       for name, array in first.arrays.items()})
        adds_up = compare(second, sums, closely(layer.precision)) is None
        yield Fault(problem, f"in the second call {str(difference).replace('expected', 'in the first')}. "
                    "Nothing else was tested, because the answers depend on earlier calls", difference.error,
                    (ACCUMULATES,) if adds_up else ())


def agreement(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """The answer is that of the plain layer of the same kind."""
    difference = compare(layer.call(problem), layer.right(problem), layer.precision)
    if difference:
        yield Fault(problem, str(difference), difference.error)


def finite_differences(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """The gradient is the slope of the sum of y dy. (Both may be wrong in the same way.)"""
    step, allowed = (1e-5, 1e-7) if layer.precision.dtype == np.float64 else (1 / 128, 1e-2)
    gradients = layer.call(problem).arrays      # none if the call fails, which other laws report

    def total(name: str, place: tuple[int, ...], distance: float) -> float:
        array = problem.arrays[name].copy()
        array[place] += distance
        try:
            y = layer.functions.output({**problem.arrays, name: array}, layer.precision.dtype)
        except Exception:       # the function may raise anything
            return np.nan
        return float((y * problem.dy).sum())

    for name, array in problem.arrays.items():
        gradient = gradients.get(f"{GRADIENT}{name}")
        if gradient is None or not gradient.size:
            continue
        places = [np.unravel_index(flat, array.shape) for flat in
                  np.unique(np.linspace(0, array.size - 1, min(array.size, MOST_ENTRIES)).astype(int))]
        slopes = np.array([(total(name, place, step) - total(name, place, -step)) / (2 * step)
                           for place in places])
        found = np.array([gradient[place] for place in places])
        errors = np.abs(slopes - found) / max(1.0, np.abs(found).max())
        if not (errors <= allowed).all():
            worst = int(np.argmax(np.nan_to_num(errors, nan=np.inf)))
            place = list(map(int, places[worst]))
            yield Fault(problem, f"gradient of {name}{place} is {found[worst]:.6g}, the slope of y dy is "
                        f"{slopes[worst]:.6g}{_factor(found, slopes, problem, layer.batch_axis)}",
                        errors[worst])


def _factor(found: NDArray, slopes: NDArray, problem: Problem, batch_axis: int) -> str:
    """A phrase if the whole gradient is the slope times one number; else an empty text."""
    if not found.any():
        return ": the gradient is 0"
    factor = (found * slopes).sum() / (slopes * slopes).sum()
    if len(found) < 2 or not np.abs(found - factor * slopes).max() <= 1e-4 * np.abs(found).max():
        return ""
    frames = problem.x.size / problem.x.shape[-1]
    names = [(-1, "the sign is wrong"), (2, "it is counted twice"),
             (1 / problem.x.shape[batch_axis], "it is averaged over the samples"),
             (1 / problem.x.shape[0], "it is averaged over the frames"),
             (1 / frames, "it is averaged over the frames of all samples")]
    known = next((f": {name}" for number, name in names if abs(factor - number) < 1e-4), "")
    return f"; all of it is {factor:.6g} times the slope{known}"


def linear(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """backward(2 dy - 3 other) = 2 backward(dy) - 3 backward(other)."""
    other = np.round(64 * np.random.default_rng(0).standard_normal(problem.dy.shape)) / 64
    first, second, both = (layer.call(replace(problem, dy=dy)) for dy in
                           (problem.dy, other, 2 * problem.dy - 3 * other))
    if not (first.error or second.error or both.error):
        sums = Answer({name: 2 * array - 3 * second.arrays[name] for name, array in first.arrays.items()
                       if is_gradient(name)})
        if difference := compare(both, sums, _looser(layer.precision)):
            yield Fault(problem, f"for dy = 2 a - 3 b, where a is the dy shown, {difference} from the "
                        "gradients for a and b", difference.error)


def batch(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """y and the gradient of x are those of each sample alone; other gradients are sums over the samples."""
    axis, whole = layer.batch_axis, layer.call(problem)
    N = problem.x.shape[axis]
    if whole.error or N < 2 or problem.dy.ndim != problem.x.ndim or problem.dy.shape[axis] != N:
        return
    alone = [layer.call(problem.only(axis, n)) for n in range(N)]
    if errors := [each.error for each in alone if each.error]:
        yield Fault(problem, f"a sample alone fails: {errors[0]}", np.inf)
        return
    sums = Answer({name: np.concatenate([each.arrays[name] for each in alone], axis=axis)
                   if name in ("y", f"{GRADIENT}x") else np.sum([each.arrays[name] for each in alone], axis=0)
                   for name in whole.arrays if all(name in each.arrays for each in alone)})
    if difference := compare(whole, sums, _looser(layer.precision)):
        yield Fault(problem, f"for the batch {str(difference).replace('expected', 'for its samples')}",
                    difference.error)


def unchanged(layer: Layer, problem: Problem) -> Iterator[Fault]:
    """No call writes into its arguments."""
    if changed := layer.call(problem).changed:
        yield Fault(problem, f"the functions write into {', '.join(changed)}", 0.0)


def _looser(precision: Precision) -> Precision:
    """Sums of several answers round more than one answer does."""
    return replace(precision, tolerance=10 * precision.tolerance)


LAWS: dict[str, Callable[[Layer, Problem], Iterator[Fault]]] = {
    "same call, same answer": repeated,
    "agreement with its kind": agreement,
    "finite differences": finite_differences,
    "backward is linear in dy": linear,
    "a batch is the sum of its samples": batch,
    "inputs are left as they are": unchanged,
}


def twins_of(layer: Layer, problems: list[Problem]) -> tuple[Twin, ...]:
    """The twins of the layer's kind that reproduce all its answers, at least one of which is wrong."""
    answers = [(problem, layer.call(problem), layer.right(problem)) for problem in problems]
    # Wrong answers are compared first, since most twins fail there.
    answers.sort(key=lambda each: agree(each[1], each[2], layer.precision))
    return tuple(twin for twin in LAYER_TWINS[str(layer.kind)] if any(
        _gives(layer, pair, answers, twin.coarse) for pair in zip(
            twin.functions(str(layer.kind)), twin.functions(f"{layer.kind}_back"))))


def _gives(layer: Layer, functions: tuple[Callable, Callable], answers: list[Any], coarse: bool) -> bool:
    """Whether a twin reproduces all of these answers, at least one of which is wrong."""
    close = PRECISIONS["float32"] if coarse else closely(layer.precision)
    is_wrong = False
    for problem, answer, right in answers:
        twins = layer.right(problem, *functions)
        if not agree(answer, twins, close):
            return False
        given = Answer({name: twins.arrays[name] for name in answer.arrays if name in twins.arrays},
                       twins.error)
        is_wrong = is_wrong or not agree(given, right, layer.precision)
    return is_wrong
