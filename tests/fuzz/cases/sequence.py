"""Cases of one sequence and its target: `align`, `lattice`."""

from __future__ import annotations

import math

import numpy as np

from ctc_scratch.ctc import InfeasibleTargetError, align, enumeration, lattice
from tests.fuzz.case import Case, describe, expect, expect_close, returned
from tests.fuzz.cases.loss_check import U64
from tests.fuzz.draw import draw_batch, spelt
from tests.fuzz.dress import dress, dress_integers
from tests.tools import oracle


def draw_sequence(draw, size=None, misfit=0.1):
    """A batch of one sequence, and the arguments that pass it: logits (T, C), target, blank."""
    batch = draw_batch(draw, size or draw.weighted(small=80, medium=17, wide=3), single=True, misfit=misfit)
    rows = dress(draw, batch.logits[:batch.lengths[0], 0], lists=batch.logits.dtype in (float, int))
    target = dress_integers(draw, batch.targets[0], batch.logits.shape[2])
    return batch, {"logits": rows, "target": target, "blank": batch.blank}


def check_infeasible_target(batch, outcome):
    """The error holds the numbers of this target."""
    expect(isinstance(outcome, InfeasibleTargetError), f"no InfeasibleTargetError, but {outcome!r:.200}")
    right = 0, int(batch.required[0]), int(batch.lengths[0]), int(batch.repeats[0])
    said = outcome.index, outcome.required, outcome.available, outcome.repeats
    expect(said == right, f"InfeasibleTargetError says {said}, not {right}")


def align_case(draw):
    batch, arguments = draw_sequence(draw)

    def check(outcome, answers):
        if answers[0].log_likelihood == -np.inf:
            return check_infeasible_target(batch, outcome)
        alignment = returned(outcome)
        log_probs, target = problem.log_probs, batch.targets[0]
        path = alignment.path.tolist()
        expect(len(path) == len(log_probs), f"{len(path)} frames")
        expect(spelt(path, batch.blank) == target, f"{path} does not spell {target}")
        size = answers[0].error * (1 + 8 * U64 / oracle.EPS)
        its_own = log_probs[np.arange(len(path)), path].sum()
        expect_close(alignment.log_prob, its_own, size, "log_prob of the path")
        expect_close(alignment.log_prob, oracle.best(problem), size, "log_prob")
        spans = alignment.spans
        expect([span.label for span in spans] == target, "spans {}", spans)
        covered = [t for span in spans for t in range(span.first, span.last + 1)]
        labelled = [t for t, c in enumerate(path) if c != batch.blank]
        expect(covered == labelled, "spans {} of path {}", spans, path)

    problem, = batch.problems(oracle.log_softmax(batch.clean))
    return Case(lambda: align(**arguments), check, describe("align", arguments), [problem])


def lattice_case(draw):
    batch, arguments = draw_sequence(draw, "small")
    seed = draw.getrandbits(32)

    def call():
        result = lattice(**arguments)
        values = result.gamma, result.occupancy, result.xi, result.log_likelihood, result.num_alignments
        if result.num_alignments == 0:
            return (*values, None, None, None, None)
        samples = result.sample(5, np.random.default_rng(seed))
        return (*values, result.entropy, result.k_best(3), samples, result.first_frames())

    def check(outcome, answers):
        gamma, occupancy, xi, log_p, number, entropy, best, samples, firsts = returned(outcome)
        answer, target = answers[0], batch.targets[0]
        T, C = batch.lengths[0], batch.clean.shape[2]
        expect((number == 0) == (answer.log_likelihood == -np.inf), f"{number} alignments")
        off = answer.error + (20 + C / 4) * T * U64
        expect_close(gamma, answer.gamma, off, "gamma[t, s] ")
        expect_close(occupancy, answer.occupancy, off, "occupancy[t, c] ")
        size = abs(float(answer.log_likelihood)) if number else 0.0
        expect_close(log_p, answer.log_likelihood, off + 4 * U64 * size, "log_likelihood")
        if number == 0:
            return
        if not (batch.clean[:T] == -np.inf).any():
            expect(number == enumeration.count_alignments(target, T), f"{number} alignments")
        # A posterior of a move is a quotient of numbers in log space, whose errors grow with their size.
        coarse = off + answer.error * 8 * U64 / oracle.EPS
        expect_close(xi.sum(axis=0), answer.gamma[:-1], coarse, "sum of xi over the moves ")
        expect(-coarse <= entropy <= math.log(number) + T * coarse * (1 + math.log(number)),
               f"entropy {entropy} of {number} alignments")
        expect(len(best) == min(3, number), f"{len(best)} of 3 best alignments of {number}")
        paths = [alignment.path.tolist() for alignment in best]
        expect(len({*map(tuple, paths)}) == len(paths), "an alignment occurs twice")
        for path in paths + samples.tolist():
            expect(spelt(path, batch.blank) == target, f"{path} does not spell {target}")
        scores = [alignment.log_prob for alignment in best]
        expect(scores == sorted(scores, reverse=True), "k best alignments in the order {}", scores)
        problem, = batch.problems(oracle.log_softmax(batch.clean))
        expect_close(scores[0], oracle.best(problem), answer.error * (1 + 8 * U64 / oracle.EPS), "best")
        expect_close(firsts.sum(axis=0), 1.0, T * coarse, "sum of first_frames ")

    return Case(call, check, describe("lattice", arguments), batch.problems(oracle.log_softmax(batch.clean)))
