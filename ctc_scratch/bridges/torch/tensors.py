"""Tensors as NumPy arrays and back: types, devices, layouts and lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


def computed_in(dtype: torch.dtype) -> torch.dtype:
    """The type in which a loss is computed and returned: float32 for half precision, else that of its input.

    In half precision, a sum of losses would keep only two or three digits.
    """
    return torch.float32 if dtype in HALVES else dtype


def to_array(tensor: Tensor) -> NDArray:
    """A tensor as a NumPy array, without a copy where that is possible.

    NumPy has no bfloat16, so half precision becomes float32. Tensors of other devices are copied.
    """
    return (tensor.float() if tensor.dtype in HALVES else tensor).numpy(force=True)


def to_tensor(array: Any, scores: Tensor) -> Tensor:
    """A loss or gradient of the core as a tensor, on the device of the scores, of type `computed_in`."""
    dtype = np.float64 if scores.dtype == torch.float64 else np.float32
    tensor = torch.from_numpy(np.asarray(array, dtype))
    return tensor if scores.is_cpu else tensor.to(scores.device)


def to_arrays(values: Any) -> Any:
    """Arguments for the core: tensors become arrays, also in lists, tuples and dictionaries."""
    if isinstance(values, Tensor):
        return to_array(values)
    if isinstance(values, dict):
        return {name: to_arrays(value) for name, value in values.items()}
    if type(values) in (list, tuple):
        return type(values)(map(to_arrays, values))
    return values


def as_tensor(values: Any) -> Tensor:
    """Values as a tensor: a list, tuple, array or number is converted, a tensor is returned as it is."""
    if isinstance(values, Tensor):
        return values
    tensor = torch.as_tensor(values)
    return tensor if tensor.numel() else tensor.long()  # torch makes [] a tensor of floats


def as_lengths(lengths: Any) -> Tensor:
    """Lengths in any form that torch takes, as a tensor (N,)."""
    lengths = as_tensor(lengths)
    return lengths if lengths.dim() else lengths.reshape(1)


def is_batch_first(scores: Tensor) -> bool:
    """Whether scores (T, N, C) are a transposed view of (N, T, C), which the core reads without a copy."""
    return not scores.is_contiguous() and scores.transpose(0, 1).is_contiguous()


def reduction_factors(labels: Tensor, reduction: str, like: Tensor) -> Tensor:
    """The factor (N,) of each loss in the reduced loss, for targets with this many labels."""
    N = max(labels.shape[0], 1)
    factors = torch.ones_like(labels, dtype=like.dtype, device=like.device)
    if reduction == "mean":
        factors = factors / (N * labels.to(like).clamp(min=1))
    return factors / N if reduction == "batchmean" else factors
