"""Prefix beam search: frame by frame, it adds up the paths of the most promising labellings.

`prefix_beam_search` decodes whole sequences, `BeamStream` one sequence that arrives in pieces. Both are
thin: the class `Search` below holds the search over one sequence. It allocates the memory and calls the
language model; `beam_kernels` advances it by a frame. The results are `Hypothesis` objects, see `hypotheses`.

To read the algorithm first, see `reference_beam`.
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.frames import Layout
from ..inputs.options import check_blank, check_count, check_not_negative
from ..inputs.values import check_logits, check_piece
from ..running import threads
from . import beam_kernels, prefix_tree
from .beam_kernels import TOTAL, Scratch, State
from .hypotheses import Hypothesis, Posteriors
from .prefix_tree import BEAM, FRESH, NODES

FIRST_NODES = 4096
"""How many prefixes a search has room for at first. It grows when more than half of them are needed."""


class LanguageModel(Protocol):
    """The methods of a language model that `prefix_beam_search` calls.

    A method end(prefix) is optional: it returns what is added to the score of a complete labelling.
    """

    def score(self, prefix: tuple[int, ...], label: int, /) -> float:
        """What is added to the log-score of a prefix when this label follows it; -inf forbids the label."""


def prefix_beam_search(
    logits: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    beam_width: int = 16,
    blank: int = 0,
    top: int = 1,
    prune: float | None = None,
    language_model: LanguageModel | None = None,
    layout: Layout = "TNC",
) -> list:
    """The most probable labellings that a beam of prefixes finds, best first.

    After each frame the search keeps the `beam_width` best prefixes. For each of them it keeps two
    probabilities: that of all paths which spell the prefix and end in a blank, and that of all paths
    which spell it and end in its last label.

    Parameters
    ----------
    logits : (T, N, C) float array, or (N, T, C) with layout="NTC", or (T, C) for one sequence
        Unnormalised scores; the softmax over C is taken inside.
    lengths : (N,) integers, optional
        Frames used of each sequence.
    beam_width : how many prefixes are kept
    blank : which class is the blank
    top : how many labellings to return per sequence, at most `beam_width`
    prune : nats; if given, prefixes that score worse than the best one by more than this are dropped, too
    language_model : any object with a method score(prefix, label). It returns what is added to the
        log-score of the labels `prefix`, a tuple, when `label` follows. The optional method end(prefix)
        returns what is added at the end. The usual choice is a multiple of ln P(label | prefix).
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N lists of `Hypothesis`; for one sequence, one list
        Shorter than `top` if fewer labellings are possible.

    Raises
    ------
    ValueError, TypeError
        `beam_width` is below 1, `top` exceeds it, the logits hold NaN or +inf, a shape or length is
        wrong, or the language model returns NaN or +inf.

    Notes
    -----
    With W = beam_width, a sequence takes O(T (W log W + C log W)) time, and memory for a copy of the
    logits and for at most O(W U) prefixes. Without a language model, log_score never exceeds log_prob,
    and equals it if nothing was dropped. The highest log_prob among top=beam_width hypotheses is often
    as good as that of the first hypothesis of a wider beam.

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
    frames = check_logits(logits, lengths, layout, name="lengths")
    C, N = frames.rows.shape[1], len(frames.lengths)
    options = check_options(C, beam_width, blank, prune, language_model)
    check_top(top, beam_width)
    hypotheses: list[list[Hypothesis]] = [[]] * N

    def task(samples: NDArray[np.intp]) -> None:
        for n in samples.tolist():
            search = Search(C, options)
            norms = search.advance(frames.rows, n * frames.n_stride, frames.t_stride, int(frames.lengths[n]))
            logits_of_n = np.array(frames.rows_of(frames.rows, n), np.float64)
            hypotheses[n] = search.hypotheses(top, logits_of_n, norms)

    if language_model is None:
        threads.run(task, frames.lengths * (8 * beam_width + C))
    else:
        task(np.arange(N))  # threads would not help Python code, and the model may not allow them
    return hypotheses[0] if frames.single else hypotheses


class BeamStream:
    """Prefix beam search over frames that arrive in pieces, with the same answer as `prefix_beam_search`.

    Parameters
    ----------
    beam_width, blank, prune, language_model : as in `prefix_beam_search`

    Notes
    -----
    The stream keeps all frames, because exact probabilities need them.

    >>> stream = BeamStream()
    >>> for piece in np.log([[[0.6, 0.4]], [[0.6, 0.4]]]):
    ...     stream.push(piece)
    >>> stream.hypotheses()[0].labels
    [1]
    """

    def __init__(
        self, *, beam_width: int = 16, blank: int = 0, prune: float | None = None,
        language_model: LanguageModel | None = None,
    ) -> None:
        self._options = beam_width, blank, prune, language_model
        self._pieces: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # logits, norms
        self._search: Search | None = None

    def __repr__(self) -> str:
        frames = sum(len(logits) for logits, _ in self._pieces)
        return f"BeamStream(beam_width={self._options[0]}, blank={self._options[1]}, {frames} frames so far)"

    def push(self, logits: ArrayLike) -> None:
        """Take the next frames (T, C)."""
        frames = check_piece(logits, self._search.C if self._search else None)
        C = frames.rows.shape[1]
        self._search = self._search or Search(C, check_options(C, *self._options))
        norms = self._search.advance(frames.rows, 0, 1, len(frames.rows))
        self._pieces.append((np.array(frames.rows, np.float64), norms))

    def hypotheses(self, top: int = 1) -> list[Hypothesis]:
        """The best labellings of the frames so far, as `prefix_beam_search` would return them."""
        if self._search is None:
            raise ValueError("no frames yet: push some, an empty (0, C) piece at least")
        check_top(top, self._options[0])
        logits, norms = (np.concatenate(arrays) for arrays in zip(*self._pieces))
        self._pieces = [(logits, norms)]
        return self._search.hypotheses(top, logits, norms)


class SearchOptions(NamedTuple):
    """The options of a search, checked."""

    beam_width: int
    blank: int
    prune: float  # nats; inf keeps all
    score: Callable[[tuple[int, ...], int], Any] | None  # methods of the language model
    end: Callable[[tuple[int, ...]], Any] | None


def check_options(C: int, beam_width: Any, blank: Any, prune: Any, language_model: Any) -> SearchOptions:
    """The options of a search over C classes, or an error that says which one is wrong."""
    check_count("beam_width", beam_width)
    blank = check_blank(blank, C)
    limit = math.inf if prune is None else check_not_negative("prune", prune)
    score = end = None
    if language_model is not None:
        score, end = getattr(language_model, "score", None), getattr(language_model, "end", None)
        if not callable(score):
            raise TypeError(f"language_model must have a method score(prefix, label), got {language_model!r}")
    return SearchOptions(int(beam_width), blank, limit, score, end)


def check_top(top: Any, beam_width: int) -> None:
    """An error unless `top` is from 1 to the number of prefixes that the beam holds."""
    check_count("top", top)
    if top > beam_width:
        raise ValueError(f"top is {top}, but a beam of width {beam_width} holds no more than that")


class Search:
    """A prefix beam search over one sequence of C classes, whose frames may arrive in pieces."""

    def __init__(self, C: int, options: SearchOptions) -> None:
        self.C, self.options = C, options
        W, has_model = options.beam_width, options.score is not None
        K, room = C if has_model else min(C, W + 1), max(FIRST_NODES, 4 * W)
        self._state = State(
            tree=np.empty((room, 5), np.intp), priors=np.empty(room),
            label_priors=np.empty((room if has_model else 0, C)),
            nodes=np.empty(W, np.intp), logs=np.empty((W, 3)), counts=np.array([1, 1, 0]),
        )
        self._scratch = Scratch(
            log_probs=np.empty(C), likely=np.empty(K, np.intp), likely_log_probs=np.empty(K),
            owner=np.full(C, -1), links=np.empty((W, 2), np.intp), stayed=np.empty((W, 3)),
            scores=np.empty(W), moves=np.empty(W, np.intp), next_nodes=np.empty(W, np.intp),
            next_logs=np.empty((W, 3)),
        )
        # Before the first frame the empty prefix has probability 1. It counts as ending in a blank.
        self._state.tree[0], self._state.priors[0] = (-1, -1, -1, -1, 0), 0.0
        self._state.nodes[0], self._state.logs[0] = 0, (0.0, -np.inf, 0.0)
        self._score_new_prefixes()

    def advance(self, rows: NDArray, first: int, stride: int, T: int) -> NDArray[np.float64]:
        """Take the T frames rows[first], rows[first + stride], ...; returns their norms (T, 2)."""
        norms, t = np.empty((T, 2)), 0
        while t < T:
            # The language model has to score new prefixes before the next frame can extend them.
            wanted = T - t if self.options.score is None else 1
            taken = beam_kernels.advance(
                rows, first + t * stride, stride, wanted, self.options.blank, self.options.prune, self._state,
                self._scratch, norms[t:],
            )
            t += taken
            if taken < wanted:
                self._grow()
            else:
                self._score_new_prefixes()
        return norms

    def hypotheses(
        self, top: int, logits: NDArray[np.float64], norms: NDArray[np.float64]
    ) -> list[Hypothesis]:
        """The best labellings of the frames taken so far: logits (T, C), with their norms (T, 2)."""
        posteriors = Posteriors(logits, norms, self.options.blank)
        hypotheses = []
        for j in range(self._state.counts[BEAM]):
            node = self._state.nodes[j]
            seen = float(self._state.logs[j, TOTAL])
            score = seen + float(self._state.priors[node])
            if self.options.end is not None or j < top:
                labels = self._spell(node)
                if self.options.end is not None:
                    score += _checked_score(self.options.end(tuple(labels)), "end", labels)
                hypotheses.append(Hypothesis(labels, score, posteriors, seen))
        hypotheses.sort(key=lambda hypothesis: -hypothesis.log_score)  # keeps the order of equals
        return hypotheses[:top]

    def _spell(self, node: int) -> list[int]:
        """The labels of a node's prefix."""
        labels = np.empty(len(self._state.tree), np.intp)
        U = prefix_tree.spell(self._state.tree, node, labels)
        return labels[len(labels) - U:].tolist()

    def _score_new_prefixes(self) -> None:
        """Let the language model score every label after each prefix that is new."""
        score, blank = self.options.score, self.options.blank
        if score is not None:
            for node in range(self._state.counts[FRESH], self._state.counts[NODES]):
                prefix = tuple(self._spell(node))
                self._state.label_priors[node] = [
                    0.0 if c == blank else _checked_score(score(prefix, c), "score", [*prefix, c])
                    for c in range(self.C)
                ]

    def _grow(self) -> None:
        """Make room for twice as many prefixes."""
        tree, priors, label_priors = (
            np.concatenate([array, np.empty_like(array)]) for array in self._state[:3]
        )
        self._state = self._state._replace(tree=tree, priors=priors, label_priors=label_priors)


def _checked_score(value: Any, method: str, labels: list[int]) -> float:
    """The value that a method of the language model returned, as a float, or an error if it is no score."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"language_model.{method} gave {value!r} for the labels {labels}, not a number")
    if not value < math.inf:
        raise ValueError(f"language_model.{method} gave {value} for the labels {labels}; "
                         f"a score is finite, or -inf for what is impossible")
    return float(value)
