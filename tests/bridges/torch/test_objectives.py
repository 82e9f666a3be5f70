"""Every objective of the core, and log_partition, as functions of tensors."""

import functools
import inspect

import numpy as np
import pytest
import torch

import ctc_scratch.torch
from ctc_scratch.bridges.torch import objectives as torch_objectives
from ctc_scratch.ctc import objectives
from ctc_scratch.torch import log_partition
from tests.conftest import assert_close

TARGETS, FRAMES = [[1, 2], [3, 3]], torch.tensor([5, 4])
OPTIONS = {
    "bayes_risk_ctc_loss": dict(weight=2.0),
    "delay_ctc_loss": dict(weight=0.3),
    "entropy_ctc_loss": dict(weight=0.2),
    "focal_ctc_loss": dict(power=2.0, per_label=True),
    "min_risk_ctc_loss": dict(hypotheses=[[[1, 2], torch.tensor([1])], [[3, 3], [2], [2, 3]]]),
    "prior_ctc_loss": dict(prior=torch.tensor([0.4, 0.2, 0.2, 0.2]), weight=0.5),
    "star_ctc_loss": dict(star="ends", star_weight=-1.0),
    "topology_ctc_loss": dict(stay_on_labels=False),
}


def test_every_objective_is_here():
    losses = {name for name in objectives.__all__ if name.endswith("_loss")}
    assert losses == set(OPTIONS) and losses <= set(ctc_scratch.torch.__all__)


@pytest.fixture
def logits(rng):
    return torch.from_numpy(rng.standard_normal((5, 2, 4))).requires_grad_()


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_and_values(logits, name):
    loss, core = getattr(ctc_scratch.torch, name), getattr(objectives, name)
    for reduction in ("none", "mean"):
        def call(x, layout="TNC"):
            return loss(x, TARGETS, FRAMES, reduction=reduction, layout=layout, **OPTIONS[name])

        expected = core(logits.detach().numpy(), TARGETS, FRAMES.numpy(), reduction=reduction, **{
            key: value if key == "hypotheses" else np.asarray(value) if key == "prior" else value
            for key, value in OPTIONS[name].items()})
        assert_close(call(logits).detach(), expected.loss, 0, "value")
        assert torch.autograd.gradcheck(call, logits)
        assert torch.autograd.gradcheck(call, logits, fast_mode=True)
        turned = logits.detach().transpose(0, 1).clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda x: call(x, "NTC"), turned)
        half = logits.detach().bfloat16().requires_grad_()
        call(half).sum().backward()
        assert half.grad.dtype == torch.bfloat16 and call(half).dtype == torch.float32
        assert torch.equal(torch.func.grad(lambda x: call(x).sum())(logits.detach()),
                           torch.autograd.grad(call(logits).sum(), logits)[0])
    options = OPTIONS[name] | ({"hypotheses": [[1, 2], [2]]} if "hypotheses" in OPTIONS[name] else {})
    single = logits.detach()[:, 0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, TARGETS[0], **options), single)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_second_derivatives(logits, name, reduction):
    loss = getattr(ctc_scratch.torch, name)

    def call(x, layout="TNC"):
        return loss(x, TARGETS, FRAMES, reduction=reduction, layout=layout, **OPTIONS[name])

    assert torch.autograd.gradgradcheck(call, logits)
    assert torch.autograd.gradgradcheck(call, logits, fast_mode=True)
    turned = logits.detach().transpose(0, 1).clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: call(x, "NTC"), turned)
    options = OPTIONS[name] | ({"hypotheses": [[1, 2], [2]]} if "hypotheses" in OPTIONS[name] else {})
    single = logits.detach()[:, 0].requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: loss(x, TARGETS[0], reduction=reduction, **options), single)
    if reduction == "none":
        return

    def squared(x):
        return torch.func.grad(call)(x).square().sum()

    grad, = torch.autograd.grad(call(logits), logits, create_graph=True)
    expected, = torch.autograd.grad(grad.square().sum(), logits)
    assert_close(torch.func.grad(squared)(logits.detach()), expected, 1e-15, "gradient of a gradient")


def test_a_third_derivative_raises(logits):
    loss = ctc_scratch.torch.entropy_ctc_loss(logits, TARGETS, reduction="sum", weight=0.2)
    grad, = torch.autograd.grad(loss, logits, create_graph=True)
    twice, = torch.autograd.grad(grad.square().sum(), logits, create_graph=True)
    with pytest.raises(NotImplementedError, match="^entropy_ctc_loss has first and second"):
        twice.sum().backward()


def test_no_gradient_is_computed_where_none_can_be_asked_for(logits, monkeypatch):
    wanted, core = [], objectives.entropy_ctc_loss

    def watched(*arguments, want_grad, **options):
        wanted.append(want_grad)
        return core(*arguments, want_grad=want_grad, **options)

    loss = torch_objectives._for_tensors(functools.wraps(core)(watched))
    with torch.no_grad():
        alone = loss(logits, TARGETS, weight=0.2)
    assert torch.equal(alone, loss(logits.detach(), TARGETS, weight=0.2))
    assert torch.equal(alone, loss(logits, TARGETS, weight=0.2)) and wanted == [False, False, True]


def test_log_partition_has_two_derivatives(logits):
    targets = torch.tensor(TARGETS)

    def call(x):
        return log_partition(x, targets, FRAMES, [2, 2])

    assert torch.autograd.gradcheck(call, logits) and torch.autograd.gradgradcheck(call, logits)
    none = log_partition(logits, torch.tensor([[1, 1, 1], [1, 1, 1]]), [4, 5], [3, 3])
    assert none[0] == -torch.inf and none[1] > -torch.inf
    grad, = torch.autograd.grad(none.sum(), logits)
    assert not grad[:, 0].any() and grad[:, 1].sum() == pytest.approx(5)
    with pytest.raises(ValueError, match=r"scores\[t=0, n=0, c=0\] is nan"):
        call(logits * torch.nan)


def test_signatures_are_those_of_the_core():
    for name in OPTIONS:
        ours, cores = (inspect.signature(getattr(module, name)) for module in (ctc_scratch.torch, objectives))
        assert [*ours.parameters, "vectors", "want_grad"] == list(cores.parameters)
        assert ours.parameters.items() <= cores.parameters.items()
