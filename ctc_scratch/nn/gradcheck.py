"""Check a gradient against finite differences of the loss.

Each parameter array is checked in two ways: along random directions, in which every entry takes part, and
entry by entry, which shows where an error is.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np

from .layers import Arrays

LossAndGrads = Callable[[], tuple[float, Arrays]]
"""A function that returns the loss and its gradients, at the present values of the parameters."""


class GradCheck(NamedTuple):
    """The worst of all comparisons of one parameter array."""

    name: str
    error: float                        # |a - n| / max(|a|, |n|, 1e-3 · largest gradient entry)
    analytic: float                     # a: from the gradient
    numeric: float                      # n: from differences of the loss
    place: tuple[int, ...] | str        # index of the entry, or "random direction k"
    compared: int                       # number of comparisons, of which this is the worst

    def __str__(self) -> str:
        return (f"{self.name} at {self.place}: analytic {self.analytic:.12g}, "
                f"numeric {self.numeric:.12g}, relative error {self.error:.1e}")

    def __repr__(self) -> str:
        return f"GradCheck({self}, the worst of {self.compared})"


def check_grad(f: LossAndGrads, params: Arrays, rng: np.random.Generator | None = None, *,
               directions: int = 2, entries: int = 40, step: float = 1e-3) -> list[GradCheck]:
    """Compare the gradients that `f` returns with central differences of its loss.

    The differences are of fourth order, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h. With h = 1e-3
    and a loss of order 1, truncation and rounding both add errors of about 1e-12.

    Parameters
    ----------
    f : function without arguments that returns (loss, grads) at the present values of `params`;
        `grads` has their names and shapes.
    params : float64 arrays, which are changed in place for each difference and restored exactly.
    rng : draws directions and entries; by default `np.random.default_rng(0)`.
    directions : number of random unit directions per array; with 0 the report always names an entry.
    entries : an array of at most this size is checked in all its entries, a larger one in this many: a
        quarter of these have the largest gradients, the others are chosen at random.
    step : h, the same for all arrays.

    Returns
    -------
    One `GradCheck` per array, in the order of `params`: its worst comparison.

    Raises
    ------
    ValueError : a parameter is not float64, or the gradients do not have the parameters' names and
        shapes.

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> def f():
    ...     return (params["w"] ** 3).sum(), {"w": np.array([3.0, -12.0])}
    >>> for check in check_grad(f, params):
    ...     print(check.name, check.place, round(check.analytic, 6), round(check.numeric, 6))
    w (1,) -12.0 12.0
    """
    rng = np.random.default_rng(0) if rng is None else rng
    for name, param in params.items():
        if param.dtype != np.float64:
            raise ValueError(f"differences need float64, but parameter {name} is {param.dtype}")
    grads = {name: np.array(grad) for name, grad in f()[1].items()}     # f may reuse its arrays
    shapes = {name: param.shape for name, param in params.items()}
    if {name: grad.shape for name, grad in grads.items()} != shapes:
        raise ValueError(f"expected gradients with the names and shapes {list(shapes.items())}, "
                         f"found {[(k, g.shape) for k, g in grads.items()]}")
    largest = max((np.abs(grad).max(initial=0) for grad in grads.values()), default=0.0)

    def compare(name, place, direction):
        analytic = float((grads[name] * direction).sum())
        numeric = _slope(f, params[name], direction, step)
        scale = max(abs(analytic), abs(numeric), 1e-3 * largest)
        error = 0.0 if analytic == numeric else abs(analytic - numeric) / scale
        return GradCheck(name, error, analytic, numeric, place, 1)

    checks = []
    for name, param in params.items():
        comparisons = []
        if param.size:
            for entry in _entries(grads[name], entries, rng):
                direction = np.zeros(param.shape)
                direction[entry] = 1
                comparisons.append(compare(name, entry, direction))
            for k in range(directions):
                direction = rng.standard_normal(param.shape)
                direction /= np.sqrt((direction ** 2).sum())
                comparisons.append(compare(name, f"random direction {k}", direction))
        # NaN is worse than any number
        worst = max(comparisons, key=lambda check: np.nan_to_num(check.error, nan=np.inf),
                    default=GradCheck(name, 0.0, 0.0, 0.0, "no entries", 0))
        checks.append(worst._replace(compared=len(comparisons)))
    return checks


def assert_grad(f: LossAndGrads, params: Arrays, rng: np.random.Generator | None = None, *,
                tolerance: float = 1e-6, **options) -> list[GradCheck]:
    """Run `check_grad`; AssertionError, with both derivatives, if any relative error exceeds `tolerance`."""
    checks = check_grad(f, params, rng, **options)
    wrong = [str(check) for check in checks if not check.error <= tolerance]
    if wrong:
        raise AssertionError("\n".join(["wrong gradient:", *wrong]))
    return checks


def _slope(f, param, direction, h):
    """The derivative of the loss along `direction`, by differences of fourth order."""
    before = param.copy()

    def loss(distance):
        param[...] = before + distance * direction
        return float(f()[0])

    try:
        near, far = loss(h) - loss(-h), loss(2 * h) - loss(-2 * h)
    finally:
        param[...] = before
    return (8 * near - far) / (12 * h)


def _entries(grad, entries, rng):
    """The indices of all entries of a small array, or of the largest and random others of a large one."""
    if grad.size <= entries:
        return list(np.ndindex(grad.shape))
    by_size = np.argsort(-np.abs(grad), axis=None, kind="stable")
    largest, others = np.split(by_size, [entries // 4])
    chosen = np.concatenate([largest, rng.choice(others, entries - largest.size, replace=False)])
    return [tuple(int(k) for k in np.unravel_index(flat, grad.shape)) for flat in chosen]
