"""Shrinking: fewer samples, frames, labels and classes, and rounder numbers, while the fault still shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable, Iterator

import numpy as np

from .problems import Problem

MOST_CALLS = 600
"""Shrinking stops after this many calls, so that a slow implementation has a report within a minute."""


def shrink(problem: Any, is_faulty: Callable[[Any], bool],
           smaller_ones: Callable[[Any], Iterator[Any]] | None = None) -> Any:
    """Replace a faulty problem by the first smaller one that is still faulty, until there is none.

    `smaller_ones` yields the candidates for a problem; by default they are those for a problem of CTC.
    """
    calls = 0
    while True:
        for smaller in (smaller_ones or _smaller)(problem):
            calls += 1
            if calls > MOST_CALLS:
                return problem
            if smaller.size < problem.size and is_faulty(smaller):
                problem = smaller
                break
        else:
            return problem


def _smaller(problem: Problem) -> Iterator[Problem]:
    """Candidates that lack one part or have simpler numbers, the largest steps first."""
    N = len(problem.logits)
    for n in range(N if N > 1 else 0):
        yield replace(problem, logits=problem.logits[:n] + problem.logits[n + 1:],
                      targets=problem.targets[:n] + problem.targets[n + 1:])
    if problem.padding:
        yield replace(problem, padding=0)
    for n in range(N):
        logits, target = problem.logits[n], problem.targets[n]
        T = len(logits)
        for part in (T // 2, T // 4, 1):
            for start in range(0, T if part else 0, max(part, 1)):
                yield _with(problem, n, np.delete(logits, slice(start, start + part), axis=0), target)
        for u in range(len(target)):
            yield _with(problem, n, logits, target[:u] + target[u + 1:])
            # One label and one frame less, for targets that only just fit.
            for t in range(T):
                yield _with(problem, n, np.delete(logits, t, axis=0), target[:u] + target[u + 1:])
    for c in range(problem.classes):
        if c != problem.blank and not any(c in target for target in problem.targets):
            yield _without_class(problem, c)
    for digits in (0, 1, 2):
        yield replace(problem, logits=tuple(np.round(logits, digits) + 0.0 for logits in problem.logits))
    for n in range(N):
        for place in np.ndindex(problem.logits[n].shape):
            for value in (0.0, 1.0, -1.0):
                if problem.logits[n][place] != value:
                    logits = problem.logits[n].copy()
                    logits[place] = value
                    yield _with(problem, n, logits, problem.targets[n])


def _with(problem: Problem, n: int, logits: np.ndarray, target: tuple[int, ...]) -> Problem:
    return replace(problem, logits=problem.logits[:n] + (logits,) + problem.logits[n + 1:],
                   targets=problem.targets[:n] + (target,) + problem.targets[n + 1:])


def _without_class(problem: Problem, c: int) -> Problem:
    return replace(problem, logits=tuple(np.delete(logits, c, axis=1) for logits in problem.logits),
                   targets=tuple(tuple(k - (k > c) for k in target) for target in problem.targets),
                   blank=problem.blank - (problem.blank > c))
