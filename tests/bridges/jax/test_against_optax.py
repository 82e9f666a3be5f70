"""The tests of optax for its own CTC loss, applied to ours, and equality with optax on random batches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ctc_scratch.jax as ours
from tests.bridges.jax.conftest import both, total, value_and_grad
from tests.conftest import assert_close

pytestmark = pytest.mark.slow


def log_softmax(x):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


@pytest.fixture
def one_to_one(rng):
    """Logits (B, T, C) and labels (B, T) without repeats, so each label takes one frame."""
    B, T, C = 8, 30, 40
    x = rng.standard_normal((B, T, C)).astype(np.float32)
    return x, np.stack([rng.permutation(np.arange(1, C))[:T] for _ in range(B)])


@both
def test_as_many_frames_as_labels(compiled, one_to_one):
    """There is one path, so loss and gradient have a closed form."""
    x, labels = one_to_one
    loss, grad = compiled(value_and_grad(
        lambda x: ours.ctc_loss(x, jnp.zeros(labels.shape), labels, jnp.zeros(labels.shape))))(x)
    path = np.eye(x.shape[2])[labels]
    assert_close(loss / x.shape[1], -(log_softmax(x) * path).sum(axis=(1, 2)) / x.shape[1], 1e-6,
                 "loss per frame")
    assert_close(grad, np.exp(log_softmax(x)) - path, 1e-6, "gradient")


@both
def test_as_many_frames_as_labels_and_padding(compiled, one_to_one, rng):
    x, labels = one_to_one
    (B, T), C = labels.shape, x.shape[2]
    padding = (np.arange(T) >= rng.integers(5, T, size=(B, 1))).astype(np.float32)
    loss, grad = compiled(value_and_grad(lambda x: ours.ctc_loss(x, padding, labels, padding)))(x)
    used, path = 1 - padding[:, :, None], np.eye(C)[labels]
    assert_close(loss / T, -(used * log_softmax(x) * path).sum(axis=(1, 2)) / T, 1e-6, "loss per frame")
    assert_close(grad, used * (np.exp(log_softmax(x)) - path), 1e-6, "gradient")
    assert not np.asarray(grad)[padding > 0].any()


@both
def test_repeats_in_the_fewest_frames(compiled, rng):
    """(a, a, b, b) in six frames has one path, in which blanks separate the repeats."""
    x = rng.standard_normal((1, 6, 7)).astype(np.float32)
    loss, grad = compiled(value_and_grad(
        lambda x: ours.ctc_loss(x, jnp.zeros((1, 6)), np.array([[3, 3, 5, 5]]), jnp.zeros((1, 4)))))(x)
    path = np.eye(7)[[[3, 0, 3, 5, 0, 5]]]
    assert_close(loss / 6, -(log_softmax(x) * path).sum(axis=(1, 2)) / 6, 1e-6, "loss per frame")
    assert_close(grad, np.exp(log_softmax(x)) - path, 1e-6, "gradient")


@pytest.mark.parametrize("gaps", [False, True], ids=["right-padded", "gaps"])
def test_loss_and_gradient_equal_optax(make_batch, rng, x64, gaps):
    """Padded frames may stand anywhere, because both libraries skip them."""
    batch = make_batch(T=30, N=20, C=6, U=14, labels=2, blank=5, dtype=np.float64)
    padding, labels, label_padding = batch.paddings
    if gaps:
        padding = np.take_along_axis(padding, rng.random(padding.shape).argsort(axis=1), axis=1)
    (loss, grad), (their_loss, their_grad) = (
        jax.jit(value_and_grad(
            lambda x, ctc=ctc: ctc(x, padding, labels, label_padding, blank_id=5)))(batch.x)
        for ctc in (ours.ctc_loss, optax.ctc_loss))
    assert loss.dtype == grad.dtype == np.float64
    assert_close(loss, their_loss, 1e-9, "loss")
    assert_close(grad, their_grad, 1e-9, "gradient")


def test_second_derivatives_equal_optax(make_batch, x64):
    """The Hessian in four ways, by products with it and their transposes, with and without vmap."""
    batch = make_batch(T=4, N=2, C=3, U=2, ragged=False, dtype=np.float64)
    padding = np.zeros((2, 4))
    padding[1, 1] = 1  # a gap

    def loss_of(ctc):
        return total(lambda x: ctc(x, padding, *batch.paddings[1:]))

    loss, x = loss_of(ours.ctc_loss), batch.x
    expected = jax.jit(jax.hessian(loss_of(optax.ctc_loss)))(x)
    assert not expected[1, 1].any() and not expected[0, :, :, 1].any() and expected[0, :, :, 0].any()
    for name, hessian in (("forward over reverse", jax.hessian(loss)),
                          ("reverse over reverse", jax.jacrev(jax.jacrev(loss))),
                          ("reverse over forward", jax.jacrev(jax.jacfwd(loss)))):
        assert_close(jax.jit(hessian)(x), expected, 1e-9, name)
    sines, g = jax.grad(lambda x: jnp.sin(3 * jax.jit(jax.grad(loss))(x)).sum()), jax.grad(loss)(x)
    assert_close(jax.jit(sines)(x), np.tensordot(expected, 3 * np.cos(3 * g), axes=3), 1e-9, "grad of grad")
