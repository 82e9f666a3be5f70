"""All small problems, and the paths of each by enumeration."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration, reference
from ctc_scratch.ctc.paths.lattice import lattice

KINDS = ["uniform", "random", "sharp", "-inf"]


def problems(T, kind):
    """All labellings of C <= 3 classes, U <= 3 labels, the blank being any class; feasible or not."""
    rng = np.random.default_rng([T, KINDS.index(kind)])
    for C in (1, 2, 3):
        for blank, U in itertools.product(range(C), range(4)):
            for labels in itertools.product([c for c in range(C) if c != blank], repeat=U):
                scale = {"uniform": 0, "random": 1, "sharp": 5, "-inf": 1}[kind]
                logits = scale * rng.standard_normal((T, C))
                if kind == "-inf":
                    logits[rng.random((T, C)) < 0.25] = -np.inf
                    logits[np.arange(T), rng.integers(C, size=T)] = 0.5  # every frame keeps one class
                yield logits, list(labels), blank


def enumerated(logits, labels, blank):
    """The paths with a probability above 0, most probable first, and their log-probabilities."""
    log_probs = reference.log_softmax(logits)
    paths = [(sum(log_probs[range(len(path)), path]), path)
             for path in enumeration.alignments(labels, len(logits), blank)]
    paths = sorted((item for item in paths if item[0] > -np.inf), key=lambda item: -item[0])
    return [path for _, path in paths], np.array([log_prob for log_prob, _ in paths])


def feasible_problems(T, kind):
    """The lattice of each problem that has a path; its paths, their log-probabilities and posterior."""
    for logits, labels, blank in problems(T, kind):
        paths, log_probs = enumerated(logits, labels, blank)
        if paths:
            probs = np.exp(log_probs - log_probs[0])
            yield lattice(logits, labels, blank=blank), paths, log_probs, probs / probs.sum()


def on_all_small_problems(test):
    """Runs test(T, kind) for each number of frames up to 6 and each kind of logits."""
    return pytest.mark.parametrize("kind", KINDS)(pytest.mark.parametrize("T", range(7))(test))
