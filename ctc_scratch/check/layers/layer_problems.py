"""A problem for a layer (x, parameters and the gradient of the output), and how a layer is called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ..adapter import in_one_line
from ..answers import as_numpy
from .answers import GRADIENT, Answer
from .examples import digits, in_lines


@dataclass(frozen=True, eq=False)
class Problem:
    """The inputs of a layer and the gradient of its output.

    arrays : x and the parameters, by name
    dy : the gradient of y
    affine : whether the layer is y = weight x + bias, of any sizes
    """

    arrays: dict[str, NDArray[np.float64]]
    dy: NDArray[np.float64]
    affine: bool = False

    @property
    def x(self) -> NDArray[np.float64]:
        return self.arrays["x"]

    @property
    def size(self) -> tuple[int, ...]:
        """What shrinking reduces, in this order: entries of x, of all arrays, digits of all numbers."""
        arrays = [*self.arrays.values(), self.dy]
        return (self.x.size, sum(array.size for array in arrays), sum(map(digits, arrays)))

    def lines(self) -> list[str]:
        """The problem as a report shows it."""
        lines = []
        for name, array in [*self.arrays.items(), ("dy", self.dy)]:
            lines += in_lines(name, array)
        return lines

    def only(self, axis: int, index: int) -> Problem:
        """The problem of one sample, at an index of the batch axis of x and dy."""
        return self._cut(lambda array: np.take(array, [index], axis=axis))

    def _cut(self, cut: Callable[[NDArray], NDArray]) -> Problem:
        return replace(self, arrays={**self.arrays, "x": cut(self.x)}, dy=cut(self.dy))

    def smaller(self) -> Iterator[Problem]:
        """Candidates that lack one part or have simpler numbers, the largest steps first."""
        if self.dy.shape[:-1] == self.x.shape[:-1]:
            entrywise = self.dy.shape == self.x.shape and len(self.arrays) == 1
            for axis in range(self.x.ndim if entrywise else self.x.ndim - 1):
                for index in range(self.x.shape[axis] if self.x.shape[axis] > 1 else 0):
                    yield self._cut(lambda array: np.delete(array, index, axis=axis))
        if self.affine:
            yield from self._narrower()
        arrays = {**self.arrays, "dy": self.dy}
        for change in (np.zeros_like, np.sign, np.round):
            for name, array in arrays.items():
                yield self.with_array(name, change(array) + 0.0)
        for name, array in arrays.items():
            for place in map(tuple, np.argwhere(array)):
                for value in (0.0, 1.0, -1.0):
                    changed = array.copy()
                    changed[place] = value
                    yield self.with_array(name, changed)

    def _narrower(self) -> Iterator[Problem]:
        """One input or one output less, or one of each, because some mistakes show only if C = D."""
        weight, bias = self.arrays["weight"], self.arrays["bias"]
        C, D = weight.shape

        def without(inputs: list[int], outputs: list[int]) -> Problem:
            return replace(self, dy=np.delete(self.dy, outputs, axis=-1), arrays={
                "x": np.delete(self.x, inputs, axis=-1),
                "weight": np.delete(np.delete(weight, inputs, axis=1), outputs, axis=0),
                "bias": np.delete(bias, outputs)})

        for k in range(min(C, D) if min(C, D) > 1 else 0):
            yield without([k], [k])
        for d in range(D if D > 1 else 0):
            yield without([d], [])
        for c in range(C if C > 1 else 0):
            yield without([], [c])

    def with_array(self, name: str, array: NDArray) -> Problem:
        return replace(self, dy=array) if name == "dy" else replace(self, arrays={**self.arrays, name: array})


@dataclass(frozen=True)
class Functions:
    """The two functions of a layer, and the converter of arrays to their tensors."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    tensor: Callable[[NDArray], Any] | None = None

    def output(self, arrays: Mapping[str, NDArray], dtype: type) -> NDArray[np.float64]:
        """y alone; an exception of `forward` is passed on."""
        return as_numpy(self.forward(*(self._tensor(array, dtype) for array in arrays.values())))

    def call(self, problem: Problem, dtype: type = np.float64) -> Answer:
        """The answer of both functions; an exception becomes `Answer.error`."""
        given: dict[str, NDArray] = {"dy": problem.dy.astype(dtype)}
        given.update((name, array.astype(dtype)) for name, array in problem.arrays.items())
        changed: set[str] = set()

        def run(function: Callable[..., Any], names: list[str]) -> Any:
            # Copies, so that a function that writes into its inputs does not change the problem.
            tensors = {name: self._tensor(given[name], dtype) for name in names}
            found = function(*tensors.values())
            changed.update(name for name in names if not np.array_equal(as_numpy(tensors[name]), given[name]))
            return found

        try:
            y = as_numpy(run(self.forward, list(problem.arrays)))
            if y.shape != problem.dy.shape:
                raise ValueError(f"y has shape {y.shape}, expected {problem.dy.shape}")
            found = {"y": y, **self._gradients(run(self.backward, list(given)), problem)}
        except Exception as error:      # the functions may raise anything
            return Answer(error=in_one_line(error))
        return Answer(found, changed=tuple(sorted(changed)))

    def _tensor(self, array: NDArray, dtype: type) -> Any:
        return (self.tensor or np.asarray)(np.array(array, dtype, order="C"))

    def _gradients(self, found: Any, problem: Problem) -> dict[str, NDArray]:
        if not isinstance(found, Mapping) or not found or set(found) - set(problem.arrays):
            got = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
            raise ValueError(
                f"backward returned {got}, expected a dict with some of {', '.join(problem.arrays)}")
        gradients = {name: as_numpy(array) for name, array in found.items()}
        for name, array in gradients.items():
            if array.shape != problem.arrays[name].shape:
                raise ValueError(f"the gradient of {name} has shape {array.shape}, expected "
                                 f"{problem.arrays[name].shape}")
        return {f"{GRADIENT}{name}": gradients[name] for name in problem.arrays if name in gradients}
