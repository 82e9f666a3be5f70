"""`LSTMAdapter`: how an LSTM is called, and what it promises.

Tensors of other libraries are converted by their own methods, see `as_numpy`; no library is imported.
T frames, N sequences, D inputs, H hidden units.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Callable, Literal, Mapping, get_args

import numpy as np
from numpy.typing import NDArray

from ....nn import BiLSTM
from ...adapter import has_parameter, in_one_line
from ...answers import as_numpy
from ..answers import GRADIENT, Answer
from . import plain
from .problems import Form, Problem

Layout = Literal["TND", "NTD", "TD"]
Directions = Literal["forward", "reverse", "both"]
Padding = Literal["zero", "any"]


@dataclass(frozen=True)
class LSTMAdapter:
    """How to call an LSTM, and what it promises.

    Parameters
    ----------
    forward : callable
        `forward(x, weight_ih, weight_hh, bias)` returns y (T, N, H) for x (T, N, D); or (y, h_n, c_n), or
        (y, (h_n, c_n)), with the final states (N, H). The weights (4H, D), (4H, H) and (4H,) have their rows
        in torch's order i, f, g, o. If it has arguments `lengths` (N,), or `h0` and `c0` (N, H), they are
        passed by name.
    backward : callable, optional
        `backward(dy, x, weight_ih, weight_hh, bias)`, with the same arguments by name as `forward`, returns a
        dict with the gradients of the sum of y dy, under the names of the arguments. Gradients that it
        leaves out are not checked.
    layout : {"TND", "NTD", "TD"}
        The axes of x, y and dy. "TD" is one sequence; no array has an axis N.
    directions : {"forward", "reverse", "both"}
        With "both" the weights and states of the two directions are stacked, the forward ones first, as
        (2, 4H, D), ..., (2, N, H), and y is (T, N, 2H).
    biases : {1, 0, 2}
        2 if it takes bias_ih and bias_hh in place of bias, 0 if it takes none.
    padding : {"zero", "any"}
        "zero" if y is 0 in padded frames, and dy is not read there; "any" if y may be anything there, and dy
        must be 0.
    tensor : callable, optional
        Converts each NumPy array to what the functions take, such as `torch.tensor`.
    skip : tuple of str
        Names of rows of the report that the LSTM does not promise; they are not tested.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any] | None = None
    layout: Layout = "TND"
    directions: Directions = "forward"
    biases: Literal[0, 1, 2] = 1
    padding: Padding = "zero"
    tensor: Callable[[NDArray], Any] | None = None
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("forward", "backward", "tensor"):
            value = getattr(self, name)
            if not callable(value) and (name == "forward" or value is not None):
                raise TypeError(f"{name} must be callable, got {value!r:.80}")
        for name, choices in [("layout", Layout), ("directions", Directions), ("padding", Padding)]:
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(choices))}, got {getattr(self, name)!r:.80}")
        if type(self.biases) is not int or self.biases not in (0, 1, 2):
            raise ValueError(f"biases must be 0, 1 or 2, got {self.biases!r:.80}")
        if not isinstance(self.skip, tuple):
            raise ValueError(f"skip must be a tuple of names, got {self.skip!r:.80}")
        if has_parameter(self.forward, "h0") != has_parameter(self.forward, "c0"):
            raise ValueError("forward must take both h0 and c0, or neither")
        for name in ("lengths", "h0", "c0"):
            if self.backward and has_parameter(self.forward, name) != has_parameter(self.backward, name):
                raise ValueError(f"forward and backward must both take {name}, or neither")
        if self.layout == "TD" and has_parameter(self.forward, "lengths"):
            raise ValueError('lengths are of a batch, but the layout "TD" is of one sequence')

    @functools.cached_property
    def form(self) -> Form:
        """What the LSTM takes and promises."""
        reverse = {"forward": (False,), "reverse": (True,), "both": (False, True)}[self.directions]
        return Form(reverse, self.biases, has_parameter(self.forward, "h0"),
                    has_parameter(self.forward, "lengths"), self.layout != "TD", self.padding == "zero")

    def right(self, problem: Problem, solve: Callable[..., dict[str, NDArray]] = plain.solve) -> Answer:
        """The answer that the LSTM promises, or that of a wrong twin if its `solve` is given."""
        arrays = problem.arrays()
        try:
            with np.errstate(all="ignore"):
                found = solve(**arrays, reverse=self.form.reverse)
        except (ValueError, IndexError, FloatingPointError) as error:
            if solve is plain.solve:
                raise
            return Answer(error=in_one_line(error))
        if solve is plain.solve and not problem.states.any():
            found.update(_by_nn(arrays, self.form.reverse))
        if self.biases == 1:
            found[f"{GRADIENT}bias"] = found[f"{GRADIENT}bias_ih"]
        return Answer(self._without_padding(found, problem))

    def call(self, problem: Problem, dtype: type = np.float64) -> Answer:
        """The answer of the functions; an exception becomes `Answer.error`."""
        arrays = self._arguments(problem, dtype)
        names: list[str] = [name for name in ("x", "weight_ih", "weight_hh", "bias", "bias_ih", "bias_hh")
                            if name in arrays]
        by_name = ["lengths"] * self.form.ragged + ["h0", "c0"] * self.form.states
        changed: set[str] = set()

        def run(function: Callable[..., Any], positional: list[str]) -> Any:
            # Copies, so that a function that writes into its inputs does not change the problem.
            tensors = {name: (self.tensor or np.asarray)(arrays[name].copy()) for name in [*positional,
                                                                                           *by_name]}
            found = function(*(tensors[name] for name in positional), **{name: tensors[name]
                                                                         for name in by_name})
            changed.update(name for name in tensors if not np.array_equal(as_numpy(tensors[name]),
                                                                          arrays[name]))
            return found

        try:
            found = _outputs(run(self.forward, names))
            if self.backward is not None:
                found.update(_gradients(run(self.backward, ["dy", *names]), [*names, *by_name]))
            found = {name: self._unpacked(name, array, arrays) for name, array in found.items()}
        except Exception as error:      # the functions may raise anything
            return Answer(error=in_one_line(error))
        return Answer(self._without_padding(found, problem), changed=tuple(sorted(changed)))

    def _arguments(self, problem: Problem, dtype: type) -> dict[str, NDArray]:
        """Every argument that the functions may take, by name, in their layout."""
        arrays = problem.arrays()
        arrays.update(arrays.pop("weights"))
        K, N, H = arrays["h0"].shape
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "h0", "c0"):
            arrays[name] = arrays[name] if K > 1 else arrays[name][0]
            if self.layout == "TD" and name in ("h0", "c0"):
                arrays[name] = arrays[name][..., 0, :]
        arrays["dy"] = arrays["dy"].reshape(-1, N, K * H)
        for name in ("x", "dy"):
            arrays[name] = self._frames(arrays[name])
        if self.biases < 2:
            del arrays["bias_hh"]
            bias = arrays.pop("bias_ih")
            if self.biases:
                arrays["bias"] = bias
        return {name: array if name == "lengths" else np.ascontiguousarray(array, dtype)
                for name, array in arrays.items()}

    def _frames(self, array: NDArray) -> NDArray:
        """(T, N, D) in the layout of the functions."""
        return {"TND": array, "NTD": array.swapaxes(0, 1), "TD": array[:, 0]}[self.layout]

    def _unpacked(self, name: str, array: NDArray, arguments: dict[str, NDArray]) -> NDArray:
        """An answer in the layout of `plain.solve`; a shape that does not fit is an error."""
        of = name.removeprefix(GRADIENT)
        shape = arguments[{"y": "dy", "h_n": "h0", "c_n": "c0"}.get(of, of)].shape
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
        if of in ("x", "y"):
            return {"TND": array, "NTD": array.swapaxes(0, 1), "TD": array[:, None]}[self.layout]
        if self.layout == "TD" and of in ("h0", "c0", "h_n", "c_n"):
            array = array[..., None, :]
        return array if len(self.form.reverse) > 1 else array[None]

    def _without_padding(self, found: dict[str, NDArray], problem: Problem) -> dict[str, NDArray]:
        """The answer; with `padding="any"`, y is replaced by 0 in padded frames, where it may be anything."""
        if self.padding == "any" and "y" in found:
            in_use = np.arange(len(found["y"]))[:, None] < problem.lengths
            found = {**found, "y": np.where(in_use[..., None], found["y"], 0.0)}
        return found


def as_adapter(fn: Callable[..., Any] | LSTMAdapter, **options: Any) -> LSTMAdapter:
    """Make an LSTMAdapter of a callable, or return an LSTMAdapter with the options replaced."""
    return replace(fn, **options) if isinstance(fn, LSTMAdapter) else LSTMAdapter(fn, **options)


def _outputs(found: Any) -> dict[str, NDArray]:
    """The arrays y, h_n and c_n, as far as `forward` returned them."""
    if isinstance(found, (tuple, list)):
        flat = [*found[:1], *found[1]] if len(found) == 2 and isinstance(found[1], (tuple, list)) else found
        if len(flat) != 3:
            raise ValueError(f"forward returned {len(found)} things, expected y, (y, h_n, c_n) or (y, (h_n, "
                             f"c_n))")
        return dict(zip(("y", "h_n", "c_n"), map(as_numpy, flat)))
    if found is None:
        raise ValueError("forward returned None, expected y")
    return {"y": as_numpy(found)}


def _gradients(found: Any, names: list[str]) -> dict[str, NDArray]:
    """The gradients that `backward` returned."""
    names = [name for name in names if name != "lengths"]
    if not isinstance(found, Mapping) or not found or set(found) - set(names):
        got = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise ValueError(f"backward returned {got}, expected a dict with some of {', '.join(names)}")
    return {f"{GRADIENT}{name}": as_numpy(array) for name, array in found.items()}


def _by_nn(arrays: dict[str, Any], reverse: tuple[bool, ...]) -> dict[str, NDArray]:
    """y and the gradients of the LSTM in `ctc_scratch.nn`, which has one bias and starts with zero states."""
    x, dy, weights = arrays["x"], arrays["dy"], arrays["weights"]
    T, N, K, H = dy.shape
    layer = BiLSTM(x.shape[2], H, np.random.default_rng(0), np.float64)
    sides = list(layer.directions.values())
    for k, side in enumerate(reverse):
        own = {name: array[k] for name, array in weights.items()}
        own["bias"] = own.pop("bias_ih") + own.pop("bias_hh")
        for name, array in own.items():
            sides[side].params[name][...] = array
    columns = slice(None) if K > 1 else slice(H, None) if reverse[0] else slice(H)
    y, cache = layer.forward(x, arrays["lengths"])
    both = np.zeros_like(y)
    both[..., columns] = dy.reshape(T, N, K * H)
    dx, grads = layer.backward(both, cache)
    assert dx is not None
    found: dict[str, NDArray] = {"y": y[..., columns], f"{GRADIENT}x": dx}
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        found[f"{GRADIENT}{name}"] = np.stack(
            [grads[f"{'reverse' if side else 'forward'}.{name.partition('_')[0] if 'bias' in name else name}"]
             for side in reverse])
    return found
