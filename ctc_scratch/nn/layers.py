"""Layers: what they have in common, the affine map, and a stack of layers.

A layer has `params`, a dict from names to arrays. Optimisers, checkpoints and gradient checks change these
arrays in place; nothing else of a layer ever changes. `forward` returns the output and a cache. `backward`
takes the cache and returns the gradient of the input, and those of the parameters under the same names.
A batch changes nothing in the layer, only its own cache, so several threads may use one layer at once.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Protocol, Sequence

import numpy as np

from ..arrays import as_array

Arrays = dict[str, np.ndarray]


class Layer(Protocol):
    """What `Stack` needs of a layer."""

    params: Arrays

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, Any]: ...

    def backward(self, dy: np.ndarray, cache: Any, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]: ...


def check_dtype(dtype: Any) -> np.dtype:
    """`dtype` as a NumPy dtype; ValueError unless it is float32 or float64."""
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"parameters are float32 or float64, not {dtype}")
    return dtype


def check_frames(name: str, array: np.ndarray, shape: tuple, dtype: np.dtype) -> np.ndarray:
    """`array`, C-contiguous; ValueError unless it has this dtype and shape, where None fits any size."""
    array = as_array(array, name)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape))
    if not fits:
        wanted = ", ".join("*" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({wanted}), not {array.shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} must be {dtype} like the parameters, not {array.dtype}")
    return np.ascontiguousarray(array, dtype)


def check_lengths(lengths: Any, T: int, N: int) -> np.ndarray:
    """Frames per sequence as an (N,) integer array; None means T each."""
    if lengths is None:
        return np.full(N, T)
    lengths = as_array(lengths, "lengths")
    if lengths.size == 0:
        lengths = lengths.astype(int)
    if lengths.shape != (N,) or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be {N} integers, one per sequence, "
                         f"not {lengths.dtype} of shape {lengths.shape}")
    wrong = np.flatnonzero((lengths < 0) | (lengths > T))
    if wrong.size:
        raise ValueError(f"lengths[{wrong[0]}] = {lengths[wrong[0]]} is not between 0 and T = {T}")
    return lengths.astype(np.intp)


class Linear:
    """The affine map y = x Wᵀ + b of every frame.

    Padded frames are computed like all others, and what `dy` holds there enters the gradients. So `dy`
    should be 0 there, as it is for a loss that ignores padding.

    Parameters
    ----------
    D, C : sizes of an input and an output frame.
    rng : the generator that draws the weights, uniform between -1/√D and 1/√D, so that the outputs
        start with at most 1/3 of the inputs' variance. The bias starts at 0.
    dtype : float32 or float64.

    Examples
    --------
    >>> layer = Linear(3, 2, np.random.default_rng(0))
    >>> y, cache = layer.forward(np.ones((5, 4, 3), np.float32))
    >>> dx, grads = layer.backward(np.ones_like(y), cache)
    >>> y.shape, dx.shape, grads["bias"]
    ((5, 4, 2), (5, 4, 3), array([20., 20.], dtype=float32))
    """

    def __init__(self, D: int, C: int, rng: np.random.Generator, dtype: Any = np.float32):
        self.dtype = check_dtype(dtype)
        bound = 1 / np.sqrt(max(D, 1))
        self.params: Arrays = {
            "weight": rng.uniform(-bound, bound, (C, D)).astype(self.dtype),
            "bias": np.zeros(C, self.dtype),
        }

    def __repr__(self) -> str:
        C, D = self.params["weight"].shape
        return f"Linear({D=}, {C=}, {self.dtype})"

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """y (T, N, C) for x (T, N, D), and the cache for `backward`; `lengths` are only checked."""
        weight, bias = self.params["weight"], self.params["bias"]
        C, D = weight.shape
        x = check_frames("x", x, (None, None, D), self.dtype)
        T, N, _ = x.shape
        check_lengths(lengths, T, N)
        y = x.reshape(T * N, D) @ weight.T
        y += bias
        return y.reshape(T, N, C), x

    def backward(self, dy: np.ndarray, cache: np.ndarray, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """dx (T, N, D), None without `input_gradient`, and the gradients of `params`."""
        weight, x = self.params["weight"], cache
        C, D = weight.shape
        T, N, _ = x.shape
        dy = check_frames("dy", dy, (T, N, C), self.dtype).reshape(T * N, C)
        dx = (dy @ weight).reshape(T, N, D) if input_gradient else None
        return dx, {"weight": dy.T @ x.reshape(T * N, D), "bias": dy.sum(axis=0)}


class StackCache(NamedTuple):
    """The caches of the layers, first layer first."""

    caches: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"StackCache({len(self.caches)} layers)"


class Stack:
    """Layers applied one after the other.

    Parameters
    ----------
    layers : a dict from names to layers, or a sequence of layers, which are then named "0", "1", ...
        The parameter `weight` of the layer `linear` is called `linear.weight` in the stack.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stack = Stack({"hidden": Linear(3, 5, rng), "output": Linear(5, 2, rng)})
    >>> list(stack.params)
    ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias']
    >>> y, cache = stack.forward(np.ones((7, 4, 3), np.float32))
    >>> dx, grads = stack.backward(np.ones_like(y), cache)
    >>> y.shape, dx.shape, list(grads) == list(stack.params)
    ((7, 4, 2), (7, 4, 3), True)
    """

    def __init__(self, layers: Mapping[str, Layer] | Sequence[Layer]):
        if not isinstance(layers, Mapping):
            layers = {str(k): layer for k, layer in enumerate(layers)}
        self.layers = dict(layers)
        self.params: Arrays = {f"{name}.{key}": array for name, layer in self.layers.items()
                               for key, array in layer.params.items()}

    def __repr__(self) -> str:
        return f"Stack({', '.join(f'{name}: {layer}' for name, layer in self.layers.items())})"

    def forward(self, x: np.ndarray, lengths: Any = None) -> tuple[np.ndarray, StackCache]:
        """The last layer's output for x (T, N, D), and the cache for `backward`."""
        caches = []
        for layer in self.layers.values():
            x, cache = layer.forward(x, lengths)
            caches.append(cache)
        return x, StackCache(tuple(caches))

    def backward(self, dy: np.ndarray, cache: StackCache, *, input_gradient: bool = True
                 ) -> tuple[np.ndarray | None, Arrays]:
        """dx (T, N, D), None without `input_gradient`, and the gradients of `params`.

        Training does not need dx: without it the first layer saves a product.
        """
        all_grads = {}
        steps = list(zip(self.layers.items(), cache.caches))
        for number, ((name, layer), layer_cache) in reversed(list(enumerate(steps))):
            dy, grads = layer.backward(dy, layer_cache, input_gradient=input_gradient or number > 0)
            all_grads.update({f"{name}.{key}": grad for key, grad in grads.items()})
        return dy, {name: all_grads[name] for name in self.params}
