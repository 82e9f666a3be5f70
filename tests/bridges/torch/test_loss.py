"""The losses of tensors: values, gradients, types, layouts, repeated backward passes, infeasible targets."""

import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from ctc_scratch import InfeasibleTargetError, ctc
from ctc_scratch.torch import CTCLoss, ctc_loss, ctc_loss_from_logits, log_partition
from tests.conftest import assert_close

TARGETS, FRAMES, LABELS = torch.tensor([[1, 2], [3, 0]]), torch.tensor([6, 5]), torch.tensor([2, 1])


@pytest.fixture
def logits(rng):
    return torch.from_numpy(rng.standard_normal((6, 2, 4))).requires_grad_()


def loss_of(x, **options):
    return ctc_loss_from_logits(x, TARGETS, FRAMES, LABELS, **options)


def gradient(loss, x, upstream=None):
    return torch.autograd.grad(loss(x), x, upstream)[0]


def test_the_toy_problem():
    """15 of the 81 paths spell (1, 2); the mean divides by two labels."""
    logits = torch.zeros(4, 1, 3, dtype=torch.float64, requires_grad=True)
    loss = ctc_loss_from_logits(logits, torch.tensor([[1, 2]]), [4], [2])
    loss.backward()
    assert_close(loss.item(), -np.log(15 / 81) / 2, 1e-14, "loss")
    core = ctc.ctc_loss(np.zeros((4, 1, 3)), [[1, 2]], reduction="mean")
    assert_close(logits.grad, core.grad, 0, "gradient")


def test_both_conventions_have_the_same_logit_gradient(logits):
    """They differ by exp(log_probs), which the backward pass of log_softmax removes."""
    true, native = (gradient(lambda x: ctc_loss(x.log_softmax(2), TARGETS, FRAMES, LABELS, gradient=kind),
                             logits) for kind in ("true", "torch"))
    assert_close(true, native, 1e-15, "logit gradient")
    log_probs = logits.detach().log_softmax(2).requires_grad_()
    true, native = (gradient(lambda x: ctc_loss(x, TARGETS, FRAMES, LABELS, gradient=kind), log_probs)
                    for kind in ("true", "torch"))
    theirs = gradient(lambda x: torch.nn.functional.ctc_loss(x, TARGETS, FRAMES, LABELS), log_probs)
    assert_close(native, theirs, 1e-15, "gradient in torch's convention")
    probs = log_probs.detach().exp() / (2 * LABELS[:, None])
    probs[5, 1] = 0.0  # padding
    assert_close(native - true, probs, 1e-15, "difference of the conventions")
    assert torch.autograd.gradcheck(lambda x: ctc_loss(x, TARGETS, FRAMES, LABELS), log_probs)


@pytest.mark.parametrize("kind", ["true", "torch"])
def test_scores_need_not_be_normalised(logits, kind):
    loss = ctc_loss(logits, TARGETS, FRAMES, LABELS, reduction="none", gradient=kind)
    core = ctc.log_partition(logits.detach().numpy(), TARGETS.numpy(), FRAMES.numpy(), LABELS.numpy())
    assert_close(loss.detach(), -core.log_z, 1e-15, "loss")
    assert torch.equal(log_partition(logits, TARGETS, FRAMES, LABELS), -loss)


@pytest.mark.parametrize("dtype, computed, tolerance", [
    (torch.float16, torch.float32, 1e-3), (torch.bfloat16, torch.float32, 1e-2),
    (torch.float32, torch.float32, 1e-6), (torch.float64, torch.float64, 0)])
def test_types(logits, dtype, computed, tolerance):
    """The gradient has the type of the logits. Half precision is computed in float32, and rounded once."""
    x = logits.detach().to(dtype).requires_grad_()
    loss = loss_of(x)
    loss.backward()
    exact = x.detach().double().requires_grad_()
    expected = loss_of(exact)
    assert loss.dtype == computed and x.grad.dtype == dtype
    assert_close(loss.double().detach(), expected.detach(), 1e-6 if tolerance else 0, "loss")
    assert_close(x.grad.double(), gradient(loss_of, exact),
                 tolerance, "gradient")


def test_a_large_upstream_gradient_is_multiplied_before_rounding(logits):
    """Scaled losses keep gradients that float16 could not hold: here those below 6e-8."""
    x = logits.detach().half()
    x[:, :, 3] = -20.0
    x.requires_grad_()
    loss = ctc_loss_from_logits(x, TARGETS[:, :1], FRAMES, [1, 0])
    (2.0**14 * loss).backward()
    assert (x.grad[:, 0, 3] > 0).all()


def test_autocast(logits):
    layer = torch.nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        x = layer(logits.detach().float())
        loss = loss_of(x)
        assert x.dtype == torch.bfloat16 and loss.dtype == torch.float32
    loss.backward()
    assert layer.weight.grad.dtype == torch.float32 and layer.weight.grad.abs().sum() > 0.1
    assert_close(loss.item(), loss_of(x.double()).item(), 1e-6, "loss")


def test_forms_of_lengths_and_targets(logits):
    expected = loss_of(logits).item()
    joined = torch.tensor([1, 2, 3])
    for targets, frames, labels in [
        (joined, [6, 5], (2, 1)), (joined.int(), FRAMES.int(), LABELS.int()),
        (TARGETS.short(), (6, 5), [2, 1]),
        ([[1, 2], [3, 3]], FRAMES.numpy(), LABELS.numpy()), (TARGETS.t().contiguous().t(), FRAMES, LABELS),
    ]:
        assert ctc_loss_from_logits(logits, targets, frames, labels).item() == expected
    one = ctc_loss_from_logits(logits[:, 0], TARGETS[0], 6, torch.tensor(2), reduction="none")
    assert one.shape == () and one == loss_of(logits, reduction="none")[0]


@pytest.mark.parametrize("upstream", [1.0, 0.25, -3.0, 0.0])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "batchmean"])
def test_any_upstream_gradient(logits, reduction, upstream):
    def loss(x):
        return ctc_loss_from_logits(x, TARGETS, FRAMES, LABELS, reduction=reduction)

    core = ctc.ctc_loss(logits.detach().numpy(), TARGETS.numpy(), FRAMES.numpy(), LABELS.numpy(),
                        reduction=reduction)
    factor = torch.full_like(loss(logits), upstream)
    if reduction == "none":
        factor *= torch.tensor([1.0, 2.0])
    expected = torch.from_numpy(core.grad) * (factor[:, None] if reduction == "none" else factor)
    assert torch.equal(gradient(loss, logits, factor), expected)


def test_a_graph_that_is_kept_can_be_used_again(logits):
    """The saved gradient is multiplied in place only if no later backward pass needs it."""
    loss = loss_of(logits, reduction="none")
    upstream = torch.tensor([0.5, 3.0]).double()
    expected = gradient(lambda x: loss_of(x, reduction="none"), logits, upstream)
    for _ in range(3):
        grad, = torch.autograd.grad(loss, logits, upstream, retain_graph=True)
        assert torch.equal(grad, expected)
        grad.zero_()
    grad, = torch.autograd.grad(loss.sum(), logits)
    assert torch.equal(grad, gradient(lambda x: loss_of(x, reduction="sum"), logits))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.sum().backward()


def test_gradients_of_two_losses_add_up(logits):
    losses = [loss_of(logits) for _ in range(2)]
    sum(losses).backward()
    assert torch.equal(logits.grad, 2 * gradient(loss_of, logits))


def test_several_upstream_gradients_at_once(logits):
    """vmap over the backward pass."""
    loss = loss_of(logits, reduction="none")
    rows, = torch.autograd.grad(loss, logits, torch.eye(2).double(), is_grads_batched=True, retain_graph=True)
    assert torch.equal(rows.sum(0), torch.autograd.grad(loss.sum(), logits)[0]) and not rows[0][:, 1].any()


def test_logits_of_batch_first_networks_are_not_copied(logits, monkeypatch):
    """A transposed view is read in place, and its gradient has the same layout."""
    batch_first = logits.detach().transpose(0, 1).contiguous().requires_grad_()
    seen = []
    real = ctc.loss.solve_batch
    monkeypatch.setattr("ctc_scratch.bridges.torch.solve.solve_batch", lambda array, *rest, **options: (
        seen.append(array) or real(array, *rest, **options)))
    loss = ctc_loss_from_logits(batch_first.transpose(0, 1), TARGETS, FRAMES, LABELS)
    loss.backward()
    assert np.may_share_memory(seen[0], batch_first.detach().numpy()) and batch_first.grad.is_contiguous()
    assert torch.equal(batch_first.grad.transpose(0, 1), gradient(
        loss_of, logits))


@pytest.mark.parametrize("needless", ["no_grad", "detached", "inference"])
def test_no_gradient_is_computed_where_none_can_be_used(logits, monkeypatch, needless):
    wanted, real = [], ctc.loss.solve_batch
    monkeypatch.setattr("ctc_scratch.bridges.torch.solve.solve_batch", lambda *arguments, **options: (
        wanted.append(options["want_grad"]) or real(*arguments, **options)))
    expected = loss_of(logits)
    context = dict(no_grad=torch.no_grad(), inference=torch.inference_mode(), detached=torch.enable_grad())
    x = logits.detach() if needless == "detached" else logits
    with context[needless]:
        loss = loss_of(x)
    assert wanted == [True, False] and loss == expected and not loss.requires_grad


def test_infeasible_targets(logits):
    targets = torch.tensor([[1, 1, 1, 1], [3, 0, 0, 0]])
    for zero, expected in [(False, torch.inf), (True, 0.0)]:
        loss = CTCLoss(reduction="none", zero_infinity=zero)(logits.log_softmax(2), targets, FRAMES, [4, 1])
        assert loss[0] == expected and 0 < loss[1] < torch.inf
        grad, = torch.autograd.grad(loss.sum(), logits)
        assert not grad[:, 0].any() and grad[:, 1].any() and grad.isfinite().all()
    says = r"target 0 needs 7 frames \(4 labels \+ 3 repeats\) but has 6"
    with pytest.raises(InfeasibleTargetError, match=says):
        CTCLoss(infeasible="raise")(logits.log_softmax(2), targets, FRAMES, [4, 1])
    with pytest.raises(ValueError, match="zero_infinity=True and infeasible='raise' exclude each other"):
        ctc_loss_from_logits(logits, targets, FRAMES, [4, 1], zero_infinity=True, infeasible="raise")


def test_errors_name_the_arguments_of_torch(logits):
    for arguments, says in [
        ((TARGETS, [6, 7], LABELS), r"input_lengths\[1\] is 7, the logits have 6 frames"),
        ((TARGETS, FRAMES, [2, 3]), r"target_lengths\[1\] is 3, target 1 holds 2 values"),
        ((torch.tensor([[1, 2], [4, 0]]), FRAMES, LABELS), r"targets\[1\]\[0\] is 4, but the logits have"),
    ]:
        with pytest.raises(ValueError, match=says):
            ctc_loss_from_logits(logits, *arguments)
    with pytest.raises(ValueError, match=r"log_probs\[t=0, n=0, c=0\] is nan"):
        ctc_loss(logits * torch.nan, TARGETS, FRAMES, LABELS)


def test_results_are_moved_to_the_device_of_the_scores(logits, monkeypatch):
    """With a stand-in for a tensor on another device, and a `Tensor.to` that records its argument."""
    from ctc_scratch.bridges.torch import tensors
    moved = []
    elsewhere = types.SimpleNamespace(dtype=torch.float32, is_cpu=False, device="cpu")
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: moved.append(device) or tensor)
    assert tensors.to_tensor(np.ones(2), elsewhere).dtype == torch.float32 and moved == ["cpu"]


@pytest.mark.slow
def test_without_torch_the_error_names_the_extra():
    code = "import sys; sys.modules['torch'] = None; import ctc_scratch, ctc_scratch.torch"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr.strip().splitlines()[-1] == (
        'ImportError: ctc_scratch.torch needs PyTorch: pip install "ctc_scratch[torch]"')
