"""Greedy decoding, also called best path decoding: take the most probable class per frame, then collapse.

The path found this way need not spell the most probable *labelling*, whose probability is a sum over many
paths (Graves 2006, section 3.2). `beam_search` adds up the paths of the most promising labellings, and
`map_search` finds the most probable labelling of all.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from ..inputs.frames import Layout
from ..inputs.options import check_blank
from ..inputs.values import check_logits, check_piece
from ..labels import collapse


def greedy_decode(
    logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0, layout: Layout = "TNC"
) -> list:
    """The labels that the most probable path of each sequence spells.

    Parameters
    ----------
    logits : (T, N, C) float array, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        Scores of any kind, where larger means likelier: only their order within a
        frame counts. On a tie the lowest class wins.
    lengths : (N,) integers, optional
        Frames used of each sequence.
    blank : which class is the blank
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N label lists; for one sequence, one label list

    Raises
    ------
    ValueError, TypeError
        For NaN, +inf, wrong shapes or lengths, as `ctc_loss` does.

    Notes
    -----
    Greedy decoding may miss the most probable labelling. Here the likeliest path, blank and blank,
    has probability 0.36, while the three other paths, with 0.64 in all, spell (1,).

    >>> import numpy as np
    >>> greedy_decode(np.log([[0.6, 0.4], [0.6, 0.4]]))
    []
    """
    frames = check_logits(logits, lengths, layout, name="lengths")
    blank = check_blank(blank, frames.rows.shape[1])
    best = frames.rows.argmax(axis=1)
    decoded = [
        collapse(best[n * frames.n_stride:][:: frames.t_stride][:T].tolist(), blank)
        for n, T in enumerate(frames.lengths)
    ]
    return decoded[0] if frames.single else decoded


class GreedyStream:
    """Greedy decoding of one sequence that arrives in pieces, with the same answer as `greedy_decode`.

    labels : list of the labels so far

    >>> import numpy as np
    >>> stream = GreedyStream()
    >>> stream.push(np.eye(3)[[1, 1]]), stream.push(np.eye(3)[[1, 0, 1]])
    ([1], [1])
    >>> stream.labels
    [1, 1]
    """

    def __init__(self, *, blank: int = 0) -> None:
        self.labels: list[int] = []
        self._blank, self._last = blank, -1  # the class of the last frame
        self._C: int | None = None

    def __repr__(self) -> str:
        return f"GreedyStream(blank={self._blank}, {len(self.labels)} labels so far)"

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
