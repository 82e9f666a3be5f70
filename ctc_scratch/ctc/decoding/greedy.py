"""Greedy (best path) decoding: the most probable class of every frame, collapsed.

That path need not spell the most probable *labelling*, whose probability is a sum over many
paths (Graves 2006, section 3.2): `beam_search` adds up those of the most promising labellings,
and `map_search` finds the most probable one.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from ..inputs.frames import Frames
from ..inputs.options import check_blank
from ..inputs.values import check_logits
from ..labels import collapse


def greedy_decode(logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0) -> list:
    """The labels that each sequence's most probable path spells.

    Parameters
    ----------
    logits : (T, N, C) float array, or (T, C) for one sequence
        Scores of any kind, larger is likelier: only their order in a frame
        counts. On a tie the lowest class wins.
    lengths : (N,) integers, optional
        Frames used of each sequence.
    blank : which class is the blank

    Returns
    -------
    list of N label lists; for one sequence, one label list

    Raises
    ------
    ValueError, TypeError
        For NaN, +inf, wrong shapes or lengths, as `ctc_loss` does.

    Notes
    -----
    Here the likeliest path is blank, blank with 0.36, while three other paths,
    0.64 together, spell (1,): greedy is not the most probable labelling.

    >>> import numpy as np
    >>> greedy_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))
    []
    """
    frames = check_logits(logits, lengths, name="lengths")
    blank = check_blank(blank, frames.rows.shape[1])
    best = frames.rows.argmax(axis=1)
    decoded = [
        collapse(best[n * frames.n_stride:][:: frames.t_stride][:T].tolist(), blank)
        for n, T in enumerate(frames.lengths)
    ]
    return decoded[0] if frames.single else decoded


class GreedyStream:
    """Greedy decoding of one sequence whose frames come in pieces; the answer is that of `greedy_decode`.

    >>> import numpy as np
    >>> stream = GreedyStream()
    >>> stream.push(np.eye(3)[[1, 1]]), stream.push(np.eye(3)[[1, 0, 1]])
    ([1], [1])
    >>> stream.labels
    [1, 1]
    """

    def __init__(self, *, blank: int = 0) -> None:
        self.labels: list[int] = []
        self._blank, self._last = blank, -1
        self._C: int | None = None

    def push(self, logits: ArrayLike) -> list[int]:
        """Take the next frames (T, C); returns the labels that they add."""
        frames = check_piece(logits, self._C)
        self._C = frames.rows.shape[1]
        blank = check_blank(self._blank, self._C)
        path = [self._last, *frames.rows.argmax(axis=1).tolist()]
        new = [c for before, c in zip(path, path[1:]) if c not in (blank, before)]
        self._last = path[-1]
        self.labels += new
        return new


def check_piece(logits: ArrayLike, C: int | None) -> Frames:
    """The next frames (T, C) of a stream, of as many classes as before."""
    frames = check_logits(logits)
    if not frames.single:
        raise ValueError(f"a stream takes the frames (T, C) of one sequence, got {frames.logits.shape}")
    if C is not None and frames.rows.shape[1] != C:
        raise ValueError(f"a stream that began with {C} classes got {frames.rows.shape[1]}")
    return frames
