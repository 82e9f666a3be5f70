"""Answers of implementations, and where two of them differ.

Sizes: T frames, N samples, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Collection

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answer:
    """What an implementation returned: the losses (N,) or one number, and perhaps the gradient (T, N, C).

    error : the exception, in one line, if it raised one; then there is neither loss nor gradient
    """

    loss: NDArray[np.float64] | None = None
    grad: NDArray[np.float64] | None = None
    error: str | None = None

    @property
    def has_nan(self) -> bool:
        return any(array is not None and bool(np.isnan(array).any()) for array in (self.loss, self.grad))


@dataclass(frozen=True)
class Difference:
    """Where an answer differs most from the expected one.

    what : "loss", "gradient" or "answer"
    place : the index [n] of a loss or [t, n, c] of a gradient, without n if there is one sample
    error : the difference relative to max(1, |expected|); inf if it is not a finite number
    """

    what: str
    place: tuple[int, ...]
    got: float | str
    expected: float | str
    error: float

    def __str__(self) -> str:
        place = str(list(self.place)) if self.place else ""
        got, expected = (f"{value:.10g}" if isinstance(value, float) else value
                         for value in (self.got, self.expected))
        return f"{self.what}{place} is {got}, expected {expected}"


@dataclass(frozen=True)
class Precision:
    """Which errors are allowed.

    tolerance : relative to max(1, |loss|), and for gradients to max(1, largest entry)
    rounding : the spacing of numbers near 1. Gradients may err by 16 times this number times the loss
        as well, because the recursion exponentiates differences of numbers as large as the loss
    """

    tolerance: float
    rounding: float
    dtype: type


PRECISIONS = {"float64": Precision(1e-9, 2.0 ** -52, np.float64),
              "float32": Precision(2e-5, 2.0 ** -23, np.float32)}


def check_options(precision: Any, skip: tuple[str, ...], rows: Collection[str]) -> None:
    """ValueError for an unknown precision, or for a name in `skip` that is no row of the report."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r:.80}")
    for name in skip:
        if name not in rows:
            raise ValueError(f"skip: there is no row {name!r:.80}; the rows are {', '.join(rows)}")


def compare(answer: Answer, right: Answer, precision: Precision) -> Difference | None:
    """The largest difference of the losses, else of the gradients if both are given; None if all agree."""
    if answer.error or right.error:
        if answer.error and right.error:
            return None
        return Difference("answer", (), answer.error or "no error", right.error or "no error", np.inf)
    assert answer.loss is not None and right.loss is not None
    found = _differ("loss", answer.loss, right.loss,
                    precision.tolerance * np.maximum(1, np.abs(_finite(right.loss))))
    if found is None and answer.grad is not None and right.grad is not None:
        size = max(1.0, np.abs(_finite(right.grad)).max(initial=0))
        loss = np.abs(_finite(right.loss)).max(initial=0)
        allowed = precision.tolerance * size + 16 * precision.rounding * loss
        found = _differ("gradient", answer.grad, right.grad, np.full(right.grad.shape, allowed))
    return found


def distance(answer: Answer, right: Answer) -> float:
    """The largest error, as a share of max(1, size), of the entries that are finite in both."""
    worst = 0.0
    for a, b in [(answer.loss, right.loss), (answer.grad, right.grad)]:
        if a is not None and b is not None and a.shape == b.shape:
            errors = np.abs(_finite(a) - _finite(b)) / np.maximum(1, np.abs(_finite(b)))
            worst = max(worst, errors[np.isfinite(a) & np.isfinite(b)].max(initial=0))
    return float(worst)


def is_float32(pairs: list[tuple[Answer, Answer]]) -> bool:
    """Whether all errors look like rounding to float32: they are small, and have both signs.

    If the losses have no errors at all, every gradient must consist of numbers that float32 holds.
    """
    if any(compare(answer, right, PRECISIONS["float32"]) for answer, right in pairs):
        return False
    errors = np.concatenate([_finite(answer.loss - right.loss).ravel() for answer, right in pairs
                             if answer.loss is not None and right.loss is not None])
    signs = np.sign(errors[np.abs(errors) > 1e-12])
    if len(signs):
        return min((signs > 0).mean(), (signs < 0).mean()) >= 0.1
    return all(answer.grad is not None and (answer.grad == answer.grad.astype(np.float32)).all()
               for answer, _ in pairs)


def _finite(array: NDArray) -> NDArray[np.float64]:
    return np.where(np.isfinite(array), array, 0.0)


def _differ(what: str, got: NDArray, expected: NDArray, allowed: NDArray) -> Difference | None:
    """The worst entry if any error is above what is allowed; equal infinities agree, and so do two NaN."""
    with np.errstate(invalid="ignore"):
        same = (got == expected) | np.isnan(got) & np.isnan(expected)
        error = np.where(same, 0.0, np.abs(got - expected))
    error = np.where(np.isnan(error), np.inf, error)
    if (error <= allowed).all():
        return None
    worst = np.unravel_index(int(np.argmax(error / allowed)), error.shape)
    place = list(map(int, worst))
    axis = 0 if what == "loss" else 1   # the axis of samples; its index is left out if there is one sample
    if place and error.shape[axis] == 1:
        del place[axis]
    return Difference(what, tuple(place), float(got[worst]), float(expected[worst]),
                      float(error[worst] / max(1.0, abs(_finite(expected[worst])))))


def as_numpy(value: Any) -> NDArray[np.float64]:
    """A number, an array, or a tensor of another library, as a float64 array.

    >>> as_numpy([1, 2])
    array([1., 2.])
    """
    for method in ("detach", "cpu"):
        if hasattr(value, method):
            value = getattr(value, method)()
    if hasattr(value, "numpy") and not isinstance(value, np.ndarray):
        value = value.numpy()
    return np.array(value, dtype=np.float64)
