"""The problems on which every implementation is tested; a problem is a batch of logits and targets.

All of them have blank 0 at first. `Problem.with_blank` renames the classes for an implementation that has
its blank elsewhere.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..ctc.labels import min_frames
from ..ctc.reference import log_likelihood, log_softmax

PADDING = 7.0
"""The logits of padded frames, which must not be read, alternate between this number and its negative."""


KINDS = ("problems with a path", "logits of -inf", "logits of -inf, no path", "infeasible targets",
         "no frames")


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of N samples: their logits and targets.

    logits : for each sample an array (T_n, C)
    targets : for each sample its labels
    padding : how many frames follow the longest sample, and how many labels the longest target
    fill : the logits of padded frames, with alternating sign
    """

    logits: tuple[NDArray[np.float64], ...]
    targets: tuple[tuple[int, ...], ...]
    blank: int = 0
    padding: int = 0
    fill: float = PADDING

    @property
    def frames(self) -> int:
        """How many frames all samples have together."""
        return sum(map(len, self.logits))

    @property
    def classes(self) -> int:
        return self.logits[0].shape[1]

    @property
    def kind(self) -> str:
        """One of KINDS. Shrinking keeps the kind, because an implementation may not promise the others."""
        if min(map(len, self.logits)) == 0:
            return "no frames"
        if any(min_frames(target) > len(frames) for frames, target in zip(self.logits, self.targets)):
            return "infeasible targets"
        if any(np.isinf(frames).any() for frames in self.logits):
            return "logits of -inf" if self.has_paths() else "logits of -inf, no path"
        return "problems with a path"

    @property
    def size(self) -> tuple[float, ...]:
        """What shrinking reduces, in this order: samples, padding, frames, labels, classes, digits, ..."""
        values = [value for logits in self.logits for value in logits.ravel()]
        digits, total = sum(len(f"{value:g}") for value in values), float(np.abs(values).sum())
        return (len(self.logits), self.padding, self.frames, sum(map(len, self.targets)), self.classes,
                digits, total, self.blank)

    def arrays(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Logits (T, N, C) and targets (N, U), padded, and the lengths (N,) of both."""
        T, U = (np.array([len(row) for row in rows], np.intp) for rows in (self.logits, self.targets))
        logits = np.full((T.max() + self.padding, len(T), self.classes), self.fill)
        logits[:, :, ::2] *= -1
        fill = next((c for c in range(self.classes) if c != self.blank), self.blank)
        targets = np.full((len(U), U.max() + self.padding), fill, np.intp)
        for n, (frames, target) in enumerate(zip(self.logits, self.targets)):
            logits[:T[n], n], targets[n, :U[n]] = frames, target
        return logits, targets, T, U

    def has_paths(self) -> bool:
        """Whether every sample has a path of its target whose logits are all above -inf."""
        return all(log_likelihood(log_softmax(frames), target, self.blank) > -np.inf if len(frames)
                   else not target for frames, target in zip(self.logits, self.targets))

    def is_valid(self) -> bool:
        """Whether every frame has a class whose logit is above -inf."""
        return all((frames.max(axis=1) > -np.inf).all() for frames in self.logits)

    def with_blank(self, blank: int) -> Problem:
        """The same problem with the classes `blank` and the old blank exchanged.

        If there is no class `blank` yet, classes are added, with probabilities of nearly 0.
        """
        logits, old = self.logits, self.blank
        missing = blank + 1 - self.classes
        if missing > 0:
            lowest = [np.min(frames, axis=1, where=frames > -np.inf, initial=0) for frames in logits]
            logits = tuple(np.hstack([frames, np.repeat(low[:, None] - 40, missing, axis=1)])
                           for frames, low in zip(logits, lowest))
        order = np.arange(logits[0].shape[1])
        order[[old, blank]] = blank, old
        return replace(self, logits=tuple(frames[:, order] for frames in logits), blank=blank,
                       targets=tuple(tuple(int(order[c]) for c in target) for target in self.targets))

    def single(self, n: int) -> Problem:
        """Sample n on its own, without padding."""
        return replace(self, logits=(self.logits[n],), targets=(self.targets[n],), padding=0)


def one(logits: NDArray, *labels: int) -> Problem:
    return Problem((np.asarray(logits, np.float64),), (labels,))


def random_logits(rng: np.random.Generator, T: int, C: int, scale: float = 1.0) -> NDArray[np.float64]:
    """Logits (T, C) that float32 holds exactly: multiples of 1/64."""
    return np.round(64 * scale * rng.standard_normal((T, C))) / 64


def small(rng: np.random.Generator) -> list[Problem]:
    """Every target of up to 3 labels, from two classes, that fits into 1 to 4 frames."""
    return [one(random_logits(rng, T, 3, 1.5), *labels)
            for T in range(1, 5) for U in range(T + 1) for labels in itertools.product((1, 2), repeat=U)
            if U <= 3 and min_frames(labels) <= T]


def infeasible(rng: np.random.Generator) -> list[Problem]:
    """Targets that have more labels than frames, or whose repeats need more frames than there are."""
    return [one(random_logits(rng, T, 3), *labels)
            for T, labels in [(1, (1, 2)), (1, (1, 1)), (2, (1, 1)), (3, (2, 2, 1)), (3, (1, 2, 1, 2)),
                              (4, (1, 1, 1))]]


def no_frames(rng: np.random.Generator) -> list[Problem]:
    return [one(np.zeros((0, 3))), one(np.zeros((0, 2)), 1)]


def random(rng: np.random.Generator) -> list[Problem]:
    """Random sizes, up to 12 frames and 6 classes, with many repeats."""
    found = []
    for _ in range(40):
        T, C = int(rng.integers(1, 13)), int(rng.integers(2, 7))
        labels = rng.integers(1, int(rng.integers(2, C + 1)), size=int(rng.integers(0, T + 1)))
        while min_frames(labels) > T:
            labels = labels[:-1]
        found.append(one(random_logits(rng, T, C, rng.choice([0.5, 2, 6])), *map(int, labels)))
    return found


def long(rng: np.random.Generator) -> list[Problem]:
    """Sequences so long that the probability of every path underflows in float32, or in float64 too."""
    return [one(random_logits(rng, T, 8, 3), *map(int, rng.integers(1, 8, U)))
            for T, U in [(90, 20), (250, 40)]]


def extreme(rng: np.random.Generator) -> list[Problem]:
    """Logits of +-1000, and frames that are nearly certain."""
    found = [one(rng.choice([-1000.0, 0, 1000], size=(T, 3)), *labels)
             for T, labels in [(1, (1,)), (2, (1,)), (3, (1, 2)), (3, (1, 1)), (5, (2, 1)), (5, ())]]
    found += [one(1000 + random_logits(rng, 4, 3), 1), one(random_logits(rng, 4, 3) - 1000, 1, 2)]
    found += [one(30 * np.eye(3)[list(path)], *labels)
              for path, labels in [((0, 1, 2), (1, 2)), ((1, 1, 0, 1), (1, 2)), ((0, 0, 0), (1,)),
                                   ((2, 2), (1,))]]
    return found


def closed(rng: np.random.Generator) -> list[Problem]:
    """Logits of -inf, which are classes of probability 0; some of these problems have no path at all."""
    found = []
    for T, labels, places in [
            (1, (1,), [(0, 2)]), (2, (1,), [(0, 0)]), (3, (1, 2), [(1, 0)]), (3, (1,), [(0, 1), (2, 0)]),
            (4, (1, 1), [(1, 2), (2, 1)]), (4, (), [(0, 1), (1, 2)]), (2, (1,), [(0, 1), (1, 1)]),
            (3, (1, 1), [(1, 0)]), (2, (), [(1, 0)])]:
        logits = random_logits(rng, T, 3)
        logits[tuple(zip(*places))] = -np.inf
        found.append(one(logits, *labels))
    return found


def batches(rng: np.random.Generator) -> list[Problem]:
    """Batches whose samples have different lengths, in frames and in labels."""
    found = []
    for N in (2, 2, 3, 3, 4, 5):
        samples = [random(rng)[0] for _ in range(N)]
        T = [int(T) for T in rng.permutation(np.arange(2, 2 + N))]
        targets = [tuple(map(int, rng.integers(1, 4, U))) for U in rng.permutation(np.arange(len(samples)))]
        targets = [target if min_frames(target) <= T[n] else target[:1] for n, target in enumerate(targets)]
        found.append(Problem(tuple(random_logits(rng, frames, 4, 1.5) for frames in T), tuple(targets),
                             padding=int(rng.integers(0, 2))))
    return found


def batch_with_infeasible(rng: np.random.Generator) -> list[Problem]:
    """Batches in which one sample has no path."""
    return [Problem((random_logits(rng, 3, 3), random_logits(rng, 2, 3), random_logits(rng, 4, 3)),
                    ((1, 2), (1, 1), (2,))),
            Problem((random_logits(rng, 1, 3), random_logits(rng, 3, 3)), ((1, 2), (2, 2)))]
