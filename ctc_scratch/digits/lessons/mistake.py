"""The mistake that kept a network from learning: `ctc-scratch show --original-mistake`.

An earlier project gave the loss the number of digits, 5, as the number of frames. On one row this
seems to work, because five fixed digits can be learnt by heart (`memorise.py`). Batches of many rows
show that nothing is learnt, and that the right number of frames mends it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import enumeration, greedy_decode, label_error_rate
from ...ctc.reference import log_softmax
from ...nn import SGD, clip_by_global_norm
from ..data.mnist_files import load_mnist
from ..data.rows import RowSampler
from ..model.evaluate import model_logits
from ..model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from ..training.gradients import batch_gradients, on_threads, shard_gradients
from .example import DIGITS, first_row, unseen_row
from .memorise import (
    CLIP,
    ITERATIONS,
    MOMENTUM,
    RATE,
    Moment,
    costs_text,
    draw_moments,
    memorise,
    new_model,
)
from .output import FigureFolder, Output

NO_CLIP = float("inf")


class Setup(NamedTuple):
    """The settings of one batch run; the three runs of the lesson differ in them."""

    label: str
    claimed_frames: int | None  # how many frames the loss is told that a row has; None: as many as it has
    window: int  # pixel columns per frame
    clip: float  # the gradient's largest norm
    spread: float  # standard deviation of the output layer's initial weights
    rate: float


MISTAKE = Setup("mistake: 5 frames", DIGITS, 1, NO_CLIP, 1.0, RATE)
MENDED = Setup("one line mended, and clipping: 140 frames", None, 1, CLIP, 0.1, RATE)
WIDE = Setup("and four columns per frame, rate 0.1: 35 frames", None, 4, CLIP, 0.1, 0.1)


class BatchRun(NamedTuple):
    """The results of a batch run, step by step."""

    costs: list[float]  # nats, the mean over the rows that have a path
    no_path: list[float]  # share of rows that have none
    error_rate: float  # mean label error rate of the last ten batches
    model: RowReader

    def __repr__(self) -> str:
        return f"BatchRun({len(self.costs)} steps, label error rate {self.error_rate:.1%})"


def train_batches(setup: Setup, sampler: RowSampler, steps: int, rng: np.random.Generator,
                  N: int = 32) -> BatchRun:
    """Train a new network on batches of N random rows."""
    model = new_model(setup.spread, setup.window, rng)
    optimiser = SGD(model.params, MOMENTUM)

    mapper = partial(on_threads, compute=partial(shard_gradients, claimed_frames=setup.claimed_frames))
    costs: list[float] = []
    no_path: list[float] = []
    errors: list[float] = []
    for _ in tqdm(range(steps), unit="step", leave=False, dynamic_ncols=True):
        batch = sampler.batch(N)
        _, grads, shards = batch_gradients(model, batch, mapper=mapper)
        clip_by_global_norm(grads, setup.clip)
        optimiser.step(grads, setup.rate)
        losses = np.concatenate([shard.losses for shard in shards])
        fits = losses < np.inf
        costs.append(float(losses[fits].mean()))
        no_path.append(1.0 - float(fits.mean()))
        decoded = [labels for shard in shards
                   for labels in greedy_decode(shard.logits, shard.lengths, blank=BLANK)]
        errors.append(label_error_rate(decoded, [digits_to_labels(row).tolist() for row in batch.labels]))
    return BatchRun(costs, no_path, float(np.mean(errors[-10:])), model)


def show_mistake(output: Output, seed: int, data: str = "", iterations: int = ITERATIONS,
                 steps: int = 200) -> list[str]:
    """Train with the mistake on one row and on batches, then without it; returns the paths of the files."""
    from ... import plots

    mnist = load_mnist(data or None)
    image, digits = first_row(mnist)
    folder = FigureFolder(output)
    moments = memorise(image, digits, DIGITS, NO_CLIP, 1.0, np.random.default_rng(seed), iterations)
    draw_moments(folder, image, digits, moments, DIGITS)
    runs = {}
    for setup in (MISTAKE, MENDED, WIDE):
        print(f"batch run, {setup.label}")
        rng = np.random.default_rng(seed)
        sampler = RowSampler(mnist.train_images, mnist.train_labels, (DIGITS, DIGITS), rng)
        runs[setup.label] = train_batches(setup, sampler, steps, rng)
    no_path_expected = 1 - 0.9 ** (DIGITS - 1)
    curves = [plots.TrainingCurves(np.array(run.costs), np.array(run.no_path), label)
              for label, run in runs.items()]
    folder.save("batch_runs", plots.runs_figure(curves, DIGITS * np.log(10), no_path_expected))
    folder.save("sum_not_columns", sum_not_columns())
    folder.save("mended", _reading(runs[WIDE.label].model, *unseen_row(mnist)))
    folder.explain(_explanation(moments, image.shape[1], runs, no_path_expected))
    return folder.files


def _explanation(moments: list[Moment], frames: int, runs: dict[str, BatchRun],
                 no_path_expected: float) -> str:
    """The text that explains the figures, with the numbers of this run."""
    mistake, mended, wide = runs.values()
    return f"""\
        The number of digits, {DIGITS}, is given as the number of frames: the loss sees five columns of
        pixels, nearly all of them empty margin.

        One row. Cost: {costs_text(moments)} (the project with the mistake reported 12.728, 0.398 and
        0.118). It seems to work: the recurrent state can memorise {DIGITS} fixed digits without any input.
        A uniform output costs 5 ln 11 = {5 * np.log(11):.1f}. In the figures all frames from frame {DIGITS}
        on are hatched: they never entered the loss, so nothing told the network what to answer there. (The
        output weights start with a standard deviation of 1 here, so that the cost falls as fast as in that
        project; smaller weights take longer.)

        Batches. The cost of the rows that have a path stays at {np.mean(mistake.costs[-20:]):.1f}, close to
        5 ln 10 = {5 * np.log(10):.1f}: five columns say nothing about the digits, so the best answer gives
        each digit 1/10. {np.mean(mistake.no_path):.0%} of the rows have no valid path (1 - 0.9^4 =
        {no_path_expected:.0%}): two equal neighbours need a blank between them, which is a sixth frame.

        The fix is one line, the lengths: {frames} in place of {DIGITS}. Clipping helps too, because
        gradients are large at first. The cost falls from {mended.costs[0]:.0f} to
        {np.mean(mended.costs[-20:]):.1f}, every row has a path, and the run has reached CTC's normal
        beginning, the all-blank plateau (see ctc-scratch show --plateau). With frames one column wide the
        plateau lasts long. With four columns per frame and a rate of 0.1 the same network leaves it within
        {len(wide.costs)} steps: cost {np.mean(wide.costs[-20:]):.1f}, label errors {wide.error_rate:.0%}.
        mended.png shows how it reads the first row of the test digits: each digit is a spike near its own
        columns, with blank in between.

        The author of that project looked for one output column per digit inside the loss. There is none:
        the loss sums over the alignments of all frames (sum_not_columns.png). Collapsing a path to digits
        is the work of the decoder, after the loss.
        """


def _reading(model: RowReader, image: np.ndarray, digits: list[int]):
    """The figure of how a model reads a row."""
    from ... import plots

    logits, _ = model_logits(model, image[None])
    read = greedy_decode(logits[:, 0], blank=BLANK)
    truth = digits_to_labels(digits).tolist()
    row = plots.PlottedRow(image, np.exp(log_softmax(logits[:, 0])), read, truth)
    return plots.reading_figure([row], model.window, CLASS_NAMES, BLANK)


def sum_not_columns():
    """The figure of a toy problem: all alignments of (1, 1) in 4 frames, their sum, one path collapsed."""
    from ... import plots

    probs = np.array([[.5, .4, .1], [.3, .6, .1], [.7, .2, .1], [.2, .7, .1]])
    paths = enumeration.alignments([1, 1], 4)
    path_probs = [float(np.prod(probs[range(4), path])) for path in paths]
    symbols = [["–" if c == 0 else str(c) for c in path] for path in paths]
    best = int(np.argmax(path_probs))
    return plots.sum_not_columns_figure(symbols, path_probs, (symbols[best], ["1", "1"]))
