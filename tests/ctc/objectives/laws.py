"""A table of the objectives, with random options for each, and helpers for the laws that all of them obey."""

from typing import Callable, NamedTuple

import numpy as np
import pytest

from ctc_scratch.ctc import objectives
from ctc_scratch.ctc.labels import min_frames
from ctc_scratch.ctc.reference import log_softmax
from tests.conftest import assert_close
from tests.ctc.objectives import definitions


class Objective(NamedTuple):
    """An objective, its definition, and the options with which tests call it."""

    function: Callable
    definition: Callable    # (log_probs, labels, blank, **options) -> value, slope
    draw: Callable          # (rng, log_probs, labels, blank) -> random options for one sequence
    plain: dict | None      # options that make it CTC
    per_sequence: tuple = ()                    # options of which a batch needs a list
    permuted: Callable = lambda options, new: {}    # the options that change if class c becomes new[c]


def draw_prior(rng, log_probs, labels, blank):
    return {"prior": rng.dirichlet(np.full(log_probs.shape[1], 2.0)), "weight": rng.normal()}


def draw_risk(rng, log_probs, labels, blank):
    steep = rng.normal()
    return [{"weight": steep}, {"risk": lambda T: np.exp(steep * np.arange(T))},
            {"risk": rng.uniform(0.1, 2.0, len(log_probs) + rng.integers(3))}][rng.integers(3)]


def draw_star(rng, log_probs, labels, blank):
    some = np.flatnonzero(rng.random(len(labels) + 1) < 0.5).tolist()
    return {"star": [some, "ends", "everywhere", None][rng.choice(4, p=[0.5, 0.2, 0.2, 0.1])],
            "star_weight": rng.choice([0.0, -1.5, -np.inf], p=[0.4, 0.5, 0.1])}


def draw_hypotheses(rng, log_probs, labels, blank):
    classes = [c for c in range(log_probs.shape[1]) if c != blank]
    some = [rng.choice(classes, rng.integers(4)).tolist() for _ in range(rng.integers(1, 5))]
    if rng.random() < 0.5:
        return {"hypotheses": [*some, some[0], list(labels)]}
    return {"hypotheses": [h for k, h in enumerate(some) if h not in some[:k]],
            "costs": rng.normal(size=len({tuple(h) for h in some})).tolist()}


OBJECTIVES = {
    "entropy": Objective(objectives.entropy_ctc_loss, definitions.entropy,
                         lambda rng, *_: {"weight": rng.normal()}, {"weight": 0.0}),
    "prior": Objective(objectives.prior_ctc_loss, definitions.prior, draw_prior,
                       {"prior": [0.5, 0.25, 0.125, 0.125], "weight": 0.0},
                       permuted=lambda options, new: {"prior": options["prior"][np.argsort(new)]}),
    "focal": Objective(objectives.focal_ctc_loss, definitions.focal, lambda rng, *_: {
        "power": rng.choice([0.0, 0.5, 1.0, 2.5]), "per_label": bool(rng.integers(2))}, {"power": 0}),
    "delay": Objective(objectives.delay_ctc_loss, definitions.delay,
                       lambda rng, *_: {"weight": rng.normal()}, {"weight": 0.0}),
    "bayes risk": Objective(objectives.bayes_risk_ctc_loss, definitions.bayes_risk, draw_risk,
                            {"risk": np.ones}),
    "star": Objective(objectives.star_ctc_loss, definitions.star, draw_star,
                      {"star": "everywhere", "star_weight": -np.inf}, ("star",)),
    "min risk": Objective(objectives.min_risk_ctc_loss, definitions.min_risk, draw_hypotheses, None,
                          ("hypotheses", "costs"), lambda options, new: {
                              "hypotheses": [[new[c] for c in h] for h in options["hypotheses"]]}),
    "topology": Objective(objectives.topology_ctc_loss, definitions.topology, lambda rng, *_: {
        "skip": bool(rng.integers(2)), "stay_on_labels": bool(rng.integers(2)),
        "collapse": bool(rng.integers(2))}, {}),
}
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def tiny_batches(rng, count):
    """(logits (T, C), log_probs, labels, blank) small enough to enumerate; some logits are -inf."""
    for k in range(count):
        T, C, U = rng.integers(1, 7), rng.integers(2, 4), rng.integers(0, 4)
        if k % 8 == 0:
            T, C = rng.integers(1, 6), 4
        blank = int(rng.integers(C))
        logits = rng.choice([1.0, 5.0]) * rng.standard_normal((T, C))
        if rng.random() < 1 / 3:
            logits[rng.random((T, C)) < 0.2] = -np.inf
            logits[logits.max(axis=1) == -np.inf] = 0.0
        labels = rng.choice([c for c in range(C) if c != blank], U)
        yield logits, log_softmax(logits), labels, blank


def random_batch(rng, objective):
    """A batch (6, 3, 4) in which every target fits, its lengths, and options that suit all targets."""
    logits = rng.standard_normal((6, 3, 4))
    targets = [rng.integers(1, 4, U) for U in rng.integers(0, 4, 3)]
    lengths = np.array([rng.integers(max(min_frames(target), 2 * len(target) - 1, 1), 7)
                        for target in targets])
    each = [objective.draw(rng, logits[:, n], target, 0) for n, target in enumerate(targets)]
    options = {name: value for name, value in each[0].items() if name not in objective.per_sequence}
    for name in objective.per_sequence:
        if all(name in one for one in each):
            options[name] = [one[name] for one in each]
    return logits, targets, lengths, options


def options_of(objective, options, n):
    """The options for sequence n, from the options of a batch."""
    return {name: value[n] if name in objective.per_sequence and isinstance(value, list) else value
            for name, value in options.items()}


def check_gradient(rng, objective, tolerance=1e-7):
    """Compare the gradient of random batches with central differences, and the sum of its rows with 0."""
    for _ in range(5):
        logits, targets, lengths, options = random_batch(rng, objective)

        def loss(x):
            return objective.function(x, targets, lengths, reduction="mean", infeasible="zero",
                                      **options).loss

        grad = objective.function(logits, targets, lengths, reduction="mean", infeasible="zero",
                                  **options).grad
        expected = np.zeros(logits.shape)
        for index in np.ndindex(logits.shape):
            step = np.zeros(logits.shape)
            step[index] = 1e-5
            expected[index] = (loss(logits + step) - loss(logits - step)) / 2e-5
        assert_close(grad, expected, tolerance, "gradient")
        assert_close(grad.sum(axis=2), np.zeros((6, 3)), 1e-14, "sum of a gradient's row")
