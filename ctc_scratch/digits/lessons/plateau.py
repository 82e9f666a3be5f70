"""Why CTC starts all blank, and why its outputs are spikes: `ctc-scratch show --plateau`.

At a uniform start gamma is known in closed form, a quotient of binomials: blank has about half of
each frame, five times what the network gives it, and a digit, seen over many rows, half of that. So
blank is learnt first. What is best without looking at the input is then a blank in all frames but
one a digit; that is the plateau, and its cost can be computed. Two things move it: a blank bias that
starts there, and a label prior that takes from blank what it has by being frequent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ...ctc import ctc_loss, enumeration, greedy_decode, label_error_rate
from ...ctc.paths.lattice import lattice
from ...ctc.reference import log_softmax
from ...nn import Adam, clip_by_global_norm
from ..data.mnist_files import load_mnist
from ..data.rows import RowBatch, RowSampler
from ..model.evaluate import model_logits
from ..model.parallel import run_tasks
from ..model.reader import BLANK, C, RowReader, digits_to_labels
from ..training.gradients import cut, mean_gradient
from .memorise import explain, make_folder, state_names, unseen_row

T, U = 35, 5
"""Frames of four columns, and digits, of a row."""

PRIOR = 0.3
"""How much of the label prior's logarithm is taken from the scores."""


class Blind(NamedTuple):
    """The best output that ignores its input: blank's probability, the same at each frame, and its cost."""

    blank: float
    cost: float


class Curve(NamedTuple):
    """One training run, a value per step."""

    blank: list[float]  # its mean probability over all frames
    cost: list[float]  # nats per row
    errors: list[float]  # label error rate of the batch
    watched: list[tuple[int, np.ndarray]]  # some steps, and the logits (T, C) of one row before them


def best_blind() -> Blind:
    """Blank's best share where all digits are alike: set it to what gamma says it has, until it stays.

    >>> blind = best_blind()
    >>> print(f"{blind.blank:.3f}, where one frame a digit leaves {(T - U) / T:.3f}; {blind.cost:.2f} nats")
    0.855, where one frame a digit leaves 0.857; 13.10 nats
    """
    share = 1 / C
    for _ in range(100):
        probs = np.full(C, (1 - share) / (C - 1))
        probs[BLANK] = share
        its = lattice(np.tile(np.log(probs), (T, 1)), range(1, U + 1), blank=BLANK)
        share = float(its.occupancy[:, BLANK].mean())
    return Blind(share, -its.log_likelihood)


def plateau(out: str, seed: int, data: str = "", steps: int = 200) -> list[str]:
    """Draw and explain it; returns the names of the files written."""
    from ... import plots

    mnist = load_mnist(data or None)
    folder = make_folder(out)
    gamma, blind = enumeration.uniform_gamma(range(1, U + 1), T), best_blind()
    uniform = float(gamma[:, 0::2].sum(axis=1).mean())
    bias = float(np.log(blind.blank / (1 - blind.blank) * (C - 1)))
    row, digits = unseen_row(mnist)
    runs = {}
    for label, start, prior in [("as usual", 0.0, 0.0), (f"blank bias {bias:.1f} at the start", bias, 0.0),
                                (f"label prior, {PRIOR} of it", 0.0, PRIOR)]:
        print(f"training run, {label}")
        rng = np.random.default_rng(seed)
        sampler = RowSampler(mnist.train_images, mnist.train_labels, (U, U), rng)
        runs[label] = train_curve(sampler, start, prior, steps, rng, row)
    usual, biased, with_prior = runs.values()
    lattices = [lattice(logits, digits_to_labels(digits), blank=BLANK) for _, logits in usual.watched]
    figures = {
        "uniform_gamma": plots.uniform_gamma_figure(gamma, state_names(range(1, U + 1)), C),
        "gamma_evolution": plots.gamma_evolution_figure(
            [its.gamma for its in lattices],
            [f"γ at step {step}, cost {-its.log_likelihood:.3g}"
             for (step, _), its in zip(usual.watched, lattices)],
            state_names(digits_to_labels(digits)),
        ),
        "plateau": plots.plateau_figure(
            {label: run._asdict() for label, run in runs.items()}, uniform, blind.blank, blind.cost),
    }
    files = []
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=200)
        files.append(str(folder / f"{name}.png"))
    text = f"""\
        Rows of {U} digits, {T} frames of four columns. Before training all classes have 1/{C} = {1 / C:.2f}
        of each frame, and every one of the {enumeration.count_alignments(range(1, U + 1), T)} alignments is
        equally likely. Gamma is then a quotient of binomials: the {U + 1} blanks between and around the
        digits hold {uniform:.2f} of a frame on average, a digit of the row {(1 - uniform) / U:.2f}, and a
        digit seen over many rows {(1 - uniform) / 10:.3f}, half of what it has. The gradient,
        probs - occupancy, so raises blank at every frame and, over many rows, lowers all digits, whatever
        the input.

        The more blank has, the more of gamma goes to alignments with many blanks. The best that can be said
        without looking at the input is blank with probability {blind.blank:.3f}, one frame a digit left
        ((T - U) / T = {(T - U) / T:.3f}), at a cost of {blind.cost:.2f} nats: that is the plateau. It is
        also why digits come out as spikes: from there on a digit needs one frame, not all of its columns.

        Training as usual: cost below 10 nats from step {_first_below(usual.cost)} on, label errors of the
        last ten batches {np.mean(usual.errors[-10:]):.0%}, blank {np.mean(usual.blank[-10:]):.2f}. With a
        blank bias of {bias:.1f}, which starts at the plateau's own share: from step
        {_first_below(biased.cost)} on, {np.mean(biased.errors[-10:]):.0%}, blank
        {np.mean(biased.blank[-10:]):.2f}. With a label prior (scores less {PRIOR} times the logarithm of the
        mean probability of each class, in gamma and in decoding): from step {_first_below(with_prior.cost)}
        on, {np.mean(with_prior.errors[-10:]):.0%}, blank {np.mean(with_prior.blank[-10:]):.2f}: what blank
        has by being frequent is taken from it.
        """
    return [*files, explain(folder, text)]


def train_curve(sampler: RowSampler, bias: float, prior: float, steps: int, rng: np.random.Generator,
                row: np.ndarray, N: int = 32) -> Curve:
    """Train a reader of both directions; `prior` of the label prior is taken from the scores.

    row : (28, W), to be watched at the beginning, a quarter, a half and the end
    """
    model = RowReader(hidden=64, rng=rng)
    model.params["output.bias"][BLANK] += bias
    optimiser = Adam(model.params)
    log_prior = np.full(C, -np.log(C))
    curve = Curve([], [], [], [])
    for step in tqdm(range(1, steps + 1), unit="step", leave=False, dynamic_ncols=True):
        if step in (1, steps // 4, steps // 2, steps):
            curve.watched.append((step, model_logits(model, row[None])[0][:, 0]))
        batch = sampler.batch(N)
        cost, grads, mean_probs, decoded = _gradients(model, batch, (prior * log_prior).astype(np.float32))
        clip_by_global_norm(grads, 5.0)
        optimiser.step(grads, 6e-3)
        log_prior = np.logaddexp(np.log(0.95) + log_prior, np.log(0.05) + np.log(mean_probs))
        curve.blank.append(float(mean_probs[BLANK]))
        curve.cost.append(cost)
        targets = [digits_to_labels(row).tolist() for row in batch.labels]
        curve.errors.append(label_error_rate(decoded, targets))
    return curve


def _gradients(
    model: RowReader, batch: RowBatch, log_prior: np.ndarray
) -> tuple[float, dict, np.ndarray, list]:
    """The mean cost, its gradient, the mean probabilities (C,), what is read; rows of one length.

    gamma is that of the scores less log_prior; the gradient stays probs - occupancy, as if gamma
    were given: an expectation step under the prior, a maximisation step without it.
    """
    parts = cut(batch, 2)

    def task(part):
        x, lengths = model.frames(part.images, part.widths)
        logits, cache = model.forward(x, lengths)
        targets = [digits_to_labels(row) for row in part.labels]
        probs = np.exp(log_softmax(logits))
        scores = logits - log_prior
        occupancy = np.exp(log_softmax(scores)) - ctc_loss(scores, targets, lengths, blank=BLANK).grad
        cost = ctc_loss(logits, targets, lengths, blank=BLANK).loss.sum()
        grads = model.backward((probs - occupancy).astype(logits.dtype), cache)
        return cost, grads, probs.mean(axis=(0, 1)), greedy_decode(scores, lengths, blank=BLANK)

    costs, grads, means, decoded = zip(*run_tasks(task, parts, [part.images.size for part in parts]))
    N = len(batch.labels)
    return float(sum(costs)) / N, mean_gradient(model, grads, N), np.mean(means, axis=0), sum(decoded, [])


def _first_below(costs: list[float], nats: float = 10.0) -> str:
    """The first step from which on ten costs in a row are below."""
    below = np.convolve(np.array(costs) < nats, np.ones(10), "valid") == 10
    return str(int(np.argmax(below)) + 1) if below.any() else "(not yet)"
