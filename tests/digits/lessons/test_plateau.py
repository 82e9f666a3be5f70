"""The plateau: no blind output beats `best_blind`, and a prior changes gamma as the lesson says."""

from functools import partial

import numpy as np
import pytest

from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.ctc.reference import log_softmax
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.lessons.plateau import T, U, best_blind, mean_probabilities
from ctc_scratch.digits.model.reader import BLANK, C, RowReader, digits_to_labels
from ctc_scratch.digits.training.gradients import (
    batch_gradients,
    on_threads,
    shard_gradients,
)
from tests.conftest import assert_close


@pytest.fixture(scope="module")
def mnist():
    return load_mnist()


def sampler_of(mnist, rng):
    return RowSampler(mnist.train_images, mnist.train_labels, (5, 5), rng)


def with_prior(model, batch, log_prior):
    compute = partial(shard_gradients, log_prior=log_prior)
    return batch_gradients(model, batch, mapper=partial(on_threads, compute=compute))


def test_no_other_share_of_blank_costs_less_than_the_best_blind_output():
    blind = best_blind()
    for share in (blind.blank - 0.005, blind.blank, blind.blank + 0.005):
        probs = np.full(C, (1 - share) / (C - 1))
        probs[BLANK] = share
        cost = -lattice(np.tile(np.log(probs), (T, 1)), range(1, U + 1)).log_likelihood
        assert cost > blind.cost if share != blind.blank else abs(cost - blind.cost) < 1e-6


def test_a_prior_of_zero_leaves_the_gradient_of_the_loss(mnist, rng):
    model, batch = RowReader(hidden=8, rng=rng), sampler_of(mnist, rng).batch(6)
    cost, grads, shards = with_prior(model, batch, np.zeros(C, np.float32))
    expected_cost, expected, _ = batch_gradients(model, batch)
    assert_close(cost, expected_cost, 1e-3, "cost")
    for name in model.params:
        assert_close(grads[name], expected[name], 1e-4, "gradient")
    probs = np.exp(log_softmax(np.concatenate([shard.logits for shard in shards], axis=1)))
    assert_close(mean_probabilities(shards), probs.mean(axis=(0, 1)), 1e-6, "mean probabilities")


def test_gamma_is_computed_from_the_logits_minus_the_prior(mnist, rng, monkeypatch):
    model, batch = RowReader(hidden=8, rng=rng), sampler_of(mnist, rng).batch(2)
    prior = np.linspace(-1, 1, C).astype(np.float32)
    given = []
    monkeypatch.setattr(model, "backward", lambda grad, cache: given.append(grad) or {
        name: np.zeros_like(param) for name, param in model.params.items()})
    with_prior(model, batch, prior)
    given = np.concatenate(sorted(given, key=lambda grad: grad[0, 0, 0]), axis=1)
    x, lengths = model.frames(batch.images, batch.widths)
    logits, _ = model.forward(x, lengths)
    expected = np.stack([np.exp(log_softmax(logits[:, n])) - lattice(logits[:, n] - prior,
                         digits_to_labels(batch.labels[n])).occupancy for n in range(2)], axis=1)
    expected = expected[:, np.argsort(expected[0, :, 0])]
    assert_close(given, expected, 1e-5, "probs - occupancy")
