"""Stars: positions of a target at which more may have been said than the target holds.

Position u of a target stands between label u - 1 and label u: position 0 before all labels, position U after
all of them. At a starred position the blank state also accepts every other class: it emits at frame t with
the probability

    y_t(blank) + e^w sum of y_t(c) over all classes c but the blank

where w <= 0 is the log-weight of a star: what each frame of it costs. A w of -inf forbids stars, which gives
plain CTC. The most likely path takes the larger of the two terms: a frame in this state is then either a
*blank frame* or a *starred frame*. All else is as in CTC: the moves stay, step and skip, and where a path
begins and ends. So any run of classes, and blanks between them, may stand at a starred position. Equal labels
may be separated by a starred frame in place of a blank.

The sum over the other classes is never computed as 1 - y_t(blank), which would lose its digits where the
blank is nearly certain. Their terms exp(logit - largest of their logits) are added up instead.

A star covers what was said but is missing from the target. It does not cover the converse: labels of the
target that were not said are not skipped. Leave them out of the target, and star the gap.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from .arrays import as_integers
from .options import check_choice, check_not_positive, is_integer
from .targets import Targets


class Stars(NamedTuple):
    """The starred positions of all targets, joined end to end; there are none if the weight is -inf."""

    starred: NDArray[np.bool_]  # (sum of U + 1,)
    offsets: NDArray[np.intp]  # (N + 1,) those of the labels: target n has the positions offsets[n] + n, ...
    weight: float  # w, the log-weight per frame

    def of(self, n: int) -> NDArray[np.bool_]:
        """Which of the positions (U + 1,) of target n are starred."""
        return self.starred[self.offsets[n] + n:self.offsets[n + 1] + n + 1]


def check_stars(star: Any, star_weight: Any, targets: Targets, single: bool) -> Stars:
    """Check which positions of targets are starred, and the weight, and return them as `Stars`.

    star : positions (integers in any collection), "ends" (0 and U), "everywhere" or None (nowhere). For a
        batch this holds for all targets, unless it is a list or tuple with an item that is not an integer:
        then it has one such value for each target.
    star_weight : w
    """
    N = len(targets.lengths)
    stars = Stars(np.zeros(len(targets.labels) + N, np.bool_), targets.offsets,
                  check_not_positive("star_weight", star_weight))
    one_each = not single and isinstance(star, (list, tuple)) and not all(map(is_integer, star))
    if one_each and len(star) != N:
        raise ValueError(f"star has length {len(star)} for a batch of {N}; a list holds integers, which are "
                         "positions in every target, or one item per target")
    for n, U in enumerate(targets.lengths.tolist()):
        positions = _positions(star[n], f"star[{n}]", n, U) if one_each else _positions(star, "star", n, U)
        stars.of(n)[positions] = stars.weight > -np.inf
    return stars


def _positions(star: Any, name: str, n: int, U: int) -> Sequence[int] | NDArray:
    """The starred positions of target n, which has U labels."""
    if star is None:
        return []
    if isinstance(star, str):
        check_choice(name, star, ("ends", "everywhere"))
        return [0, U] if star == "ends" else range(U + 1)
    positions = as_integers(list(star) if isinstance(star, Set) else star, name)
    if positions.ndim != 1:
        raise ValueError(f"{name} must be a collection of positions, 'ends', 'everywhere' or None, "
                         f"got {star!r:.80}")
    for u in positions[(positions < 0) | (positions > U)]:
        raise ValueError(f"{name} holds position {u}, but target {n} has positions 0..{U} (U = {U} labels)")
    return positions.astype(np.intp)
