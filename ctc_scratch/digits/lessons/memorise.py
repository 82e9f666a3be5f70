"""What a network learns of one row of digits, and the mistake that kept another from learning.

    ctc-scratch show                      one row, all its frames
    ctc-scratch show --original-mistake   5, the number of digits, given as the number of frames

One row of five digits, an LSTM of 128 units that reads it from left to right, a column of pixels a
frame, and plain momentum: small enough to watch every iteration. `plateau` is the third one.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import ctc_loss, enumeration, greedy_decode, label_error_rate
from ...ctc.labels import extend
from ...ctc.paths.lattice import lattice
from ...ctc.reference import log_softmax
from ...nn import SGD, clip_by_global_norm
from ..data.mnist_files import Mnist, load_mnist
from ..data.rows import RowBatch, RowSampler, consecutive_rows
from ..errors import OptionError
from ..model.evaluate import model_logits
from ..model.parallel import run_tasks
from ..model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels, labels_to_digits
from ..training.gradients import cut, mean_gradient

DIGITS = 5
ITERATIONS = 100
SHOWN = (1, 50, 100)
RATE, MOMENTUM, CLIP = 1e-2, 0.9, 5.0
UNITS = 128
NO_CLIP = float("inf")


class Moment(NamedTuple):
    """A row at one iteration: its cost [nats] and the network's scores (T, C), before the step."""

    iteration: int
    cost: float
    logits: np.ndarray


def memorise(image: np.ndarray, digits: list[int], frames: int, clip: float, spread: float,
             rng: np.random.Generator, iterations: int = ITERATIONS) -> list[Moment]:
    """Train a new network on a single row (28, W).

    Parameters
    ----------
    frames : how many of its columns enter the loss
    clip : the gradient's largest norm
    spread : standard deviation of the output layer's first weights
    """
    model = new_model(spread, window=1, rng=rng)
    optimiser = SGD(model.params, MOMENTUM)
    x, _ = model.frames(image[None], np.array([image.shape[1]]))
    target, used = digits_to_labels(digits), np.array([frames])
    moments = []
    for iteration in range(1, iterations + 1):
        logits, cache = model.forward(x, np.array([len(x)]))
        result = ctc_loss(logits, [target], used, blank=BLANK)
        moments.append(Moment(iteration, float(result.loss[0]), logits[:, 0].copy()))
        grads = model.backward(result.grad, cache)
        clip_by_global_norm(grads, clip)
        optimiser.step(grads, RATE)
    return moments


def new_model(spread: float, window: int, rng: np.random.Generator) -> RowReader:
    """A forward LSTM whose output layer starts with normal weights."""
    model = RowReader(UNITS, layers=1, bidirectional=False, window=window, rng=rng)
    weight = model.params["output.weight"]
    weight[...] = spread * rng.standard_normal(weight.shape)
    return model


class Record(NamedTuple):
    """A batch run, step by step."""

    costs: list[float]      # nats, mean over the rows that have a path
    no_path: list[float]    # share of rows without one
    error_rate: float       # of the last ten batches
    model: RowReader


def train_batches(sampler: RowSampler, frames: int | None, window: int, clip: float, spread: float,
                  rate: float, steps: int, rng: np.random.Generator, N: int = 32) -> Record:
    """Train a new network on random rows; `frames` enter the loss of each, all of them if None."""
    model = new_model(spread, window, rng)
    optimiser = SGD(model.params, MOMENTUM)
    record, errors = Record([], [], 0.0, model), []
    for _ in tqdm(range(steps), unit="step", leave=False, dynamic_ncols=True):
        batch = sampler.batch(N)
        losses, grads, decoded = _gradients(model, batch, frames)
        clip_by_global_norm(grads, clip)
        optimiser.step(grads, rate)
        fits = losses < np.inf
        record.costs.append(float(losses[fits].mean()))
        record.no_path.append(1.0 - float(fits.mean()))
        errors.append(label_error_rate(decoded, [digits_to_labels(row).tolist() for row in batch.labels]))
    return record._replace(error_rate=float(np.mean(errors[-10:])))


def _gradients(model: RowReader, batch: RowBatch, frames: int | None) -> tuple[np.ndarray, dict, list]:
    """Losses (N,), inf without a path, the gradient of their mean, and what is read."""
    parts = cut(batch, 2)

    def task(part):
        x, lengths = model.frames(part.images, part.widths)
        logits, cache = model.forward(x, lengths)
        used = lengths if frames is None else np.full_like(lengths, frames)
        targets = [digits_to_labels(row) for row in part.labels]
        result = ctc_loss(logits, targets, used, blank=BLANK, infeasible="inf")
        return result.loss, model.backward(result.grad, cache), greedy_decode(logits, lengths, blank=BLANK)

    losses, grads, decoded = zip(*run_tasks(task, parts, [part.images.size for part in parts]))
    return np.concatenate(losses), mean_gradient(model, grads, len(batch.labels)), sum(decoded, [])


# ---- the demo ---------------------------------------------------------------------------------


def show(out: str, seed: int, data: str = "", iterations: int = ITERATIONS) -> list[str]:
    """Memorise one row, all its frames in the loss; returns the names of the files written."""
    image, digits = first_row(load_mnist(data or None))
    folder = make_folder(out)
    moments = memorise(image, digits, image.shape[1], CLIP, 0.1, np.random.default_rng(seed), iterations)
    files = _draw_moments(folder, image, digits, moments, image.shape[1])
    from ... import plots

    stages = _shown(moments)
    gammas = [lattice(moment.logits, digits_to_labels(digits), blank=BLANK).gamma for moment in stages]
    titles = [f"γ at iteration {moment.iteration}, cost {moment.cost:.3g}" for moment in stages]
    path = folder / "gamma_evolution.png"
    plots.gamma_evolution_figure(gammas, titles, state_names(digits_to_labels(digits))).savefig(path, dpi=200)
    costs = ", ".join(f"{moment.cost:.3f} at {moment.iteration}" for moment in stages)
    last = lattice(moments[-1].logits, digits_to_labels(digits), blank=BLANK)
    spans = ", ".join(f"{span.first}-{span.last}" for span in last.spans())
    text = f"""\
        One row of {len(digits)} digits, {image.shape[1]} frames of one column of pixels each. Cost: {costs}
        (nats). The shades are what the network says, the discs gamma, what it would say if it knew the
        digits; the gradient is the difference of the two. The boxes are the best alignment.

        At iteration 1 all classes are about equally likely, and gamma is spread over all alignments. In the
        end the network says {_said(moments[-1])}. But look where: the best alignment has the digits at the
        frames {spans}, not where they stand in the image. A single row can be known by heart. The recurrent
        state starts from zero and passes through the same values each time, and to learn the digits by
        these is easier than to learn what they look like; CTC does not mind where a digit is said. To learn
        to read takes many rows: ctc-scratch show --original-mistake, or ctc-scratch train.
        """
    return files + [str(path), explain(folder, text)]


def show_original_mistake(out: str, seed: int, data: str = "", iterations: int = ITERATIONS,
                          steps: int = 200) -> list[str]:
    """The number of digits as the number of frames: one row, batches, and the fix."""
    from ... import plots

    mnist = load_mnist(data or None)
    image, digits = first_row(mnist)
    folder = make_folder(out)
    moments = memorise(image, digits, DIGITS, NO_CLIP, 1.0, np.random.default_rng(seed), iterations)
    files = _draw_moments(folder, image, digits, moments, DIGITS)

    records = {}
    for label, frames, window, clip, spread, rate in [
        ("mistake: 5 frames", DIGITS, 1, NO_CLIP, 1.0, RATE),
        ("one line mended, and clipping: 140 frames", None, 1, CLIP, 0.1, RATE),
        ("and four columns a frame, rate 0.1: 35 frames", None, 4, CLIP, 0.1, 0.1),
    ]:
        print(f"batch run, {label}")
        rng = np.random.default_rng(seed)
        sampler = RowSampler(mnist.train_images, mnist.train_labels, (DIGITS, DIGITS), rng)
        records[label] = train_batches(sampler, frames, window, clip, spread, rate, steps, rng)
    share = 1 - 0.9 ** (DIGITS - 1)
    runs = [plots.TrainingCurves(np.array(record.costs), np.array(record.no_path), label)
            for label, record in records.items()]
    figures = {
        "batch_runs": plots.runs_figure(runs, DIGITS * np.log(10), share),
        "sum_not_columns": _sum_not_columns(),
        "mended": _reading(list(records.values())[-1].model, *unseen_row(mnist)),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=200)
        files.append(str(folder / f"{name}.png"))

    stages = _shown(moments)
    costs = ", ".join(f"{moment.cost:.3f} at {moment.iteration}" for moment in stages)
    mistake, mended, wide = records.values()
    text = f"""\
        The number of digits, {DIGITS}, given as the number of frames: the loss sees five columns of
        pixels, nearly all of them empty margin.

        One row. Cost: {costs} (the original reported 12.728, 0.398 and 0.118). It seems to work:
        {DIGITS} fixed digits can be memorised by the recurrent state, without any input. A uniform output
        costs 5 ln 11 = {5 * np.log(11):.1f}. In the figures everything from frame {DIGITS} on is hatched:
        it never entered the loss, so nothing ever told the network what to say there. (Output weights start
        with a standard deviation of 1 here, which meets the original's pace; with smaller ones the same
        takes longer.)

        Batches. The cost stays at {np.mean(mistake.costs[-20:]):.1f} for the rows that have a path, by
        5 ln 10 = {5 * np.log(10):.1f}: five columns say nothing about the digits, so the best answer is
        1/10 each. {np.mean(mistake.no_path):.0%} of the rows have no valid path (1 - 0.9^4 = {share:.0%}):
        any two equal neighbours need a blank between them, a sixth frame.

        The fix is one line, the lengths: {image.shape[1]} in place of {DIGITS}; and clipping, for gradients
        are large at first. The cost falls from {mended.costs[0]:.0f} to {np.mean(mended.costs[-20:]):.1f},
        every row has a path, and the run is where CTC's normal beginning is, at the all-blank plateau (see
        ctc-scratch show --plateau). With frames one column wide that lasts long; with four columns a frame
        and a rate of 0.1 the same network leaves it within {steps} steps: cost
        {np.mean(wide.costs[-20:]):.1f}, label errors {wide.error_rate:.0%}. mended.png is how it reads
        the first row of the test digits: each digit is a spike near its own columns, blank what is between.

        What its author looked for, one output column for each digit inside the loss, is not there: the loss
        sums over the alignments of all frames (sum_not_columns.png). To collapse a path to digits is the
        decoder's work, after it.
        """
    return files + [explain(folder, text)]


def first_row(mnist: Mnist) -> tuple[np.ndarray, list[int]]:
    """The first row of the training digits."""
    images, labels = consecutive_rows(mnist.train_images[:DIGITS], mnist.train_labels[:DIGITS], DIGITS)
    return images[0], labels[0]


def unseen_row(mnist: Mnist) -> tuple[np.ndarray, list[int]]:
    """The first row of the test digits, which nothing is trained on."""
    images, labels = consecutive_rows(mnist.test_images[:DIGITS], mnist.test_labels[:DIGITS], DIGITS)
    return images[0], labels[0]


def state_names(labels) -> list[str]:
    """What the states of the extended labels are called in figures."""
    return ["–" if c == BLANK else CLASS_NAMES[c] for c in extend(labels, BLANK)]


def _shown(moments: list[Moment]) -> list[Moment]:
    return [moment for moment in moments if moment.iteration in SHOWN or moment is moments[-1]]


def _draw_moments(folder: Path, image: np.ndarray, digits: list[int], moments: list[Moment],
                  used: int) -> list[str]:
    """A figure of iterations 1, 50 and 100, and all of them as an animation."""
    from ... import plots

    def figure(moment):
        stage = _stage(moment, moments, digits, used)
        return plots.stage_figure(image, stage, CLASS_NAMES, BLANK, used, len(moments))

    files = []
    for moment in _shown(moments):
        path = folder / f"iteration_{moment.iteration:03d}.png"
        figure(moment).savefig(path, dpi=200)
        files.append(str(path))
    some = [moment for moment in moments if moment.iteration % 3 == 1 or moment is moments[-1]]
    path = folder / "training.gif"
    bar = tqdm(some, desc="drawing the animation", unit="figure", leave=False, dynamic_ncols=True)
    plots.save_gif((figure(moment) for moment in bar), path)
    return [*files, str(path)]


def _stage(moment: Moment, moments: list[Moment], digits: list[int], used: int):
    """What a figure needs to know about a moment."""
    from ...plots import Stage

    probs = np.exp(log_softmax(moment.logits))
    its = lattice(moment.logits[:used], digits_to_labels(digits), blank=BLANK)
    occupancy = np.zeros_like(probs)
    occupancy[:used] = its.occupancy
    title = (f"iteration {moment.iteration}   cost {moment.cost:.3g} nats\n"
             f"truth {' '.join(map(str, digits))}   read {_said(moment)}")
    costs = [earlier.cost for earlier in moments[:moment.iteration]]
    return Stage(moment.iteration, costs, probs, occupancy, its.spans(), title)


def _said(moment: Moment) -> str:
    """What is read greedily, as text."""
    said = " ".join(map(str, labels_to_digits(greedy_decode(moment.logits, blank=BLANK))))
    return said if len(said) <= 30 else said[:27] + "..."


def _reading(model: RowReader, image: np.ndarray, digits: list[int]):
    """How a model reads a row."""
    from ... import plots

    logits, lengths = model_logits(model, image[None])
    read = greedy_decode(logits[:, 0], blank=BLANK)
    reading = plots.PlottedRow(image, np.exp(log_softmax(logits[:, 0])), read, digits_to_labels(digits))
    return plots.reading_figure([reading], model.window, CLASS_NAMES, BLANK)


def _sum_not_columns():
    """The toy: all alignments of (1, 1) in four frames, with probabilities, and one collapsed."""
    from ... import plots

    probs = np.array([[.5, .4, .1], [.3, .6, .1], [.7, .2, .1], [.2, .7, .1]])
    paths = enumeration.alignments([1, 1], 4)
    values = [float(np.prod(probs[range(4), path])) for path in paths]
    symbols = [["–" if c == 0 else str(c) for c in path] for path in paths]
    best = int(np.argmax(values))
    return plots.sum_not_columns_figure(symbols, values, (symbols[best], ["1", "1"]))


def make_folder(out: str) -> Path:
    """The folder of the figures, which may exist: figures of the same name are replaced."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"--out {folder} cannot be made: {error.strerror}") from None
    return folder


def explain(folder: Path, text: str) -> str:
    """Print a text, wrapped, and write it beside the figures; returns the file's name."""
    paragraphs = textwrap.dedent(text).strip().split("\n\n")
    wrapped = "\n\n".join(textwrap.fill(" ".join(paragraph.split()), 79) for paragraph in paragraphs)
    print(wrapped)
    path = folder / "explanation.txt"
    path.write_text(wrapped + "\n", encoding="utf-8")
    return str(path)
