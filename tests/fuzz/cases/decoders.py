"""Cases of the decoders: greedy and beam search, whole or in pieces, and the most probable labelling."""

from __future__ import annotations

import math

import numpy as np

from ctc_scratch.ctc import (
    BeamStream,
    GreedyStream,
    enumeration,
    greedy_decode,
    map_decode,
    prefix_beam_search,
)
from ctc_scratch.ctc.decoding import reference_beam
from tests.ctc.decoding.cases import Pairs
from tests.fuzz.case import Case, describe, expect, expect_close, returned
from tests.fuzz.cases.loss_check import U64
from tests.fuzz.draw import draw_batch, spelt
from tests.fuzz.dress import dress, dress_integers
from tests.tools import oracle


def _decoder_arguments(draw, batch):
    """Whether it is passed as one sequence (T, C), the arguments, and where to cut it in pieces (or None)."""
    single, lists = len(batch.targets) == 1 and draw.chance(0.5), batch.logits.dtype in (float, int)
    if not single:
        lengths = dress_integers(draw, batch.lengths.tolist(), len(batch.logits))
        logits = dress(draw, batch.logits, lists)
        return False, {"logits": logits, "blank": batch.blank, "lengths": lengths}, None
    rows = batch.logits[:batch.lengths[0], 0]
    cuts = sorted(draw.randint(0, len(rows)) for _ in range(2)) if draw.chance(0.3) else None
    return True, {"logits": dress(draw, rows, lists), "blank": batch.blank}, cuts


def greedy_case(draw):
    batch = draw_batch(draw)
    single, arguments, cuts = _decoder_arguments(draw, batch)

    def call():
        if cuts is None:
            return greedy_decode(**arguments)
        stream = GreedyStream(blank=batch.blank)
        return sum([stream.push(piece) for piece in np.split(np.asarray(arguments["logits"]), cuts)], [])

    def check(outcome, _):
        found = returned(outcome)
        right = [spelt(batch.clean[:T, n].argmax(axis=1).tolist(), batch.blank)
                 for n, T in enumerate(batch.lengths.tolist())]
        expect(found == (right[0] if single else right), "{}, not {}", found, right)

    return Case(call, check, describe("greedy_decode", arguments, {"cut at": cuts}))


def beam_case(draw):
    batch = draw_batch(draw, draw.weighted(small=90, none=3, wide=7))
    single, arguments, cuts = _decoder_arguments(draw, batch)
    width = draw.choice([1, 2, 3, 8, 16, 200])
    options = {"beam_width": width, "top": draw.randint(1, min(width, 3))}
    if draw.chance(0.3):
        options["prune"] = draw.choice([0.0, 1, 5.0, math.inf])
    model = None
    if draw.chance(0.3):
        model = Pairs(draw.arrays, batch.clean.shape[2], draw.choice([0.1, 3.0, 100.0]))
        options["language_model"] = model

    def call():
        if cuts is None:
            found = prefix_beam_search(**arguments, **options)
        else:
            others = {k: v for k, v in options.items() if k != "top"}
            stream = BeamStream(blank=batch.blank, **others)
            for piece in np.split(np.asarray(arguments["logits"]), cuts):
                stream.push(piece)
            found = stream.hypotheses(options["top"])
        found = [found] if single else found
        return [[(h.labels, h.log_score, h.log_prob, h.spans) for h in one] for one in found]

    def check(outcome, _):
        found = returned(outcome)
        expect(len(found) == len(batch.targets), f"{len(found)} answers")
        problems, said = [], []
        for n, (one, problem) in enumerate(zip(found, batch.problems(oracle.log_softmax(batch.clean)))):
            expect(1 <= len(one) <= options["top"], f"{len(one)} hypotheses")
            scores = [score for _, score, _, _ in one]
            expect(scores == sorted(scores, reverse=True), f"scores {scores}")
            expect(len({tuple(labels) for labels, *_ in one}) == len(one), "a labelling occurs twice")
            problems += [problem._replace(labels=labels) for labels, *_ in one]
            said += one
            if len(problem.log_probs) <= 5 and width <= 3 and "prune" not in options:
                _check_beam(one, problem, width, model)
        for (labels, score, log_prob, spans), answer in zip(said, oracle.solve(problems)):
            coarse = answer.error * (1 + 8 * U64 / oracle.EPS)
            expect_close(log_prob, answer.log_likelihood, 1e-12 + coarse, f"log_prob of {labels}")
            most = log_prob + (model.whole(labels) if model else 0.0)
            expect(score <= most + coarse + 1e-12 + 1e-14 * abs(most), f"log_score {score} above {most}")
            expect([span.label for span in spans] == labels, "spans {} of {}", spans, labels)

    return Case(call, check, describe("prefix_beam_search", arguments, {**options, "cut at": cuts}))


def _check_beam(found, problem, width, model):
    """The readable beam search finds the same; skipped if equal entries may lead to ties."""
    log_probs = problem.log_probs.astype(float)
    entries = log_probs[log_probs > -np.inf]
    if len(np.unique(entries)) == len(entries):
        right = reference_beam.prefix_beam_search(
            log_probs, width, problem.blank, score=model and model.score)
        if model:
            right = sorted(((labels, score + model.end(labels)) for labels, score in right),
                           key=lambda pair: -pair[1])
        right = right[:len(found)]
        same = [tuple(labels) for labels, *_ in found] == [labels for labels, _ in right]
        expect(same, "{}, not {}", found, right)
        scores = np.array([score for _, score in right])
        expect_close([score for _, score, *_ in found], scores, 1e-12 * (1 + np.abs(scores)), "log_score")


def map_case(draw):
    batch = draw_batch(draw, "small", misfit=0.0)
    C, single = min(batch.clean.shape[2], 3), len(batch.targets) == 1 and draw.chance(0.5)
    logits, lengths = batch.logits[:5, :, :C].copy(), np.minimum(batch.lengths, 5)
    logits[(logits == -np.inf).all(axis=2)] = 0
    blank = min(batch.blank, C - 1)
    if single:
        arguments = {"logits": dress(draw, logits[:lengths[0], 0], lists=False), "blank": blank}
    else:
        arguments = {"logits": dress(draw, logits, lists=False), "blank": blank,
                     "lengths": dress_integers(draw, lengths.tolist(), 5)}

    def check(outcome, _):
        found = returned(outcome)
        found = [found] if single else found
        expect(len(found) == len(lengths), f"{len(found)} answers")
        for n, (T, one) in enumerate(zip(lengths.tolist(), found)):
            log_probs = oracle.log_softmax(logits[:T, n].astype(float)).astype(float)
            with np.errstate(under="ignore"):
                distribution = enumeration.labelling_distribution(log_probs, blank)
            right = max(distribution.values())
            coarse = 1e-9 + 1e-14 * float(np.abs(log_probs[np.isfinite(log_probs)]).sum())
            expect(one.gap == 0, f"gap {one.gap}")
            expect_close(one.log_prob, math.log(right), coarse, f"log_prob of {one.labels}")
            its_own = distribution.get(tuple(one.labels), 0.0)
            expect_close(its_own, right, right * coarse, f"probability of {one.labels}")

    return Case(lambda: map_decode(**arguments), check, describe("map_decode", arguments))
