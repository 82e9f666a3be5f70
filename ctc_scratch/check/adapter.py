"""`Adapter`: how an implementation of CTC is called, and what it promises.

Tensors of other libraries are converted by their own methods, see `as_numpy`; no library is imported.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import Any, Callable, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..ctc.reference import log_softmax
from . import batch
from .answers import Answer, as_numpy
from .problems import Problem

Input = Literal["logits", "log_probs", "probs"]
Layout = Literal["TC", "TNC", "NTC"]
Reduction = Literal["none", "sum", "mean", "batchmean"]
Infeasible = Literal["inf", "zero", "raise"]


@dataclass(frozen=True)
class Adapter:
    """How to call an implementation of CTC, and what it promises.

    Parameters
    ----------
    loss : callable
        `loss(inputs, target)` if the layout is "TC", else `loss(inputs, targets, input_lengths,
        target_lengths)` with targets (N, U), padded. Returns the loss, or the loss and its gradient.
    grad : callable, optional
        The same arguments; returns the gradient alone, if `loss` does not.
    alpha, align, decode : callable, optional
        `alpha(inputs, target)` returns log alpha (T, S); `align(inputs, target)` the class of each frame on
        the best path; `decode(inputs)` the labels of the best class per frame. All take one sequence.
    blank : int or "last", optional
        The class of the blank. By default it is passed as the argument `blank` if there is one; else it is 0.
    input : {"logits", "log_probs", "probs"}
        What the functions take.
    gradient : {"logits", "log_probs", "probs"}, optional
        The variable of the gradient; by default the input. torch's own loss takes log-probabilities, and
        returns a gradient that is right for the logits before its log_softmax.
    layout : {"TC", "TNC", "NTC"}
        The axes of the inputs: "TC" for one sequence, the others for a batch.
    reduction : {"none", "sum", "mean", "batchmean"}
        "mean" divides each loss by its number of labels, or by 1 if there are none, and then takes the mean.
    infeasible : {"inf", "zero", "raise"}
        The loss of a target that does not fit its frames, or an error. The gradient is 0.
    tensor : callable, optional
        Converts each NumPy array to what the functions take, such as `torch.tensor`.
    skip : tuple of str
        Names of the laws that the implementation does not promise, as in the report; they are not tested.
    """

    loss: Callable[..., Any]
    grad: Callable[..., Any] | None = None
    alpha: Callable[..., Any] | None = None
    align: Callable[..., Any] | None = None
    decode: Callable[..., Any] | None = None
    blank: int | Literal["last"] | None = None
    input: Input = "logits"
    gradient: Input | None = None
    layout: Layout = "TC"
    reduction: Reduction = "none"
    infeasible: Infeasible = "inf"
    tensor: Callable[[NDArray], Any] | None = None
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("loss", "grad", "alpha", "align", "decode", "tensor"):
            value = getattr(self, name)
            if not callable(value) and (name == "loss" or value is not None):
                raise TypeError(f"{name} must be callable, got {value!r:.80}")
        for name, choices in [("input", Input), ("layout", Layout), ("reduction", Reduction),
                              ("infeasible", Infeasible), ("gradient", Input)]:
            value = getattr(self, name)
            if value not in get_args(choices) and not (name == "gradient" and value is None):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r:.80}")
        if not isinstance(self.skip, tuple):
            raise ValueError(f"skip must be a tuple of names, got {self.skip!r:.80}")
        if not (self.blank in (None, "last") or type(self.blank) is int and self.blank >= 0):
            raise ValueError(f'blank must be a class, "last" or None, got {self.blank!r:.80}')

    @property
    def batched(self) -> bool:
        return self.layout != "TC"

    @property
    def variable(self) -> Input:
        """The variable of the gradient."""
        return self.gradient or self.input

    @property
    def any_blank(self) -> bool:
        """Whether the blank is passed to the function with each call."""
        return self.blank is None and has_parameter(self.loss, "blank")

    def at_home(self, problem: Problem) -> Problem:
        """The problem with the blank that the function expects; unchanged if the blank is an argument."""
        if self.any_blank:
            return problem
        return problem.with_blank(problem.classes - 1 if self.blank == "last" else self.blank or 0)

    def right(self, problem: Problem, solve: Callable[..., Any] = batch.solve) -> Answer:
        """The answer that the function promises, or that of a wrong twin if its `solve` is given."""
        logits, *others = problem.arrays()
        try:
            with np.errstate(all="ignore"):
                # A twin is given the log-probabilities that the function is given.
                logits = logits if self.input == "logits" else log_softmax(logits)
                loss, grad = solve(logits, *others, blank=problem.blank, variable=self.variable,
                                   reduction=self.reduction, infeasible=self.infeasible)
        except (ValueError, IndexError, FloatingPointError) as error:
            return Answer(error=in_one_line(error))
        return Answer(np.asarray(loss, np.float64), grad)

    def call(self, problem: Problem, dtype: type = np.float64) -> Answer:
        """The answer of the function; an exception that it raises becomes `Answer.error`."""
        logits, targets, T, U = problem.arrays()
        options = {"blank": problem.blank} if self.any_blank else {}
        inputs: NDArray = self.inputs(logits).astype(dtype)
        arrays = (inputs[:, 0], targets[0]) if not self.batched else (
            inputs if self.layout == "TNC" else inputs.swapaxes(0, 1), targets, T, U)
        try:
            found = self.loss(*self._tensors(arrays), **options)
            loss, grad = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
            if self.grad is not None:
                grad = self.grad(*self._tensors(arrays), **options)
            if loss is None:
                raise ValueError("the loss is None")
            return self._answer(as_numpy(loss), None if grad is None else as_numpy(grad), problem)
        except Exception as error:      # the function may raise anything
            return Answer(error=in_one_line(error))

    def single(self, function: Callable[..., Any], problem: Problem) -> NDArray[np.float64]:
        """What `alpha`, `align` or `decode` returns for a problem of one sample."""
        target = np.array(problem.targets[0], np.intp)
        arguments: tuple[NDArray, ...] = (self.inputs(problem.logits[0]), target)
        options = {"blank": problem.blank} if has_parameter(function, "blank") else {}
        if function is self.decode:
            arguments = arguments[:1]
        return as_numpy(function(*self._tensors(arguments), **options))

    def inputs(self, logits: NDArray) -> NDArray[np.float64]:
        """Logits, log-probabilities or probabilities, whichever the function takes."""
        if self.input == "logits" or logits.size == 0:
            return logits
        log_probs = log_softmax(logits)
        return log_probs if self.input == "log_probs" else np.exp(log_probs)

    def _tensors(self, arrays: tuple[NDArray, ...]) -> list[Any]:
        """Tensors of copies, so that a function that writes into its inputs does not change the problem."""
        return [(self.tensor or np.asarray)(np.array(array, order="C")) for array in arrays]

    def _answer(self, loss: NDArray, grad: NDArray | None, problem: Problem) -> Answer:
        """The answer in the layout (T, N, C); a shape that does not fit is an error."""
        logits, _, lengths, _ = problem.arrays()
        N = len(lengths)
        expected = (N,) if self.batched and self.reduction == "none" else ()
        if loss.size != N if expected else loss.size != 1:
            raise ValueError(f"the loss has shape {loss.shape}, expected {expected}")
        loss = loss.reshape((N,) if self.reduction == "none" else ())
        if grad is not None:
            T, N, C = logits.shape
            shape = {"TC": (T, C), "TNC": (T, N, C), "NTC": (N, T, C)}[self.layout]
            if grad.shape != shape:
                raise ValueError(f"the gradient has shape {grad.shape}, expected {shape}")
            grad = grad.swapaxes(0, 1) if self.layout == "NTC" else grad.reshape(logits.shape)
        return Answer(loss, grad)


def as_adapter(fn: Callable[..., Any] | Adapter, **options: Any) -> Adapter:
    """Make an Adapter of a callable, or return an Adapter with the options replaced."""
    return replace(fn, **options) if isinstance(fn, Adapter) else Adapter(fn, **options)


def has_parameter(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):     # some compiled functions have no signature
        return False


def in_one_line(error: Exception) -> str:
    """The kind of an error and its message, cut off after 120 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
