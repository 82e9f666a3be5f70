"""`check_layer` tests whether a layer's gradient is that of its output, and for known kinds the output too.

    report = check_layer(forward, backward, kind="linear")
    print(report)
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Literal, Mapping, get_args

import numpy as np
from numpy.typing import NDArray

from ..answers import PRECISIONS, check_options
from ..report import Row
from ..shrink import shrink
from . import plain_layers
from .answers import GRADIENT
from .layer_laws import LAWS, Fault, Layer, agreement, repeated, twins_of
from .layer_problems import Functions, Problem
from .report import LayerFault, LayerFinding, LayerReport

Kind = Literal["linear", "tanh", "sigmoid", "relu"]


def check_layer(forward: Any, backward: Callable[..., Any] | None = None, *, kind: Kind | None = None,
                x: tuple[int, ...] = (3, 2, 4), params: Mapping[str, Any] | None = None, batch_axis: int = -2,
                precision: str = "float64", seed: int = 0, tensor: Callable[[NDArray], Any] | None = None,
                skip: tuple[str, ...] = ()) -> LayerReport:
    """Check that a layer's gradient is that of its output, and that the output is right if `kind` is given.

    Parameters
    ----------
    forward : callable, or layer
        `forward(x, *params)` returns y. Or an object like those of `ctc_scratch.nn`, with the dict `params`,
        `forward(x)`, which returns (y, cache), and `backward(dy, cache)`, which returns (dx, grads).
    backward : callable
        `backward(dy, x, *params)` returns a dict with the gradients of the sum of y dy, under the names "x"
        and those of `params`. Gradients that it leaves out are not checked.
    kind : {"linear", "tanh", "sigmoid", "relu"}, optional
        The function of x that y should be. Without it, only the gradient is checked. "linear" is
        x weightᵀ + bias; its parameters are weight (C, D) and bias (C,).
    x : tuple of int
        The shape of x, such as (T, N, D).
    params : dict, optional
        The shape of each parameter, or an array to be used as it is. Default: those of `kind`.
    batch_axis : int
        The axis of x and y along which samples are independent.
    precision : {"float64", "float32"}
        "float64" allows errors of 1e-9, relative to max(1, largest number); "float32" allows 2e-5.
    seed : int
        Seed of the random numbers.
    tensor : callable, optional
        Converts each NumPy array to what the functions take, such as `torch.tensor`.
    skip : tuple of str
        Names of rows of the report that the layer does not promise; they are not tested.

    Returns
    -------
    LayerReport
        `ok`, `faults`, `findings`, which say what is probably wrong, and `notes` on what was checked and
        what was not. Print it to read it.

    Examples
    --------
    >>> def backward(dy, x):
    ...     return {"x": dy * (1 - x ** 2)}
    >>> report = check_layer(np.tanh, backward, kind="tanh")
    >>> [twin.name for twin in report.twins]
    ['slope 1 - x²']
    """
    _check_options(kind, x, params, batch_axis, precision, skip)
    forward, backward, params = _functions(forward, backward, params)
    for name, value in [("forward", forward), ("backward", backward), ("tensor", tensor)]:
        if not callable(value) and (name != "tensor" or value is not None):
            raise TypeError(f"{name} must be callable, got {value!r:.80}")
    layer = Layer(Functions(forward, backward, tensor), kind, batch_axis, PRECISIONS[precision])
    rows: list[Row] = []
    faults: list[LayerFault] = []
    findings: list[LayerFinding] = []
    with np.errstate(all="ignore"):     # wrong answers may be inf and NaN
        problems = list(_problems(layer, np.random.default_rng(seed), x, params))
        for name, law in LAWS.items():
            if name in skip or law is agreement and kind is None:
                continue
            asked = problems if law is agreement else problems[:1]
            found = [fault for problem in asked for fault in law(layer, problem)]
            rows.append(Row(name, len(asked), len(found), max((fault.error for fault in found), default=0.0)))
            faults += [LayerFault(name, fault.text) for fault in found]
            if found:
                explained = any(finding.twins for finding in findings)
                findings.append(_finding(layer, name, found, problems, explained))
            if found and law is repeated:       # then no later answer can be relied on
                break
        notes = _notes(layer, problems[0], skip)
    return LayerReport(tuple(rows), tuple(faults), tuple(findings), notes)


def _functions(forward: Any, backward: Any, params: Mapping[str, Any] | None
               ) -> tuple[Any, Any, Mapping[str, Any] | None]:
    """`forward`, `backward` and `params` as given; those of a layer object as functions of x and params."""
    layer = forward
    if backward is not None or not all(hasattr(layer, name) for name in ("params", "forward", "backward")):
        return forward, backward, params
    own = {name: np.array(array, np.float64) for name, array in layer.params.items()}

    def run(x: NDArray, values: tuple[NDArray, ...]) -> tuple[NDArray, Any]:
        for name, value in zip(own, values):
            layer.params[name][...] = value
        return layer.forward(x)

    def layer_forward(x: NDArray, *values: NDArray) -> NDArray:
        return run(x, values)[0]

    def layer_backward(dy: NDArray, x: NDArray, *values: NDArray) -> dict[str, NDArray]:
        dx, grads = layer.backward(dy, run(x, values)[1])
        return {"x": dx, **grads}

    return layer_forward, layer_backward, own if params is None else params


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Odd multiples of 1/64, which are never 0, because relu has no derivative there."""
    return (2 * np.floor(32 * rng.standard_normal(shape)) + 1) / 64


def _problems(layer: Layer, rng: np.random.Generator, shape: tuple[int, ...], params: Mapping[str, Any] | None
              ) -> Iterator[Problem]:
    """Problems of the given shapes, and of other shapes for a linear layer whose `params` are not given."""
    affine = layer.kind == "linear" and params is None
    sizes = [(shape, 3), ((1, 1, 1), 1), ((2, 1, 3), 2), ((3, 2, 2), 2), ((4, 3, 3), 3), ((2, 3, 1), 4)]
    scales = (1, 1 / 3, 1, 32, 512) if layer.kind else (1,)      # thirds are inexact, most of all in float32
    for k in range(len(sizes) if affine else len(scales)):
        size, C = sizes[k] if affine else (shape, 0)
        wanted = {"weight": (C, size[-1]), "bias": (C,)} if affine else params or {}
        arrays = {"x": _numbers(rng, size) * (scales[k % 3] if affine else scales[k])}
        for name, value in wanted.items():
            arrays[name] = _numbers(rng, value) if isinstance(value, tuple) else np.array(value, np.float64)
        yield Problem(arrays, _numbers(rng, _output_shape(layer, arrays)), affine)


def _output_shape(layer: Layer, arrays: dict[str, NDArray]) -> tuple[int, ...]:
    """The shape that y should have, or if the kind is not known, the shape that y has."""
    try:
        if layer.kind:
            return getattr(plain_layers, layer.kind)(**arrays).shape
        return layer.functions.output(arrays, layer.precision.dtype).shape
    except ValueError as error:
        if layer.kind:
            raise ValueError(f"x and params do not fit a {layer.kind} layer: {error}") from None
        return arrays["x"].shape
    except Exception:       # the function may raise anything; the first law reports it
        return arrays["x"].shape


def _finding(layer: Layer, name: str, found: list[Fault], problems: list[Problem], explained: bool
             ) -> LayerFinding:
    """The finding for a broken law: known mistakes, and the smallest problem, shrunk while the law is broken.

    It has no example if another finding has explained the fault.
    """
    law = LAWS[name]
    twins = twins_of(layer, problems) if law is agreement else found[0].twins
    start = min((fault.problem for fault in found), key=lambda problem: problem.size)
    fails = layer.call(start).error
    may_be_0 = layer.kind in ("linear", "tanh", "sigmoid")

    def is_faulty(problem: Problem) -> bool:
        if not may_be_0 and not problem.x.all() or layer.call(problem).error and not fails:
            return False
        return any(law(layer, problem))

    if explained:
        return LayerFinding(name, len(found), twins, (), found[0].text, None, False)
    if law is repeated:     # an answer that depends on earlier calls cannot be repeated
        return LayerFinding(name, len(found), twins, tuple(start.lines()), found[0].text, start, False)
    problem = shrink(start, is_faulty, lambda problem: problem.smaller())
    return LayerFinding(name, len(found), twins, tuple(problem.lines()), next(law(layer, problem)).text,
                        problem,
                        law is agreement)


def _notes(layer: Layer, problem: Problem, skip: tuple[str, ...]) -> tuple[str, ...]:
    """Sentences on what was checked, and on what was not."""
    given = layer.call(problem).arrays
    names = [f"{GRADIENT}{name}" for name in problem.arrays]
    missing = [f"the {name}" for name in names if name not in given] if given else []
    missing += [f"the row {name!r}" for name in skip]
    notes = [f"Not checked: {', '.join(missing)}."] if missing else []
    if layer.kind:
        notes.append(f"y and its gradients were compared with those of a plain {layer.kind} layer, "
                     "on small problems; larger ones were not tried.")
    else:
        notes.append("These laws show whether the gradient belongs to y. They cannot show whether y is what "
                     "you intend: a wrong y with its own gradient passes. To check y, name its kind, or "
                     "compare it with another implementation.")
    return tuple(notes)


def _check_options(kind: Any, x: Any, params: Any, batch_axis: Any, precision: Any, skip: Any) -> None:
    if kind is not None and kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, or None, got {kind!r:.80}")
    if not _is_shape(x) or not x:
        raise ValueError(f"x must be a shape of at least one axis, each of at least 1, got {x!r:.80}")
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"params must be a dict of shapes or arrays, got {params!r:.80}")
    for name, value in (params or {}).items():
        if not _is_shape(value) and not isinstance(value, np.ndarray):
            raise ValueError(f"params[{name!r}] must be a shape or an array, got {value!r:.80}")
    if kind == "linear" and params is not None and set(params) != {"weight", "bias"}:
        raise ValueError(f"a linear layer has the params weight and bias, got {', '.join(params) or 'none'}")
    if type(batch_axis) is not int or not -len(x) <= batch_axis < len(x):
        raise ValueError(f"batch_axis must be an axis of x, which has the shape {x}, got {batch_axis!r:.80}")
    if not isinstance(skip, tuple):
        raise ValueError(f"skip must be a tuple of names, got {skip!r:.80}")
    check_options(precision, skip, LAWS)


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(size) is int and size > 0 for size in value)
