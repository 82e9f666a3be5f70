"""Calls of all functions but `ctc_loss` and `diagnose`, each with one bad argument."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from ctc_scratch.ctc import (
    BeamStream,
    GreedyStream,
    NGram,
    align,
    collapse,
    edit_distance,
    extend,
    greedy_decode,
    label_error_rate,
    lattice,
    log_partition,
    map_decode,
    min_frames,
    prefix_beam_search,
    sequence_accuracy,
    set_num_threads,
)
from tests.fuzz.case import Case, describe
from tests.fuzz.cases.bad_loss import (
    NO_CHOICE,
    NO_INTEGER,
    check_refusal,
    plain_arguments,
    spoilt,
    used_frame,
)

Calls = list[tuple[str, Callable[[], Any]]]
"""Pairs of a pattern for the argument that the message must name, and the call in which it is bad."""


def bad_call_case(draw):
    """A call of any function but `ctc_loss` and `diagnose`, with one bad argument."""
    arguments = plain_arguments(draw)
    logits, blank = arguments["logits"], arguments["blank"]
    t, n = used_frame(draw, arguments)
    rows = logits[:arguments["logit_lengths"][n], n]
    C = logits.shape[2]
    bad_rows = draw.choice([
        spoilt(rows, (t, 0), np.nan), spoilt(rows, (t, C - 1), np.inf), spoilt(rows, t, -np.inf), rows[0],
        rows[:, :0], rows[None, None], rows.astype(complex), rows.astype(object), None, "x",
        [[1.0], [1.0, 2.0]],
    ])
    bad_blank = draw.choice([-1, C, 2**40, *NO_INTEGER])
    calls: Calls = [
        *sequence_calls(draw, rows, bad_rows, blank, bad_blank),
        *decoder_calls(draw, rows, bad_rows, blank, bad_blank),
        *stream_calls(draw, rows, spoilt(rows, (t, 0), np.nan), blank, bad_blank),
        *lengths_calls(draw, logits, blank),
        *count_calls(draw, rows, blank),
        *ngram_calls(draw),
        *label_calls(draw),
    ]
    k = draw.randrange(len(calls))
    named, call = calls[k]
    what = describe("bad_call_case", {"call": k, "which is about": named, "logits": rows})
    return Case(call, lambda outcome, _: check_refusal(outcome, named), what)


def sequence_calls(draw, rows, bad_rows, blank, bad_blank) -> Calls:
    """Calls of the functions of one sequence and its target."""
    C, target = rows.shape[1], []
    bad_target = draw.choice([[blank], [C], [-1], [1.0], [[1]], None, "ab", 3, [True], [2**70], {1: 2}])
    bad_method = draw.choice([*NO_CHOICE, "log"])
    bad_want = draw.choice([*NO_CHOICE, "grad"])
    bad_workspace = draw.choice([0, "x", np.empty(9), []])
    bad_rng = draw.choice([None, 3, "x", np.random.RandomState(0)])
    return [
        ("logits", lambda: align(bad_rows, target, blank=blank)),
        ("logits", lambda: lattice(bad_rows, target, blank=blank)),
        ("scores", lambda: log_partition(bad_rows, target, blank=blank)),
        ("targets?", lambda: align(rows, bad_target, blank=blank)),
        ("targets?", lambda: lattice(rows, bad_target, blank=blank)),
        ("targets?", lambda: log_partition(rows, bad_target, blank=blank)),
        ("blank", lambda: align(rows, target, blank=bad_blank)),
        ("blank", lambda: lattice(rows, target, blank=bad_blank)),
        ("blank", lambda: log_partition(rows, target, blank=bad_blank)),
        ("method", lambda: log_partition(rows, target, blank=blank, method=bad_method)),
        ("want", lambda: log_partition(rows, target, blank=blank, want=bad_want)),
        ("layout", lambda: log_partition(rows, target, blank=blank, layout=bad_want)),
        ("workspace", lambda: log_partition(rows, target, blank=blank, workspace=bad_workspace)),
        ("rng", lambda: lattice(np.zeros((3, 2)), [1]).sample(2, bad_rng)),
    ]


class OneAnswer:
    """A language model that gives one answer to everything."""

    def __init__(self, answer):
        self.answer = answer

    def score(self, prefix, label):
        return self.answer


def decoder_calls(draw, rows, bad_rows, blank, bad_blank) -> Calls:
    bad_model = draw.choice([3, "x", object(), *map(OneAnswer, [np.nan, np.inf, None, "1", [1], 1j])])
    bad_prune = draw.choice([-1, np.nan, "x", [1], True, 1j])
    return [
        ("logits", lambda: greedy_decode(bad_rows, blank=blank)),
        ("logits", lambda: prefix_beam_search(bad_rows, blank=blank)),
        ("logits", lambda: map_decode(bad_rows, blank=blank)),
        ("blank", lambda: greedy_decode(rows, blank=bad_blank)),
        ("blank", lambda: prefix_beam_search(rows, blank=bad_blank)),
        ("blank", lambda: map_decode(rows, blank=bad_blank)),
        ("top", lambda: prefix_beam_search(rows, top=9, beam_width=8, blank=blank)),
        ("prune", lambda: prefix_beam_search(rows, prune=bad_prune, blank=blank)),
        ("language_model", lambda: prefix_beam_search(np.zeros((2, 3)), language_model=bad_model)),
    ]


def stream_calls(draw, rows, rows_with_nan, blank, bad_blank) -> Calls:
    bad_piece = draw.choice([np.zeros((2, rows.shape[1] + 1)), np.zeros(3), None, rows_with_nan])
    return [
        ("blank", lambda: GreedyStream(blank=bad_blank).push(rows)),
        ("blank", lambda: BeamStream(blank=bad_blank).push(rows)),
        ("stream|logits", lambda: list(map(BeamStream(blank=blank).push, [rows, bad_piece]))),
        ("stream|logits", lambda: list(map(GreedyStream(blank=blank).push, [rows, bad_piece]))),
    ]


def lengths_calls(draw, logits, blank) -> Calls:
    """Calls of the decoders with lengths that are too large, too many or no integers."""
    T, N, _ = logits.shape
    logits = np.where(np.isfinite(logits), logits, 0)
    lengths = draw.choice([
        [T + 1] * N, [-1] * N, [0.5] * N, [T] * (N + 1), "x", [True] * N, [None] * N, [[1], [1, 2]],
    ])
    return [
        ("lengths", lambda: greedy_decode(logits, lengths, blank=blank)),
        ("lengths", lambda: prefix_beam_search(logits, lengths, blank=blank)),
        ("lengths", lambda: map_decode(logits, lengths, blank=blank)),
        ("logit_lengths", lambda: log_partition(logits, [[]] * N, lengths, blank=blank)),
    ]


def count_calls(draw, rows, blank) -> Calls:
    """Calls with a bad count: counts must be integers of at least 1, seconds numbers of at least 0."""
    count = draw.choice([-1, 0, -2**40, *NO_INTEGER])
    seconds = draw.choice([-1, np.nan, "x", [1], True])
    return [
        ("beam_width", lambda: prefix_beam_search(rows, beam_width=count, blank=blank)),
        ("top", lambda: prefix_beam_search(rows, top=count, blank=blank)),
        ("budget", lambda: map_decode(rows, budget=count, blank=blank)),
        ("seconds", lambda: map_decode(rows, seconds=seconds, blank=blank)),
        ("k", lambda: lattice(np.zeros((3, 2)), [1]).k_best(count)),
        ("n", lambda: lattice(np.zeros((3, 2)), [1]).sample(count, np.random.default_rng(0))),
        ("threads", lambda: set_num_threads(count)),
        ("order", lambda: NGram([[1, 2]], order=count)),
    ]


def ngram_calls(draw) -> Calls:
    bad_sequences = draw.choice([3, None, [[1.7]], [1, 2], [["a"]], [[[1]]], [[True]]])
    bad_weight = draw.choice([-1, np.nan, "x", None, [1]])
    bad_bonus = draw.choice([np.nan, np.inf, "x", None, [1], True])
    bad_labels = draw.choice([3, [1.5], [[1]], ["a"]])
    return [
        ("sequences", lambda: NGram(bad_sequences)),
        ("weight", lambda: NGram([[1, 2]], weight=bad_weight)),
        ("bonus", lambda: NGram([[1, 2]], bonus=bad_bonus)),
        ("labels", lambda: NGram([[1, 2]], labels=bad_labels)),
        ("label", lambda: NGram([[1, 2]], labels=[1])),
        ("labels", lambda: NGram([[]])),
    ]


def label_calls(draw) -> Calls:
    """Calls of the functions of labellings, and of the metrics that compare them."""
    no_labels = draw.choice([3, None, 1.5, [1.5], [[1, 1]], [[1], [1, 2]], "ab", [True], [None], {1: 2}])
    no_hypotheses = draw.choice([3, None, "x", iter([])])
    no_references = draw.choice([3, None, 1.5])
    function = draw.choice([extend, min_frames])
    return [
        ("labels", lambda: function(no_labels)),
        ("path", lambda: collapse(no_labels)),
        ("hypothesis", lambda: edit_distance(no_labels, [1])),
        ("reference", lambda: edit_distance([1], no_labels)),
        ("hypothesis", lambda: sequence_accuracy([no_labels], [[1]])),
        ("hypotheses", lambda: label_error_rate(no_hypotheses, [])),
        ("references", lambda: sequence_accuracy([], no_references)),
        ("hypotheses", lambda: label_error_rate([[1]], [])),
        ("hypotheses", lambda: sequence_accuracy([[1]], [])),
    ]
