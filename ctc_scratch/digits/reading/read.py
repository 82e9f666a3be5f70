"""Read a row of digits with a trained model: the digits, their probability, and where each stands.

A row goes through the network once; the decoder and the figure use the same logits. Backward passes through
the network find where each digit stands (`places.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...ctc.decoding.by_name import DECODERS, Decoder, hypotheses
from ..errors import OptionError
from ..model.places import find_places
from ..model.reader import BLANK, RowReader
from .row import Row

BUDGET = 1000
"""How many prefixes "map" may extend per row; a trained model needs few."""


class Digit(NamedTuple):
    """A digit that was read, and where.

    digit : 0..9, or a letter if the model reads letters
    confidence : the probability that the network gives it, averaged over the frames of its spike
    left, right : where the ink that was read as this digit begins and ends in the image [pixels]
    first, last : where it begins and ends in the row [columns], last excluded
    """

    digit: int | str
    confidence: float
    left: float
    right: float
    first: int
    last: int

    def __repr__(self) -> str:
        return (f"Digit({self.digit}, confidence={self.confidence:.3f}, "
                f"image={self.left:.0f}..{self.right:.0f}, row={self.first}..{self.last})")


class Reading(NamedTuple):
    """One way to read a row.

    digits : from left to right
    probability : P(digits | row); over all possible readings it sums to 1
    proved : True if the decoder has proved that no other reading is more probable; only "map" can
    """

    digits: list[Digit]
    probability: float
    proved: bool

    @property
    def text(self) -> str:
        return "".join(str(digit.digit) for digit in self.digits)

    def __repr__(self) -> str:
        return f"Reading({self.text!r}, probability={self.probability:.4f}, proved={self.proved})"


def read_row(model: RowReader, row: Row, decoder: Decoder = "beam", top: int = 1) -> list[Reading]:
    """Read a row of digits with a model, most probable reading first.

    Parameters
    ----------
    row : as `load_page` finds it in an image
    decoder : "greedy", "beam", or "map", which proves, where it can, that no other reading is more probable
    top : how many readings to return at most; more than one needs "beam"

    Returns
    -------
    list of at most `top` `Reading`

    Raises
    ------
    OptionError
        There is no such decoder, or it does not give that many readings.
    """
    check(decoder, top)
    return read_with_logits(model, row, decoder, top)[0]


def read_with_logits(model: RowReader, row: Row, decoder: Decoder, top: int
                     ) -> tuple[list[Reading], np.ndarray]:
    """The readings that a decoder finds in a row, and the float64 logits (T, C) that it decoded."""
    scores, cache = model.forward(*model.frames(row.pixels[None], np.array([row.pixels.shape[1]])))
    logits = scores[:, 0].astype(np.float64)
    decoded = hypotheses(decoder, logits, blank=BLANK, top=top, budget=BUDGET)
    readings = []
    for hypothesis in decoded.hypotheses:
        places = find_places(model, row.pixels, logits, cache, [label - 1 for label in hypothesis.labels])
        names = [model.class_names[label] for label in hypothesis.labels]
        readings.append(Reading(
            [Digit(int(name) if name.isdecimal() else name, span.confidence, *row.place(*place), *place)
             for name, span, place in zip(names, hypothesis.spans, places)],
            float(np.exp(hypothesis.log_prob)), decoded.proved))
    return readings, logits


def check(decoder: str, top: int) -> None:
    """Raise OptionError unless there is such a decoder and it can give `top` readings."""
    if decoder not in DECODERS:
        raise OptionError(f"--decoder must be greedy, beam or map, not {decoder}")
    if top < 1:
        raise OptionError(f"--top must be at least 1, not {top}")
    if top > 1 and decoder != "beam":
        raise OptionError(f"--top {top} needs --decoder beam; {decoder} gives a single reading")
