"""Hypothesis strategies that draw random CTC problems and random labellings."""

from __future__ import annotations

import numba
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from ctc_scratch.ctc.labels import min_frames
from tests.conftest import Problem

# There is no deadline, as the first example compiles. In plain Python each takes a hundred times as long.
laws = settings(max_examples=5 if numba.config.DISABLE_JIT else 50, deadline=None, derandomize=True)

random = st.randoms(use_true_random=False)


@st.composite
def problems(draw, most_frames=12, most_sequences=4, most_classes=5, fits=True, holes=False, whole=False):
    """A `Problem`: ragged lengths, any blank, repeats and empty targets, logits of any scale up to 30.

    fits : every target fits its frames, as long as no logit is -inf
    holes : some logits are -inf, never all of a frame
    whole : logits are whole multiples of 1/64, so that adding a whole number to them rounds nothing
    """
    T = draw(st.integers(1, most_frames))
    N = draw(st.integers(1, most_sequences))
    C = draw(st.integers(2, most_classes))
    blank = draw(st.integers(0, C - 1))
    labels = st.sampled_from([c for c in range(C) if c != blank])
    targets_of_any_length = st.lists(labels, max_size=T)
    fitting = targets_of_any_length.filter(lambda target: min_frames(target) <= T)
    targets = [draw(fitting if fits else targets_of_any_length) for _ in range(N)]
    lengths = [draw(st.integers(max(min_frames(target), 1) if fits else 0, T)) for target in targets]
    scale = draw(st.sampled_from([0.1, 1.0, 5.0, 30.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = scale * rng.standard_normal((T, N, C))
    if whole:
        logits = np.round(64 * logits) / 64
    if holes and draw(st.booleans()):
        closed = rng.random((T, N, C)) < 0.2
        np.put_along_axis(closed, rng.integers(C, size=(T, N, 1)), False, axis=2)
        logits[closed] = -np.inf
    return Problem(logits, targets, np.array(lengths), blank)


def tiny_problems(**options):
    """Problems small enough to enumerate: at most 3^5 paths."""
    return problems(most_frames=5, most_sequences=2, most_classes=3, **options)


def labellings(most_labels=8, most_classes=4):
    """Labels without the blank 0."""
    return st.lists(st.integers(1, most_classes), max_size=most_labels)


def renamed(problem, random):
    """The new name of each class, and the problem with its classes renamed."""
    name = list(range(problem.logits.shape[2]))
    random.shuffle(name)
    logits = np.empty_like(problem.logits)
    logits[:, :, name] = problem.logits
    return name, Problem(logits, [[name[c] for c in target] for target in problem.targets],
                         problem.logit_lengths, name[problem.blank])


def reordered(problem, order):
    """The problem that consists of these sequences, in this order."""
    return Problem(problem.logits[:, order], [problem.targets[n] for n in order],
                   problem.logit_lengths[order], problem.blank)


def one_by_one(problem):
    """Yield the logits (T, C), without padding, and the target of each sequence."""
    for n, (target, T) in enumerate(zip(problem.targets, problem.logit_lengths)):
        yield problem.logits[:T, n], target
