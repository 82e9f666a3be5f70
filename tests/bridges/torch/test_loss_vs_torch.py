"""Five hundred random problems of every form, against torch's loss in float64 on the same logits."""

import numpy as np
import pytest
import torch

from ctc_scratch.torch import ctc_loss, ctc_loss_from_logits
from tests.conftest import assert_close

pytestmark = pytest.mark.slow


def random_problem(rng):
    """Logits, the three arguments after them in a form that torch takes, options, and an upstream gradient.

    Some targets do not fit their frames.
    """
    T, N, C = rng.integers(1, 40), rng.integers(1, 7), rng.integers(2, 12)
    blank, kind = int(rng.integers(C)), rng.choice([np.int32, np.int64])
    frames = rng.integers(1, T + 1, N).astype(kind)
    labels = rng.integers(0, 2 * frames // 3 + 2).astype(kind)
    classes = np.delete(np.arange(C, dtype=kind), blank)[:rng.integers(1, C)]
    padded = rng.choice(classes, (N, labels.max()))
    joined = np.concatenate([target[:U] for target, U in zip(padded, labels)])
    logits = torch.from_numpy(rng.choice([0.3, 1, 5]) * rng.standard_normal((T, N, C)))
    targets = torch.from_numpy(padded if rng.integers(2) else joined)
    if N == 1 and rng.integers(2):
        logits, targets, frames, labels = logits[:, 0], torch.from_numpy(joined), frames[0], labels[0]
    form = torch.tensor if frames.ndim == 0 or rng.integers(2) else lambda lengths: tuple(lengths.tolist())
    options = dict(blank=blank, reduction=str(rng.choice(["none", "sum", "mean"])),
                   zero_infinity=bool(rng.integers(2)))
    return logits, (targets, form(frames), form(labels)), options, float(rng.choice([1.0, 0.25, 3.0]))


def answer(loss, logits, upstream):
    """The loss, and the gradient where the loss is finite: elsewhere, torch's gradient is NaN."""
    x = logits.detach().requires_grad_()
    value = loss(x)
    finite = value.isfinite()
    grad, = torch.autograd.grad((value[finite].sum() if value.dim() else value) * upstream, x)
    grad = grad[..., finite, :] if value.dim() and x.dim() == 3 else grad if finite.all() else grad[:0]
    return value.detach().double().numpy(), grad.double().numpy()


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_five_hundred_problems_equal_torch(rng, dtype, tolerance):
    infinite = 0
    for _ in range(500):
        logits, arguments, options, upstream = random_problem(rng)
        logits = logits.to(dtype)
        expected, expected_grad = answer(lambda x: torch.nn.functional.ctc_loss(
            x.log_softmax(-1), *arguments, **options), logits.double(), upstream)
        infinite += np.isinf(expected).any()
        scale = np.maximum(np.where(np.isinf(expected), 1.0, expected), 1.0)
        for loss in (lambda x: ctc_loss_from_logits(x, *arguments, **options),
                     lambda x: ctc_loss(x.log_softmax(-1), *arguments, **options),
                     lambda x: ctc_loss(x.log_softmax(-1), *arguments, **options, gradient="torch")):
            value, grad = answer(loss, logits, upstream)
            assert_close(value / scale, expected / scale, tolerance, "loss")
            assert_close(grad, expected_grad, tolerance, "gradient")
    assert infinite > 10
