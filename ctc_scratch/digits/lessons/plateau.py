"""Why a network first answers only blank, and later reads digits as spikes: `ctc-scratch show --plateau`.

When all outputs are uniform, gamma is known in closed form, a quotient of binomials. It gives the
blank about half of each frame, five times the blank's probability of 1/11. Each digit gets, averaged
over many rows, about 0.6 times its probability of 1/11. The gradient is the probability minus gamma,
so blank is learnt first.

The best output that ignores the input is blank with a probability that leaves about one frame per
digit. That is the plateau, and its cost can be computed. Two things change it: a bias that starts
blank at its share on the plateau, and a label prior, under which frequent classes, above all blank,
count less.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import greedy_decode, label_error_rate
from ...ctc.enumeration import count_alignments
from ...ctc.paths.lattice import lattice
from ...ctc.reference import log_softmax
from ...nn import Adam, clip_by_global_norm
from ..data.mnist_files import load_mnist
from ..data.rows import RowSampler
from ..model.evaluate import model_logits
from ..model.reader import BLANK, C, RowReader, digits_to_labels
from ..training.gradients import ShardGradients, batch_gradients, on_threads, shard_gradients
from .example import Wanted, state_names, unseen_row
from .output import FigureFolder, Output
from .uniform import uniform_gamma

T, U = 35, 5
"""Frames (of four columns) and digits of a row."""

PRIOR = 0.3
"""The label prior's logarithm is multiplied by this before it is subtracted from the scores."""


class Blind(NamedTuple):
    """The best output that ignores its input."""

    blank: float  # probability, the same at each frame
    cost: float  # nats per row


class PlateauRun(NamedTuple):
    """One training run, one value per step."""

    blank: list[float]  # mean probability of the blank over all frames
    cost: list[float]  # nats per row
    errors: list[float]  # label error rate of the batch
    watched: list[tuple[int, np.ndarray]]  # some steps, and the logits (T, C) of one row before them

    def __repr__(self) -> str:
        return f"PlateauRun({len(self.cost)} steps, {len(self.watched)} of them watched)"


def best_blind() -> Blind:
    """The best output that ignores its input, for a row in which no two digits are equal.

    This is a fixed point: blank's share of gamma becomes its next probability, until it stays the same.

    >>> blind = best_blind()
    >>> print(f"{blind.blank:.3f}, where one frame per digit leaves {(T - U) / T:.3f}; "
    ...       f"{blind.cost:.2f} nats")
    0.855, where one frame per digit leaves 0.857; 13.10 nats
    """
    share = 1 / C
    for _ in range(100):
        probs = np.full(C, (1 - share) / (C - 1))
        probs[BLANK] = share
        posterior = lattice(np.tile(np.log(probs), (T, 1)), range(1, U + 1), blank=BLANK)
        share = float(posterior.occupancy[:, BLANK].mean())
    return Blind(share, -posterior.log_likelihood)


def show_plateau(output: Output, seed: int, data: str = "", wanted: Wanted = Wanted(),
                 steps: int = 200) -> list[str]:
    """Draw and explain the plateau; returns the paths of the files written."""
    from ... import plots

    mnist = load_mnist(data or None)
    row, digits = unseen_row(mnist, wanted)
    folder = FigureFolder(output)
    gamma, blind = uniform_gamma(range(1, U + 1), T), best_blind()
    uniform = float(gamma[:, 0::2].sum(axis=1).mean())
    bias = float(np.log(blind.blank / (1 - blind.blank) * (C - 1)))
    runs = {}
    for label, start, prior in [("as usual", 0.0, 0.0), (f"blank bias {bias:.1f} at the start", bias, 0.0),
                                (f"label prior, {PRIOR} of it", 0.0, PRIOR)]:
        print(f"training run, {label}")
        rng = np.random.default_rng(seed)
        sampler = RowSampler(mnist.train_images, mnist.train_labels, (U, U), rng)
        runs[label] = train_curve(sampler, start, prior, steps, rng, row)
    usual, biased, with_prior = runs.values()
    labels = digits_to_labels(digits)
    watched = {step: lattice(logits, labels, blank=BLANK) for step, logits in usual.watched}
    folder.save("uniform_gamma", plots.uniform_gamma_figure(gamma, state_names(range(1, U + 1)), C))
    folder.save("gamma_evolution", plots.gamma_evolution_figure(
        [posterior.gamma for posterior in watched.values()],
        [f"γ at step {step}, cost {-posterior.log_likelihood:.3g}" for step, posterior in watched.items()],
        state_names(labels)))
    folder.save("plateau", plots.plateau_figure(
        {label: run._asdict() for label, run in runs.items()}, uniform, blind.blank, blind.cost))
    folder.explain(_explanation(uniform, blind, bias, usual, biased, with_prior))
    return folder.files


def _explanation(uniform: float, blind: Blind, bias: float, usual: PlateauRun, biased: PlateauRun,
                 with_prior: PlateauRun) -> str:
    """The text that explains the figures, with the numbers of this run."""
    return f"""\
        Rows of {U} digits, {T} frames of four columns. Before training each class has the probability
        1/{C} = {1 / C:.2f} in each frame, and all of the {count_alignments(range(1, U + 1), T)} alignments
        are equally likely. Gamma is then a quotient of binomials: on average the {U + 1} blanks between and
        around the digits hold {uniform:.2f} of a frame, and each digit of the row {(1 - uniform) / U:.2f}.
        Averaged over many rows, each of the ten digits holds {(1 - uniform) / 10:.3f}, which is less than
        its probability. A step goes against the gradient, probs - occupancy. It therefore raises blank
        at every frame and, over many rows, lowers all digits, whatever the input.

        The more probable blank is, the more of gamma goes to alignments with many blanks. The best output
        that ignores the input is blank with probability {blind.blank:.3f}, which leaves one frame per digit
        ((T - U) / T = {(T - U) / T:.3f}), at a cost of {blind.cost:.2f} nats: that is the plateau. It is
        also why digits come out as spikes: from there on a digit needs one frame, not all of its columns.

        Training as usual: the cost is below 10 nats from step {_first_below(usual.cost)} on, the last ten
        batches have {np.mean(usual.errors[-10:]):.0%} label errors, and blank's mean probability is
        {np.mean(usual.blank[-10:]):.2f}. With a blank bias of {bias:.1f}, which starts blank at its share on
        the plateau: from step {_first_below(biased.cost)} on, {np.mean(biased.errors[-10:]):.0%},
        {np.mean(biased.blank[-10:]):.2f}. With a label prior (the scores less {PRIOR} times the logarithm
        of each class's mean probability, in gamma and in decoding): from step
        {_first_below(with_prior.cost)} on, {np.mean(with_prior.errors[-10:]):.0%},
        {np.mean(with_prior.blank[-10:]):.2f}: under the prior blank counts less, because it is frequent.
        """


def train_curve(sampler: RowSampler, bias: float, prior: float, steps: int, rng: np.random.Generator,
                row: np.ndarray, N: int = 32) -> PlateauRun:
    """Train a bidirectional reader, with a blank bias at the start or a label prior.

    Parameters
    ----------
    bias : added to the blank's output bias before the first step
    prior : how much of the label prior's logarithm is subtracted from the scores
    row : (28, W) array, watched at the beginning, at a quarter, at a half and at the end
    N : rows per batch
    """
    model = RowReader(hidden=64, rng=rng)
    model.params["output.bias"][BLANK] += bias
    optimiser = Adam(model.params)
    log_prior = np.full(C, -np.log(C))
    curve = PlateauRun([], [], [], [])
    for step in tqdm(range(1, steps + 1), unit="step", leave=False, dynamic_ncols=True):
        if step in (1, steps // 4, steps // 2, steps):
            curve.watched.append((step, model_logits(model, row[None])[0][:, 0]))
        batch = sampler.batch(N)
        subtracted = (prior * log_prior).astype(np.float32)
        compute = partial(shard_gradients, log_prior=subtracted)
        _, grads, shards = batch_gradients(model, batch, mapper=partial(on_threads, compute=compute))
        clip_by_global_norm(grads, 5.0)
        optimiser.step(grads, 6e-3)
        mean_probs = mean_probabilities(shards)
        log_prior = np.logaddexp(np.log(0.95) + log_prior, np.log(0.05) + np.log(mean_probs))
        curve.blank.append(float(mean_probs[BLANK]))
        curve.cost.append(float(sum(shard.losses.sum() for shard in shards)) / N)
        decoded = [labels for shard in shards
                   for labels in greedy_decode(shard.logits - subtracted, shard.lengths, blank=BLANK)]
        targets = [digits_to_labels(row).tolist() for row in batch.labels]
        curve.errors.append(label_error_rate(decoded, targets))
    return curve


def mean_probabilities(shards: list[ShardGradients]) -> np.ndarray:
    """The mean probability of each class (C,) over all frames; all shards must have logits of one shape."""
    return np.mean([np.exp(log_softmax(shard.logits)).mean(axis=(0, 1)) for shard in shards], axis=0)


def _first_below(costs: list[float], nats: float = 10.0) -> str:
    """The first of ten steps in a row whose costs are all below `nats`, as text."""
    below = np.convolve(np.array(costs) < nats, np.ones(10), "valid") == 10
    return str(int(np.argmax(below)) + 1) if below.any() else "(not yet)"
