"""torch and optax against the test vectors, in float64: other implementations agree with the files.

Only problems that torch promises to solve are used: targets that fit, at least one frame, no logit of -inf.
"""

import numpy as np
import pytest

from ctc_scratch.check.cases import load_batches, load_cases
from tests.conftest import assert_close


def promised(*groups):
    return [case for case in load_cases(*groups)
            if case.result == "valid" and case.logit_length > 0 and np.isfinite(case.used_logits).all()]


def assert_answers(case, loss, grad, atol):
    expected = case.expected("gradient")
    assert_close(loss, case.answers["loss"], atol * max(1, case.answers["loss"]), f"loss of {case.id}")
    assert_close(case.observed("gradient", grad), expected, atol * max(1, np.abs(expected).max()),
                 f"gradient of {case.id}")


# ---- torch


def torch_ctc(logits, targets, lengths, blank=0, **options):
    """Losses and gradient w.r.t. logits (T, N, C)."""
    torch = pytest.importorskip("torch")
    logits = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([label for target in targets for label in target], dtype=torch.int64)
    losses = torch.nn.functional.ctc_loss(
        logits.log_softmax(2), labels, torch.tensor(lengths),
        torch.tensor([len(target) for target in targets]), blank=blank, **options)
    losses.sum().backward()
    return losses.detach().numpy(), logits.grad.numpy()


@pytest.mark.parametrize("groups", [
    ("toy",), pytest.param(("core", "hard", "long", "reject"), marks=pytest.mark.slow)], ids=["toy", "all"])
def test_torch(groups):
    for case in promised(*groups):
        losses, grad = torch_ctc(case.used_logits[:, None], [case.used_target], [case.logit_length],
                                 case.blank, reduction="none")
        assert_answers(case, losses[0], grad[:, 0], 1e-10)


@pytest.mark.parametrize("batch", [batch for batch in load_batches() if "NoPath" not in {
    flag for case in batch.members for flag in case.flags}], ids=lambda batch: batch.id)
def test_torch_reduces_batches(batch):
    """In torch, "mean" is the same as ours, and zero_infinity=True is the policy "zero"."""
    logits, lengths = batch.padded(0.0)
    expected = batch.alternatives["zero"] if batch.alternatives else batch.answers
    for reduction in ("none", "sum", "mean"):
        losses, _ = torch_ctc(logits, [case.used_target for case in batch.members], lengths.tolist(),
                              batch.members[0].blank, reduction=reduction, zero_infinity=True)
        assert_close(losses, expected[reduction], 1e-10, f"{reduction} of {batch.id}")


# ---- optax, which is compiled anew for every shape; so cases of one C and blank are padded to one batch


@pytest.mark.slow
@pytest.mark.parametrize("C, blank", [(3, 0), (28, 0)])
def test_optax(C, blank):
    optax, jax = pytest.importorskip("optax"), pytest.importorskip("jax")
    cases = [case for case in promised("toy", "core", "hard")
             if (case.logits.shape[1], case.blank) == (C, blank)]
    T, U = max(case.logit_length for case in cases), max(1, *(case.target_length for case in cases))
    logits, targets = np.zeros((len(cases), T, C)), np.zeros((len(cases), U), np.int32)
    frame_padding, label_padding = np.ones((len(cases), T)), np.ones((len(cases), U))
    for n, case in enumerate(cases):
        logits[n, :case.logit_length], frame_padding[n, :case.logit_length] = case.used_logits, 0
        targets[n, :case.target_length], label_padding[n, :case.target_length] = case.used_target, 0

    def total(logits):
        losses = optax.ctc_loss(logits, frame_padding, targets, label_padding, blank_id=blank)
        return losses.sum(), losses

    with jax.enable_x64(True):
        (_, losses), grad = jax.value_and_grad(total, has_aux=True)(jax.numpy.asarray(logits))
    assert losses.dtype == np.float64 and len(cases) > 2
    for n, case in enumerate(cases):
        assert_answers(case, losses[n], grad[n, :case.logit_length], 1e-9)
