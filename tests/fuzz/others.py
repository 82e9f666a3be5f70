"""Cases of all other public functions for `fuzz`: what they return obeys its definition."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ctc_scratch.ctc import (
    BeamStream,
    GreedyStream,
    InfeasibleTargetError,
    align,
    can_skip,
    collapse,
    ctc_loss,
    diagnose,
    diagnose_lengths,
    edit_distance,
    enumeration,
    extend,
    greedy_decode,
    label_error_rate,
    lattice,
    log_partition,
    map_decode,
    min_frames,
    prefix_beam_search,
    sequence_accuracy,
)
from ctc_scratch.ctc.decoding import reference_beam
from tests.fuzz.draw import draw_batch, draw_target, dress, dress_integers
from tests.fuzz.loss import (
    U64,
    Case,
    describe,
    draw_arguments,
    draw_conditions,
    expect,
    expect_close,
    returned,
    under,
)
from tests.tools import oracle


def _spelt(path, blank):
    """The labels of a path, in other words than those of `collapse`."""
    return [c for c, _ in itertools.groupby(path) if c != blank]


def _one(draw, size=None, misfit=0.1, name="logits"):
    """A batch of one sequence, and it as arguments: logits (T, C) of its own frames, target, blank."""
    batch = draw_batch(draw, size or draw.weighted(small=80, medium=17, wide=3), single=True, misfit=misfit)
    rows = dress(draw, batch.logits[:batch.lengths[0], 0], lists=batch.logits.dtype in (float, int))
    target = dress_integers(draw, batch.targets[0], batch.logits.shape[2])
    return batch, {name: rows, "target": target, "blank": batch.blank}


def _check_infeasible(batch, outcome):
    expect(isinstance(outcome, InfeasibleTargetError), f"no InfeasibleTargetError, but {outcome!r:.200}")
    right = 0, int(batch.required[0]), int(batch.lengths[0]), int(batch.repeats[0])
    said = outcome.index, outcome.required, outcome.available, outcome.repeats
    expect(said == right, f"InfeasibleTargetError says {said}, not {right}")


# ---- one sequence and its target


def log_partition_case(draw):
    batch, arguments = _one(draw, name="scores")
    arguments["method"] = draw.choice(["auto", "exact"])
    conditions = draw_conditions(draw)

    def check(outcome, answers):
        result, (answer,) = returned(outcome), answers
        T, C = batch.lengths[0], batch.clean.shape[2]
        x = batch.clean[:T, 0]
        top = x.max(axis=1, initial=-np.inf)
        off = answer.error + (20 + C / 4) * T * U64
        if arguments["method"] == "auto":
            off += 1e-12
            if batch.computed == np.float32:
                below = np.where(answer.occupancy > 0, top[:, None] - x, 0)
                off += 1e-6 + 2.02 * float((answer.occupancy * (3 + C + below)).sum()) * 2.0**-24
        expect(result.gamma.shape == answer.gamma.shape, f"gamma has shape {result.gamma.shape}")
        expect_close(result.gamma, answer.gamma, off, "gamma[t, s] ")
        size = float(np.abs(top).sum()) + abs(float(answer.log_likelihood))
        size = size if np.isfinite(size) else 0.0
        expect_close(result.log_z, answer.log_likelihood, off + (T + 4) * U64 * size, "log_z")

    scores = batch.clean.astype(np.longdouble)
    return Case(lambda: under(conditions, log_partition, arguments), check,
                describe("log_partition", arguments, conditions), batch.problems(scores))


def align_case(draw):
    batch, arguments = _one(draw)

    def check(outcome, answers):
        if answers[0].log_likelihood == -np.inf:
            return _check_infeasible(batch, outcome)
        alignment = returned(outcome)
        log_probs, target = problem.log_probs, batch.targets[0]
        path = alignment.path.tolist()
        expect(len(path) == len(log_probs), f"{len(path)} frames")
        expect(_spelt(path, batch.blank) == target, f"{path} does not spell {target}")
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
    batch, arguments = _one(draw, "small")
    seed = draw.getrandbits(32)

    def call():
        found = lattice(**arguments)
        values = found.gamma, found.occupancy, found.xi, found.log_likelihood, found.num_alignments
        if found.num_alignments == 0:
            return (*values, None, None, None, None)
        samples = found.sample(5, np.random.default_rng(seed))
        return (*values, found.entropy, found.k_best(3), samples, found.first_frames())

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
        # A move is a quotient of log-space numbers, whose errors are those of their size.
        coarse = off + answer.error * 8 * U64 / oracle.EPS
        expect_close(xi.sum(axis=0), answer.gamma[:-1], coarse, "sum of xi over the moves ")
        expect(-coarse <= entropy <= math.log(number) + T * coarse * (1 + math.log(number)),
               f"entropy {entropy} of {number} alignments")
        expect(len(best) == min(3, number), f"{len(best)} of 3 best alignments of {number}")
        paths = [alignment.path.tolist() for alignment in best]
        expect(len({*map(tuple, paths)}) == len(paths), "an alignment comes twice")
        for path in paths + samples.tolist():
            expect(_spelt(path, batch.blank) == target, f"{path} does not spell {target}")
        scores = [alignment.log_prob for alignment in best]
        expect(scores == sorted(scores, reverse=True), "k best alignments in the order {}", scores)
        problem, = batch.problems(oracle.log_softmax(batch.clean))
        expect_close(scores[0], oracle.best(problem), answer.error * (1 + 8 * U64 / oracle.EPS), "best")
        expect_close(firsts.sum(axis=0), 1.0, T * coarse, "sum of first_frames ")

    return Case(call, check, describe("lattice", arguments), batch.problems(oracle.log_softmax(batch.clean)))


# ---- decoders


def _decoder_arguments(draw, batch):
    """Whether it is one sequence without the batch axis; arguments; where to cut it in pieces, or None."""
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
        right = [_spelt(batch.clean[:T, n].argmax(axis=1).tolist(), batch.blank)
                 for n, T in enumerate(batch.lengths.tolist())]
        expect(found == (right[0] if single else right), "{}, not {}", found, right)

    return Case(call, check, describe("greedy_decode", arguments, {"cut at": cuts}))


class _Model:
    """A language model of label pairs, with an end."""

    def __init__(self, rng, C, scale):
        self.table, self.last = scale * rng.standard_normal((C + 1, C)), scale * rng.standard_normal(C + 1)

    def score(self, prefix, label):
        return self.table[prefix[-1] if prefix else -1, label]

    def end(self, prefix):
        return self.last[prefix[-1] if prefix else -1]

    def whole(self, labels):
        return sum(self.score(labels[:u], c) for u, c in enumerate(labels)) + self.end(labels)


def beam_case(draw):
    batch = draw_batch(draw, draw.weighted(small=90, none=3, wide=7))
    single, arguments, cuts = _decoder_arguments(draw, batch)
    width = draw.choice([1, 2, 3, 8, 16, 200])
    options = {"beam_width": width, "top": draw.randint(1, min(width, 3))}
    if draw.chance(0.3):
        options["prune"] = draw.choice([0.0, 1, 5.0, math.inf])
    model = None
    if draw.chance(0.3):
        model = _Model(draw.arrays, batch.clean.shape[2], draw.choice([0.1, 3.0, 100.0]))
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
        expect(len(found) == len(batch.targets), f"{len(found)} readings")
        problems, said = [], []
        for n, (one, problem) in enumerate(zip(found, batch.problems(oracle.log_softmax(batch.clean)))):
            expect(1 <= len(one) <= options["top"], f"{len(one)} hypotheses")
            scores = [score for _, score, _, _ in one]
            expect(scores == sorted(scores, reverse=True), f"scores {scores}")
            expect(len({tuple(labels) for labels, *_ in one}) == len(one), "a labelling comes twice")
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
    """The textbook's beam finds the same; where entries are equal, ties may be broken otherwise."""
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
        expect(len(found) == len(lengths), f"{len(found)} readings")
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


# ---- diagnosis, labels, metrics


def diagnose_case(draw):
    """It never raises, and finds an error where `ctc_loss` does."""
    batch = draw_batch(draw, draw.weighted(small=80, lanes=10, wide=5, none=5), misfit=0.3)
    arguments = draw_arguments(draw, batch)
    taken = ("logits", "targets", "logit_lengths", "target_lengths", "blank", "layout")
    options = {name: arguments[name] for name in taken if name in arguments}
    spoil = draw.chance(0.3) and "logit_lengths" in options
    if spoil:
        options["logit_lengths"] = (batch.lengths + len(batch.clean) + 1).tolist()

    def call():
        found = diagnose(**options)
        return found, str(found)

    def check(outcome, answers):
        found, text = returned(outcome)
        closed = any(answer.log_likelihood == -np.inf for answer in answers)
        wrong = closed or spoil and len(batch.targets) > 0
        expect(bool(found.errors) == wrong, "errors {}, but wrong is {}", found.errors, wrong)
        expect(text.count("ERROR") >= len(found.errors), text)

    return Case(call, check, describe("diagnose", options), batch.problems(oracle.log_softmax(batch.clean)))


def labels_case(draw):
    """The facts about labellings, and distances between them."""
    C, blank = draw.randint(2, 5), 0
    a, b, c = (draw_target(draw, draw.randint(0, 8), C, blank, False) for _ in range(3))
    frames = draw.randint(0, 30)

    def call():
        ext = extend(dress_integers(draw, a, C), blank)
        return (ext.tolist(), can_skip(ext).tolist(), min_frames(a), collapse(ext.tolist(), blank),
                [edit_distance(x, y) for x, y in itertools.product([a, b, c], repeat=2)],
                label_error_rate([a, b], [b, c]), sequence_accuracy([a, b, c], [b, b, c]),
                bool(diagnose_lengths([a], [frames]).errors))

    def check(outcome, _):
        ext, skips, needed, collapsed, distances, rate, accuracy, errors = returned(outcome)
        repeats = sum(x == y for x, y in zip(a, a[1:]))
        expect(ext[1::2] == a and ext[::2] == [blank] * (len(a) + 1), f"extend({a}) = {ext}")
        expect([s for s, skip in enumerate(skips) if skip] ==
               [2 * u + 1 for u in range(1, len(a)) if a[u] != a[u - 1]], f"can_skip {skips} of {a}")
        expect(needed == len(a) + repeats and collapsed == a, f"{a}: {needed} frames, collapsed {collapsed}")
        right = [_distance(x, y) for x, y in itertools.product([a, b, c], repeat=2)]
        expect(distances == right, f"edit distances {distances}, not {right}")
        edits, labels = right[1] + right[5], len(b) + len(c)
        expect(rate == (edits / labels if labels else math.inf if edits else 0.0), f"label_error_rate {rate}")
        expect(accuracy == ((a == b) + 1 + 1) / 3, f"sequence_accuracy {accuracy}")
        expect(errors == (frames < needed), f"diagnose_lengths of {a} in {frames} frames: {errors}")

    return Case(call, check, describe("labels", {"a": a, "b": b, "c": c, "frames": frames}))


def _distance(a, b):
    """Levenshtein's, by its definition."""
    known = {}

    def distance(i, j):
        if (i, j) not in known:
            if i == 0 or j == 0:
                known[i, j] = i + j
            else:
                known[i, j] = min(distance(i - 1, j) + 1, distance(i, j - 1) + 1,
                                  distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))
        return known[i, j]

    return distance(len(a), len(b))


def twice_case(draw):
    """The same batch cut in two, in another order: `ctc_loss` gives the same bits."""
    batch = draw_batch(draw, draw.choice(["small", "lanes", "medium"]))
    method = draw.choice(["auto", "auto", "exact", "log"])
    options = {"blank": batch.blank, "infeasible": "inf", "method": method}
    N = len(batch.targets)
    order = draw.sample(range(N), N)
    cut = draw.randint(0, N)

    def solve(some):
        some = list(some)
        return ctc_loss(np.ascontiguousarray(batch.logits[:, some]), [batch.targets[n] for n in some],
                        batch.lengths[some], **options)

    def call():
        return solve(range(N)), solve(order[:cut]), solve(order[cut:])

    def check(outcome, _):
        whole, first, second = returned(outcome)
        for name in ("loss", "bound", "exact"):
            parts = np.concatenate([getattr(first, name), getattr(second, name)])
            same = np.array_equal(parts, getattr(whole, name)[order], equal_nan=True)
            expect(same, f"{name} depends on the batch")
        parts = np.concatenate([first.grad, second.grad], axis=1)
        expect(np.array_equal(parts, whole.grad[:, order]), "grad depends on the batch")

    return Case(call, check, describe("ctc_loss twice", {"logits": batch.logits, **options}))
