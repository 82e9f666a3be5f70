"""What an objective changes in a trained reader: `ctc-scratch show --objectives`.

The same small reader is trained from the same weights on the same rows, each time with another objective.
CTC asks for the right labels in the right order. It does not say at which frames, nor for how many, so where
the spikes stand and how wide they are is left to training. Objectives that weight the alignments decide it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import ctc_loss, delay_ctc_loss, greedy_decode, label_error_rate
from ...ctc.paths.lattice import lattice
from ...ctc.reference import log_softmax
from ...nn import Adam, clip_by_global_norm, one_cycle
from ..data.mnist_files import SIDE, load_mnist, training_split
from ..data.rows import RowSampler, consecutive_rows
from ..data.touching import ink_edges
from ..model.evaluate import model_logits
from ..model.reader import BLANK, C, RowReader, digits_to_labels
from ..training.gradients import batch_gradients
from ..training.objective import Objective
from .example import DIGITS
from .output import FigureFolder, Output

OTHER_START = "ctc, another start"
RUNS = {
    "ctc": ("ctc", 0.0), OTHER_START: ("ctc", 0.0), "entropy, weight 0.2": ("entropy", 0.2),
    "prior, weight 0.1": ("prior", 0.1), "focal, power 1": ("focal", 1.0),
    "delay, weight 0.02": ("delay", 0.02), "delay, weight -0.02": ("delay", -0.02),
}
"""What is compared: objectives and their weights. The other start differs in its initial weights alone."""

STEPS, N, HIDDEN, RATE = 400, 32, 64, 1.2e-2
"""Of each run: steps, rows of 4 to 6 digits per batch, LSTM units per direction, highest learning rate."""

ROWS = 200
"""Validation rows of five digits that each run is measured on."""


class Measures(NamedTuple):
    """How one run reads the validation rows; positions under gamma, the posterior given the true digits."""

    frames: float  # that a digit holds, expected: the width of a spike
    place: float  # columns from the middle of a digit's ink to its spike, mean; negative: to the left
    spread: float  # standard deviation of `place` over the digits, columns
    delay: float  # from the first column of ink to where the digit is entered, expected, columns
    errors: float  # label error rate, greedy
    loss: float  # plain CTC, nats per row
    digit: np.ndarray  # (T,) the network's probability of any digit, in the first row
    gamma: np.ndarray  # (T,) the same under gamma

    def __repr__(self) -> str:
        return (f"Measures({self.frames:.2f} frames, {self.place:+.1f} columns, "
                f"{self.errors:.2%} errors, {self.loss:.3g} nats)")


def show_objectives(output: Output, seed: int, data: str = "", steps: int = STEPS) -> list[str]:
    """Train a reader with each objective, draw and explain the results; returns the paths of the files."""
    from ... import plots

    train_part, (images, digits) = training_split(load_mnist(data or None))
    rows, truth = consecutive_rows(images[:ROWS * DIGITS], digits[:ROWS * DIGITS], DIGITS)
    left, right = ink_edges(images[:len(truth) * DIGITS]).reshape(2, -1, DIGITS) + SIDE * np.arange(DIGITS)
    folder, found = FigureFolder(output), {}
    for label, (name, weight) in RUNS.items():
        print(f"training run: {label}", flush=True)
        sampler = RowSampler(*train_part, (4, 6), np.random.default_rng(seed))
        start = np.random.default_rng([seed, 1] if label == OTHER_START else seed + 1)
        model = train_reader(sampler, name, weight, steps, start)
        found[label] = measure(model, rows, truth, left, right)
    folder.save("objectives", plots.objectives_figure(
        rows[0], ((left + right) / 2)[0], model.window,
        {f"{label}: {m.frames:.1f} frames, {m.place:+.1f} columns": (m.digit, m.gamma)
         for label, m in found.items()}))
    folder.explain(_explanation(found), _table(found))
    return folder.files


def train_reader(sampler: RowSampler, name: str, weight: float, steps: int, rng: np.random.Generator,
                 bidirectional: bool = True) -> RowReader:
    """Train a new reader with an objective; runs with equal generators differ in nothing else."""
    model = RowReader(hidden=HIDDEN, bidirectional=bidirectional, rng=rng)
    optimiser = Adam(model.params)
    objective = None if name == "ctc" else Objective(name, weight, C)
    for step in tqdm(range(steps), unit="step", leave=False, dynamic_ncols=True):
        _, grads, shards = batch_gradients(model, sampler.batch(N), objective=objective)
        clip_by_global_norm(grads, 5.0)
        optimiser.step(grads, one_cycle(step, steps, RATE))
        if objective:
            objective.update((shard.logits, shard.lengths) for shard in shards)
    return model


def measure(model: RowReader, rows: np.ndarray, truth: list[list[int]], left: np.ndarray, right: np.ndarray
            ) -> Measures:
    """Measure how a model reads rows (K, 28, W) of the digits `truth`, whose ink is in columns left to right.

    left, right : (K, DIGITS) the first column of each digit's ink, and the one after its last
    """
    logits, lengths = model_logits(model, rows)
    targets = [digits_to_labels(row) for row in truth]
    gammas = [lattice(logits[:, n], target, blank=BLANK).gamma for n, target in enumerate(targets)]
    on_labels = np.stack(gammas)[:, :, 1::2]  # (K, T, DIGITS)
    frames = on_labels.sum(axis=1)
    columns = (np.arange(logits.shape[0]) + 0.5) * model.window
    place = np.einsum("ktu,t->ku", on_labels, columns) / frames - (left + right) / 2
    entered = np.stack(delay_ctc_loss(logits, targets, lengths, weight=0.0, blank=BLANK).delays)
    read = greedy_decode(logits, lengths, blank=BLANK)
    return Measures(
        float(frames.mean()), float(place.mean()), float(place.std()),
        float((entered * model.window - left).mean()),
        label_error_rate(read, [target.tolist() for target in targets]),
        float(ctc_loss(logits, targets, lengths, blank=BLANK).loss.mean()),
        1 - np.exp(log_softmax(logits[:, 0]))[:, BLANK], on_labels[0].sum(axis=1))


def _table(found: dict[str, Measures]) -> str:
    """The measures as a table of 79 columns at most."""
    lines = ["                       frames   place   (sd)   entry  errors    loss"]
    for label, m in found.items():
        lines.append(f"{label:<22}{m.frames:7.2f}{m.place:+8.1f}{f'({m.spread:.1f})':>7}{m.delay:+8.1f}"
                     f"{m.errors:8.1%}{m.loss:8.2f}")
    return "\n".join(lines)


def _explanation(found: dict[str, Measures]) -> str:
    """The text that explains the table and the figure, with the numbers of this run."""
    ctc, other, entropy, prior, focal, early, late = found.values()
    return f"""\
        Each line is a reader of {HIDDEN} units per direction after training on the same rows, measured on
        {ROWS} validation rows of {DIGITS} digits. Frames: how many frames of four columns a digit holds
        under gamma. Place: columns from the middle of a digit's ink to its spike, negative to the left, and
        their standard deviation over the digits. Entry: columns from the first ink of a digit to the frame
        at which gamma enters it. Errors: label error rate of greedy reading, without the prior. Loss: plain
        CTC, nats per row, also for the other objectives.

        Why do spikes stand beside their digits, such as to the left? Not because CTC prefers a side: if the
        frames and the digits are both read backwards, the loss is the same. It is also the same wherever the
        spikes stand, as long as the network can tell the digit at that frame, and a network that reads in
        both directions can tell it early or late. The two runs of plain CTC differ in the initial weights
        alone. Their spikes stand at {ctc.place:+.1f} and {other.place:+.1f} columns, with standard deviations
        of {ctc.spread:.1f} and {other.spread:.1f}.

        What moves the spikes is a weight on alignments. A delay penalty of 0.02 per frame and label puts
        them at {early.place:+.1f} columns; with the other sign, at {late.place:+.1f}. Both began as the
        first run of plain CTC did, and their errors are {early.errors:.1%} and {late.errors:.1%}, where
        plain CTC has {ctc.errors:.1%}.

        What widens them: a digit holds {ctc.frames:.1f} frames with plain CTC, {entropy.frames:.1f} with the
        entropy reward, and {prior.frames:.1f} with the label prior, under which a blank counts less. The
        focal loss ({focal.frames:.1f} frames at {focal.place:+.1f} columns) weights rows, not alignments, so
        it favours neither a side nor a width.
        """
