"""What is checked while JAX traces: shapes and types always, labels and lengths if they are known."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ctc_scratch as core
import ctc_scratch.jax as ours

X, TARGETS = np.zeros((6, 2, 4), np.float32), np.array([[1, 2], [3, 3]])


@pytest.mark.parametrize("change", [
    dict(targets=np.array([[1, 0], [3, 3]])), dict(targets=np.array([[1, 2], [3, 4]])),
    dict(targets=TARGETS[:1]), dict(targets=TARGETS / 2), dict(logit_lengths=np.array([7, 6])),
    dict(logit_lengths=np.array([6.0, 6.0])), dict(logit_lengths=np.array([6])),
    dict(target_lengths=np.array([2, 3])), dict(target_lengths=np.array([[2], [2]])), dict(blank=4),
    dict(blank=0.5), dict(layout="CTN"), dict(reduction="average"), dict(logits=X[None]),
    dict(logits=X[:, :, :0]),
], ids=lambda change: next(iter(change)))
def test_known_arguments_have_the_errors_of_the_core(change):
    given = {"logits": X, "targets": TARGETS, **change}
    with pytest.raises((ValueError, TypeError)) as expected:
        core.ctc_loss(**given)
    message = re.sub(r"float64|float32", "float..", re.escape(str(expected.value)))  # JAX narrows the types
    with pytest.raises(expected.type, match=f"^{message}"):
        ours.ctc_loss_from_logits(**given)


@pytest.mark.parametrize("given", [
    (X, np.zeros((2, 2), np.float32), None, None), (X, TARGETS, np.array([1, 2, 3]), None),
    (X, TARGETS, None, np.array([1.0, 2.0], np.float32)), (X, TARGETS[:1], None, None),
    (X.astype(int), TARGETS, None, None), (X, TARGETS.ravel(), None, np.array([2, 2])),
], ids=["float-targets", "lengths-shape", "float-lengths", "batch", "integer-logits", "joined"])
def test_shapes_and_types_are_checked_within_jit(given):
    with pytest.raises((ValueError, TypeError), match="targets|lengths|logits"):
        jax.jit(ours.ctc_loss_from_logits).lower(*given)


def test_values_within_jit_are_not_needed():
    """Nothing is computed while a function is traced, however wrong the labels are."""
    shape = jax.eval_shape(ours.ctc_loss_from_logits, X, TARGETS + 9, np.array([99, 99]), np.array([9, 9]))
    assert shape.shape == (2,) and shape.dtype == np.float32


def test_options_of_objectives_are_checked_by_the_core():
    for function, options, message in (
        (ours.prior_ctc_loss, dict(prior=np.full(4, 0.5), weight=1.0), "prior sums to 2.0"),
        (ours.prior_ctc_loss, dict(prior=jnp.full(4, 0.5), weight=1.0), "prior sums to 2.0"),
        (ours.entropy_ctc_loss, dict(weight=np.inf), "weight must be finite"),
        (ours.topology_ctc_loss, dict(skip=1), "skip must be True or False"),
        (ours.star_ctc_loss, dict(star="end"), "star must be 'ends'"),
        (ours.focal_ctc_loss, dict(power=1.0, alpha=2), "alpha"),
        (ours.delay_ctc_loss, {}, "weight"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            function(X, TARGETS, **options)
    with pytest.raises(ValueError, match="prior must have shape"):
        jax.eval_shape(lambda prior: ours.prior_ctc_loss(X, TARGETS, prior=prior, weight=1.0), np.ones(3))


@pytest.mark.slow
def test_without_jax_the_error_names_the_extra():
    code = "import sys; sys.modules['jax'] = None; import ctc_scratch; import ctc_scratch.jax"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        "ImportError: ctc_scratch.jax needs JAX: pip install 'ctc_scratch[jax]'")
