"""From logits to labels.

Greedy (best path) decoding takes the most probable class of every frame and
collapses. That path need not spell the most probable *labelling*, whose
probability is a sum over many paths (Graves 2006, section 3.2). Prefix beam
search adds up the paths of the most promising labellings as it goes; how far it
still is from the most probable one, `map_decode` knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.frames import Frames
from ..inputs.options import check_blank
from ..inputs.values import check_logits
from ..labels import collapse
from ..running import threads
from .beam import Hypothesis, Search, check_settings, check_top


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
        frames = _check_piece(logits, self._C)
        self._C = frames.rows.shape[1]
        blank = check_blank(self._blank, self._C)
        path = [self._last, *frames.rows.argmax(axis=1).tolist()]
        new = [c for before, c in zip(path, path[1:]) if c not in (blank, before)]
        self._last = path[-1]
        self.labels += new
        return new


def prefix_beam_search(
    logits: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    beam_width: int = 16,
    blank: int = 0,
    top: int = 1,
    prune: float | None = None,
    language_model: Any = None,
) -> list:
    """The most probable labellings that a beam of prefixes finds, best first.

    From frame to frame the `beam_width` best prefixes are kept, and of each how
    probable the paths are that spell it and end in a blank, or in its last label.

    Parameters
    ----------
    logits : (T, N, C) float array, or (T, C) for one sequence
        Unnormalised scores; the softmax over C is taken inside.
    lengths : (N,) integers, optional
        Frames used of each sequence.
    beam_width : prefixes that are kept
    blank : which class is the blank
    top : how many labellings to return of each sequence, at most `beam_width`
    prune : nats; if given, prefixes that fall further behind the best one are dropped, too
    language_model : any object with a method score(prefix, label): what is added to the log-score
        of the labels `prefix`, a tuple, when `label` follows. A method end(prefix), if there is
        one, says what is added at the end. ln P(label | prefix), weighted, is usual.

    Returns
    -------
    list of N lists of `Hypothesis`; for one sequence, one list
        Fewer than `top` where fewer labellings are possible.

    Raises
    ------
    ValueError, TypeError
        For a beam of no width, `top` beyond it, NaN, +inf, wrong shapes or lengths; for a language
        model whose score is NaN or +inf.

    Notes
    -----
    O(T (W log W + C log W)) time for a sequence, W = beam_width; memory for the prefixes that the
    beam still shares, which is O(W U) at most, and for a copy of the logits. Without a language
    model, log_score never exceeds log_prob, and is equal to it if nothing was dropped; the highest
    log_prob of top=beam_width hypotheses is often as good as the first one's of a wider beam.

    References
    ----------
    A. Hannun, A. Maas, D. Jurafsky, A. Ng, "First-Pass Large Vocabulary Continuous Speech
    Recognition using Bi-Directional Recurrent DNNs", 2014.

    Examples
    --------
    >>> for hypothesis in prefix_beam_search(np.log([[0.6, 0.4], [0.6, 0.4]]), top=2):
    ...     print(hypothesis.labels, f"{np.exp(hypothesis.log_prob):.2f}")
    [1] 0.64
    [] 0.36
    """
    frames = check_logits(logits, lengths, name="lengths")
    C, N = frames.rows.shape[1], len(frames.lengths)
    settings = check_settings(C, beam_width, blank, prune, language_model)
    check_top(top, beam_width)
    found: list[list[Hypothesis]] = [[]] * N

    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            search = Search(C, settings)
            norms = search.advance(frames.rows, n * frames.n_stride, frames.t_stride, int(frames.lengths[n]))
            found[n] = search.hypotheses(top, np.array(frames.rows_of(frames.rows, n), np.float64), norms)

    if language_model is None:
        threads.run(task, frames.lengths * (8 * beam_width + C))
    else:
        task(np.arange(N))  # it is Python, which has one thread at a time, and may not be made for several
    return found[0] if frames.single else found


class BeamStream:
    """Prefix beam search over frames that come in pieces; the answer is that of `prefix_beam_search`.

    Parameters
    ----------
    beam_width, blank, prune, language_model : as there

    Notes
    -----
    The pieces are kept: exact probabilities need all frames.

    >>> stream = BeamStream()
    >>> for piece in np.log([[[0.6, 0.4]], [[0.6, 0.4]]]):
    ...     stream.push(piece)
    >>> stream.hypotheses()[0].labels
    [1]
    """

    def __init__(
        self, *, beam_width: int = 16, blank: int = 0, prune: float | None = None, language_model: Any = None
    ) -> None:
        self._options = beam_width, blank, prune, language_model
        self._pieces: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # logits, norms
        self._search: Search | None = None

    def push(self, logits: ArrayLike) -> None:
        """Take the next frames (T, C)."""
        frames = _check_piece(logits, self._search.C if self._search else None)
        C = frames.rows.shape[1]
        self._search = self._search or Search(C, check_settings(C, *self._options))
        norms = self._search.advance(frames.rows, 0, 1, len(frames.rows))
        self._pieces.append((np.array(frames.rows, np.float64), norms))

    def hypotheses(self, top: int = 1) -> list[Hypothesis]:
        """The best labellings of the frames taken so far, as `prefix_beam_search` would return them."""
        if self._search is None:
            raise ValueError("no frames yet: push some, an empty (0, C) piece at least")
        check_top(top, self._options[0])
        logits, norms = (np.concatenate(arrays) for arrays in zip(*self._pieces))
        self._pieces = [(logits, norms)]
        return self._search.hypotheses(top, logits, norms)


def _check_piece(logits: ArrayLike, C: int | None) -> Frames:
    """The next frames (T, C) of a stream, of as many classes as before."""
    frames = check_logits(logits)
    if not frames.single:
        raise ValueError(f"a stream takes the frames (T, C) of one sequence, got {frames.logits.shape}")
    if C is not None and frames.rows.shape[1] != C:
        raise ValueError(f"a stream that began with {C} classes got {frames.rows.shape[1]}")
    return frames
