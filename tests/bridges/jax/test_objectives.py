"""The objectives for JAX against those of the core; their options may be traced."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ctc_scratch as core
import ctc_scratch.jax as ours
from tests.bridges.jax.conftest import both, value_and_grad
from tests.conftest import assert_close

pytestmark = pytest.mark.slow

PRIOR = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
HYPOTHESES = np.array([[[1, 2, -1], [1, -1, -1]], [[2, 1, 2], [2, 1, 2]], [[-1, -1, -1], [1, 1, -1]],
                       [[2, -1, -1], [1, 2, -1]]])
CASES = {
    "bayes_risk": dict(weight=0.5), "bayes_risk-array": dict(risk=np.linspace(2, 1, 9)),
    "bayes_risk-function": dict(risk=lambda T: np.linspace(1, 2, T)), "delay": dict(weight=0.1),
    "entropy": dict(weight=0.1), "focal": dict(power=2.0, per_label=True),
    "min_risk": dict(hypotheses=HYPOTHESES),
    "min_risk-costs": dict(hypotheses=HYPOTHESES, costs=np.array([[1.0, 2], [3, 3], [0, 1], [1, 0]])),
    "prior": dict(prior=PRIOR, weight=0.5), "star": dict(star="ends", star_weight=-1.0),
    "star-positions": dict(star=[[0], [], {0}, None], star_weight=-0.5),
    "topology": dict(skip=False),
}


def functions(case):
    name = case.split("-")[0] + "_ctc_loss"
    return getattr(ours, name), getattr(core, name)


@pytest.mark.parametrize("case", CASES)
def test_objectives_equal_the_core(batch, x64, case):
    """Loss and gradient under jit, with all numeric options traced; one target does not fit its frames."""
    targets, lengths, target_lengths = batch.given
    lengths[1], targets[1, :2], target_lengths[1] = 1, [1, 2], 2  # two labels in one frame
    (mine, cores), options, x = functions(case), CASES[case], batch.x.astype(np.float64)
    common = dict(reduction="mean", infeasible="zero", layout="NTC")
    lists = dict(options)
    if "hypotheses" in options:
        lists["hypotheses"] = [[labels[labels >= 0].tolist() for labels in one] for one in HYPOTHESES]
    expected = cores(x, *batch.given, **lists, **common)
    assert not expected.grad[1].any() and expected.grad[[0, 2]].any(axis=(1, 2)).all()
    traced = {name: value for name, value in options.items()
              if isinstance(value, (float, np.ndarray)) and not isinstance(value, bool)}
    fixed = {name: value for name, value in options.items() if name not in traced}
    loss, grad = jax.jit(lambda x, traced: value_and_grad(
        lambda x: mine(x, *batch.given, **traced, **fixed, **common))(x))(x, traced)
    assert_close(loss, expected.loss, 1e-12, "loss")
    assert_close(grad, expected.grad, 1e-12, "gradient")


@both
def test_single_sequences_and_vmap_over_a_weight(batch, compiled):
    def loss(x, targets, T, U, weight):
        return ours.entropy_ctc_loss(x, targets, T, U, weight=weight)

    one = batch.x[0], *(array[0] for array in batch.given)
    found = compiled(jax.vmap(loss, in_axes=(None, None, None, None, 0)))(*one, jnp.array([0.0, 0.5]))
    expected = [core.entropy_ctc_loss(*one, weight=weight).loss for weight in (0.0, 0.5)]
    assert_close(found, expected, 1e-5, "loss")
    found = compiled(jax.vmap(loss, in_axes=(0, 0, 0, 0, None)))(batch.x, *batch.given, 0.5)
    assert_close(found, core.entropy_ctc_loss(batch.x, *batch.given, weight=0.5, layout="NTC").loss, 1e-5,
                 "loss")


@pytest.mark.parametrize("case", [case for case in CASES if "function" not in case])
def test_second_derivatives_equal_the_core(batch, x64, case):
    """In forward over reverse and reverse over reverse mode, under jit, with the numeric options traced."""
    (mine, cores), options, x = functions(case), CASES[case], batch.x.astype(np.float64)
    v = np.random.default_rng(1).standard_normal(x.shape)
    lists = dict(options)
    if "hypotheses" in options:
        lists["hypotheses"] = [[labels[labels >= 0].tolist() for labels in one] for one in HYPOTHESES]
    expected = cores(x, *batch.given, **lists, reduction="mean", layout="NTC", vectors=v).hvp
    traced = {name: value for name, value in options.items()
              if isinstance(value, (float, np.ndarray)) and not isinstance(value, bool)}
    fixed = {name: value for name, value in options.items() if name not in traced}

    @jax.jit
    def both_ways(x, v, traced):
        options = dict(traced, **fixed, reduction="mean", layout="NTC")
        gradient = jax.grad(lambda x: mine(x, *batch.given, **options))
        return jax.jvp(gradient, (x,), (v,))[1], jax.grad(lambda x: jnp.sum(gradient(x) * v))(x)

    for product in both_ways(x, v, traced):
        assert_close(product, expected, 1e-12, "product")


def test_a_third_derivative_is_an_error(batch):
    def loss(x):
        return ours.entropy_ctc_loss(x, *batch.given, weight=0.1, layout="NTC").sum()

    twice = jax.grad(lambda x: (jax.grad(loss)(x)**2).sum())
    with pytest.raises(NotImplementedError, match="^third derivatives are not implemented"):
        jax.grad(lambda x: twice(x).sum())(batch.x)


@both
def test_options_are_constants(batch, compiled):
    """A gradient w.r.t. the weight is an error, but not a weight that went through `stop_gradient`."""

    def loss(x, weight):
        return ours.delay_ctc_loss(x, *batch.given, weight=weight, layout="NTC").sum()

    message = ("^delay_ctc_loss is differentiated w.r.t. its logits alone; wrap its other arguments in "
               "jax.lax.stop_gradient")
    with pytest.raises(NotImplementedError, match=message):
        compiled(jax.grad(loss, argnums=1))(batch.x, 0.1)
    stopped = compiled(jax.grad(lambda x: loss(x, jax.lax.stop_gradient(x[0, 0, 0]))))(batch.x)
    assert_close(stopped, jax.grad(loss)(batch.x, batch.x[0, 0, 0]), 1e-6, "gradient")


def test_a_prior_that_sums_to_one_in_float32(batch):
    prior = jnp.asarray(PRIOR, jnp.float32) * (1 + 2e-6)
    found = ours.prior_ctc_loss(batch.x, *batch.given, prior=prior, weight=1.0, layout="NTC")
    expected = core.prior_ctc_loss(batch.x, *batch.given, prior=PRIOR, weight=1.0, layout="NTC").loss
    assert_close(found, expected, 1e-5, "loss")


@pytest.mark.parametrize("name", sorted({case.split("-")[0] + "_ctc_loss" for case in CASES}))
def test_signatures_are_those_of_the_core(name):
    mine, cores = inspect.signature(getattr(ours, name)), inspect.signature(getattr(core, name))
    assert [*mine.parameters, "vectors", "want_grad"] == list(cores.parameters)
    assert mine.parameters["infeasible"].default == "inf"
    assert getattr(ours, name).__name__ == name and core.__name__ in getattr(ours, name).__doc__


def test_every_objective_of_the_core_is_here():
    assert {name for name in core.__all__ if name.endswith("_ctc_loss")} == {
        name for name in ours.__all__ if name.endswith("_ctc_loss")}
