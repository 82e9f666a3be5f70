"""The targets of a batch, given in any of three forms, as one array of labels that kernels can walk."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import before_mask
from ...compiled.cache import cached_njit
from .arrays import as_integers, as_lengths
from .errors import InfeasibleTargetError
from .frames import Frames, check_shape
from .options import check_blank, is_integer

# nogil: other threads can run meanwhile.
kernel = cached_njit(nogil=True)


class Targets(NamedTuple):
    """The checked targets of a batch, joined: target n is labels[offsets[n]:offsets[n + 1]]."""

    labels: NDArray[np.intp]
    offsets: NDArray[np.intp]  # (N + 1,)
    lengths: NDArray[np.intp]  # (N,) U
    repeats: NDArray[np.intp]  # (N,) labels that equal their left neighbour

    def of(self, n: int) -> NDArray[np.intp]:
        """The labels (U,) of target n."""
        return self.labels[self.offsets[n]:self.offsets[n + 1]]


def check_batch(
    logits: Any, targets: Any, logit_lengths: Any, target_lengths: Any, blank: Any, layout: str,
    what: str = "logits", name: str = "logit_lengths",
) -> tuple[Frames, Targets, int]:
    """The checked frames, targets and blank; the values of the logits are not checked yet.

    `what` and `name` are what the caller calls the logits and their lengths.
    """
    frames = check_shape(logits, logit_lengths, layout, name, what)
    blank = check_blank(blank, frames.rows.shape[1])
    return frames, check_targets(targets, target_lengths, frames, blank), blank


def check_targets(
    targets: Any, target_lengths: ArrayLike | None, frames: Frames, blank: int
) -> Targets:
    """The `Targets` from any form that `ctc_loss` takes; a label must be a class other than the blank."""
    N, C = len(frames.lengths), frames.rows.shape[1]
    labels, lengths = _join(targets, target_lengths, N, frames.single)
    offsets, repeats = np.zeros(N + 1, dtype=np.intp), np.zeros(N, dtype=np.intp)
    small = labels
    if labels.dtype.kind != "i":  # unsigned, or Python integers of any size: compared before they are cast
        fits = (labels >= 0) & (labels < C)
        small = np.full(labels.shape, -1, np.intp)
        small[fits] = labels[fits]
    if small.dtype != np.intp or not small.flags.carray:
        small = np.require(small, np.intp, ["C", "A"])
    n = _first_bad_target(small, lengths, C, blank, offsets, repeats)
    if n >= 0:
        target = labels[offsets[n]:offsets[n + 1]]
        u = int(np.argmax((target < 0) | (target >= C) | (target == blank)))
        place = f"[{u}]" if frames.single else f"[{n}][{u}]"
        if target[u] == blank:
            raise ValueError(f"targets{place} is {blank}, the blank: a target holds labels only")
        raise ValueError(f"targets{place} is {target[u]}, but the logits have classes 0..{C - 1}")
    return Targets(small, offsets, lengths, repeats)


def first_infeasible(
    infeasible: NDArray[np.bool_], frames: Frames, targets: Targets
) -> InfeasibleTargetError:
    """The error for the first sequence that is marked in `infeasible` (N,)."""
    n = int(np.argmax(infeasible))
    repeats = int(targets.repeats[n])
    return InfeasibleTargetError(
        n, int(targets.lengths[n]) + repeats, int(frames.lengths[n]), repeats
    )


@kernel
def _first_bad_target(labels, lengths, C, blank, offsets, repeats):
    """The first target that holds a blank or a number that is no class, or -1; fills offsets and repeats."""
    for n in range(len(repeats)):
        offsets[n + 1] = offsets[n] + lengths[n]
        for k in range(offsets[n], offsets[n + 1]):
            if labels[k] < 0 or labels[k] >= C or labels[k] == blank:
                return n
            repeats[n] += k > offsets[n] and labels[k] == labels[k - 1]
    return -1


def _join(
    targets: Any, target_lengths: ArrayLike | None, N: int, single: bool
) -> tuple[NDArray, NDArray[np.intp]]:
    """All labels joined, and how many each target has, from any of the three forms.

    A mask over the end of a padded target says how many labels it has, too.
    """
    if single and target_lengths is None:  # nothing to join; joining takes 5 us
        labels = _as_labels(before_mask(targets, "targets"), "targets")
        return labels, np.array([len(labels)], np.intp)
    masked = None  # (N,) which targets are masked arrays, if any label is masked
    if single:
        targets = [targets]
    elif isinstance(targets, np.ma.MaskedArray) and targets.ndim == 2 and np.ma.is_masked(targets):
        targets = list(targets)
    elif not isinstance(targets, (list, tuple)) or (targets and all(map(is_integer, targets))):
        targets = as_integers(targets, "targets")
        if targets.ndim not in (1, 2):
            raise ValueError(f"targets must be (N, U) or joined (sum of U,), got shape {targets.shape}")
    joined = isinstance(targets, np.ndarray) and targets.ndim == 1
    if joined and target_lengths is None:
        raise ValueError(
            f"targets in one dimension ({len(targets)} values) for a batch of {N} need target_lengths"
        )
    if not joined and len(targets) != N:
        raise ValueError(
            f"{len(targets)} targets for a batch of {N}; layout='TNC' has time first, layout='NTC' the batch"
        )
    lengths = None
    if target_lengths is not None:
        lengths = as_lengths(target_lengths, "target_lengths", N, single)
        for n in np.flatnonzero(lengths < 0):
            raise ValueError(f"target_lengths[{n}] is {lengths[n]}")

    if joined:
        assert lengths is not None
        if lengths.sum() != len(targets):
            raise ValueError(f"target_lengths add up to {lengths.sum()}, targets hold {len(targets)} values")
        return targets, lengths
    if isinstance(targets, np.ndarray):
        held = np.full(N, targets.shape[1])
        if lengths is None:
            return targets.reshape(-1), held
    else:
        names = ["targets"] if single else [f"targets[{n}]" for n in range(N)]
        if np.ma.MaskedArray in set(map(type, targets)) and any(map(np.ma.is_masked, targets)):
            masked = np.array([isinstance(target, np.ma.MaskedArray) for target in targets])
            targets = [before_mask(target, name) for target, name in zip(targets, names)]
        targets = [_as_labels(target, name) for target, name in zip(targets, names)]
        held = np.array([len(target) for target in targets], dtype=np.intp)
    if lengths is None:
        lengths = held
    for n in np.flatnonzero(masked & (lengths != held)) if masked is not None else ():
        raise ValueError(f"target_lengths[{n}] is {lengths[n]}, the mask of {names[n]} leaves {held[n]}")
    for n in np.flatnonzero(lengths > held):
        raise ValueError(f"target_lengths[{n}] is {lengths[n]}, target {n} holds {held[n]} values")
    if isinstance(targets, np.ndarray):
        return targets[np.arange(targets.shape[1]) < lengths[:, None]], lengths
    parts = [target[:U] for target, U in zip(targets, lengths.tolist())]
    if any(part.dtype == np.uint64 for part in parts):  # NumPy would join it with other integers as float64
        parts = [part.astype(object) for part in parts]
    return np.concatenate(parts) if parts else np.empty(0, np.intp), lengths


def _as_labels(target: Any, name: str) -> NDArray:
    try:
        sequence = as_integers(target, name)
    except ValueError:  # nested lists whose lengths differ
        raise ValueError(f"{name} must be a flat sequence of integers, got {target!r}") from None
    if sequence.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {sequence.shape}")
    return sequence
