"""Laws of every objective: its definition, plain CTC, finite differences, permutations, batches, padding.

One law holds only where each path spells exactly one labelling and its weight is p(path): the probabilities
of all labellings then sum to 1 (the last test).
"""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError, ctc_loss
from tests.conftest import assert_close
from tests.ctc.objectives.laws import (
    OBJECTIVES,
    check_gradient,
    each_objective,
    options_of,
    random_batch,
    tiny_batches,
)


@each_objective
def test_loss_and_gradient_are_those_of_the_definition(rng, objective):
    infeasible = 0
    for logits, log_probs, labels, blank in tiny_batches(rng, 120):
        options = objective.draw(rng, log_probs, labels, blank)
        found = objective.function(logits, labels, blank=blank, infeasible="inf", **options)
        value, slope = objective.definition(log_probs, labels, blank, **options)
        assert_close(found.loss, value, 1e-12 * max(1, abs(value) if value < np.inf else 1), "loss")
        expected = slope - np.exp(log_probs) * slope.sum(axis=1, keepdims=True)
        if value == np.inf:
            infeasible += 1
            expected = np.zeros(logits.shape)
        assert_close(found.grad, expected, 1e-12, "gradient")
    assert infeasible < 90


each_with_plain = pytest.mark.parametrize(
    "objective", [o for o in OBJECTIVES.values() if o.plain is not None],
    ids=[name for name, o in OBJECTIVES.items() if o.plain is not None])


@each_with_plain
@pytest.mark.parametrize("reduction", ["none", "sum", "batchmean", "mean"])
def test_neutral_options_give_plain_ctc(make_problem, objective, reduction):
    problem = make_problem(30, 5, 4, 8)
    arguments = problem.logits, problem.targets, problem.logit_lengths
    found = objective.function(*arguments, reduction=reduction, **objective.plain)
    plain = ctc_loss(*arguments, reduction=reduction)
    assert_close(found.loss / np.maximum(plain.loss, 1), plain.loss / np.maximum(plain.loss, 1), 1e-14,
                 "loss, relative")
    assert_close(found.grad, plain.grad, 1e-14, "gradient")


@pytest.mark.slow   # the definition has told already whether gradients are right
@each_objective
def test_the_gradient_is_that_of_the_loss(rng, objective):
    check_gradient(rng, objective)


@each_objective
def test_permuting_the_classes_permutes_the_gradient(rng, objective):
    for logits, log_probs, labels, blank in tiny_batches(rng, 30):
        options = objective.draw(rng, log_probs, labels, blank)
        new = rng.permutation(logits.shape[1])  # class c becomes new[c]
        moved = np.empty(logits.shape)
        moved[:, new] = logits
        found = objective.function(logits, labels, blank=blank, infeasible="inf", **options)
        other = objective.function(moved, new[labels], blank=int(new[blank]), infeasible="inf",
                                   **{**options, **objective.permuted(options, new)})
        assert_close(other.loss, found.loss, 1e-13 * max(1, abs(min(found.loss, 1e300))), "loss")
        assert_close(other.grad[:, new], found.grad, 1e-13, "gradient")


@each_objective
def test_a_batch_equals_its_sequences_in_either_layout_and_padding_is_never_read(rng, objective):
    for _ in range(5):
        logits, targets, lengths, options = random_batch(rng, objective)
        for n, T in enumerate(lengths):
            logits[T:, n] = np.nan
        batch = objective.function(logits, targets, lengths, infeasible="inf", **options)
        other = objective.function(logits.swapaxes(0, 1), targets, lengths, layout="NTC", infeasible="inf",
                                   **options)
        assert (other.loss == batch.loss).all() and (other.grad.swapaxes(0, 1) == batch.grad).all()
        for n, T in enumerate(lengths):
            one = objective.function(logits[:T, n], targets[n], infeasible="inf",
                                     **options_of(objective, options, n))
            assert one.loss == batch.loss[n] and (one.grad == batch.grad[:T, n]).all()
            assert not batch.grad[T:, n].any()


@each_objective
def test_float32_logits_have_a_float32_gradient(rng, objective):
    logits, targets, lengths, options = random_batch(rng, objective)
    narrow = logits.astype(np.float32)
    found, wide = (objective.function(x, targets, lengths, infeasible="inf", **options)
                   for x in (narrow, narrow.astype(np.float64)))
    assert found.grad.dtype == np.float32 and np.asarray(found.loss).dtype == np.float64
    assert_close(found.loss, wide.loss, 1e-5, "loss")
    assert_close(found.grad, wide.grad, 1e-5, "gradient")


def unfit(objective):
    """Options for a batch of two sequences with two frames each, of which the second does not fit."""
    if objective is OBJECTIVES["min risk"]:
        return {"hypotheses": [[[1], [2]], [[1, 1], [2, 1, 2]]]}
    return objective.plain


@each_objective
def test_infeasible_targets(objective):
    arguments, options = (np.zeros((2, 2, 4)), [[1], [1, 1]]), unfit(objective)
    what = "repeat" if objective is not OBJECTIVES["topology"] else "blank"
    with pytest.raises(InfeasibleTargetError, match=rf"^target 1 needs 3 .*2 labels \+ 1 {what}\) but has 2"):
        objective.function(*arguments, **options)
    for infeasible, loss in (("inf", np.inf), ("zero", 0.0)):
        found = objective.function(*arguments, infeasible=infeasible, **options)
        assert found.loss[1] == loss and 0 < found.loss[0] < 3
        assert not found.grad[:, 1].any() and found.grad[:, 0].any()
        assert objective.function(*arguments, infeasible=infeasible, reduction="sum",
                                  **options).loss == found.loss.sum()


@each_objective
def test_empty_batches_targets_and_sequences(objective):
    options = {"hypotheses": []} if objective.plain is None else dict(objective.plain)
    found = objective.function(np.zeros((4, 0, 4)), [], reduction="mean", **options)
    assert found.loss == 0 and found.grad.shape == (4, 0, 4)
    if "hypotheses" in options:
        options["hypotheses"] = [[]]
    found = objective.function(np.zeros((0, 4)), [], **options)
    assert found.loss == 0 and found.grad.shape == (0, 4)


@pytest.mark.parametrize("name, options", [
    ("prior", {"prior": [0.5, 0.25, 0.25], "weight": 0}), ("delay", {"weight": 0}),
    ("star", {"star": None}), ("topology", {}), ("topology", {"collapse": False}),
    ("topology", {"collapse": False, "stay_on_labels": False}),
], ids=str)
def test_all_labellings_sum_to_1(rng, name, options):
    logits = rng.standard_normal((4, 3))
    losses = [OBJECTIVES[name].function(logits, labels, blank=1, infeasible="inf", **options).loss
              for U in range(5) for labels in itertools.product([0, 2], repeat=U)]
    assert_close(np.exp(-np.array(losses)).sum(), 1.0, 1e-14, "sum")
