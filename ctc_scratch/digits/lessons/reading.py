"""A small reader learns to read: `ctc-scratch show --reading`.

A bidirectional LSTM is trained on rows of random digits for at most a minute. Every few steps it reads a row
that it is never trained on. At first all classes are about equally likely, then blank wins in every frame
(`plateau.py` says why), then a spike appears for one digit after the other. Where each digit stands is found
by backpropagation to the pixels (`places.py`), not from the spikes, which may stand beside the digits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import greedy_decode
from ...ctc.reference import log_softmax
from ...nn import Adam, clip_by_global_norm, one_cycle
from ..data.mnist_files import load_mnist
from ..data.rows import RowSampler
from ..model.places import find_places
from ..model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from ..training.gradients import batch_gradients
from .example import Wanted, unseen_row
from .output import FigureFolder, Output

if TYPE_CHECKING:
    from ...plots import PlottedRow

STEPS, N, HIDDEN, WINDOW, RATE = 300, 32, 64, 4, 1.2e-2
"""Steps; rows per batch; LSTM units per direction; columns of pixels per frame; highest learning rate."""

PICTURES = 60
"""About how many pictures the animation has."""


class Learnt(NamedTuple):
    """A training run, and how the unseen row was read on the way."""

    losses: list[float]             # one per step [nats per row]
    readings: dict[int, PlottedRow]  # the row as it is read after this many steps

    def __repr__(self) -> str:
        return f"Learnt({len(self.losses)} steps, {len(self.readings)} readings)"

    def nothing_read(self) -> list[int]:
        """The steps after which blank is the most probable class of every frame."""
        return [step for step, row in self.readings.items() if not row.decoded]

    def right(self) -> list[int]:
        """The steps after which all digits of the row are read, and no others."""
        return [step for step, row in self.readings.items() if list(row.decoded) == list(row.truth)]


def show_reading(output: Output, seed: int, data: str = "", wanted: Wanted = Wanted(),
                 steps: int = STEPS) -> list[str]:
    """Train a reader and draw how it learns to read a row; returns the paths of the files written."""
    from ... import plots

    mnist = load_mnist(data or None)
    image, digits = unseen_row(mnist, wanted)
    folder = FigureFolder(output)
    rng = np.random.default_rng(seed)
    lengths = max(1, len(digits) - 1), len(digits) + 1
    sampler = RowSampler(mnist.train_images, mnist.train_labels, lengths, rng)
    learnt = learn(sampler, image, digits, steps, rng)
    stages = [plots.ReadingStage(step, row, learnt.losses[max(step - 1, 0)])
              for step, row in learnt.readings.items()]
    bar = tqdm(stages, desc="drawing the animation", unit="figure", leave=False, dynamic_ncols=True)
    folder.animate("reading", (plots.reading_stage_figure(stage, learnt.losses, WINDOW, CLASS_NAMES, BLANK)
                               for stage in bar))
    told = [stage for stage in stages if stage.step in steps_told(learnt)]
    folder.save("reading_stages", plots.reading_stages_figure(told, WINDOW, CLASS_NAMES, BLANK))
    folder.explain(_explanation(learnt, lengths))
    return folder.files


def learn(sampler: RowSampler, image: np.ndarray, digits: list[int], steps: int, rng: np.random.Generator
          ) -> Learnt:
    """Train a new reader; every few steps, let it read the row `image` (28, W), which says `digits`."""
    model = RowReader(hidden=HIDDEN, window=WINDOW, rng=rng)
    optimiser = Adam(model.params)
    learnt = Learnt([], {0: read(model, image, digits)})
    every = max(1, steps // PICTURES)
    for step in tqdm(range(steps), desc="learning to read", unit="step", leave=False, dynamic_ncols=True):
        loss, grads, _ = batch_gradients(model, sampler.batch(N))
        clip_by_global_norm(grads, 5.0)
        optimiser.step(grads, one_cycle(step, steps, RATE))
        learnt.losses.append(float(loss))
        if (step + 1) % every == 0 or step + 1 == steps:
            learnt.readings[step + 1] = read(model, image, digits)
    return learnt


def read(model: RowReader, image: np.ndarray, digits: list[int]) -> PlottedRow:
    """What a model reads in a row (28, W) that says `digits`, and where in the row each digit stands.

    While it reads too few or too many digits, no places are given: `find_places` divides all ink of the row
    among the digits that were read, so some would be wrong.
    """
    from ...plots import PlottedRow

    scores, cache = model.forward(*model.frames(image[None], np.array([image.shape[1]])))
    logits = scores[:, 0]
    labels = greedy_decode(logits, blank=BLANK)
    places = (find_places(model, image, logits, cache, [label - 1 for label in labels])
              if len(labels) == len(digits) else [])
    return PlottedRow(image, np.exp(log_softmax(logits)), labels, digits_to_labels(digits).tolist(), places)


def steps_told(learnt: Learnt) -> list[int]:
    """At most five steps that tell the story: start, nothing read, some digits read, all read, end."""
    end = max(learnt.readings)
    silent = learnt.nothing_read()
    first_right = min(learnt.right(), default=end)
    partly = [step for step, row in learnt.readings.items() if max(silent, default=0) < step < first_right]
    told = {0, *silent[len(silent) // 2:][:1], *partly[len(partly) // 2:][:1], first_right, end}
    return sorted(told)


def _explanation(learnt: Learnt, lengths: tuple[int, int]) -> str:
    """The text that explains the figures, with the numbers of this run."""
    silent, right, end = learnt.nothing_read(), learnt.right(), max(learnt.readings)
    last = learnt.readings[end]
    blank = max(float(row.probs[:, BLANK].mean()) for row in learnt.readings.values())
    truth = " ".join(CLASS_NAMES[c] for c in last.truth)
    read_last = " ".join(CLASS_NAMES[c] for c in last.decoded) or "nothing"
    plateau = (f"From step {silent[0]} to step {silent[-1]} nothing is read: blank is the most probable "
               f"class of every frame, with a mean probability of up to {blank:.2f}. This is the plateau; "
               "see ctc-scratch show --plateau." if silent else "Something is read after every step.")
    found = (f"All digits are read for the first time after step {right[0]}." if right
             else "The digits are not all read in these steps.")
    places = ", ".join(f"{left}-{right - 1}" for left, right in last.places) or "no columns"
    return f"""\
        A reader of {HIDDEN} units per direction is trained for {end} steps on batches of {N} rows of
        {lengths[0]} to {lengths[1]} digits. The row in the figures says {truth} and is not among them. Blue
        bars are the probabilities of the digits in each frame of {WINDOW} columns, the line is that of the
        blank.

        Before training all classes are about equally likely, and the loss is {learnt.losses[0]:.0f} nats per
        row. {plateau} Then spikes appear. {found} At the end the loss is {np.mean(learnt.losses[-10:]):.2f}
        nats per row, the mean of ten batches, and the row is read as {read_last}.

        Bands mark the ink that was read as each digit at the end: columns {places}. They are found by
        backpropagation to the pixels, and a line leads from each band to its spike. A spike need not stand
        where its digit does: CTC asks for the order of the digits only, and a network that reads in both
        directions can name a digit early or late.
        """
