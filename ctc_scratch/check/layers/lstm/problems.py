"""The problems on which an LSTM is tested: inputs, weights, initial states and incoming gradients.

T frames, N sequences, D inputs, H hidden units, K directions. All numbers are exact in float32.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..examples import digits, in_lines

FILL = 3.0
"""The numbers in padded frames of x and dy, which must not be read; their signs alternate."""

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Form(NamedTuple):
    """What an LSTM takes and promises, which decides the problems that it can be tested on.

    reverse : for each direction whether it reads from the end
    biases : 0, 1 or 2
    states : whether it takes initial states
    ragged : whether it takes lengths
    batched : whether it takes several sequences
    zero_padding : whether it promises zeros in padded outputs, and not to read padded gradients
    """

    reverse: tuple[bool, ...]
    biases: int
    states: bool
    ragged: bool
    batched: bool
    zero_padding: bool


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of N sequences, with the weights, initial states and gradients of the outputs.

    x, dy : for each sequence arrays (T_n, D) and (T_n, K, H)
    weights : weight_ih (K, 4, H, D), weight_hh (K, 4, H, H), bias_ih and bias_hh (K, 4, H)
    states : h0 and c0, (2, K, N, H)
    padding : how many frames follow the longest sequence
    fill, dfill : the numbers in padded frames of x and dy, with alternating sign
    """

    x: tuple[NDArray[np.float64], ...]
    dy: tuple[NDArray[np.float64], ...]
    weights: dict[str, NDArray[np.float64]]
    states: NDArray[np.float64]
    padding: int = 0
    fill: float = FILL
    dfill: float = FILL

    @property
    def lengths(self) -> NDArray[np.intp]:
        return np.array([len(frames) for frames in self.x], np.intp)

    @property
    def kind(self) -> str:
        """The kind by which findings are grouped. Making a problem smaller may change its kind."""
        if self.states.any():
            return "problems with initial states"
        is_padded = self.padding or len(set(self.lengths)) > 1
        return "problems with padding" if is_padded else "problems of full length"

    @functools.cached_property
    def size(self) -> tuple[int, ...]:
        """What shrinking reduces, in this order: sequences, padding, frames, D, H, digits of all numbers."""
        D, H = self.x[0].shape[1], self.states.shape[-1]
        return (len(self.x), self.padding, int(self.lengths.sum()), D, H,
                sum(map(digits, (*self.x, *self.dy, *self.weights.values(), self.states))))

    def arrays(self) -> dict[str, Any]:
        """The arguments of `plain.solve`, without `reverse`."""
        K, _, H, _ = self.weights["weight_hh"].shape
        T = int(self.lengths.max()) + self.padding
        x = _alternating(self.fill, (T, len(self.x), self.x[0].shape[1]))
        dy = _alternating(self.dfill, (T, len(self.x), K, H))
        for n, (frames, gradients) in enumerate(zip(self.x, self.dy)):
            x[:len(frames), n], dy[:len(frames), n] = frames, gradients
        weights = {name: array.reshape(K, 4 * H, *array.shape[3:]) for name, array in self.weights.items()}
        return {"x": x, "lengths": self.lengths, "weights": weights, "h0": self.states[0],
                "c0": self.states[1], "dy": dy}

    def lines(self, biases: int) -> list[str]:
        """The problem as a report shows it for an LSTM with one or two biases."""
        K, _, H, D = self.weights["weight_ih"].shape
        lines = [f"N={len(self.x)}, D={D}, H={H}" + (", two directions" if K > 1 else "")
                 + (f", padding after the end: {self.padding}" if self.padding else "")]
        for n, frames in enumerate(self.x):
            lines += in_lines(f"x of sequence {n}, T={len(frames)}" if len(self.x) > 1
                              else f"x, T={len(frames)}", frames)
        arrays = self.arrays()
        for name, array in [*arrays["weights"].items(), ("h0", arrays["h0"]), ("c0", arrays["c0"])]:
            if array.any():
                name = "bias" if biases == 1 and name == "bias_ih" else name
                lines += in_lines(name, array if K > 1 else array[0])
        for n, gradients in enumerate(self.dy):
            if gradients.any():
                lines += in_lines(f"dy of sequence {n}" if len(self.dy) > 1 else "dy",
                                  gradients.reshape(len(gradients), K * H))
        return [*lines, "all other numbers are 0"]

    def smaller(self) -> Iterator[Problem]:
        """Candidates that lack one part or have simpler numbers, the largest steps first."""
        N, (D, H) = len(self.x), self.weights["weight_ih"].shape[:1:-1]
        for n in range(N if N > 1 else 0):
            yield replace(self, x=self.x[:n] + self.x[n + 1:], dy=self.dy[:n] + self.dy[n + 1:],
                          states=np.delete(self.states, n, axis=2))
        if self.padding:
            yield replace(self, padding=0)
        for n in range(N):
            T = len(self.x[n])
            for part in (T // 2, T // 4, 1):
                for start in range(0, T if part else 0, max(part, 1)):
                    yield self._without_frames(n, slice(start, start + part))
        for d in range(D if D > 1 else 0):
            yield replace(self, x=tuple(np.delete(frames, d, axis=1) for frames in self.x),
                          weights={**self.weights, "weight_ih": np.delete(self.weights["weight_ih"], d,
                                                                          axis=3)})
        for j in range(H if H > 1 else 0):
            yield self._without_unit(j)
        if D > 1 and D == H:    # for mistakes that show only if D = H
            for j in range(H):
                less = self._without_unit(j)
                yield replace(less, x=tuple(np.delete(frames, j, axis=1) for frames in less.x), weights={
                    **less.weights, "weight_ih": np.delete(less.weights["weight_ih"], j, axis=3)})
        yield from self._simpler()

    def _without_frames(self, n: int, frames: slice) -> Problem:
        x, dy = list(self.x), list(self.dy)
        x[n], dy[n] = np.delete(x[n], frames, axis=0), np.delete(dy[n], frames, axis=0)
        return replace(self, x=tuple(x), dy=tuple(dy))

    def _without_unit(self, j: int) -> Problem:
        weights = {name: np.delete(array, j, axis=2) for name, array in self.weights.items()}
        weights["weight_hh"] = np.delete(weights["weight_hh"], j, axis=3)
        return replace(self, weights=weights, dy=tuple(np.delete(dy, j, axis=2) for dy in self.dy),
                       states=np.delete(self.states, j, axis=3))

    def _simpler(self) -> Iterator[Problem]:
        """Rounder numbers: whole arrays first, then one number at a time. What is 0 stays 0."""
        arrays: dict[Any, NDArray] = {**self.weights}
        for name in ("x", "dy", "states"):
            arrays.update({(name, n): array for n, array in enumerate(getattr(self, name))})
        for change in (np.zeros_like, np.sign, np.round):
            for key, array in arrays.items():
                yield self.with_array(key, change(array) + 0.0)
        for key, array in arrays.items():
            for place in map(tuple, np.argwhere(array)):
                for value in (0.0, 1.0, -1.0):
                    changed = array.copy()
                    changed[place] = value
                    yield self.with_array(key, changed)

    def with_array(self, key: Any, array: NDArray) -> Problem:
        """The problem with one array replaced: a name of weights, ("x", n), ("dy", n), ("states", 0 or 1)."""
        if isinstance(key, str):
            return replace(self, weights={**self.weights, key: array})
        name, n = key
        arrays = list(getattr(self, name))
        arrays[n] = array
        if name == "states":
            return replace(self, states=np.stack(arrays))
        return replace(self, x=tuple(arrays)) if name == "x" else replace(self, dy=tuple(arrays))


def _alternating(value: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """An array of value, -value, value, ... along its last axis."""
    array = np.full(shape, value)
    array[..., 1::2] *= -1
    return array


# ---- the problems


def random_problem(rng: np.random.Generator, form: Form, lengths: tuple[int, ...], D: int, H: int,
                   scale: float = 1.0, states: bool = False, padding: int = 0) -> Problem:
    """A problem of random multiples of 1/64. `scale` multiplies the biases, or x if there are none."""

    def numbers(*shape: int) -> NDArray[np.float64]:
        return np.round(64 * rng.standard_normal(shape)) / 64

    K, N = len(form.reverse), len(lengths)
    shapes = {"weight_ih": (K, 4, H, D), "weight_hh": (K, 4, H, H), "bias_ih": (K, 4, H), "bias_hh": (K, 4,
                                                                                                      H)}
    weights = {name: numbers(*shape) for name, shape in shapes.items()}
    for name in NAMES[2 + form.biases:]:
        weights[name] = np.zeros(shapes[name])
    for name in ("bias_ih", "bias_hh"):
        weights[name] *= scale
    of_x = scale if form.biases == 0 else 1
    return Problem(tuple(of_x * numbers(T, D) for T in lengths), tuple(numbers(T, K, H) for T in lengths),
                   weights,
                   numbers(2, K, N, H) if states else np.zeros((2, K, N, H)), padding,
                   dfill=FILL if form.zero_padding else 0.0)


class Family(NamedTuple):
    """Problems of one kind; `can(form)` says whether an LSTM of this form can be asked."""

    name: str
    make: Callable[[np.random.Generator, Form], list[Problem]]
    can: Callable[[Form], bool] = lambda form: True


def one_frame(rng, form):
    return [random_problem(rng, form, (1,), D, H) for D, H in [(1, 1), (2, 2), (3, 1), (1, 3), (2, 3)]]


def few_frames(rng, form):
    return [random_problem(rng, form, (T,), D, H)
            for T in (2, 3, 4) for D, H in [(1, 1), (2, 2), (3, 2), (2, 3)]]


def more_frames(rng, form):
    return [random_problem(rng, form, (T,), *rng.integers(1, 5, 2)) for T in (7, 9, 12)]


def wide_gates(rng, form):
    """Gates that are nearly open or closed; with biases also some at which exp overflows.

    Without biases x has to be large instead, and rounding errors of float32 gradients grow with it.
    """
    return [random_problem(rng, form, (3,), 2, 2, scale) for scale in ((8, 64, 4096) if form.biases else (2,
                                                                                                          4,
                                                                                                          8))]


def long(rng, form):
    return [random_problem(rng, form, (60,), 3, 4)]


def initial_states(rng, form):
    sizes = [((1,), 1, 2), ((3,), 2, 2), ((4,), 3, 2), ((5,), 2, 3)]
    if form.batched:
        sizes += [((3, 3), 2, 2), ((2, 2, 2), 3, 2)]
    return [random_problem(rng, form, lengths, D, H, states=True) for lengths, D, H in sizes]


def batches(rng, form):
    return [random_problem(rng, form, (T,) * N, D, H)
            for T, N, D, H in [(1, 2, 2, 2), (2, 2, 2, 3), (3, 2, 3, 1), (3, 3, 2, 2), (4, 5, 3, 2)]]


def ragged(rng, form):
    """Longest first as well as last, padding after all of them, and initial states."""
    return [random_problem(rng, form, lengths, D, H, states=states and form.states, padding=padding)
            for lengths, D, H, padding, states in [
                ((2, 1), 2, 2, 0, False), ((1, 3), 2, 3, 0, False), ((4, 2, 3), 3, 2, 0, True),
                ((2, 4, 1), 1, 2, 1, False), ((3, 3), 2, 2, 2, True), ((1,), 2, 1, 1, False)]]


def without_frames(rng, form):
    return [random_problem(rng, form, lengths, 2, 2, states=form.states) for lengths in [(2, 0), (0, 3, 1)]]


FAMILIES = (
    Family("one frame", one_frame),
    Family("few frames", few_frames),
    Family("more frames", more_frames),
    Family("gates open or closed", wide_gates),
    Family("60 frames", long),
    Family("initial states", initial_states, lambda form: form.states),
    Family("batches", batches, lambda form: form.batched),
    Family("ragged lengths", ragged, lambda form: form.ragged),
    Family("sequences without frames", without_frames, lambda form: form.ragged),
)
