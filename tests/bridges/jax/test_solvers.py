"""The callbacks: bad values give NaN, and a batch of any shape is solved as one batch."""

import jax
import numpy as np
import pytest

import ctc_scratch.jax as ours
from ctc_scratch.bridges.jax import solvers
from ctc_scratch.bridges.jax.solvers import Callback, CTCLoss, LogPartition, PaddedCTCLoss
from tests.bridges.jax.conftest import total
from tests.conftest import assert_close


def test_the_results_do_not_depend_on_how_the_batch_is_shaped(batch):
    """A batch of shape (2, 2), as after vmap, in both layouts; equal callbacks compare and hash equal."""
    arrays = batch.x, *batch.given
    loss, grad = Callback(CTCLoss(0, "NTC"), "gradients")(arrays, ())
    square = [array.reshape(2, 2, *array.shape[1:]) for array in arrays]
    for layout, axes in (("NTC", (0, 1, 2, 3)), ("TNC", (0, 2, 1, 3))):
        found = Callback(CTCLoss(0, layout), "gradients")([square[0].transpose(axes), *square[1:]], ())
        assert_close(found[0].ravel(), loss, 0, "loss")
        assert_close(found[1].transpose(axes).reshape(grad.shape), grad, 0, "gradient")
    assert hash(Callback(CTCLoss(0, "NTC"), "values")) == hash(Callback(CTCLoss(0, "NTC"), "values"))
    assert Callback(CTCLoss(0, "NTC"), "values") == Callback(CTCLoss(0, "NTC"), "values")


@pytest.mark.parametrize("solver", [CTCLoss(0, "NTC"), PaddedCTCLoss(0, "NTC"), LogPartition(0, "NTC")],
                         ids=["loss", "padded", "log_partition"])
def test_values_alone_have_the_same_bits_and_no_gradient(batch, solver, monkeypatch):
    x, targets, lengths, target_lengths = (np.asarray(array) for array in (batch.x, *batch.given))
    if isinstance(solver, PaddedCTCLoss):
        lengths, target_lengths = (np.arange(array.shape[1]) >= used[:, None]
                                   for array, used in ((x, lengths), (targets, target_lengths)))
    arrays = x, targets, lengths, target_lengths
    values, gradients = Callback(solver, "gradients")(arrays, ())
    for name in ("ctc_loss", "log_partition"):
        monkeypatch.setattr(solvers, name, None)  # these compute gradients
    alone, = Callback(solver, "values")(arrays, ())
    assert_close(alone, values, 0, "values")
    assert gradients.any() and alone.dtype == values.dtype


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["TNC", "NTC"])
@pytest.mark.parametrize("bad", ["logit", "frame", "label", "logit_length", "target_length"])
def test_bad_values_within_jit_give_nan(batch, layout, bad):
    """NaN in loss, gradient and curvature of the sequence with the bad value, and of no other."""

    @jax.jit
    def derivatives(x, *given):
        def loss(x):
            return ours.ctc_loss_from_logits(x, *given, layout=layout)

        return loss(x), jax.grad(total(loss))(x), jax.jvp(jax.grad(total(loss)), (x,), (x,))[1]

    def results(x, given):
        loss, *others = derivatives(x.swapaxes(0, 1) if layout == "TNC" else x, *given)
        return loss, *(array.swapaxes(0, 1) if layout == "TNC" else array for array in others)

    x, given = np.array(batch.x), [np.array(array) for array in batch.given]
    targets, lengths, target_lengths = given
    lengths[2], targets[2, :2], target_lengths[2] = 5, 1, 2
    good = results(x, given)
    if bad == "logit":
        x[2, 0, 1] = np.nan
    elif bad == "frame":
        x[2, 4] = -np.inf
    elif bad == "label":
        targets[2, 1] = 5
    elif bad == "logit_length":
        lengths[2] = 10
    else:
        target_lengths[2] = -1
    others = [0, 1, 3]
    for found, expected in zip(results(x, given), good):
        assert np.isnan(found[2]).any() and np.isfinite(expected).all()
        assert_close(found[np.array(others)], expected[np.array(others)], 1e-6, "the other sequences")


def test_a_batch_without_sequences(batch):
    empty = [array[:0] for array in (batch.x, *batch.given)]
    loss, grad = Callback(CTCLoss(0, "NTC"), "gradients")(empty, ())
    assert loss.shape == (0,) and grad.shape == (0, *batch.x.shape[1:])
