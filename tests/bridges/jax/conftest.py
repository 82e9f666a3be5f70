"""Fixtures: batches with padding, as arguments of optax and as ours, and float64 in JAX."""

import jax
import numpy as np
import pytest

both = pytest.mark.parametrize("compiled", [pytest.param(lambda function: function, id="eager"),
                                            pytest.param(jax.jit, id="jit")])
"""Run a test twice: with functions as they are, and with functions compiled by `jax.jit`."""


class Batch:
    """A problem whose frames and labels are followed by padding.

    x : the logits (N, T, C)
    paddings : what follows the logits in `optax.ctc_loss`
    given : what follows them in `ctc_loss_from_logits`
    """

    def __init__(self, problem, dtype):
        T, N, _ = problem.logits.shape
        U = max(map(len, problem.targets))
        self.x = problem.logits.swapaxes(0, 1).astype(dtype)
        lengths, target_lengths = problem.logit_lengths, np.array([len(t) for t in problem.targets])
        targets = np.full((N, U), problem.blank)
        for n, target in enumerate(problem.targets):
            targets[n, :len(target)] = target
        self.given = targets, lengths, target_lengths
        self.paddings = ((np.arange(T) >= lengths[:, None]).astype(dtype), targets,
                         (np.arange(U) >= target_lengths[:, None]).astype(dtype))


@pytest.fixture
def make_batch(make_problem):
    def make(*sizes, dtype=np.float32, **options):
        return Batch(make_problem(*sizes, **options), dtype)

    return make


@pytest.fixture
def batch(make_batch):
    """Four sequences of at most nine frames and four labels, with repeats."""
    return make_batch(T=9, N=4, C=5, U=4, labels=2)


@pytest.fixture
def x64():
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def total(function):
    """A function that returns the sum of the values of another."""
    return lambda x: function(x).sum()


def value_and_grad(function):
    """A function that returns the losses (N,) of another, and the gradient of their sum."""

    def both_of(x):
        losses, backward = jax.vjp(function, x)
        return losses, backward(np.ones(losses.shape, losses.dtype))[0]

    return both_of
