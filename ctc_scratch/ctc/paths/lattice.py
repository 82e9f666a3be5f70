"""The lattice of one sequence: the distribution over all alignments of a target.

The alignments of a target have a distribution, their *posterior*: the probability of each path divided
by p(target | x). The posterior is a Markov chain over the states of l'. Whatever a path did before, from
state s at frame t it makes a move with the probability

    move_t(s, m) = beta_{t+1}(s') y_{t+1}(l'_{s'}) / beta_t(s)     s' = s, s + 1, s + 2: stay, step, skip

Transition posteriors, entropy, exact samples and the frames at which labels begin follow from these and
gamma. The most likely alignments come from the same recursion with a maximum in place of the sum (`align`,
`k_best`). Nothing is enumerated here; the tests enumerate and compare.

beta is kept relative to the top of each frame, and the tops are summed separately. Ratios of neighbours
then lose no digits, even where the likelihood is thousands of nats below 0. gamma and the likelihood are
those of the exact kernel, computed by `log_partition` and `ctc_loss`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import underflow_is_zero
from .. import reference
from ..enumeration import count_alignments
from ..inputs.errors import InfeasibleTargetError
from ..inputs.frames import Layout
from ..inputs.options import check_blank, check_count
from ..inputs.targets import check_targets
from ..inputs.values import check_logits
from ..labels import can_skip, count_repeats, extend, min_frames, states_of
from ..loss import ctc_loss
from ..partition import log_partition
from .align import MOST_SHOWN, Alignment, Span, alignment_of, best_alignment, saturated
from .k_best import paths_by_score
from .moves import LEAST_FLOAT, backward, draw_moves, entropy_terms, three_moves
from .svg import lattice_svg
from .trellis import number_text, state_names, terminal_draws_lines, trellis_text

MOST_STATES = 61
"""A lattice of more states than this is not printed as text."""


def lattice(
    logits: ArrayLike, target: Any, logit_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None, *, blank: int = 0, layout: Layout = "TNC",
) -> Any:
    """The lattice of a target, or of each target of a batch: all its alignments and their distribution.

    Parameters
    ----------
    logits : (T, C) float array; for a batch (T, N, C), or (N, T, C) with layout="NTC"
        Unnormalised scores; the softmax over C is taken inside. -inf is legal.
    target : (U,) integers, without the blank; for a batch, targets in any form that `ctc_loss` takes
    logit_lengths, target_lengths : (N,) integers, optional
        Frames used of each sequence, and labels used of each target.
    blank : which class is the blank
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    Lattice, or a list of N of them for a batch
        A target without any alignment is accepted: `num_alignments`, `gamma`, `occupancy` and
        `xi` are then 0, and whatever needs an alignment raises InfeasibleTargetError.

    Raises
    ------
    ValueError, TypeError
        As for `ctc_loss`.

    Notes
    -----
    Each quantity is computed on first use, in O(T U) time and memory, and kept. For the best
    alignment alone `align` needs far less memory.

    Examples
    --------
    Four frames and three classes, all equally likely: 15 alignments, so an entropy of ln 15.

    >>> import math
    >>> toy = lattice(np.zeros((4, 3)), [1, 2])
    >>> toy
    Lattice(T=4, C=3, target=[1, 2], log_likelihood=-1.686399, num_alignments=15)
    >>> print(round(toy.entropy, 6), round(math.log(15), 6))
    2.70805 2.70805
    >>> print(15 * toy.gamma.round(12))         # how many of them pass through each state
    [[ 5. 10.  0.  0.  0.]
     [ 1.  8.  3.  3.  0.]
     [ 0.  3.  3.  8.  1.]
     [ 0.  0.  0. 10.  5.]]
    """
    frames = check_logits(logits, logit_lengths, layout)
    blank = check_blank(blank, frames.rows.shape[1])
    packed = check_targets(target, target_lengths, frames, blank)
    lattices = [
        Lattice(saturated(frames.rows_of(frames.rows, n)), packed.of(n), blank, n)
        for n in range(len(frames.lengths))
    ]
    return lattices[0] if frames.single else lattices


@dataclass(frozen=True, eq=False, repr=False)
class Lattice:
    """All alignments of one target; made by `lattice`, which checks its input.

    `print` shows it as text (see `trellis`), and a notebook draws it.

    T frames, C classes, U labels, S = 2U + 1 states.

    logits : (T, C) float64
    labels : (U,)
    blank : the blank's class
    index : which sequence of its batch this is, for error messages
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.intp]
    blank: int
    index: int = 0

    def __repr__(self) -> str:
        T, C = self.logits.shape
        U = len(self.labels)
        target = f"target={self.labels.tolist()}" if U <= MOST_SHOWN else f"U={U}"
        return (f"Lattice(T={T}, C={C}, {target}, log_likelihood={self.log_likelihood:.6f}, "
                f"num_alignments={number_text(self.num_alignments)})")

    def __str__(self) -> str:
        if len(self.ext) > MOST_STATES:
            return f"{len(self.ext)} states, too many to show as text"
        return trellis_text(self, 79, ascii_only=not terminal_draws_lines())

    def _repr_html_(self) -> str:
        T, C = self.logits.shape
        possible = self.log_likelihood > -np.inf
        states = states_of(self.best().path.tolist(), self.blank).tolist() if possible else []
        caption = (f"Lattice: T = {T} frames, C = {C} classes, U = {len(self.labels)} labels; "
                   f"log_likelihood = {self.log_likelihood:.6f}; "
                   f"alignments: {number_text(self.num_alignments)}")
        return lattice_svg(self.gamma, state_names(self.ext), states, caption)

    # ---- the recursion

    @cached_property
    def ext(self) -> NDArray[np.intp]:
        """The extended labels l' (S,)."""
        return extend(self.labels, self.blank)

    @cached_property
    def log_probs(self) -> NDArray[np.float64]:
        """ln y (T, C)."""
        return reference.log_softmax(self.logits)

    @cached_property
    def log_alpha(self) -> NDArray[np.float64]:
        """(T, S): ln of the sum of all ways to reach state s at frame t, that frame's emission included."""
        return reference.forward(self.log_probs, self.labels.tolist(), self.blank)

    @cached_property
    def log_beta(self) -> NDArray[np.float64]:
        """(T, S): ln of the sum of all ways to finish from state s after frame t."""
        relative, tops = self._relative_beta
        return relative + np.cumsum(tops[::-1])[::-1, None]

    @cached_property
    def log_likelihood(self) -> float:
        """ln p(target | x); -inf if there is no alignment."""
        result = ctc_loss(self.logits, self.labels, blank=self.blank, infeasible="inf", method="exact")
        return 0.0 - float(result.loss)

    @cached_property
    def gamma(self) -> NDArray[np.float64]:
        """(T, S): the posterior of being in state s at frame t, alpha beta / p."""
        # For impossible states the exact kernel gives exactly 0, the certified one perhaps a tiny number.
        posterior = log_partition(self.logits, self.labels, blank=self.blank, method="exact").gamma
        assert posterior is not None
        return posterior

    @cached_property
    def occupancy(self) -> NDArray[np.float64]:
        """(T, C): the posterior of emitting class c at frame t; probs - occupancy is the gradient."""
        posterior = np.zeros(self.logits.shape)
        np.add.at(posterior.T, self.ext, self.gamma.T)
        return posterior

    @cached_property
    @underflow_is_zero
    def moves(self) -> NDArray[np.float64]:
        """(3, T - 1, S): the probability that a path in state s at frame t next stays, steps or skips.

        The three sum to 1, or are 0 where no alignment goes on from that state.
        """
        after = self._relative_beta[0][1:] + self._emissions[1:]
        log_moves = three_moves(after, self._skips)
        weights = np.exp(log_moves - np.maximum(log_moves.max(axis=0), LEAST_FLOAT))
        return weights / np.maximum(weights.sum(axis=0), 1.0)

    @cached_property
    def xi(self) -> NDArray[np.float64]:
        """(3, T - 1, S): the posterior of being in state s at frame t and next making each move.

        The sum over the three moves from a state is gamma of that state. The sum over the moves
        into a state is gamma of that state one frame later.
        """
        return self.gamma[:-1] * self.moves

    # ---- the posterior as a whole

    @cached_property
    def num_alignments(self) -> int:
        """The exact number of paths that spell the target with a probability above 0.

        Paths through a logit of -inf are not counted. Without such logits the number is
        binomial(T + U - r, 2U).
        """
        open_ = self.logits[:, self.ext] > -np.inf
        if open_.all():
            return count_alignments(self.labels, len(open_))
        # The forward recursion in Python's integers, which do not overflow.
        skipped_into = np.flatnonzero(self._skips)
        counts = np.array([1] + [0] * (len(self.ext) - 1), dtype=object)  # a blank before the first frame
        for possible in open_:
            before, counts = counts, counts.copy()
            counts[1:] += before[:-1]
            counts[skipped_into] += before[skipped_into - 2]
            counts[~possible] = 0
        return int(counts[-2:].sum())

    @cached_property
    def entropy(self) -> float:
        """Entropy of the posterior over alignments, in nats: 0 if there is one, at most ln of their number.

        It is the entropy of the first state plus the entropies of the moves from every state,
        weighted with gamma: a sum of positive terms, in which nothing cancels.
        """
        self._need_alignment()
        if len(self.gamma) == 0:
            return 0.0
        of_moves = entropy_terms(self.moves).sum(axis=0)
        return float(entropy_terms(self.gamma[0]).sum() + (self.gamma[:-1] * of_moves).sum())

    def first_frames(self) -> NDArray[np.float64]:
        """(T, U): the posterior that label u begins at frame t; each column sums to 1."""
        self._need_alignment()
        T, U = len(self.gamma), len(self.labels)
        begins = np.zeros((T, U))
        if U > 0:
            begins[0, 0] = self.gamma[0, 1]
            _, step, skip = self.xi
            begins[1:] = step[:, 0:-1:2]  # from the blank before it
            begins[1:, 1:] += skip[:, 1:-2:2]  # from the label before that
        return begins

    # ---- single alignments

    def best(self) -> Alignment:
        """The most likely alignment, as `align` returns it."""
        fits = len(self.logits) >= min_frames(self.labels)
        best = best_alignment(self.logits, self.labels, self.blank) if fits else None
        if best is None:
            raise self._infeasible()
        return best

    def spans(self) -> list[Span]:
        """The first and last frame of each label in the best alignment, and a confidence.

        The confidence is the posterior that a frame belongs to this label, which is gamma of the
        label's state, averaged over the frames of the span.
        """
        best = self.best()
        states = states_of(best.path.tolist(), self.blank)
        return [
            span._replace(confidence=float(self.gamma[span.first:span.last + 1, states[span.first]].mean()))
            for span in best.spans
        ]

    def k_best(self, k: int) -> list[Alignment]:
        """The k most likely alignments, best first; all of them if there are fewer.

        They take O(k T log T) time after one O(T U) recursion: see `k_best.paths_by_score`.
        """
        k = check_count("k", k)
        self._need_alignment()
        by_score = paths_by_score(self._best_after, self._skips)
        paths = [self._alignment(states) for states in itertools.islice(by_score, k)]
        # They come in the order of their costs, which are sums of differences: rounding may change the order.
        return sorted(paths, key=lambda path: -path.log_prob)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """n alignments drawn independently from their posterior: (n, T), the class of each frame."""
        n = check_count("n", n)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
        self._need_alignment()
        T = len(self.gamma)
        states = np.zeros((T, n), dtype=np.intp)
        if T > 0 and len(self.labels) > 0:
            states[0] = draw_moves(np.append(self.gamma[0, :2], 0.0), rng.random(n))
        for t in range(1, T):
            states[t] = states[t - 1] + draw_moves(self.moves[:, t - 1, states[t - 1]], rng.random(n))
        return self.ext[states.T]

    # ---- inside

    @property
    def _emissions(self) -> NDArray[np.float64]:
        """(T, S): ln y of the class that each state emits."""
        return self.log_probs[:, self.ext]

    @cached_property
    def _skips(self) -> NDArray[np.bool_]:
        return can_skip(self.ext)

    @cached_property
    def _relative_beta(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """log beta (T, S) relative to the top of each frame, and what each frame subtracted (T,)."""
        return backward(self._emissions, self._skips, lambda moves: reference.log_add(*moves))

    @cached_property
    def _best_after(self) -> NDArray[np.float64]:
        """(T, S): score of the best way to go on from state s at frame t, that frame's emission included."""
        relative, _ = backward(self._emissions, self._skips, lambda moves: moves.max(axis=0))
        return relative + self._emissions

    def _alignment(self, states: NDArray[np.intp]) -> Alignment:
        path = self.ext[states]
        return alignment_of(path, self.log_probs[np.arange(len(path)), path], self.blank)

    def _need_alignment(self) -> None:
        if self.log_likelihood == -np.inf:
            raise self._infeasible()

    def _infeasible(self) -> InfeasibleTargetError:
        repeats = count_repeats(self.labels)
        return InfeasibleTargetError(self.index, len(self.labels) + repeats, len(self.logits), repeats)
