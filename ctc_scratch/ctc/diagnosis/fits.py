"""How each target fits its frames, and which logits of -inf close its paths."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..labels import can_skip, collapse, extend, min_frames
from ..paths.align import align
from .arguments import GivenBatch
from .findings import SHOWN, Diagnosis, Fit, count, entries, how_closed, how_far, needs
from .mistakes import unusable


def find_misfits(
    diagnosis: Diagnosis, targets: list[NDArray], frames: NDArray, blank: int | None,
    batch: GivenBatch | None, unclear: set[int]
) -> None:
    """Adds the `Fit` of each target that is clear, and findings about those that do not fit or have no path.

    A target whose misfit is already explained by another finding is not named again.
    """
    for n, target in enumerate(targets):
        if n not in unclear:
            diagnosis.fits.append(_fit(n, target, int(frames[n]), blank, batch))
    counted = {n for each in diagnosis.errors if each.cause == "lengths-in-labels" for n in each.indices}
    short = [fit for fit in diagnosis.fits
             if fit.n not in counted and _needed(targets[fit.n], blank) > fit.given]
    if short:
        lines = [f"Target {fit.n} needs {needs(fit)} but has {fit.given}{how_far(fit, targets)}."
                 for fit in short[:SHOWN]]
        if len(short) > SHOWN:
            lines.append(f"{count(len(short) - SHOWN, 'more target')} cannot fit.")
        if all(fit.given == fit.labels for fit in short):
            lines.append("There are as many frames as labels: were labels counted in place of frames?")
        diagnosis.add(
            "too-few-frames", [fit.n for fit in short], " ".join(lines),
            "Shorten the sequence less in the network, so that there are more frames; or leave such targets "
            'out, as ctc_loss does with infeasible="zero".',
        )
    closed = [fit for fit in diagnosis.fits if fit.killers]
    if closed:
        assert batch is not None
        fit = closed[0]
        what = how_closed(fit, batch.used(fit.n))
        if len(closed) > 1:
            what += f" The same is true of {count(len(closed) - 1, 'more target')}."
        diagnosis.add(
            "minus-infinity", [fit.n for fit in closed], what,
            f"The smallest change that opens a path makes {entries(fit.opening)} finite. Look for what puts "
            "-inf there: a mask, or the logarithm of 0.",
        )


def _needed(target: NDArray, blank: int | None) -> int:
    """The frames that a target needs; one that holds blanks is collapsed first, as it may be a path."""
    if blank is None or not (target == blank).any():
        return min_frames(target)
    return min_frames(collapse(target.tolist(), blank))


def _fit(n: int, target: NDArray, given: int, blank: int | None, batch: GivenBatch | None) -> Fit:
    repeats = (np.flatnonzero(target[1:] == target[:-1]) + 1).tolist()
    fit = Fit(n, len(target), repeats, len(target) + len(repeats), given)
    if fit.needed > given:
        return fit._replace(dead_frame=given)
    if batch is None or blank is None or not 0 <= blank < batch.C or (target == blank).any():
        return fit
    rows = batch.used(n)
    if unusable(rows).any() or (target < 0).any() or (target >= batch.C).any():
        return fit
    return _closed(fit, rows, target, blank) if (rows == -np.inf).any() else fit


def _closed(fit: Fit, rows: NDArray, target: NDArray, blank: int) -> Fit:
    """The fit; if logits of -inf leave no path, with the frame where the last path ends, and these logits."""
    # Forward over the states that can still finish; `killers` collects the -inf entries that end paths.
    ext = extend(target, blank)
    skips, is_open = can_skip(ext), rows[:, ext] > -np.inf
    T, S = is_open.shape
    still_needed = np.array([_frames_after(target, s) for s in range(S)])
    alive, killers = np.zeros(S, dtype=np.bool_), []
    for t in range(T):
        reached = alive.copy()
        reached[1:] |= alive[:-1]
        reached[2:] |= alive[:-2] & skips[2:]
        reached[:2] |= t == 0
        reached &= still_needed <= T - 1 - t
        alive = reached & is_open[t]
        killers += [(t, int(c)) for c in np.unique(ext[reached & ~is_open[t]])]
        if not alive.any():
            # The path through the fewest closed entries: the softmax changes the scores of all paths equally.
            path = align(np.where(rows > -np.inf, 0.0, -1.0), target, blank=blank).path
            opening = [(t, int(c)) for t, c in enumerate(path) if rows[t, c] == -np.inf]
            return fit._replace(dead_frame=t, killers=killers, opening=opening)
    return fit


def _frames_after(target: NDArray, s: int) -> int:
    """The fewest frames that must follow a frame in state s."""
    u = (s + 1) // 2  # the first label not yet begun
    needs_blank = s % 2 == 1 and u < len(target) and target[u - 1] == target[u]
    return min_frames(target[u:]) + int(needs_blank)
