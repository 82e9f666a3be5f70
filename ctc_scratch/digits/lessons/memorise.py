"""One row learnt by heart, with its gamma at each iteration: `ctc-scratch show`.

An LSTM of 128 units reads one row of five digits from left to right, one column of pixels per frame,
and is trained by gradient descent with momentum: small enough to watch every iteration. `mistake.py`
repeats this with a wrong number of frames; `plateau.py` asks why a network first answers only blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc.paths.lattice import lattice
from ...ctc.reference import log_softmax
from ...nn import SGD, clip_by_global_norm
from ..data.mnist_files import load_mnist
from ..data.rows import RowBatch
from ..model.reader import BLANK, CLASS_NAMES, RowReader, digits_to_labels
from ..training.gradients import shard_gradients
from .example import Wanted, first_row, greedy_reading, state_names
from .output import FigureFolder, Output

ITERATIONS = 100
ITERATIONS_DRAWN = (1, 50, 100)
RATE, MOMENTUM, CLIP = 1e-2, 0.9, 5.0
UNITS = 128


class Moment(NamedTuple):
    """A row at one iteration, before its step."""

    iteration: int
    cost: float  # nats
    logits: np.ndarray  # (T, C)

    def __repr__(self) -> str:
        return f"Moment(iteration {self.iteration}, {self.cost:.4g} nats)"


def memorise(image: np.ndarray, digits: list[int], claimed_frames: int, clip: float, spread: float,
             rng: np.random.Generator, iterations: int = ITERATIONS) -> list[Moment]:
    """Train a new network on a single row.

    Parameters
    ----------
    image : (28, W) array
    claimed_frames : how many frames the loss is told that the row has
    clip : the gradient's largest norm
    spread : standard deviation of the output layer's initial weights
    """
    model = new_model(spread, window=1, rng=rng)
    optimiser = SGD(model.params, MOMENTUM)
    row = RowBatch(image[None], np.array([image.shape[1]]), [np.array(digits)])
    moments = []
    for iteration in tqdm(range(1, iterations + 1), desc="memorising a row", unit="step", leave=False,
                          dynamic_ncols=True):
        result = shard_gradients(model, row, claimed_frames)
        moments.append(Moment(iteration, float(result.losses[0]), result.logits[:, 0].copy()))
        clip_by_global_norm(result.grads, clip)
        optimiser.step(result.grads, RATE)
    return moments


def new_model(spread: float, window: int, rng: np.random.Generator) -> RowReader:
    """A forward LSTM whose output weights start normally distributed, with this standard deviation."""
    model = RowReader(UNITS, layers=1, bidirectional=False, window=window, rng=rng)
    weight = model.params["output.weight"]
    weight[...] = spread * rng.standard_normal(weight.shape)
    return model


def show_memorising(output: Output, seed: int, data: str = "", wanted: Wanted = Wanted(),
                    iterations: int = ITERATIONS) -> list[str]:
    """Memorise one row with all its frames in the loss; returns the paths of the files written."""
    from ... import plots

    image, digits = first_row(load_mnist(data or None), wanted)
    frames, labels = image.shape[1], digits_to_labels(digits)
    folder = FigureFolder(output)
    moments = memorise(image, digits, frames, CLIP, 0.1, np.random.default_rng(seed), iterations)
    draw_moments(folder, image, digits, moments, frames)
    drawn = moments_drawn(moments)
    gammas = [lattice(moment.logits, labels, blank=BLANK).gamma for moment in drawn]
    titles = [f"γ at iteration {moment.iteration}, cost {moment.cost:.3g}" for moment in drawn]
    folder.save("gamma_evolution", plots.gamma_evolution_figure(gammas, titles, state_names(labels)))
    folder.explain(_explanation(digits, frames, moments))
    return folder.files


def _explanation(digits: list[int], frames: int, moments: list[Moment]) -> str:
    """The text that explains the figures, with the numbers of this run."""
    spans = lattice(moments[-1].logits, digits_to_labels(digits), blank=BLANK).spans()
    spans_text = ", ".join(f"{span.first}-{span.last}" for span in spans)
    return f"""\
        One row of {len(digits)} digits, {frames} frames of one column of pixels each. Cost:
        {costs_text(moments)} (nats). In the figures the shades are the network's probabilities. The discs
        are gamma, the probabilities of the classes once the digits of the row are known; the gradient is
        the difference of the two. The boxes are the best alignment.

        At iteration 1 all classes are about equally likely, and gamma is spread over all alignments. At the
        end the network reads {greedy_reading(moments[-1].logits)}. But look where: the best alignment has
        the digits at the frames {spans_text}, not where they stand in the image. A single row can be learnt
        by heart. The recurrent state starts from zero and passes through the same values each time, and it
        is easier to learn the digits from these values than from their shapes; CTC does not prescribe at
        which frame a digit is read. Learning to read takes many rows: ctc-scratch show --original-mistake,
        or ctc-scratch train.
        """


def moments_drawn(moments: list[Moment]) -> list[Moment]:
    """The moments that get a figure of their own: iterations 1, 50 and 100, and the last one."""
    return [moment for moment in moments if moment.iteration in ITERATIONS_DRAWN or moment is moments[-1]]


def costs_text(moments: list[Moment]) -> str:
    """The costs of the moments drawn: '301.279 at 1, ...'."""
    return ", ".join(f"{moment.cost:.3f} at {moment.iteration}" for moment in moments_drawn(moments))


def draw_moments(folder: FigureFolder, image: np.ndarray, digits: list[int], moments: list[Moment],
                 claimed_frames: int) -> None:
    """Draw some moments as figures, and every third one in an animation."""
    from ... import plots

    def figure(moment: Moment):
        stage = stage_of(moment, moments, digits, claimed_frames)
        return plots.stage_figure(image, stage, CLASS_NAMES, BLANK, claimed_frames, len(moments))

    for moment in moments_drawn(moments):
        folder.save(f"iteration_{moment.iteration:03d}", figure(moment))
    animated = [moment for moment in moments if moment.iteration % 3 == 1 or moment is moments[-1]]
    bar = tqdm(animated, desc="drawing the animation", unit="figure", leave=False, dynamic_ncols=True)
    folder.animate("training", (figure(moment) for moment in bar))


def stage_of(moment: Moment, moments: list[Moment], digits: list[int], claimed_frames: int):
    """What the figure of a moment shows: costs so far, probabilities, occupancy, the best alignment."""
    from ...plots import Stage

    probs = np.exp(log_softmax(moment.logits))
    in_loss = lattice(moment.logits[:claimed_frames], digits_to_labels(digits), blank=BLANK)
    occupancy = np.zeros_like(probs)
    occupancy[:claimed_frames] = in_loss.occupancy
    title = (f"iteration {moment.iteration}   cost {moment.cost:.3g} nats\n"
             f"truth {' '.join(map(str, digits))}   read {greedy_reading(moment.logits)}")
    costs = [earlier.cost for earlier in moments[:moment.iteration]]
    return Stage(moment.iteration, costs, probs, occupancy, in_loss.spans(), title)
