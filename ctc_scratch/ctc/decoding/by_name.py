"""The three decoders by name: "greedy", "beam" and "map".

`decode` gives the labels alone, for a whole batch. `hypotheses` gives all that a decoder can tell about one
sequence: the probability of each labelling, the frames of its labels, and whether the first is proved.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from ..inputs.frames import Layout
from .beam_search import prefix_beam_search
from .greedy import greedy_decode
from .hypotheses import Hypothesis, posteriors_of
from .map_search import map_decode

Decoder = Literal["greedy", "beam", "map"]
DECODERS: tuple[Decoder, ...] = get_args(Decoder)

BEAM_WIDTH = 16
"""The width of "beam", unless more hypotheses are asked for."""


class Decoded(NamedTuple):
    """What a decoder finds in one sequence.

    hypotheses : most probable first; "greedy" and "map" give one
    proved : no labelling is more probable than the first hypothesis; only "map" can prove that
    """

    hypotheses: list[Hypothesis]
    proved: bool


def decode(
    decoder: Decoder, logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0,
    budget: int = 10_000, seconds: float | None = None, layout: Layout = "TNC",
) -> list[list[int]]:
    """The labels that the named decoder finds in each sequence.

    Parameters
    ----------
    decoder : "greedy", "beam" of width 16, or "map"
    logits : (T, N, C) float array, or (N, T, C) with layout="NTC"
    lengths : (N,) integers, optional
        Frames used of each sequence.
    blank : which class is the blank
    budget : how many prefixes "map" extends at most, per sequence
    seconds : how long it extends them at most, per sequence; with a limit, the labels depend on the machine
    layout : "TNC" or "NTC", the order of the axes

    Returns
    -------
    list of N label lists

    >>> decode("greedy", np.zeros((2, 1, 3))), decode("map", np.zeros((2, 1, 3)))
    ([[]], [[1]])
    """
    check_decoder(decoder)
    if np.ndim(logits) != 3:
        raise ValueError(f"decode takes the logits (T, N, C) of a batch, got {np.shape(logits)}")
    if decoder == "greedy":
        return greedy_decode(logits, lengths, blank=blank, layout=layout)
    if decoder == "beam":
        beams = prefix_beam_search(logits, lengths, beam_width=BEAM_WIDTH, blank=blank, layout=layout)
        return [best.labels for best, *_ in beams]
    results = map_decode(logits, lengths, blank=blank, budget=budget, seconds=seconds, layout=layout)
    return [result.labels for result in results]


def hypotheses(
    decoder: Decoder, logits: ArrayLike, *, blank: int = 0, top: int = 1, budget: int = 10_000,
    seconds: float | None = None,
) -> Decoded:
    """The hypotheses of the named decoder for one sequence, most probable first.

    Parameters
    ----------
    decoder : "greedy", "beam" or "map"
    logits : (T, C) float array
    blank : which class is the blank
    top : how many hypotheses "beam" returns at most; its width is 16, or `top` if that is more
    budget : how many prefixes "map" extends at most
    seconds : how long it extends them at most; with a limit, the answer depends on the machine

    Returns
    -------
    Decoded

    >>> reading = hypotheses("map", np.log([[0.6, 0.4], [0.6, 0.4]]))
    >>> reading.hypotheses[0].labels, reading.proved
    ([1], True)
    """
    check_decoder(decoder)
    if decoder == "beam":
        beam = prefix_beam_search(logits, blank=blank, top=top, beam_width=max(BEAM_WIDTH, top))
        # The beam ranks by a score that leaves out the paths it dropped.
        return Decoded(sorted(beam, key=lambda hypothesis: -hypothesis.log_prob), False)
    if decoder == "greedy":
        labels, proved = greedy_decode(logits, blank=blank), False
        posteriors = posteriors_of(logits, blank)
        log_score = posteriors.log_best_path()
    else:
        result = map_decode(logits, blank=blank, budget=budget, seconds=seconds)
        labels, log_score, proved = result.labels, result.log_prob, result.stopped == "proved"
        posteriors = posteriors_of(logits, blank)
    return Decoded([Hypothesis(labels, log_score, posteriors, log_score)], proved)


def check_decoder(decoder: str) -> None:
    """An error if no decoder has this name."""
    if decoder not in DECODERS:
        raise ValueError(f"decoder must be one of {', '.join(DECODERS)}, not {decoder!r}")
