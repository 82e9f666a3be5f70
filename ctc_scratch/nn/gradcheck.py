"""Check a gradient against finite differences of the loss.

Each parameter array is checked in two ways: along random directions, in which every entry takes part, and
entry by entry, which shows where an error is.

This proves that loss and gradient belong together, not that the loss is the right one: see `check_grad`.
"""

from __future__ import annotations

from collections.abc import Mapping
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

    A small error shows that the gradient is that of the loss which `f` computes. It does not show that this
    loss is the right one: a CTC that skips between equal labels passes if its gradient is that of its own
    wrong loss. `ctc_scratch.check_ctc` tests whether a CTC is right, and names its probable mistake.

    The differences are of fourth order, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h. With h = 1e-3
    and a loss of order 1, truncation and rounding both add errors of about 1e-12.

    Parameters
    ----------
    f : function without arguments that returns (loss, grads) at the present values of `params`;
        `grads` has their names and shapes. It must return the same numbers each time: leave out dropout,
        or seed its generator anew in each call.
    params : float64 arrays, which are changed in place for each difference and restored exactly.
    rng : draws directions and entries; by default `np.random.default_rng(0)`.
    directions : number of random unit directions per array. With 0, each result names an entry.
    entries : an array of at most this size is checked at every entry, a larger one at this many entries:
        a quarter of them are those with the largest gradients, the others are chosen at random. With 0,
        only directions are checked.
    step : h, the same for all arrays.

    Returns
    -------
    One `GradCheck` per array, in the order of `params`: its worst comparison.

    Raises
    ------
    TypeError : an option has the wrong type, a parameter is not an array, or `f` does not return a pair
        of one real number and a dict of real arrays.
    ValueError : nothing would be checked; an option is out of range; a parameter is not float64, or
        cannot be moved by `step`; the gradients do not have the parameters' names and shapes; the loss is
        not finite; `f` changes the parameters, or returns something else when it is called again.

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
    _check_options(rng, directions, entries, step)
    _check_params(params, step)
    grads = _gradients(f, params)
    largest = max(np.abs(grad[np.isfinite(grad)]).max(initial=0) for grad in grads.values())

    def compare(name, place, direction, analytic):
        numeric = _slope(f, params[name], direction, step)
        scale = max(abs(analytic), abs(numeric), 1e-3 * largest)
        # An infinite slope has no finite error: inf - inf and inf / inf are NaN.
        error = 0.0 if analytic == numeric == 0 else abs(analytic - numeric) / scale
        return GradCheck(name, error, analytic, numeric, place, 1)

    checks = []
    for name, param in params.items():
        comparisons = []
        if param.size:
            for entry in _entries(grads[name], entries, rng):
                direction = np.zeros(param.shape)
                direction[entry] = 1
                comparisons.append(compare(name, entry, direction, float(grads[name][entry])))
            for k in range(directions):
                direction = rng.standard_normal(param.shape)
                direction /= np.sqrt((direction ** 2).sum())
                analytic = float((grads[name] * direction).sum())
                comparisons.append(compare(name, f"random direction {k}", direction, analytic))
        # NaN is worse than any number
        worst = max(comparisons, key=lambda check: np.nan_to_num(check.error, nan=np.inf),
                    default=GradCheck(name, 0.0, 0.0, 0.0, "no entries", 0))
        checks.append(worst._replace(compared=len(comparisons)))
    return checks


def assert_grad(f: LossAndGrads, params: Arrays, rng: np.random.Generator | None = None, *,
                tolerance: float = 1e-6, **options) -> list[GradCheck]:
    """Run `check_grad`; raise AssertionError, with both derivatives, if an error exceeds `tolerance`."""
    _check_positive("tolerance", tolerance)
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


def _gradients(f, params):
    """The gradients that `f` returns, after checks of their form and that a second call returns the same."""
    before = {name: param.copy() for name, param in params.items()}
    results = []
    for _ in range(2):
        results.append(_read(f(), params))
        for name, param in params.items():
            if not np.array_equal(param, before[name], equal_nan=True):
                param[...] = before[name]
                raise ValueError(f"f changed parameter {name}; expected a function that only reads them")
    (loss, grads), (again, grads_again) = results
    different = [f"the gradient of {name}" for name, grad in grads.items()
                 if not np.array_equal(grad, grads_again[name], equal_nan=True)]
    if different or loss != again:
        raise ValueError(
            f"f is not deterministic: called twice with the same parameters, it returned losses {loss!r} and "
            f"{again!r}, and {', '.join(different) or 'no gradient'} differed; expected the same numbers "
            "each time: leave out dropout, or seed its generator in each call")
    return grads


def _read(result, params):
    """The loss as a float and copies of the gradients that `f` returned; an error if their form is wrong."""
    expected = "f must return (loss, grads): one real number, and a dict with the gradient of each parameter"
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        found = (f"a {type(result).__name__} of length {len(result)}" if isinstance(result, (tuple, list))
                 else f"{result!r:.80}")
        raise TypeError(f"{expected}; it returned {found}")
    value, grads = _real(result[0]), result[1]
    if value is None or value.ndim:
        found = f"{result[0]!r:.80}" if value is None else f"of shape {value.shape}"
        raise TypeError(f"{expected}; it returned a loss {found}")
    if value.dtype in (np.float16, np.float32):
        raise ValueError(f"differences need a float64 loss, but f returned {value.dtype}")
    if not np.isfinite(value):
        raise ValueError(f"f must return a finite loss at the given parameters, it returned {value}")
    if not isinstance(grads, Mapping):
        raise TypeError(f"{expected}; in place of the dict it returned {type(grads).__name__}")
    arrays = {name: _real(grad) for name, grad in grads.items()}
    for name, grad in arrays.items():
        if grad is None:
            raise TypeError(f"{expected}; the gradient of {name} is {grads[name]!r:.80}")
    shapes = {name: param.shape for name, param in params.items()}
    if {name: grad.shape for name, grad in arrays.items()} != shapes:
        raise ValueError(f"expected gradients with the names and shapes {list(shapes.items())}, "
                         f"found {[(k, g.shape) for k, g in arrays.items()]}")
    return float(value), arrays


def _real(value):
    """The value as an array of real numbers, copied because `f` may reuse it; None if that is impossible."""
    try:
        array = np.array(value)
    except Exception:       # a ragged list raises ValueError, a tensor of another library anything
        return None
    return array if array.dtype.kind in "fiu" else None


def _check_options(rng, directions, entries, step):
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy.random.Generator, not {rng!r:.80}")
    for name, count in ("directions", directions), ("entries", entries):
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, not {count!r:.80}")
        if count < 0:
            raise ValueError(f"{name} must be at least 0, not {count}")
    if directions == entries == 0:
        raise ValueError("nothing to check: directions and entries are both 0; one must be at least 1")
    _check_positive("step", step)


def _check_positive(name, number):
    if isinstance(number, bool) or not isinstance(number, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, not {number!r:.80}")
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be positive and finite, not {number}")


def _check_params(params, step):
    if not isinstance(params, Mapping):
        raise TypeError(f"params must be a dict of float64 arrays, not {type(params).__name__}")
    for name, param in params.items():
        if not isinstance(param, np.ndarray):
            raise TypeError(f"parameter {name} must be a float64 array, not {type(param).__name__}")
        if param.dtype != np.float64:
            raise ValueError(f"differences need float64, but parameter {name} is {param.dtype}")
        if not param.flags.writeable:
            raise ValueError(f"parameter {name} is read-only, but differences change it in place")
        fixed = np.isfinite(param) & (param + step == param)
        if fixed.any():
            entry = tuple(map(int, np.argwhere(fixed)[0]))
            raise ValueError(f"step {step} is too small for parameter {name} at {entry}: adding it to "
                             f"{param[entry]} changes nothing")
    if not any(param.size for param in params.values()):
        raise ValueError(f"nothing to check: params hold no numbers, only {list(params)}")


def _entries(grad, entries, rng):
    """Indices of all entries of a small array; of the largest and some random entries of a large one."""
    if grad.size <= entries:
        return list(np.ndindex(grad.shape))
    by_size = np.argsort(-np.abs(grad), axis=None, kind="stable")
    largest, others = np.split(by_size, [entries // 4])
    chosen = np.concatenate([largest, rng.choice(others, entries - largest.size, replace=False)])
    return [tuple(int(k) for k in np.unravel_index(flat, grad.shape)) for flat in chosen]
