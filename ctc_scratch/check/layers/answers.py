"""Answers of layers, which are arrays with names, and where two of them differ.

Outputs are called y, h_n and c_n; a gradient is called "gradient of x", "gradient of weight_ih", ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..answers import PRECISIONS, Difference, Precision

GRADIENT = "gradient of "

MATCH = Precision(1e-7, 2.0 ** -52, np.float64)
"""The tolerance for recognising a twin: two programs with the same mistake still round differently."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What an implementation returned.

    arrays : float64 arrays by name
    error : the exception, in one line, if it raised one; then there are no arrays
    changed : the names of inputs that it changed
    """

    arrays: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    error: str | None = None
    changed: tuple[str, ...] = ()


def is_gradient(name: str) -> bool:
    return name.startswith(GRADIENT)


def compare(answer: Answer, right: Answer, precision: Precision,
            only: Callable[[str], bool] = lambda name: True) -> Difference | None:
    """The largest difference, relative to max(1, largest right number), of the arrays in both answers."""
    if agree(answer, right, precision, only):
        return None
    if answer.error or right.error:
        return Difference("answer", (), answer.error or "no error", right.error or "no error", np.inf)
    found = [difference for name in _common(answer, right) if only(name)
             and (difference := _difference(name, answer.arrays[name], right.arrays[name]))]
    return max(found, key=lambda difference: difference.error)


def agree(answer: Answer, right: Answer, precision: Precision,
          only: Callable[[str], bool] = lambda name: True) -> bool:
    """Whether all numbers agree within the tolerance. A gradient that is missing is not compared."""
    if answer.error or right.error:
        return bool(answer.error and right.error)
    for name in _common(answer, right):
        got, expected = answer.arrays[name], right.arrays[name]
        # With NaN this comparison fails, and the one after it decides.
        allowed = precision.tolerance * np.abs(expected).max(initial=1)
        if not only(name) or got.shape == expected.shape and np.abs(got - expected).max(initial=0) <= allowed:
            continue
        difference = _difference(name, got, expected)
        if difference and difference.error > precision.tolerance:
            return False
    return True


def distance(answer: Answer, right: Answer) -> float:
    """The largest error of all arrays; inf if one answer is an exception."""
    difference = compare(answer, right, Precision(0.0, 0.0, np.float64))
    return difference.error if difference else 0.0


def closely(precision: Precision) -> Precision:
    """The tolerance for recognising a twin in answers of this precision."""
    return MATCH if precision is PRECISIONS["float64"] else precision


def _common(answer: Answer, right: Answer) -> Iterable[str]:
    return [name for name in right.arrays if name in answer.arrays]


def _difference(name: str, got: NDArray, expected: NDArray) -> Difference | None:
    """The worst entry, or None if all are equal; equal infinities agree, and so do two NaN."""
    if got.shape != expected.shape:
        return Difference(f"the shape of {name}", (), str(got.shape), str(expected.shape), np.inf)
    finite = np.where(np.isfinite(expected), expected, 0.0)
    with np.errstate(invalid="ignore"):
        same = (got == expected) | np.isnan(got) & np.isnan(expected)
        error = np.where(same, 0.0, np.abs(got - expected)) / np.abs(finite).max(initial=1.0)
    error = np.where(np.isnan(error), np.inf, error)
    if not error.any():
        return None
    worst = np.unravel_index(int(np.argmax(error)), error.shape)
    return Difference(name, tuple(map(int, worst)), float(got[worst]), float(expected[worst]),
                      float(error[worst]))
