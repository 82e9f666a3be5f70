"""The tests that torch has for its CTC loss, applied to ours, with the cases that torch skips.

Torch skips second derivatives, views that are not contiguous, and gradcheck with empty targets, or expects
them to fail. All of them are tested here.
"""

import itertools

import pytest
import torch

from ctc_scratch.torch import CTCLoss, ctc_loss, ctc_loss_from_logits
from tests.conftest import assert_close

native = torch.nn.functional.ctc_loss
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def both(log_probs, *arguments, upstream=None, **options):
    """(loss, gradient w.r.t. the logits) of torch and of ours, for logits whose log_softmax is taken."""
    answers = []
    for loss in (native, ctc_loss):
        logits = log_probs.detach().clone().requires_grad_()
        value = loss(logits.log_softmax(-1), *arguments, **options)
        value.backward(torch.ones_like(value) if upstream is None else upstream)
        answers.append((value.detach(), logits.grad))
    return answers


def assert_same(answers, atol):
    (loss, grad), (our_loss, our_grad) = answers
    assert our_loss.shape == loss.shape and our_loss.dtype == loss.dtype and our_grad.dtype == grad.dtype
    assert_close(our_loss, loss, atol * max(1.0, float(loss.abs().max())), "loss")
    assert_close(our_grad, grad, atol, "gradient")


# ---- TestNN ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["input_lengths", "target_lengths"])
def test_lengths_must_be_integers(wrong):
    lengths = dict(input_lengths=torch.tensor([50, 50, 50]), target_lengths=torch.tensor([30, 25, 20]))
    lengths[wrong] = lengths[wrong].float()
    log_probs = torch.randn(50, 3, 15).log_softmax(2)
    with pytest.raises(TypeError, match=wrong):
        ctc_loss(log_probs, torch.randint(1, 15, (75,)), **lengths)


@pytest.mark.parametrize("target_lengths, says", [
    ([30, 25, 20], r"target_lengths\[0\] is 30, target 0 holds 29"),
    ([-1, 25, 20], r"target_lengths\[0\] is -1"),
], ids=["too long", "negative"])
def test_lengths_must_fit(target_lengths, says):
    log_probs = torch.randn(50, 3, 15).log_softmax(2)
    with pytest.raises(ValueError, match=says):
        ctc_loss(log_probs, torch.randint(1, 15, (3, 29)), [50, 50, 50], target_lengths)


def test_long_targets():
    logits, targets = torch.randn(4000, 4, 3, dtype=torch.float64), torch.randint(1, 3, (4, 1200))
    upstream = torch.randn(4, dtype=torch.float64)
    answers = both(logits, targets, [4000] * 4, [1200] * 4, reduction="none", upstream=upstream)
    assert_same(answers, 1e-10)


def test_a_target_of_critical_length():
    """256 labels: too many for cuDNN, so that torch uses its own implementation on GPUs, too."""
    targets = torch.randint(1, 256, (256,), dtype=torch.int32)
    arguments = torch.randn(500, 1, 256), targets, torch.tensor(500), torch.tensor(256)
    assert_same(both(*arguments, reduction="sum"), 1e-3)


@pytest.mark.parametrize("U, loss", [(0, 0.0), (1, torch.inf)])
def test_zero_lengths(U, loss):
    logits = torch.randn(1, 3, 4, dtype=torch.float64, requires_grad=True)
    found = ctc_loss(logits.log_softmax(2), torch.ones(3, U, dtype=torch.long), [0, 0, 0], [U] * 3,
                     reduction="none")
    found.sum().backward()
    assert found.tolist() == [loss] * 3 and not logits.grad.any()


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_zero_infinity(dtype):
    """The first target, of 60 labels, does not fit its 50 frames."""
    logits, lengths = torch.randn(50, 3, 15), torch.tensor([60, 25, 20], dtype=dtype)
    arguments = torch.randint(1, 15, (105,), dtype=dtype), torch.tensor([50, 50, 50], dtype=dtype), lengths
    answers = both(logits, *arguments, reduction="sum", zero_infinity=True)
    assert_same(answers, 1e-4)
    assert not answers[1][1].isnan().any() and not answers[1][1][:, 0].any()
    without = both(logits, *arguments, reduction="sum")
    assert without[1][0] == torch.inf  # and the gradient of the others stays
    assert_close(without[1][1], answers[1][1], 0, "gradient without zero_infinity")


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("module", [True, False])
def test_without_a_batch_axis(reduction, module):
    log_probs, target = torch.randn(40, 3).log_softmax(1), torch.randint(1, 3, (12,))
    ours = CTCLoss(reduction=reduction) if module else lambda *arguments: ctc_loss(
        *arguments, reduction=reduction)
    single = ours(log_probs, target, torch.tensor(40), torch.tensor(12))
    batch = ours(log_probs[:, None], target[None], torch.tensor([40]), torch.tensor([12]))
    assert single.shape == () and batch.shape == ((1,) if reduction == "none" else ())
    assert torch.equal(single, batch.sum())
    assert_close(single, native(log_probs, target, torch.tensor(40), torch.tensor(12), reduction=reduction),
                 1e-4, "loss")


def test_ragged_lengths():
    """The case in which torch compares its implementation with that of cuDNN."""
    targets, lengths = torch.randint(1, 20, (90,), dtype=torch.int32), torch.tensor([30, 25, 20, 15])
    logits, frames = torch.randn(70, 4, 20, dtype=torch.float64), torch.tensor([70, 65, 61, 60])
    assert_same(both(logits, targets, frames, lengths, upstream=torch.tensor(0.7).double()), 1e-12)


# ---- test_autograd -----------------------------------------------------------------------------------


@pytest.mark.parametrize("T, empty", list(itertools.product([150, 50], ["none", "some", "all"])))
def test_gradcheck_on_tiled_inputs(T, empty):
    """Ten inputs, tiled over (T, 64, 101); torch skips this test where targets are empty."""
    N, C = 64, 101
    U = torch.randint(15, 30, (N,)) if empty != "all" else torch.zeros(N, dtype=torch.long)
    if empty == "some":
        U = U * torch.randint(0, 2, (N,))
    targets, frames = torch.randint(1, C, (int(U.sum()),)), torch.randint(T - 15, T, (N,))
    frames[0] = T
    tiles, where = torch.randn(T * N * C), torch.randint(0, 10, (T * N * C,))
    inputs = torch.randn(10, dtype=torch.float64, requires_grad=True)

    def loss(inputs, function=ctc_loss, reduction="mean"):
        logits = (inputs[where] * (0.5 + 0.1 * tiles)).view(T, N, C)
        return function(logits.log_softmax(2), targets, frames, U, reduction=reduction)

    assert torch.autograd.gradcheck(loss, inputs)
    assert_close(loss(inputs).detach(), loss(inputs, native).detach(), 1e-12, "loss")


# ---- OpInfo: every option, derivatives of both orders ------------------------------------------------


@pytest.mark.parametrize("dtype, atol", [(torch.float64, 1e-11), (torch.float32, 1e-4)])
def test_operator_samples(dtype, atol):
    T, N, C, U = 50, 16, 20, 30
    logits, targets = torch.randn(T, N, C, dtype=dtype), torch.randint(1, C, (N, U))
    U = torch.randint(10, U, (N,))
    forms = list, torch.tensor
    for reduction, zero, form in itertools.product(["none", "mean", "sum"], [False, True], forms):
        lengths = form([T] * N), form(U.tolist())
        assert_same(both(logits, targets, *lengths, reduction=reduction, zero_infinity=zero), atol)


@pytest.mark.parametrize("fast_mode", [False, True], ids=["slow", "fast"])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_second_derivatives(reduction, fast_mode):
    """Torch expects this test to fail."""
    targets, U, frames = torch.tensor([[1, 1], [2, 0]]), [2, 1], [5, 4]
    logits = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    for loss in (
        lambda x: ctc_loss_from_logits(x, targets, frames, U, reduction=reduction),
        lambda x: ctc_loss(x.log_softmax(2), targets, frames, U, reduction=reduction),
        lambda x: ctc_loss(x, targets, frames, U, reduction=reduction),
        lambda x: ctc_loss(x.log_softmax(2), targets, frames, U, reduction=reduction, gradient="torch"),
    ):
        assert torch.autograd.gradcheck(loss, logits, fast_mode=fast_mode)
        assert torch.autograd.gradgradcheck(loss, logits, fast_mode=fast_mode)


@pytest.mark.parametrize("form", ["transposed", "strided", "permuted", "expanded"])
def test_views_that_are_not_contiguous(form):
    """Torch skips this test. The gradient check includes second derivatives."""
    shape = dict(transposed=(2, 6, 4), strided=(12, 2, 8), permuted=(4, 2, 6), expanded=(6, 1, 4))[form]
    view = dict(transposed=lambda x: x.transpose(0, 1), strided=lambda x: x[::2, :, 1::2],
                permuted=lambda x: x.permute(2, 1, 0), expanded=lambda x: x.expand(6, 2, 4))[form]
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert not view(x).is_contiguous() and view(x).shape == (6, 2, 4)
    targets = torch.tensor([[1, 9, 2, 9], [3, 9, 9, 9]])[:, ::2]

    def loss(x, prepare=view):
        return ctc_loss_from_logits(prepare(x), targets, [6, 5], [2, 1], reduction="none")

    assert torch.autograd.gradcheck(loss, x) and torch.autograd.gradgradcheck(loss, x)
    upstream = torch.tensor([0.5, -2.0, 0.0], dtype=torch.float64)[:2]
    grads = [torch.autograd.grad(loss(x, prepare), x, upstream)[0]
             for prepare in (view, lambda x: view(x).contiguous())]
    assert torch.equal(*grads)


# ---- ModuleInfo --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, dict(reduction="sum"), dict(reduction="none"), dict(blank=14)],
                         ids=["default", "sum", "none", "blank=14"])
def test_module_samples(options):
    T, N, C = 50, 3, 15
    U, labels = [30, 25, 20], [c for c in range(C) if c != options.get("blank", 0)]
    targets = torch.tensor(labels)[torch.randint(0, C - 1, (N, 30))]
    joined = torch.cat([target[:u] for target, u in zip(targets, U)])
    logits = torch.randn(T, N, C, dtype=torch.float64)
    for dtype, form, given in itertools.product([torch.int32, torch.int64], ["list", "tensor"],
                                                [targets, joined]):
        lengths = [T, 45, 41], U
        if form == "tensor":
            lengths = [torch.tensor(values, dtype=dtype) for values in lengths]
        x = logits.clone().requires_grad_()
        loss = CTCLoss(**options)(x.log_softmax(2), given.to(dtype), *lengths)
        loss.sum().backward()
        expected = logits.clone().requires_grad_()
        native_loss = torch.nn.CTCLoss(**options)(expected.log_softmax(2), given.to(dtype), *lengths)
        native_loss.sum().backward()
        assert_close(loss.detach(), native_loss.detach(), 1e-10, "loss")
        assert_close(x.grad, expected.grad, 1e-12, "gradient")
