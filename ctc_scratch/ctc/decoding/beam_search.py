"""Prefix beam search: frame by frame, it adds up the paths of the most promising labellings.

`prefix_beam_search` decodes whole sequences, `BeamStream` one sequence that arrives in pieces. Both are
thin: the class `Search` below holds the search over one sequence. It allocates the memory and calls the
language model; `beam_kernels` advances it by a frame. The results are `Hypothesis` objects, see `hypotheses`.

To read the algorithm first, see `reference_beam`.
"""

from __future__ import annotations

import math
from typing import Any, Callable, NamedTuple, Protocol, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.frames import Layout
from ..inputs.options import check_blank, check_count, check_not_negative
from ..inputs.values import check_logits, check_piece
from ..running import threads
from . import beam_kernels, prefix_tree
from .beam_kernels import TOTAL, Scratch, State
from .hypotheses import Hypothesis, Posteriors
from .prefix_tree import BEAM, FRESH, NODES, WANTED

FIRST_NODES = 4096
"""How many prefixes a search has room for at first. It grows when more than half of them are needed."""


class LanguageModel(Protocol):
    """What `prefix_beam_search` needs of a language model: the method `score`. The rest is optional.

    end(prefix) : what is added to the score of a complete labelling
    highest_score : a number that no score exceeds, such as 0 for ln P. With it, the search calls `score`
        only for labels that might enter the beam; the answer is the same.
    scores_for(labels) : called once before the search, with all labels (C - 1,). It returns a function that
        takes a prefix and returns all their scores (C - 1,), or raises an error if it does not know a label.

    Without the last two, the search calls `score` for every label after each prefix in the beam.
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
        returns what is added at the end. The usual choice is a multiple of ln P(label | prefix). If C is
        large, two other optional members save most of the time: see `LanguageModel`.
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N lists of `Hypothesis`; for one sequence, one list
        Shorter than `top` if fewer labellings are possible.

    Raises
    ------
    ValueError, TypeError
        `beam_width` is below 1, `top` exceeds it, the logits hold NaN or +inf, a shape or length is
        wrong, the language model does not know a label (`NGram` checks that before the search), or it
        returns NaN, +inf or more than its `highest_score`.

    Notes
    -----
    With W = beam_width, a sequence takes O(T (W log W + C log W)) time, and memory for a copy of the
    logits and for at most O(W U) prefixes. A language model adds its own time, and memory for C scores per
    prefix. Without one, log_score never exceeds log_prob, and equals it if nothing was dropped. The highest
    log_prob among top=beam_width hypotheses is often as good as that of the first hypothesis of a wider beam.

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
        task(np.arange(N))  # threads do not speed up Python code, and the model may not be safe in several
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
    # The other fields describe the language model, if there is one.
    labels: NDArray[np.intp] = np.empty(0, np.intp)  # (C - 1,) all classes but the blank
    score: Callable[[tuple[int, ...], int], Any] | None = None
    end: Callable[[tuple[int, ...]], Any] | None = None
    scores: Callable[[tuple[int, ...]], Any] | None = None  # those of all labels (C - 1,)
    highest: float = math.inf  # no score exceeds it; inf if that is not known


def check_options(C: int, beam_width: Any, blank: Any, prune: Any, language_model: Any) -> SearchOptions:
    """The options of a search over C classes, or an error that says which one is wrong."""
    check_count("beam_width", beam_width)
    blank = check_blank(blank, C)
    limit = math.inf if prune is None else check_not_negative("prune", prune)
    if language_model is None:
        return SearchOptions(int(beam_width), blank, limit)
    score, end = getattr(language_model, "score", None), getattr(language_model, "end", None)
    if not callable(score):
        raise TypeError(f"language_model must have a method score(prefix, label), got {language_model!r}")
    highest = getattr(language_model, "highest_score", math.inf)
    if isinstance(highest, bool) or not isinstance(highest, (int, float, np.integer, np.floating)):
        raise TypeError(f"language_model.highest_score must be a number, got {highest!r}")
    if math.isnan(highest):
        raise ValueError("language_model.highest_score must be a number that no score exceeds, got nan")
    labels, scores_for = np.delete(np.arange(C), blank), getattr(language_model, "scores_for", None)
    scores = scores_for(labels.copy()) if callable(scores_for) else None
    return SearchOptions(int(beam_width), blank, limit, labels, score, end, scores, float(highest))


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
        self._asks_all = options.scores is not None or options.highest == math.inf  # when a prefix is new
        self._state = State(
            tree=np.empty((room, 5), np.intp), priors=np.empty(room),
            label_priors=np.empty((room if has_model else 0, C)),
            nodes=np.empty(W, np.intp), logs=np.empty((W, 3)), counts=np.array([1, 1, 0, 0]),
        )
        self._scratch = Scratch(
            log_probs=np.empty(C), order=np.arange(C), likely=np.empty(K, np.intp),
            likely_log_probs=np.empty(K), wanted=np.empty(0 if self._asks_all else W * C, np.intp),
            owner=np.full(C, -1), links=np.empty((W, 2), np.intp), stayed=np.empty((W, 3)),
            scores=np.empty(W), moves=np.empty(W, np.intp), next_nodes=np.empty(W, np.intp),
            next_logs=np.empty((W, 3)),
        )
        # Before the first frame the empty prefix has probability 1. It counts as ending in a blank.
        self._state.tree[0], self._state.priors[0] = (-1, -1, -1, -1, 0), 0.0
        self._state.nodes[0], self._state.logs[0] = 0, (0.0, -np.inf, 0.0)

    def advance(self, rows: NDArray, first: int, stride: int, T: int) -> NDArray[np.float64]:
        """Take the T frames rows[first], rows[first + stride], ...; returns their norms (T, 2)."""
        norms, t, most_wanted, has_model = np.empty((T, 2)), 0, 1, self.options.score is not None
        while t < T:
            ahead = 1 if has_model else T - t
            if has_model:  # new prefixes need scores before the next frame can extend them
                self._score_new_prefixes()
                self._scratch.order[:] = np.argsort(-rows[first + t * stride], kind="stable")
            taken = beam_kernels.advance(
                rows, first + t * stride, stride, ahead, self.options.blank, self.options.prune, most_wanted,
                self._state, self._scratch, norms[t:],
            )
            t += taken
            if taken == ahead:
                most_wanted = max(1, most_wanted // 2)  # the next frame may need less
            elif self._state.counts[WANTED] > 0:
                self._score_wanted()
                most_wanted *= 2  # so that a frame is tried again at most log2(W C) times
            else:
                self._grow()
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
        """Fill label_priors of the new prefixes: the scores of all labels, or NaN and a bound on these."""
        options, counts = self.options, self._state.counts
        for node in range(counts[FRESH], counts[NODES]):
            row = self._state.label_priors[node]
            if self._asks_all:
                prefix = tuple(self._spell(node))
                row[options.labels], row[options.blank] = _checked_scores(options, prefix)
            else:
                row[:], row[options.blank] = np.nan, options.highest
        counts[FRESH] = counts[NODES]

    def _score_wanted(self) -> None:
        """Fill in the scores that `advance` has listed as wanted, by calls of the language model."""
        nodes, score, highest = self._state.nodes, self.options.score, self.options.highest
        assert score is not None
        prefixes: dict[int, list[int]] = {}
        for move in self._scratch.wanted[:self._state.counts[WANTED]].tolist():
            i, c = beam_kernels.unpacked(move)
            prefix = prefixes[i] = prefixes.get(i) or self._spell(nodes[i])
            value = _checked_score(score(tuple(prefix), c), "score", prefix, c)
            if value > highest:
                raise ValueError(f"language_model.score gave {value} for the labels {[*prefix, c]}, but its "
                                 f"highest_score is {highest}")
            self._state.label_priors[nodes[i], c] = value

    def _grow(self) -> None:
        """Make room for twice as many prefixes."""
        tree, priors, label_priors = (np.concatenate([a, np.empty_like(a)]) for a in self._state[:3])
        self._state = self._state._replace(tree=tree, priors=priors, label_priors=label_priors)


def _checked_scores(options: SearchOptions, prefix: tuple[int, ...]) -> tuple[NDArray[np.float64], float]:
    """The scores (C - 1,) of all labels after a prefix, and the highest; an error if one is not a score."""
    score, labels = options.score, options.labels
    assert score is not None
    if options.scores is None:
        values = np.array([_checked_score(score(prefix, c), "score", prefix, c) for c in labels.tolist()])
    else:
        given = np.asarray(options.scores(prefix))
        if given.shape != labels.shape or given.dtype.kind not in "fiu":
            raise TypeError(f"language_model.scores_for(labels) gave {given!r:.80} after the labels "
                            f"{[*prefix]}, not {len(labels)} numbers")
        values = given.astype(np.float64, copy=False)
    highest = float(values.max(initial=-np.inf))  # nan if any of them is
    if not highest < math.inf:
        k = int(np.argmin(values < math.inf))
        _checked_score(float(values[k]), "scores_for", prefix, int(labels[k]))
    return values, highest


def _checked_score(value: Any, method: str, prefix: Sequence[int], *label: int) -> float:
    """The value that a method of the language model returned, as a float; an error if it is not a score."""
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"language_model.{method} gave {value!r} for the labels {[*prefix, *label]}, "
                        f"not a number")
    if not value < math.inf:
        raise ValueError(f"language_model.{method} gave {value} for the labels {[*prefix, *label]}; "
                         f"a score is finite, or -inf for what is impossible")
    return float(value)
