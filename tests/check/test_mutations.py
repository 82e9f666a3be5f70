"""Mistakes that nobody listed: mutations of `reference.py` are reported, with an example of at most 4 frames.

    python -m tests.check.test_mutations        # 200 of them, on 10 000 random problems: 10 minutes

Whether a mutation changes an answer is found out on random problems of this file, not on the check's own.
"""

import itertools
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ctc_scratch.check import check_ctc
from ctc_scratch.ctc import reference
from tests.tools.mutants import mutations

SOURCE = Path(reference.__file__).read_bytes()
SINGLE = mutations("reference.py", SOURCE)
MOST_FRAMES = 4


def random_problems(count, seed, most_frames=9):
    """(logits, labels, blank): also no frames, one class, targets that do not fit, logits of -inf."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        T, C = int(rng.integers(0, most_frames + 1)), int(rng.integers(1, 6))
        blank = int(rng.integers(C))
        classes = [c for c in range(C) if c != blank]
        labels = [int(c) for c in rng.choice(classes, int(rng.integers(0, T + 2)))] if classes else []
        logits = rng.standard_normal((T, C)) * rng.choice([0.3, 1, 5, 300])
        if T and C > 1 and rng.random() < 0.1:
            logits[int(rng.integers(T)), int(rng.integers(C))] = -np.inf
        yield logits, labels, blank


def answer(function, problem):
    """The loss and gradient, or None if the function raises an error."""
    with np.errstate(all="ignore"):
        try:
            return function(*problem)
        except Exception:
            return None


def differs(first, second):
    if first is None or np.shape(first[1]) != np.shape(second[1]) or np.shape(first[0]) != ():
        return True
    same = first[0] == second[0] or abs(first[0] - second[0]) <= 1e-9 * max(1, abs(second[0]))
    return not (same and (np.abs(first[1] - second[1]) <= 1e-9).all())


def mutant(*changes):
    """`loss_and_grad` of the reference with these changes, which do not overlap; None if it is no Python."""
    text = SOURCE
    for change in sorted(changes, reverse=True):
        text = change.apply(text)
    twin = ModuleType("mutant")
    twin.__package__ = reference.__package__
    try:
        exec(compile(text, "mutant", "exec"), twin.__dict__)
    except SyntaxError:
        return None
    return twin.loss_and_grad


def mutants(seed):
    """All mutations, then pairs of them in random order: each with its description."""
    pairs = [(a, b) for a, b in itertools.combinations(SINGLE, 2) if a.end <= b.start]
    random.Random(seed).shuffle(pairs)
    for changes in [*((change,) for change in SINGLE), *pairs]:
        function = mutant(*changes)
        if function is not None:
            yield function, "; ".join("line {}: {} -> {}".format(*each.shown(SOURCE)) for each in changes)


def not_reported(count, problems_drawn):
    """What is wrong with the reports on the first `count` mutants that change an answer, line by line.

    Each must have a fault, and its example must have at most 4 frames if such a problem exists. Returns these
    lines, and for how many of the mutants a problem of at most 4 frames exists.
    """
    drawn = list(random_problems(problems_drawn, 1))
    right = [reference.loss_and_grad(*problem) for problem in drawn]
    short = [n for n, (logits, _, _) in enumerate(drawn) if len(logits) <= MOST_FRAMES]
    checked, have_short, lines = 0, 0, []
    for function, description in mutants(0):
        if checked == count:
            break
        # Short problems first: they say whether a short example exists.
        is_short = any(differs(answer(function, drawn[n]), right[n]) for n in short)
        if not is_short and not any(differs(answer(function, problem), expected)
                                    for problem, expected in zip(drawn, right)):
            continue
        checked, have_short = checked + 1, have_short + is_short
        print(f"\r{checked} of {count}", end="", file=sys.stderr, flush=True)
        report = check_ctc(function)
        if report.ok:
            lines.append(f"not reported: {description}")
        elif is_short and not any(finding.example.problem.frames <= MOST_FRAMES
                                  for finding in report.findings):
            lines.append(f"no example of {MOST_FRAMES} frames: {description}\n{report}")
    assert checked == count
    return lines, have_short


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mutations_are_reported():
    lines, have_short = not_reported(15, 1000)
    assert lines == [] and have_short >= 10


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    lines, have_short = not_reported(200, 10_000)
    print("\n".join([*lines, f"200 mutants, {len(lines)} complaints; {have_short} have an example of at most "
                     f"{MOST_FRAMES} frames"]))
