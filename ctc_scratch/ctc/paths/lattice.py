"""The lattice of one sequence: everything CTC knows about where a target's labels stand.

Given the target, its alignments have a distribution, their posterior: each path has its own
probability divided by p(target | x). It is a Markov chain over the states of l'. A path in state s
at frame t makes a move with the probability

    move_t(s, m) = beta_{t+1}(s') y_{t+1}(l'_{s'}) / beta_t(s)     s' = s, s + 1, s + 2: stay, step, skip

whatever it did before. From gamma and these follow transition posteriors, entropy, exact samples
and the frames at which labels begin. The likeliest alignments come from the same recursion with max
in place of the sum. Nothing is enumerated; the tests enumerate and compare.

beta is kept relative to the top of each frame, whose logarithm goes into a sum of its own: ratios
of neighbours then lose no digits to a likelihood of thousands of nats. gamma and the likelihood
are those of the exact kernel, by way of `log_partition` and `ctc_loss`.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import reference
from ..enumeration import count_alignments
from ..inputs.errors import InfeasibleTargetError
from ..inputs.options import check_blank, check_count
from ..inputs.targets import check_targets
from ..inputs.values import check_logits
from ..labels import can_skip, count_repeats, extend, states_of
from ..loss import ctc_loss, log_partition
from .align import Alignment, Span, align, alignment_of, saturated

LOWEST = np.finfo(np.float64).min  # stands in for a top where all is -inf


def lattice(logits: ArrayLike, target: ArrayLike, *, blank: int = 0) -> Lattice:
    """The lattice of a target, to be asked for what it knows.

    Parameters
    ----------
    logits : (T, C) float array
        Unnormalised scores; the softmax over C is taken inside. -inf is legal.
    target : (U,) integers, without the blank
    blank : which class is the blank

    Returns
    -------
    Lattice
        Also where the target has no alignment: `num_alignments` is 0 then, `gamma`, `occupancy`
        and `xi` are 0, and what needs an alignment raises InfeasibleTargetError.

    Raises
    ------
    ValueError, TypeError
        As `ctc_loss`.

    Notes
    -----
    Each answer is computed when it is first asked for, in O(T U) time and memory, and kept. For
    the best alignment alone `align` needs far less memory.

    Examples
    --------
    Four frames and three classes, all equally likely: 15 alignments, so an entropy of ln 15.

    >>> import math
    >>> toy = lattice(np.zeros((4, 3)), [1, 2])
    >>> toy
    Lattice(T=4, C=3, target=[1, 2], log_likelihood=-1.686399, num_alignments=15)
    >>> print(round(toy.entropy, 6), round(math.log(15), 6))
    2.70805 2.70805
    >>> print(15 * toy.gamma.round(12))         # how many of them are where
    [[ 5. 10.  0.  0.  0.]
     [ 1.  8.  3.  3.  0.]
     [ 0.  3.  3.  8.  1.]
     [ 0.  0.  0. 10.  5.]]
    """
    frames = check_logits(logits)
    blank = check_blank(blank, frames.rows.shape[1])
    if not frames.single:
        raise ValueError(f"logits must have shape (T, C), got {frames.logits.shape}")
    labels = check_targets(target, None, frames, blank).labels
    return Lattice(saturated(frames.rows), labels, blank)


@dataclass(frozen=True, eq=False, repr=False)
class Lattice:
    """All alignments of one target; made by `lattice`, which checks its input.

    T frames, C classes, U labels, S = 2U + 1 states.

    logits : (T, C) float64
    labels : (U,)
    blank : the blank's class
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.intp]
    blank: int

    def __repr__(self) -> str:
        T, C = self.logits.shape
        target = str(self.labels.tolist()) if len(self.labels) <= 20 else f"{len(self.labels)} labels"
        return (f"Lattice(T={T}, C={C}, target={target}, log_likelihood={self.log_likelihood:.6f}, "
                f"num_alignments={self.num_alignments})")

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
        """(T, S): all ways to reach state s at frame t, that frame's emission included."""
        return reference.forward(self.log_probs, self.labels.tolist(), self.blank)

    @cached_property
    def log_beta(self) -> NDArray[np.float64]:
        """(T, S): all ways to finish from state s after frame t."""
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
        # 0 is 0 in the exact kernel: the certified one may raise an impossible state to a floor.
        return log_partition(self.logits, self.labels, blank=self.blank, method="exact").gamma

    @cached_property
    def occupancy(self) -> NDArray[np.float64]:
        """(T, C): the posterior of emitting class c at frame t; probs - occupancy is the gradient."""
        posterior = np.zeros(self.logits.shape)
        np.add.at(posterior.T, self.ext, self.gamma.T)
        return posterior

    @cached_property
    def moves(self) -> NDArray[np.float64]:
        """(3, T - 1, S): what a path in state s at frame t does next, stay, step or skip.

        They sum to 1 over the moves, or are 0 where no alignment goes on from there.
        """
        after = self._relative_beta[0][1:] + self.log_probs[1:, self.ext]
        log_moves = _three_moves(after, self._skips)
        weights = np.exp(log_moves - np.maximum(log_moves.max(axis=0), LOWEST))
        return weights / np.maximum(weights.sum(axis=0), 1.0)

    @cached_property
    def xi(self) -> NDArray[np.float64]:
        """(3, T - 1, S): the posterior of being in state s at frame t and going on by stay, step, skip.

        Its sum over the moves is gamma; over all that enters a state, gamma one frame later.
        """
        return self.gamma[:-1] * self.moves

    # ---- the posterior as a whole

    @cached_property
    def num_alignments(self) -> int:
        """How many paths spell the target with a probability above 0, exactly, however many.

        Paths that -inf logits close are not counted; without any of those the number is
        binomial(T + U - r, 2U).
        """
        open_ = self.logits[:, self.ext] > -np.inf
        if open_.all():
            return count_alignments(self.labels, len(open_))
        # The forward recursion in Python's integers, which know no largest one.
        skipped_into = np.flatnonzero(self._skips)
        ways = np.array([1] + [0] * (len(self.ext) - 1), dtype=object)  # a blank before the first frame
        for t, possible in enumerate(open_):
            before, ways = ways, ways.copy()
            ways[1:] += before[:-1]
            ways[skipped_into] += before[skipped_into - 2]
            ways[~possible] = 0
        return int(ways[-2:].sum())

    @cached_property
    def entropy(self) -> float:
        """Of the posterior over alignments [nats]: 0 for a single one, ln of their number at most.

        The entropy of the first state and, gamma-weighted, of the move from every later one:
        a sum of positive terms, nothing cancels.
        """
        self._need_alignment()
        if len(self.gamma) == 0:
            return 0.0
        of_moves = _entropy(self.moves).sum(axis=0)
        return float(_entropy(self.gamma[0]).sum() + (self.gamma[:-1] * of_moves).sum())

    def first_frames(self) -> NDArray[np.float64]:
        """(T, U): the posterior of label u beginning at frame t; each column sums to 1."""
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
        """The likeliest alignment: `align` of this lattice."""
        return align(self.logits, self.labels, blank=self.blank)

    def spans(self) -> list[Span]:
        """First and last frame of each label in the best alignment.

        The confidence is the posterior that a frame of the span belongs to this label, gamma
        of its state, averaged over the span.
        """
        best = self.best()
        states = states_of(best.path.tolist(), self.blank)
        return [
            span._replace(confidence=float(self.gamma[span.first:span.last + 1, states[span.first]].mean()))
            for span in best.spans
        ]

    def k_best(self, k: int) -> list[Alignment]:
        """The k likeliest alignments, best first; all of them where there are fewer.

        Every other path leaves the best one at some frame by a move that is not the best, then
        goes on by best moves until it leaves those too. Such a departure costs what the best
        move is better by. So paths form a tree, each one's parent the path it departs from last,
        and a heap takes them from it in order of the sum of their departures: O(k T log T)
        behind one O(T U) recursion.
        """
        k = check_count("k", k)
        self._need_alignment()
        tree = _Departures(self._best_after, self._skips)
        paths = [self._alignment(states) for states in itertools.islice(tree, k)]
        # Sums of differences may tie, or differ by a rounding, where sums do not.
        return sorted(paths, key=lambda path: -path.log_prob)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """n alignments (n, T), drawn independently from their posterior: classes, frame by frame."""
        n = check_count("n", n)
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator, got {rng!r}")
        self._need_alignment()
        T = len(self.gamma)
        states = np.zeros((T, n), dtype=np.intp)
        if T > 0 and len(self.labels) > 0:
            states[0] = _draw(np.append(self.gamma[0, :2], 0.0), rng.random(n))
        for t in range(1, T):
            states[t] = states[t - 1] + _draw(self.moves[:, t - 1, states[t - 1]], rng.random(n))
        return self.ext[states.T]

    # ---- inside

    @cached_property
    def _skips(self) -> NDArray[np.bool_]:
        return can_skip(self.ext)

    @cached_property
    def _relative_beta(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """log beta (T, S) less what has been taken out of it, and what each frame took out (T,)."""
        return self._going_on(lambda ways: reference.log_add(*ways))

    @cached_property
    def _best_after(self) -> NDArray[np.float64]:
        """(T, S): the best way on from state s at frame t, that frame's emission included, relative."""
        return self._going_on(lambda ways: ways.max(axis=0))[0] + self.log_probs[:, self.ext]

    def _going_on(self, add) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The backward recursion, each frame less its top; `add` unites the ways (3, S) of the moves."""
        T, S = len(self.logits), len(self.ext)
        scores, tops = np.full((T, S), -np.inf), np.zeros(T)
        if T > 0:
            scores[-1, -2:] = 0.0
        for t in range(T - 2, -1, -1):
            row = add(_three_moves(scores[t + 1] + self.log_probs[t + 1, self.ext], self._skips))
            tops[t] = row.max() if row.max() > -np.inf else 0.0  # -inf: no way on is left
            scores[t] = row - tops[t]
        return scores, tops

    def _alignment(self, states: NDArray[np.intp]) -> Alignment:
        path = self.ext[states]
        return alignment_of(path, self.log_probs[np.arange(len(path)), path], self.blank)

    def _need_alignment(self) -> None:
        if self.log_likelihood == -np.inf:
            repeats = count_repeats(self.labels)
            raise InfeasibleTargetError(0, len(self.labels) + repeats, len(self.logits), repeats)


class _Departures:
    """The tree of all paths, best first; each path is its states (T,)."""

    def __init__(self, best_after: NDArray[np.float64], skips: NDArray[np.bool_]) -> None:
        T, S = best_after.shape
        # Before its first frame a path is in a state -1, from which it steps or skips.
        self.ways = np.full((3, T, S + 1), -np.inf)
        self.ways[:, 1:, 1:] = _three_moves(best_after[1:], skips)
        if T > 0:
            self.ways[1:1 + min(S, 2), 0, 0] = best_after[0, :2]
        self.best_move = self.ways.argmax(axis=0).tolist()  # on a tie the first: stay, step, skip
        # What is left to pop: cost, a number that breaks ties, the parent, which of its departures.
        self.heap: list[tuple[float, int, _Path | None, int]] = [(0.0, 0, None, 0)]
        self.number = 0

    def __iter__(self) -> _Departures:
        return self

    def __next__(self) -> NDArray[np.intp]:
        if not self.heap:
            raise StopIteration
        cost, _, parent, rank = heapq.heappop(self.heap)
        T = len(self.best_move)
        states = np.empty(T, dtype=np.intp)
        begin, s = 0, -1
        if parent is not None:
            self._push(parent, rank + 1)  # its next one, dearer than this
            t, move = parent.departure(rank)
            states[:t] = parent.states[:t]
            states[t] = s = parent.states[t - 1] + move if t > 0 else move - 1
            begin = t + 1
        for t in range(begin, T):
            s += self.best_move[t][s + 1]
            states[t] = s
        self._push(_Path(states, cost, begin, self.ways), 0)
        return states

    def _push(self, path: _Path, rank: int) -> None:
        if rank < len(path.order):
            self.number += 1
            heapq.heappush(self.heap, (path.cost + path.losses[rank], self.number, path, rank))


class _Path:
    """A path and the departures from it at frames >= begin, cheapest first."""

    def __init__(self, states: NDArray[np.intp], cost: float, begin: int, ways: NDArray[np.float64]) -> None:
        self.states, self.cost, self.begin = states, cost, begin
        frames = np.arange(begin, len(states))
        before = np.concatenate([[-1], states])[frames]
        ways = ways[:, frames, before + 1].T
        losses = ways.max(axis=1, keepdims=True, initial=LOWEST) - ways
        losses[np.arange(len(frames)), states[begin:] - before] = np.inf  # the path itself
        losses = losses.reshape(-1)
        self.order = np.argsort(losses, kind="stable")[:np.count_nonzero(losses < np.inf)]
        self.losses = losses[self.order]

    def departure(self, rank: int) -> tuple[int, int]:
        """Its frame and move."""
        return self.begin + int(self.order[rank]) // 3, int(self.order[rank]) % 3


def _three_moves(after: NDArray[np.float64], skips: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3, ..., S): what lies behind stay, step and skip from each state, given (..., S) of the next frame."""
    ways = np.full((3, *after.shape), -np.inf)
    ways[0] = after
    ways[1, ..., :-1] = after[..., 1:]
    ways[2, ..., :-2] = np.where(skips[2:], after[..., 2:], -np.inf)
    return ways


def _draw(probs: NDArray[np.float64], uniform: NDArray[np.float64]) -> NDArray[np.intp]:
    """0, 1 or 2 with the probabilities (3, ...), by numbers (n,) in [0, 1); never one of probability 0."""
    first, second, third = probs
    # A rounding may leave the sum below 1: the last move that is possible has all the rest.
    past_first = (uniform >= first) & (second + third > 0)
    past_second = (uniform >= first + second) & (third > 0)
    return past_first.astype(np.intp) + (past_first & past_second)


def _entropy(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """-p ln p of each."""
    return -probs * np.log(probs, out=np.zeros_like(probs), where=probs > 0)
