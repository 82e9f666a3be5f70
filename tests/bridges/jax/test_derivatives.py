"""The transformations of JAX against the core: grad, jvp, second order, jit, vmap, checkpoint, scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ctc_scratch as core
import ctc_scratch.jax as ours
from tests.bridges.jax.conftest import both, total, value_and_grad
from tests.conftest import assert_close


@pytest.mark.slow
@both
def test_single_sequences_under_vmap(batch, compiled):
    found = compiled(jax.vmap(ours.ctc_loss_from_logits))(batch.x, *batch.given)
    assert_close(found, core.ctc_loss(batch.x, *batch.given, layout="NTC").loss, 1e-5, "loss")


@pytest.mark.slow
@both
@pytest.mark.parametrize("layout", ["TNC", "NTC", "one sequence"])
def test_products_equal_the_core(batch, rng, x64, compiled, layout):
    """Gradient and second derivatives of the loss and of ln Z, forward and backward, in every layout."""
    x, given, options = batch.x.astype(np.float64), batch.given, {"layout": layout}
    if layout == "TNC":
        x = x.swapaxes(0, 1)
    elif layout == "one sequence":
        x, given, options = x[1], [array[1] for array in given], {}
    v = rng.standard_normal(x.shape)
    targets, *lengths = given
    loss = core.ctc_loss_hvp(x, targets, v, *lengths, **options)
    log_z = core.log_partition_hvp(x, targets, v, *lengths, **options)
    for function, grad, hvp in ((ours.ctc_loss_from_logits, loss.grad, loss.hvp),
                                (ours.log_partition, log_z.occupancy, log_z.hvp)):
        gradient = jax.grad(total(lambda x, function=function: function(x, *given, **options)))
        forward = compiled(lambda x, v: jax.jvp(gradient, (x,), (v,)))(x, v)
        backward = compiled(lambda x, v: jax.vjp(gradient, x)[1](v)[0])(x, v)
        assert_close(forward[0], grad, 1e-12, "gradient")
        assert_close(forward[1], hvp, 1e-12, "forward over reverse")
        assert_close(backward, hvp, 1e-12, "reverse over reverse")


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["none", "sum", "batchmean", "mean"])
def test_reductions_equal_the_core(batch, x64, reduction):
    """Loss and gradient in float64; central differences of the loss confirm the gradient."""
    x = batch.x.astype(np.float64)
    expected = core.ctc_loss(x, *batch.given, reduction=reduction, layout="NTC")
    function = jax.jit(
        lambda x: ours.ctc_loss_from_logits(x, *batch.given, reduction=reduction, layout="NTC"))
    loss, grad = value_and_grad(function)(x)
    assert_close(loss, expected.loss, 1e-12, "loss")
    assert_close(grad, expected.grad, 1e-12, "gradient")
    for place in [(0, 0, 0), (1, 3, 2), (3, 1, 4)]:
        step = np.zeros_like(x)
        step[place] = 1e-5
        central = (function(x + step).sum() - function(x - step).sum()) / 2e-5
        assert_close(central, grad[place], 1e-9, "gradient by central differences")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["TNC", "NTC"])
def test_vmap_over_another_axis(batch, layout):
    """Loss, gradient and curvature of several batches with the same labels."""
    xs = np.stack([batch.x, 2 * batch.x, -batch.x])
    xs = xs.swapaxes(1, 2) if layout == "TNC" else xs

    def loss(x):
        return ours.ctc_loss_from_logits(x, *batch.given, layout=layout)

    def curvature(x):
        return jax.jvp(jax.grad(total(loss)), (x,), (x,))[1]

    for function in (loss, jax.grad(total(loss)), curvature):
        function = jax.jit(function)
        expected = np.stack([function(x) for x in xs])
        assert_close(jax.vmap(function)(xs), expected, 1e-6, "loss, gradient and curvature")


@pytest.mark.slow
def test_other_transformations(batch):
    def loss(x):
        return ours.ctc_loss(x, *batch.paddings).sum()

    expected = core.ctc_loss(batch.x, *batch.given, layout="NTC").grad
    assert_close(jax.grad(jax.checkpoint(loss))(batch.x), expected, 1e-6, "checkpoint")
    scanned = jax.grad(lambda x: jax.lax.scan(lambda s, _: (s + loss(x), None), 0.0, length=3)[0])(batch.x)
    assert_close(scanned, 3 * expected, 1e-6, "scan")
    singles = jax.vmap(jax.grad(ours.ctc_loss_from_logits))(batch.x, *batch.given)
    assert_close(singles, expected, 1e-6, "vmap of the gradient")
    forward = jax.jit(jax.jacfwd(lambda s: loss(s * batch.x)))(1.0)
    assert_close(forward, (expected * batch.x).sum(), 1e-4, "forward mode")


@pytest.mark.slow
@both
def test_a_third_derivative_is_an_error(batch, compiled):
    loss = total(lambda x: ours.ctc_loss_from_logits(x, *batch.given, layout="NTC"))
    curvature = jax.grad(lambda x: (jax.grad(loss)(x)**2).sum())
    with pytest.raises(NotImplementedError, match="^third derivatives are not implemented"):
        compiled(jax.grad(total(curvature)))(batch.x)
    with pytest.raises(NotImplementedError, match="^third derivatives are not implemented"):
        compiled(lambda x: jax.jvp(curvature, (x,), (x,)))(batch.x)


@pytest.mark.slow
@both
def test_infeasible_targets_have_a_gradient_of_zero(batch, compiled):
    """Also where the infinite loss is processed further: its square, exp(-loss), a mean."""
    targets, lengths, target_lengths = batch.given
    lengths[1], targets[1, :2], target_lengths[1] = 2, 1, 2  # two equal labels need three frames
    expected = core.ctc_loss(batch.x, *batch.given, layout="NTC", infeasible="inf")
    assert np.isinf(expected.loss).tolist() == [False, True, False, False]

    def loss(x, infeasible="inf"):
        return ours.ctc_loss_from_logits(x, *batch.given, layout="NTC", infeasible=infeasible)

    def log_z(x):
        return ours.log_partition(x, *batch.given, layout="NTC")

    assert_close(compiled(loss)(batch.x), expected.loss, 1e-5, "loss")
    assert compiled(lambda x: loss(x, "zero"))(batch.x)[1] == 0
    assert compiled(log_z)(batch.x)[1] == -np.inf
    for function in (
        lambda x: loss(x).sum(), lambda x: (loss(x)**2).sum(), lambda x: jnp.exp(-loss(x)).sum(),
        lambda x: loss(x, "zero").mean(), lambda x: (jax.grad(total(loss))(x)**2).sum(), total(log_z),
    ):
        grad = np.asarray(compiled(jax.grad(function))(batch.x))
        assert np.isfinite(grad).all() and grad.any(axis=(1, 2)).tolist() == [True, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
def test_half_precision(batch, dtype):
    """The loss is computed as float32; the gradient is rounded to the type of the logits."""
    x = jnp.asarray(batch.x, dtype)
    loss, grad = jax.jit(value_and_grad(lambda x: ours.ctc_loss(x, *batch.paddings)))(x)
    expected = core.ctc_loss(np.asarray(x, np.float32), *batch.given, layout="NTC")
    assert loss.dtype == np.float32 and grad.dtype == dtype
    assert_close(loss, expected.loss, 1e-5, "loss")
    assert_close(grad.astype(np.float32), jnp.asarray(expected.grad, dtype).astype(np.float32), 1e-6,
                 "gradient")
