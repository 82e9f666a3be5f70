"""The loss under torch.compile, export, torch.func and checkpoints, in threads and several processes."""

import multiprocessing
import os

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from ctc_scratch import ctc
from ctc_scratch.torch import CTCLoss, ctc_loss, ctc_loss_from_logits, greedy_decode
from tests.conftest import assert_close

pytestmark = pytest.mark.slow
TARGETS, FRAMES, LABELS = torch.tensor([[1, 2], [3, 0]]), torch.tensor([6, 5]), torch.tensor([2, 1])


@pytest.fixture
def logits(rng):
    return torch.from_numpy(rng.standard_normal((6, 2, 4))).requires_grad_()


def loss_of(x, reduction="mean"):
    return ctc_loss_from_logits(x, TARGETS, FRAMES, LABELS, reduction=reduction)


def gradient(loss, x):
    return torch.autograd.grad(loss(x), x)[0]


# ---- operators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["logits", "true", "torch", "scores"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_operators_pass_opcheck(logits, kind, batch_first):
    x = logits.detach().log_softmax(2)
    if batch_first:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    x, problem = x.requires_grad_(), (TARGETS, FRAMES, LABELS)
    operators = torch.ops.ctc_scratch
    for wanted in (True, False):
        arguments = (x if wanted else x.detach(), *problem, 0, kind, "inf", wanted)
        torch.library.opcheck(operators.ctc_loss, arguments)
    grad = operators.ctc_loss(x, *problem, 0, kind, "inf", True)[1].detach()
    upstream = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(operators.ctc_loss_backward, (upstream, grad, x, *problem, 0, kind))
    torch.library.opcheck(operators.ctc_loss_hvp, (grad, x.detach(), *problem, 0, kind))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compiled_training_step(dtype, reduction):
    """Without a graph break, and with shapes that change from step to step."""
    layer = torch.nn.Linear(5, 4).to(dtype)

    def step(hidden, targets, frames, labels):
        return ctc_loss_from_logits(layer(hidden), targets, frames, labels, reduction=reduction).sum()

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for T, N in ((6, 2), (7, 2), (9, 3)):
        hidden = torch.randn(T, N, 5).to(dtype)
        problem = torch.randint(1, 4, (N, 2)), torch.full((N,), T), torch.full((N,), 2)
        grads = []
        for function in (step, compiled):
            layer.zero_grad()
            loss = function(hidden, *problem)
            loss.backward()
            grads.append((loss.item(), layer.weight.grad.clone()))
        assert grads[0][0] == pytest.approx(grads[1][0], rel=1e-6) and grads[0][1].dtype == dtype
        tolerance = 1e-6 if dtype == torch.float32 else 0.1
        assert_close(grads[1][1].float(), grads[0][1].float(), tolerance, "gradient of the weights")


def test_the_module_is_compiled_with_lists_of_lengths(logits):
    module = CTCLoss(gradient="torch", zero_infinity=True)
    compiled = torch.compile(lambda x: module(x.log_softmax(2), TARGETS, [6, 5], (2, 1)), fullgraph=True,
                             backend="aot_eager")
    assert_close(gradient(compiled, logits), gradient(loss_of, logits), 1e-15, "gradient")
    with torch.no_grad():
        assert_close(compiled(logits), loss_of(logits), 1e-15, "loss")


def test_export(logits):
    class Network(torch.nn.Module):
        def forward(self, x):
            return loss_of(2 * x, "none")

    exported = torch.export.export(Network(), (logits.detach(),))
    assert any("ctc_loss" in str(node.target) for node in exported.graph.nodes)
    assert torch.equal(exported.module()(logits.detach()), loss_of(2 * logits, "none"))


# ---- torch.func --------------------------------------------------------------------------------------


def test_grad_and_vmap_over_an_extra_axis(rng, logits):
    grad = torch.func.grad(loss_of)
    assert torch.equal(grad(logits.detach()), gradient(loss_of, logits))
    many = torch.from_numpy(rng.standard_normal((3, 6, 2, 4)))
    each = torch.stack([gradient(loss_of, x.requires_grad_()) for x in many.clone()])
    assert torch.equal(torch.func.vmap(loss_of)(many), torch.stack([loss_of(x) for x in many]))
    assert torch.equal(torch.func.vmap(grad)(many), each)
    assert torch.equal(torch.func.vmap(grad, in_dims=2)(many.movedim(0, 2)), each)
    assert torch.equal(torch.func.grad(lambda x: torch.func.vmap(loss_of)(x).sum())(many), each)
    twice = torch.stack([many, many + 1])
    assert torch.func.vmap(torch.func.vmap(grad))(twice).shape == twice.shape


def test_vmap_over_targets_and_lengths(rng):
    many, targets = torch.from_numpy(rng.standard_normal((3, 6, 2, 4))), torch.randint(1, 4, (3, 2, 2))
    frames, labels = torch.tensor([[6, 5], [4, 6], [6, 6]]), torch.tensor([[2, 1], [1, 1], [2, 0]])
    losses = torch.func.vmap(ctc_loss_from_logits)(many, targets, frames, labels)
    each = [ctc_loss_from_logits(*one) for one in zip(many, targets, frames, labels)]
    assert_close(losses, each, 1e-15, "loss")


def test_second_derivatives_under_torch_func(logits):
    """The Hessian by two reverse passes, against that of autograd; a third derivative is an error."""
    hessian = torch.func.jacrev(torch.func.jacrev(loss_of))(logits.detach())
    assert_close(hessian, torch.autograd.functional.hessian(loss_of, logits), 1e-15, "Hessian")
    with pytest.raises(NotImplementedError, match="no third"):
        third = torch.autograd.grad(loss_of(logits), logits, create_graph=True)[0]
        third = torch.autograd.grad(third.square().sum(), logits, create_graph=True)[0]
        torch.autograd.grad(third.sum(), logits)


def test_checkpoints_and_saved_tensor_hooks(logits):
    again = torch.utils.checkpoint.checkpoint(loss_of, logits, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(again, logits)[0], gradient(loss_of, logits))
    with torch.autograd.graph.save_on_cpu():
        loss = loss_of(logits)
    assert torch.equal(torch.autograd.grad(loss, logits)[0], gradient(loss_of, logits))


# ---- several processes -------------------------------------------------------------------------------


class Decoded(Dataset):
    """A data set whose items are computed in a loader's worker, with the loss and a decoder."""

    def __len__(self):
        return 4

    def __getitem__(self, n):
        x = torch.full((6, 2, 4), float(n)).index_fill(2, torch.tensor([1]), 5.0).requires_grad_()
        loss = loss_of(x)
        loss.backward()
        return torch.cat([loss.detach()[None], x.grad.reshape(-1)]), torch.tensor(greedy_decode(x)[0])


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_of_a_data_loader(start):
    expected = [Decoded()[n][0] for n in range(4)]  # uses threads here before any fork
    loader = DataLoader(Decoded(), batch_size=None, num_workers=2, multiprocessing_context=start)
    for (numbers, decoded), known in zip(loader, expected, strict=True):
        assert torch.equal(numbers, known)
        assert decoded.tolist() == [1]


def train_in_parallel(rank, address, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    torch.manual_seed(0)
    network = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(5, 4).double())
    hidden = torch.randn(6, 4, 5, dtype=torch.float64)[:, 2 * rank:2 * rank + 2]
    loss_of(network(hidden)).backward()
    if rank == 0:
        results.put(network.module.weight.grad.numpy())
    torch.distributed.barrier()
    os._exit(0)  # as it frees the process group, torch 2.13 may wait for a thread that waits for the GIL


def test_two_processes_train_together(tmp_path):
    """Each has half of the batch; gloo averages their gradients."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    ranks = [context.Process(target=train_in_parallel, args=(rank, f"file://{tmp_path}/meet", results))
             for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(120)
    assert [rank.exitcode for rank in ranks] == [0, 0]
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 4).double()
    hidden = torch.randn(6, 4, 5, dtype=torch.float64)
    (loss_of(layer(hidden[:, :2])) / 2 + loss_of(layer(hidden[:, 2:])) / 2).backward()
    assert_close(results.get(), layer.weight.grad, 1e-14, "averaged gradient")


def test_threads_share_the_workspace():
    """Backward passes and losses of many threads at once give what one thread gives."""
    from concurrent.futures import ThreadPoolExecutor
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(30, 3, 6, generator=generator, requires_grad=True) for _ in range(40)]

    def work(x):
        return gradient(lambda x: ctc_loss(x.log_softmax(2), torch.ones(3, 4).long(), [30] * 3, [4] * 3), x)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, inputs))
    assert all(torch.equal(grad, work(x)) for grad, x in zip(together, inputs))
    assert np.isfinite(ctc.ctc_loss(inputs[0].detach().numpy(), np.ones((3, 4), int)).loss).all()
