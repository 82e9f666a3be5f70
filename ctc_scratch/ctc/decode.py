"""From logits to labels.

Greedy (best path) decoding takes the most probable class of every frame and
collapses. That path need not spell the most probable *labelling*, whose
probability is a sum over many paths (Graves 2006, section 3.2).
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from .checks import check_blank, check_logits
from .labels import collapse


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
