"""Muon: momentum whose steps are orthogonal matrices, for the matrices among the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .layers import Arrays
from .optim import Adam, check_grads, check_params, describe


class Muon:
    """Momentum made orthogonal, for matrices (Jordan et al. 2024), and Adam for all other parameters.

        v = momentum v + grad                   u = grad + momentum v
        param -= rate 0.2 sqrt(max(rows, columns)) orthogonal(u)

    A gradient is often long in a few directions and short in all others, and so are the steps of Adam.
    An orthogonal matrix is equally long in all directions, so that rare features are learnt, too. The
    factor makes the root mean square of a step about that of a step of Adam, so that one rate suits both
    (Liu et al. 2025).

    Parameters
    ----------
    params : all parameters, matrices or not
    matrices : the names of the parameters that Muon changes, each with the number of matrices that it
        holds, one below the other: an LSTM's weights are four matrices, one per gate
    momentum : in [0, 1)
    share : a function `share(task, parts)` that calls task(part) for each part, in any order and on any
        threads. Each part is one matrix with its update. By default they run one after the other.

    Examples
    --------
    >>> params = {"w": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> optimiser = Muon(params, {"w": 1})
    >>> optimiser.step({"w": np.array([[9.0, 0.0], [0.0, 0.5]]), "b": np.ones(2)}, rate=1.0)
    >>> params["w"].round(2)            # 9 and 0.5 count alike: 0.7 and 0.85 of 0.2 sqrt(2)
    array([[-0.2 ,  0.  ],
           [ 0.  , -0.24]])
    >>> list(optimiser.state)
    ['step', 'mean.b', 'square.b', 'velocity.w']
    """

    def __init__(self, params: Arrays, matrices: Mapping[str, int], momentum: float = 0.95,
                 share: Callable[[Callable[[Any], None], Sequence[Any]], Any] | None = None):
        check_params(params)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {momentum}")
        for name, count in matrices.items():
            shape = params[name].shape if name in params else None
            if shape is None or len(shape) != 2 or count < 1 or shape[0] % count:
                raise ValueError(f"{name} cannot be {count} matrices, one below the other: "
                                 + ("there is no such parameter" if shape is None
                                    else f"its shape is {shape}"))
        self.params, self.matrices, self.momentum = params, dict(matrices), momentum
        self.share = share or _in_turn
        self.adam = Adam({name: param for name, param in params.items() if name not in matrices})
        self.state: Arrays = self.adam.state
        self.state.update({f"velocity.{name}": np.zeros_like(params[name]) for name in matrices})

    def __repr__(self) -> str:
        matrices = f"{len(self.matrices)} of them in {sum(self.matrices.values())} matrices"
        return f"Muon({describe(self.params, self.state)}, {matrices}, momentum={self.momentum})"

    def step(self, grads: Arrays, rate: float) -> None:
        """One step against `grads`, which has the names and shapes of the parameters."""
        check_grads(self.params, grads)
        self.adam.step({name: grads[name] for name in self.adam.params}, rate)
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for name, count in self.matrices.items():
            grad, velocity = grads[name], self.state[f"velocity.{name}"]
            velocity *= self.momentum
            velocity += grad
            update = grad + self.momentum * velocity
            parts += zip(np.split(self.params[name], count), np.split(update, count))

        def change(part):
            matrix, update = part
            matrix -= 0.2 * rate * math.sqrt(max(matrix.shape)) * orthogonal(update)

        self.share(change, parts)


def orthogonal(matrix: np.ndarray, steps: int = 5) -> np.ndarray:
    """About U Vᵀ for a matrix U S Vᵀ, its singular value decomposition.

    Each step is X = a X + b (X Xᵀ) X + c (X Xᵀ)² X, which turns every singular value s into
    a s + b s³ + c s⁵ and changes nothing else. With the coefficients of Jordan et al. (2024) small values
    grow 3.4-fold per step, and values near 1 stay near 1. Five steps bring every value that was above
    0.002 of the matrix's norm to between 0.68 and 1.21. Zeros stay zeros.

    >>> orthogonal(np.array([[5.0, 0.0], [0.0, 0.1]])).round(1)
    array([[0.7, 0. ],
           [0. , 0.7]])
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    X = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T      # X Xᵀ is the smaller product
    # The largest entry is brought near 1 first, so that squares neither overflow nor all underflow.
    X = np.ldexp(X, -np.frexp(np.abs(X).max(initial=0))[1])
    X /= max(np.linalg.norm(X), np.finfo(X.dtype).tiny)
    for _ in range(steps):
        A = X @ X.T
        X = a * X + (b * A + c * (A @ A)) @ X
    return X if X.shape == matrix.shape else X.T


def _in_turn(task: Callable[[Any], None], parts: Sequence[Any]) -> None:
    for part in parts:
        task(part)
