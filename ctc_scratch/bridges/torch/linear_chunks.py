"""The CTC loss of an output layer, in chunks of frames, so that the logits are never all in memory at once.

The layer turns the hidden state h (D,) of a frame into the logits W h + b. After the softmax over all C
classes, the alignments of a target need only the blank and the classes of its labels: K <= U + 1 columns,
which differ from sequence to sequence. Frames are taken in chunks of R, each with all classes:

    log_probs = log_softmax(h W^T + b)          (R, C), in one buffer for all chunks
    scores = log_probs in the target's columns  (R, K), kept for all frames

`log_partition` finds ln p and the occupancy (T, N, K) from the scores. The gradient w.r.t. the logits of a
frame is probs - occupancy (Graves 2006, eq. 16). In all other columns the occupancy is 0, so that their share
of the gradients is computed while the chunk is in the buffer. With `weights`, the factors of the losses:

    rest = exp(log_probs), with 0 in the target's columns
    d_hidden = weights * (rest W),   d_weight += rest^T (weights * h),   d_bias += rest^T weights

Forward and backward together take three large matrix products, as many as with logits in memory. In the
target's columns, the small difference exp(scores) - occupancy is taken before the products, once the
occupancy is known. With reduction="none" the weights are known only in the backward pass, which computes the
logits again: four products.

`linear` makes this a function that torch differentiates.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...ctc.inputs.frames import Frames
from ...ctc.inputs.targets import check_targets
from ...ctc.partition import log_partition


class Layer(NamedTuple):
    """The output layer and its input; weight and bias are in the dtype of the computation."""

    hidden: Tensor  # (T, N, D)
    weight: Tensor  # (C, D)
    bias: Tensor | None  # (C,)


class Batch(NamedTuple):
    """The sequences, and the columns of the logits that their targets need."""

    lengths: NDArray[np.intp]  # (N,) frames used
    fits: NDArray[np.bool_]  # (N,) whether the target has an alignment
    targets: list[NDArray[np.intp]]  # N times (U,): columns, not classes
    columns: list[NDArray[np.intp]]  # N times (K,): the class of each column; the first is the blank


class Gradients(NamedTuple):
    """The factor of each loss, and the tensors to which gradients are added; None for those not needed."""

    weights: Tensor  # (N,)
    hidden: Tensor | None
    weight: Tensor | None
    bias: Tensor | None


def solve(layer: Layer, batch: Batch, gradients: Gradients | None, chunk_bytes: int) -> NDArray[np.float64]:
    """The losses (N,), inf for infeasible targets; adds to the gradients, which must hold zeros."""
    with torch.no_grad(), torch.autocast(layer.weight.device.type, enabled=False):
        scores = _scores(layer, batch, gradients, chunk_bytes)
        partition = log_partition(scores.cpu().numpy(), batch.targets, batch.lengths, want="occupancy")
        assert isinstance(partition.log_z, np.ndarray) and partition.occupancy is not None
        possible = batch.fits & (partition.log_z > -np.inf)
        if gradients is not None:
            if (possible != batch.fits).any():
                # A bias of -inf has closed all paths of some sequences: start again without these.
                for grad in gradients[1:]:
                    if grad is not None:
                        grad.zero_()
                return solve(layer, batch._replace(fits=possible), gradients, chunk_bytes)
            _add_columns(layer, batch, gradients, scores, torch.from_numpy(partition.occupancy).to(scores))
        return np.where(possible, np.maximum(-partition.log_z, 0.0), np.inf)


def _scores(layer: Layer, batch: Batch, gradients: Gradients | None, chunk_bytes: int) -> Tensor:
    """The log-probabilities (T, N, K + 1) of the columns of all targets; the last column is always 0.

    The last column belongs to no target. Without it, a frame in which all columns of a target are -inf would
    be an error. Also adds to the gradients the share of all other classes.
    """
    hidden, weight, bias = layer
    T, N, _ = hidden.shape
    K = max((len(columns) for columns in batch.columns), default=0)
    padded = np.array([np.resize(classes, K) for classes in batch.columns], np.int64)  # padded by repetition
    columns = torch.from_numpy(padded.reshape(N, K)).to(weight.device)
    scores = weight.new_zeros((T, N, K + 1))
    used = torch.from_numpy(np.arange(T)[:, None] < np.where(batch.fits, batch.lengths, 0))  # (T, N)
    frames, sequences = (index.to(weight.device) for index in used.nonzero(as_tuple=True))
    R = max(1, chunk_bytes // (len(weight) * weight.element_size()))
    buffer = weight.new_empty((min(R, len(frames)), len(weight)))
    for start in range(0, len(frames), R):
        t, n = frames[start:start + R], sequences[start:start + R]
        h = hidden[t, n].to(weight.dtype)  # (R, D), a copy
        logits = buffer[:len(t)]  # (R, C)
        if bias is None:
            torch.mm(h, weight.T, out=logits)
        else:
            torch.addmm(bias, h, weight.T, out=logits)
        log_probs = torch.log_softmax(logits, 1, out=logits)
        scores[t, n, :K] = log_probs.gather(1, columns[n])
        if gradients is None:
            continue
        rest = log_probs.exp_().scatter_(1, columns[n], 0.0)
        weights = gradients.weights[n]
        if gradients.hidden is not None:
            gradients.hidden[t, n] = torch.mm(rest, weight).mul_(weights[:, None])
        if gradients.weight is not None:
            gradients.weight.addmm_(rest.T, h.mul_(weights[:, None]))
        if gradients.bias is not None:
            gradients.bias.addmv_(rest.T, weights)
    if scores.isnan().any():
        place = scores.isnan().nonzero()[0].tolist()
        raise ValueError(f"logits[t={place[0]}, n={place[1]}] overflow {weight.dtype}")
    return scores


def _add_columns(
    layer: Layer, batch: Batch, gradients: Gradients, scores: Tensor, occupancy: Tensor
) -> None:
    """Add to the gradients the share of the columns of each target."""
    for n in np.flatnonzero(batch.fits).tolist():
        T, K = int(batch.lengths[n]), len(batch.columns[n])
        columns = torch.from_numpy(batch.columns[n]).to(scores.device)
        slopes = gradients.weights[n] * (scores[:T, n, :K].exp() - occupancy[:T, n, :K])
        if gradients.hidden is not None:
            gradients.hidden[:T, n] += slopes @ layer.weight[columns]
        if gradients.weight is not None:
            gradients.weight.index_add_(0, columns, slopes.T @ layer.hidden[:T, n].to(slopes.dtype))
        if gradients.bias is not None:
            gradients.bias.index_add_(0, columns, slopes.sum(0))


# ---- checks -----------------------------------------------------------------------------------


def dtype_of(*tensors: Tensor | None) -> torch.dtype:
    """The dtype of the computation: float64 if one of the tensors has it, else float32."""
    widest = any(tensor is not None and tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if widest else torch.float32


def check_values(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, input_lengths: Tensor,
    target_lengths: Tensor, blank: int,
) -> tuple[Layer, Batch]:
    """Check every number, apart from padding, which may hold anything; returns the layer and the batch."""
    T, N, _ = hidden.shape
    lengths = input_lengths.numpy().astype(np.intp)
    for n in np.flatnonzero((lengths < 0) | (lengths > T)).tolist():
        raise ValueError(f"input_lengths[{n}] is {lengths[n]}, hidden has {T} frames")
    no_logits = np.empty((0, len(weight)), np.float32)  # only its number of classes is read
    frames = Frames(no_logits, no_logits, no_logits, lengths, 1, N, False, True, "logits")
    packed = check_targets(targets.cpu().numpy(), target_lengths.numpy(), frames, blank)
    if not _all_finite(hidden):
        padding = torch.arange(T)[:, None] >= torch.from_numpy(lengths)  # (T, N)
        _check_finite("hidden", hidden.masked_fill(padding[:, :, None].to(hidden.device), 0.0), "tnd")
    _check_finite("weight", weight, "cd")
    if bias is not None:
        _check_finite("bias", bias.where(bias != -torch.inf, 0.0), "c", "finite, or -inf for probability 0")
        if (bias == -torch.inf).all():
            raise ValueError(f"bias is -inf in every class c=0..{len(bias) - 1}: no class is left to emit")
    columns, labels = [], []
    for n in range(N):
        classes, places = np.unique(packed.of(n), return_inverse=True)
        columns.append(np.concatenate([[blank], classes]))
        labels.append(places + 1)
    batch = Batch(lengths, lengths >= packed.lengths + packed.repeats, labels, columns)
    dtype = dtype_of(hidden, weight, bias)
    return Layer(hidden, weight.to(dtype), None if bias is None else bias.to(dtype)), batch


def _all_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite, found without a temporary array."""
    return tensor.numel() == 0 or bool(torch.stack(tensor.aminmax()).isfinite().all())


def _check_finite(name: str, tensor: Tensor, axes: str, allowed: str = "finite") -> None:
    """An error that names the first number that is NaN or infinite."""
    if not _all_finite(tensor):
        index = (~tensor.isfinite()).nonzero()[0].tolist()
        place = ", ".join(f"{axis}={i}" for axis, i in zip(axes, index))
        raise ValueError(f"{name}[{place}] is {tensor[tuple(index)].item()}; it must be {allowed}")
