"""Prefix beam search: adds up the paths of the most promising labellings, frame by frame.

`prefix_beam_search` takes whole sequences, `BeamStream` one sequence in pieces. `Search` is the
search over one sequence: it owns the memory and asks the language model; `beam_kernels` does the
frames. What it finds are `Hypothesis` objects (`hypotheses`).
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.options import check_blank, check_count, check_not_negative
from ..inputs.values import check_logits
from ..running import threads
from . import beam_kernels, prefix_tree
from .beam_kernels import TOTAL, Scratch, State
from .greedy import check_piece
from .hypotheses import Hypothesis, Posteriors
from .prefix_tree import BEAM, FRESH, NODES

FIRST_NODES = 4096
"""Prefixes that a search has room for at first; where more than half are needed at a time it grows."""


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
        frames = check_piece(logits, self._search.C if self._search else None)
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


class Settings(NamedTuple):
    """How to search, checked."""

    beam_width: int
    blank: int
    prune: float  # nats, inf for none
    score: Callable | None  # of the language model
    end: Callable | None


def check_settings(C: int, beam_width: Any, blank: Any, prune: Any, language_model: Any) -> Settings:
    """The options of a search over C classes."""
    check_count("beam_width", beam_width)
    blank = check_blank(blank, C)
    limit = math.inf if prune is None else check_not_negative("prune", prune)
    score = end = None
    if language_model is not None:
        score, end = getattr(language_model, "score", None), getattr(language_model, "end", None)
        if not callable(score):
            raise TypeError(f"language_model must have a method score(prefix, label), got {language_model!r}")
    return Settings(int(beam_width), blank, limit, score, end)


def check_top(top: Any, beam_width: int) -> None:
    """How many hypotheses are asked for: no more than the beam holds."""
    check_count("top", top)
    if top > beam_width:
        raise ValueError(f"top is {top}, but a beam of width {beam_width} holds no more than that")


class Search:
    """A prefix beam search over one sequence of C classes, which takes its frames in any pieces."""

    def __init__(self, C: int, settings: Settings) -> None:
        self.C, self.settings = C, settings
        W, asks = settings.beam_width, settings.score is not None
        K, room = C if asks else min(C, W + 1), max(FIRST_NODES, 4 * W)
        self._state = State(
            tree=np.empty((room, 5), np.intp), priors=np.empty(room),
            label_priors=np.empty((room if asks else 0, C)),
            nodes=np.empty(W, np.intp), logs=np.empty((W, 3)), counts=np.array([1, 1, 0]),
        )
        self._scratch = Scratch(
            log_probs=np.empty(C), likely=np.empty(K, np.intp), likely_log_probs=np.empty(K),
            owner=np.full(C, -1), links=np.empty((W, 2), np.intp), stayed=np.empty((W, 3)),
            scores=np.empty(W), moves=np.empty(W, np.intp), next_nodes=np.empty(W, np.intp),
            next_logs=np.empty((W, 3)),
        )
        # In no frames at all the empty prefix has probability 1, and it ends in no label.
        self._state.tree[0], self._state.priors[0] = (-1, -1, -1, -1, 0), 0.0
        self._state.nodes[0], self._state.logs[0] = 0, (0.0, -np.inf, 0.0)
        self._ask()

    def advance(self, rows: NDArray, first: int, stride: int, T: int) -> NDArray[np.float64]:
        """Take the frames rows[first], rows[first + stride], ..., T of them; returns their norms (T, 2)."""
        norms, t = np.empty((T, 2)), 0
        while t < T:
            # New prefixes have to be put to the language model before they can be extended.
            some = T - t if self.settings.score is None else 1
            taken = beam_kernels.advance(
                rows, first + t * stride, stride, some, self.settings.blank, self.settings.prune, self._state,
                self._scratch, norms[t:],
            )
            t += taken
            if taken < some:
                self._grow()
            else:
                self._ask()
        return norms

    def hypotheses(
        self, top: int, logits: NDArray[np.float64], norms: NDArray[np.float64]
    ) -> list[Hypothesis]:
        """The best labellings of the frames so far, which are the logits (T, C), with their norms (T, 2)."""
        posteriors = Posteriors(logits, norms, self.settings.blank)
        found = []
        for j in range(self._state.counts[BEAM]):
            node = self._state.nodes[j]
            seen = float(self._state.logs[j, TOTAL])
            score = seen + float(self._state.priors[node])
            if self.settings.end is not None or j < top:
                labels = self._spell(node)
                if self.settings.end is not None:
                    score += _sound(self.settings.end(tuple(labels)), "end", labels)
                found.append(Hypothesis(labels, score, posteriors, seen))
        found.sort(key=lambda hypothesis: -hypothesis.log_score)  # keeps the order of equals
        return found[:top]

    def _spell(self, node: int) -> list[int]:
        """The labels of a node's prefix."""
        labels = np.empty(len(self._state.tree), np.intp)
        U = prefix_tree.spell(self._state.tree, node, labels)
        return labels[len(labels) - U:].tolist()

    def _ask(self) -> None:
        """Have the language model score every label behind each prefix that is new."""
        score, blank = self.settings.score, self.settings.blank
        if score is not None:
            for node in range(self._state.counts[FRESH], self._state.counts[NODES]):
                prefix = tuple(self._spell(node))
                self._state.label_priors[node] = [
                    0.0 if c == blank else _sound(score(prefix, c), "score", [*prefix, c])
                    for c in range(self.C)
                ]

    def _grow(self) -> None:
        """Room for twice as many prefixes."""
        tree, priors, label_priors = (
            np.concatenate([array, np.empty_like(array)]) for array in self._state[:3]
        )
        self._state = self._state._replace(tree=tree, priors=priors, label_priors=label_priors)


def _sound(value: Any, method: str, labels: list[int]) -> float:
    """What the language model says, if that is a score."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"language_model.{method} gave {value!r} for the labels {labels}, not a number")
    if not value < math.inf:
        raise ValueError(f"language_model.{method} gave {value} for the labels {labels}; "
                         f"a score is finite, or -inf for what cannot be")
    return float(value)
