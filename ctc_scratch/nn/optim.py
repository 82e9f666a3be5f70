"""SGD and Adam, averaged weights, clipping by the global norm, and the one-cycle learning rate.

Optimisers change the arrays of `params` in place. What they remember is in `state`, a dict of named arrays
like `params`. A checkpoint saves both, and restores them by writing into the arrays.
"""

from __future__ import annotations

import math

import numpy as np

from .layers import Arrays
from .optimiser_kernels import adam_step, scale, sgd_step, sum_of_squares


class SGD:
    """Gradient descent with momentum, as in torch.

        v = momentum v + grad                   param -= rate v

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> optimiser = SGD(params)
    >>> optimiser.step({"w": np.array([1.0, 0.0])}, rate=0.1)
    >>> params["w"], list(optimiser.state)
    (array([0.9, 2. ]), ['step', 'velocity.w'])
    """

    def __init__(self, params: Arrays, momentum: float = 0.9):
        check_params(params)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {momentum}")
        self.params, self.momentum = params, momentum
        self.state: Arrays = {"step": np.zeros((), np.int64)}
        self.state.update({f"velocity.{name}": np.zeros_like(p) for name, p in params.items()})

    def __repr__(self) -> str:
        return f"SGD({describe(self.params, self.state)}, momentum={self.momentum})"

    def step(self, grads: Arrays, rate: float) -> None:
        """One step against `grads`, which has the names and shapes of the parameters."""
        check_grads(self.params, grads)
        self.state["step"] += 1
        for name, param in self.params.items():
            number = param.dtype.type
            velocity = self.state[f"velocity.{name}"]
            sgd_step(param.reshape(-1), grads[name].reshape(-1), velocity.reshape(-1),
                     number(self.momentum), number(rate))


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1).

        m = β1 m + (1 - β1) grad                v = β2 v + (1 - β2) grad²
        param -= rate m / (1 - β1^step) / (sqrt(v / (1 - β2^step)) + eps)

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> optimiser = Adam(params)
    >>> optimiser.step({"w": np.array([5.0, -1.0])}, rate=0.1)      # the first step is rate · sign
    >>> params["w"].round(6), list(optimiser.state)
    (array([0.9, 2.1]), ['step', 'mean.w', 'square.w'])
    """

    def __init__(self, params: Arrays, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8):
        check_params(params)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), not {betas}")
        self.params, self.betas, self.eps = params, betas, eps
        self.state: Arrays = {"step": np.zeros((), np.int64)}
        self.state.update({f"mean.{name}": np.zeros_like(p) for name, p in params.items()})
        self.state.update({f"square.{name}": np.zeros_like(p) for name, p in params.items()})

    def __repr__(self) -> str:
        return f"Adam({describe(self.params, self.state)}, betas={self.betas}, eps={self.eps})"

    def step(self, grads: Arrays, rate: float) -> None:
        """One step against `grads`, which has the names and shapes of the parameters."""
        check_grads(self.params, grads)
        self.state["step"] += 1
        step = int(self.state["step"])
        beta1, beta2 = self.betas
        scalars = (beta1, 1 - beta1, beta2, 1 - beta2,
                   rate / (1 - beta1 ** step), 1 / math.sqrt(1 - beta2 ** step), self.eps)
        for name, param in self.params.items():
            m, v = self.state[f"mean.{name}"], self.state[f"square.{name}"]
            adam_step(param.reshape(-1), grads[name].reshape(-1), m.reshape(-1), v.reshape(-1),
                      *map(param.dtype.type, scalars))


class Average:
    """A moving average of the parameters, in which later steps count more.

        average = d average + (1 - d) param          d = min(decay, (1 + step) / (10 + step))

    The first steps have a smaller d, so that the random weights of the start are soon forgotten.
    Steps swing from side to side of a valley of the loss; their average lies nearer to its bottom.

    Attributes
    ----------
    average : dict of arrays with the names and shapes of `params`

    Examples
    --------
    >>> params = {"w": np.array([1.0, 2.0])}
    >>> average = Average(params, decay=0.9)
    >>> params["w"] += 1
    >>> average.step()                                  # d = 2 / 11
    >>> average.average["w"].round(3), list(average.state)
    (array([1.818, 2.818]), ['step', 'average.w'])
    """

    def __init__(self, params: Arrays, decay: float):
        check_params(params)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), not {decay}")
        self.params, self.decay = params, decay
        self.average: Arrays = {name: p.copy() for name, p in params.items()}
        self.state: Arrays = {"step": np.zeros((), np.int64)}
        self.state.update({f"average.{name}": p for name, p in self.average.items()})

    def __repr__(self) -> str:
        return f"Average({describe(self.params, self.state)}, decay={self.decay})"

    def step(self) -> None:
        """Add the parameters, as they are now, to the average."""
        self.state["step"] += 1
        step = int(self.state["step"])
        new = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, param in self.params.items():
            change = param - self.average[name]
            change *= param.dtype.type(new)
            self.average[name] += change


def clip_by_global_norm(grads: Arrays, max_norm: float) -> float:
    """Scale all gradients in place so that their joint Euclidean norm is at most `max_norm`.

    Returns
    -------
    norm : the norm before scaling, summed in float64. If it is inf or NaN, the gradients stay as
        they are; the caller should check for that before the next step.

    Examples
    --------
    >>> grads = {"a": np.array([3.0]), "b": np.array([[4.0]])}
    >>> clip_by_global_norm(grads, 1.0), grads
    (5.0, {'a': array([0.6]), 'b': array([[0.8]])})
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be positive, not {max_norm}")
    flat = [_flat(name, grad) for name, grad in grads.items()]
    norm = math.sqrt(sum(sum_of_squares(grad) for grad in flat))
    if max_norm < norm < math.inf:
        for grad in flat:
            scale(grad, grad.dtype.type(max_norm / norm))
    return norm


def one_cycle(step: float, steps: float, peak: float, *, warmup: float = 0.3, start: float = 0.04,
              end: float = 0.0) -> float:
    """The learning rate at a step from 0 to `steps`, by the one-cycle schedule (Smith and Topin 2018).

    It rises linearly from `start * peak` to `peak`, which it reaches after the fraction `warmup` of
    the steps, and then falls along half a cosine to `end * peak`.

    Examples
    --------
    >>> [round(one_cycle(step, 100, peak=1.0), 3) for step in (0, 15, 30, 65, 100)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    if not 0 <= step <= steps:
        raise ValueError(f"step {step} is not between 0 and steps = {steps}")
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup must be a fraction in [0, 1], not {warmup}")
    top = warmup * steps
    if step < top:
        return peak * (start + (1 - start) * step / top)
    fall = (step - top) / (steps - top) if steps > top else 0.0
    return peak * (end + (1 - end) * (1 + math.cos(math.pi * fall)) / 2)


def describe(params: Arrays, state: Arrays) -> str:
    """The size of the parameters of an optimiser and its number of steps so far, for its `repr`."""
    arrays = "1 array" if len(params) == 1 else f"{len(params)} arrays"
    return f"{arrays} of {sum(p.size for p in params.values())} numbers, step {int(state['step'])}"


def check_params(params: Arrays) -> None:
    """ValueError unless every parameter can be changed in place."""
    for name, param in params.items():
        if not param.flags.c_contiguous or param.dtype not in (np.float32, np.float64):
            raise ValueError(f"parameter {name} must be a C-contiguous float32 or float64 array")


def check_grads(params: Arrays, grads: Arrays) -> None:
    """ValueError unless the gradients have the names, shapes and dtypes of the parameters."""
    if grads.keys() != params.keys():
        raise ValueError(f"expected gradients of {sorted(params)}, found those of {sorted(grads)}")
    for name, param in params.items():
        if grads[name].shape != param.shape or grads[name].dtype != param.dtype:
            raise ValueError(f"the gradient of {name} is {grads[name].dtype} {grads[name].shape}, "
                             f"the parameter is {param.dtype} {param.shape}")


def _flat(name: str, grad: np.ndarray) -> np.ndarray:
    """A gradient as an array with one axis, in the same memory."""
    if not grad.flags.c_contiguous:
        raise ValueError(f"the gradient of {name} must be C-contiguous, to be changed in place")
    return grad.reshape(-1)
