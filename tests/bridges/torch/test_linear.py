"""linear_ctc_loss against torch: F.linear, log_softmax and F.ctc_loss, which keep all logits in memory."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from ctc_scratch.bridges.torch import linear, linear_ctc_loss
from tests.conftest import assert_close

aten = torch.ops.aten
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


class Problem(NamedTuple):
    """The arguments of `linear_ctc_loss` up to `target_lengths`, and the blank."""

    hidden: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    targets: torch.Tensor
    input_lengths: torch.Tensor
    target_lengths: torch.Tensor
    blank: int = 0

    @property
    def leaves(self):
        return [tensor for tensor in self[:3] if tensor is not None]


def problem(T=20, N=4, D=6, C=11, U=5, *, dtype=torch.float64, bias=True, blank=0, seed=0):
    """Random, with ragged lengths; the first target is empty if there are several, the second has repeats."""
    rng = torch.Generator().manual_seed(seed)
    hidden, weight, offset = (torch.randn(shape, generator=rng).to(dtype).requires_grad_()
                              for shape in ((T, N, D), (C, D), (C,)))
    targets = (blank + torch.randint(1, C, (N, U), generator=rng)) % C
    targets[1:2, :3] = targets[1:2, :1]
    input_lengths = torch.randint(min(2 * U, T), T + 1, (N,), generator=rng)
    target_lengths = torch.randint(min(3, U), U + 1, (N,), generator=rng)
    if N > 1:
        target_lengths[0] = 0
    return Problem(hidden, weight, offset if bias else None, targets, input_lengths, target_lengths, blank)


def in_dtype(problem, dtype):
    return Problem(*(leaf.detach().to(dtype).requires_grad_() for leaf in problem.leaves), *problem[3:])


def torchs_loss(hidden, weight, bias, *arguments, **options):
    return F.ctc_loss(F.linear(hidden, weight, bias).log_softmax(-1), *arguments, **options)


def loss_and_gradients(function, problem, upstream=1.7, **options):
    """The loss, and the gradients of upstream * loss, or of the sum of upstream * (n + 1) * loss[n]."""
    loss = function(*problem, **options)
    slope = upstream * torch.arange(1.0, loss.numel() + 1).reshape(loss.shape).to(loss)
    return [loss.detach(), *torch.autograd.grad(loss, problem.leaves, slope)]


def assert_equal_torchs(problem, tolerance, expected=None, **options):
    """Compare with torch's loss of the same problem, or of `expected` if that is given."""
    ours = loss_and_gradients(linear_ctc_loss, problem, **options)
    options.pop("chunk_bytes", None)
    theirs = loss_and_gradients(torchs_loss, expected or problem, **options)
    for name, our, their in zip(("loss", "d_hidden", "d_weight", "d_bias"), ours, theirs):
        scale = max(1.0, float(their.abs().max()))
        assert_close(our.numpy() / scale, their.numpy() / scale, tolerance, name)


# ---- the same numbers as torch ----------------------------------------------------------------


@DTYPES
@REDUCTIONS
@pytest.mark.parametrize("frames", [1, 7, 1000])
def test_loss_and_gradients_equal_torchs(dtype, reduction, frames):
    """With chunks of one frame; with chunks of which the last is shorter; with a single chunk."""
    chosen = problem(dtype=dtype, blank=3)
    bytes_per_frame = len(chosen.weight) * chosen.weight.element_size()
    assert_equal_torchs(chosen, TOLERANCE[dtype], reduction=reduction, chunk_bytes=frames * bytes_per_frame)


@REDUCTIONS
def test_without_a_bias(reduction):
    assert_equal_torchs(problem(bias=False), 1e-10, reduction=reduction)


@pytest.mark.parametrize("shape", [
    dict(T=1, N=1, C=2, U=0), dict(T=40, C=3, U=15), dict(T=12, C=300, U=6)],
                         ids=["T=1", "few classes", "many classes"])
def test_other_shapes(shape):
    for seed in range(3):
        assert_equal_torchs(problem(seed=seed, **shape), 1e-10, chunk_bytes=1000)


def test_joined_targets_and_lengths_as_lists_and_int32():
    padded = problem()
    labels = [target[:U] for target, U in zip(padded.targets, padded.target_lengths)]
    joined = padded._replace(targets=torch.cat(labels).int(), input_lengths=padded.input_lengths.tolist(),
                             target_lengths=tuple(padded.target_lengths.tolist()))
    assert_equal_torchs(joined, 1e-10)


@REDUCTIONS
def test_one_sequence_without_an_axis_for_the_batch(reduction):
    batch = problem(N=1)
    single = batch._replace(
        hidden=batch.hidden.detach()[:, 0].clone().requires_grad_(), targets=batch.targets[0],
        input_lengths=batch.input_lengths[0], target_lengths=int(batch.target_lengths[0]))
    ours, theirs = (loss_and_gradients(linear_ctc_loss, p, reduction=reduction) for p in (single, batch))
    assert ours[0].shape == () and ours[1].shape == (20, 6)
    for our, their in zip(ours, theirs):
        assert_close(our.numpy(), their.reshape(our.shape).numpy(), 0.0, "loss or gradient")


def test_views_that_are_not_contiguous():
    chosen = problem()
    swapped = chosen._replace(hidden=chosen.hidden.detach().transpose(0, 1).contiguous().transpose(0, 1),
                              weight=chosen.weight.detach().T.contiguous().T,
                              bias=torch.stack([chosen.bias.detach()] * 2, 1)[:, 0])
    assert not any(tensor.is_contiguous() for tensor in swapped.leaves)
    for tensor in swapped.leaves:
        tensor.requires_grad_()
    assert_equal_torchs(swapped, 1e-10, expected=chosen)


@REDUCTIONS
@pytest.mark.slow
def test_gradcheck(reduction):
    chosen = problem(T=7, N=3, D=3, C=5, U=3)
    options = dict(reduction=reduction, chunk_bytes=200)
    assert torch.autograd.gradcheck(lambda *leaves: linear_ctc_loss(*leaves, *chosen[3:], **options),
                                    chosen.leaves)


@pytest.mark.slow
def test_gradients_of_confident_networks_are_accurate():
    """Where probs and occupancy are nearly equal, their difference is taken before sums over frames."""
    chosen = problem(4000, 1, 8, 50, 10, dtype=torch.float32)
    with torch.no_grad():
        chosen.hidden.abs_()
        chosen.weight.mul_(0.1)[0] += 3.0  # the blank is nearly certain in most frames
    truth = loss_and_gradients(torchs_loss, in_dtype(chosen, torch.float64))
    ours = loss_and_gradients(linear_ctc_loss, chosen)
    assert_close(ours[2][0].double().numpy(), truth[2][0].numpy(), 1e-5, "d_weight of the blank")


# ---- infeasible and empty targets, padding ----------------------------------------------------


def infeasible():
    """Sequence 1 needs 7 frames (5 labels + 2 repeats) and has 6; the others fit."""
    chosen = problem()
    chosen.input_lengths[1], chosen.target_lengths[1] = 6, 5
    chosen.targets[1] = torch.tensor([4, 4, 4, 7, 8])
    return chosen


@REDUCTIONS
def test_zero_infinity_equals_torchs(reduction):
    assert_equal_torchs(infeasible(), 1e-10, reduction=reduction, zero_infinity=True)


@REDUCTIONS
def test_infeasible_targets_have_an_infinite_loss_and_gradient_zero(reduction):
    chosen = infeasible()
    loss, *gradients = loss_and_gradients(linear_ctc_loss, chosen, reduction=reduction)
    _, *zeroed = loss_and_gradients(linear_ctc_loss, chosen, reduction=reduction, zero_infinity=True)
    assert loss.isinf().tolist() == ([False, True, False, False] if reduction == "none" else True)
    assert not gradients[0][:, 1].any()
    for grad, other in zip(gradients, zeroed):
        assert torch.equal(grad, other)


@REDUCTIONS
def test_a_bias_of_minus_infinity_closes_the_targets_that_need_its_class(reduction):
    chosen = problem(U=4)
    chosen.targets[chosen.targets == 7] = 8
    chosen.targets[3, 0], chosen.target_lengths[3] = 7, 4
    with torch.no_grad():
        chosen.bias[7] = -torch.inf
    loss, d_hidden, d_weight, d_bias = loss_and_gradients(linear_ctc_loss, chosen, reduction=reduction)
    assert loss.isinf().tolist() == ([False, False, False, True] if reduction == "none" else True)
    assert not d_hidden[:, 3].any() and not d_weight[7].any() and d_bias[7] == 0
    without = [c for c in range(11) if c != 7]  # a layer that does not have the class
    few = Problem(*(leaf.detach().clone().requires_grad_() for leaf in
                    (chosen.hidden, chosen.weight[without], chosen.bias[without])),
                  chosen.targets - (chosen.targets > 7).long(), chosen.input_lengths,
                  chosen.target_lengths * torch.tensor([1, 1, 1, 0]))
    weights = {"mean": 1 / (4 * chosen.target_lengths.clamp(min=1).double()), "sum": torch.ones(4),
               "none": torch.arange(1.0, 5)}[reduction]
    weights[3] = 0
    theirs = torch.autograd.grad(1.7 * (torchs_loss(*few, reduction="none") * weights).sum(), few.leaves)
    for name, our, their in zip(("d_hidden", "d_weight", "d_bias"),
                                (d_hidden, d_weight[without], d_bias[without]), theirs):
        assert_close(our.numpy(), their.numpy(), 1e-10, name)


@pytest.mark.parametrize("T, N", [(0, 2), (3, 0)], ids=["no frames", "no sequences"])
def test_no_frames_or_no_sequences(T, N):
    chosen = problem(3, 2, U=1)
    empty = chosen._replace(hidden=torch.zeros(T, N, 6, dtype=torch.float64, requires_grad=True),
                            targets=chosen.targets[:N], input_lengths=torch.zeros(N).long(),
                            target_lengths=torch.arange(N))
    losses, *_ = loss_and_gradients(linear_ctc_loss, empty, reduction="none")
    assert losses.tolist() == [0.0, float("inf")][:N]
    loss, *gradients = loss_and_gradients(linear_ctc_loss, empty)
    assert loss == (torch.inf if N else 0)
    assert all(not grad.any() for grad in gradients)


def test_padding_may_hold_anything():
    chosen = problem()
    spoilt = chosen._replace(hidden=chosen.hidden.detach().clone())
    spoilt.hidden[torch.arange(20)[:, None] >= chosen.input_lengths] = torch.nan
    spoilt.hidden.requires_grad_()
    for our, other in zip(*(loss_and_gradients(linear_ctc_loss, p) for p in (chosen, spoilt))):
        assert torch.equal(our, other)


# ---- as a function of torch -------------------------------------------------------------------


@REDUCTIONS
def test_the_graph_can_be_used_twice(reduction):
    chosen = problem()
    loss = linear_ctc_loss(*chosen, reduction=reduction).sum()
    first = torch.autograd.grad(3 * loss, chosen.leaves, retain_graph=True)
    copies = [grad.clone() for grad in first]
    for grad in first:
        grad.zero_()
    for grad, copy in zip(torch.autograd.grad(3 * loss, chosen.leaves), copies):
        assert torch.equal(grad, copy)


@REDUCTIONS
def test_a_second_derivative_is_an_error(reduction):
    """Even if the gradient is only one term of another loss, and the other terms can be differentiated."""
    chosen = problem()
    loss = linear_ctc_loss(*chosen, reduction=reduction).sum()
    grad, = torch.autograd.grad(loss, chosen.hidden, create_graph=True)
    with pytest.raises(NotImplementedError, match="linear_ctc_loss has no second derivative"):
        (loss + grad.square().sum()).backward()


class Watch(TorchDispatchMode):
    """Counts matrix products with all classes, and the bytes of the largest tensor that is made."""

    def __init__(self):
        super().__init__()
        self.classes, self.products, self.largest = 0, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (aten.mm, aten.addmm, aten.addmm_, aten.matmul):
            self.products += any(self.classes in matrix.shape for matrix in args)
        made = result if isinstance(result, (tuple, list)) else [result]
        self.largest = max([self.largest, *(t.untyped_storage().nbytes() for t in made
                                            if isinstance(t, torch.Tensor))])
        return result


@pytest.fixture
def watch(monkeypatch):
    """Watches the calls inside `solve`: from outside, operators hide them."""
    mode, solve = Watch(), linear.solve

    def watched(layer, *arguments):
        mode.classes = len(layer.weight)
        with mode:
            return solve(layer, *arguments)

    monkeypatch.setattr(linear, "solve", watched)
    return mode


@pytest.mark.parametrize("needs, products", [
    ((True, True, True), 3), ((True, False, False), 2), ((False, True, False), 2), ((False, False, True), 1),
    ((False, False, False), 1)], ids=["all", "hidden", "weight", "bias", "none"])
def test_only_what_is_needed_is_computed(watch, needs, products):
    chosen = problem(C=97)
    for leaf, need in zip(chosen.leaves, needs):
        leaf.requires_grad_(need)
    loss = linear_ctc_loss(*chosen)
    assert watch.products == products
    if any(needs):
        loss.backward()
    assert [leaf.grad is not None for leaf in chosen.leaves] == list(needs)
    assert watch.products == products


@REDUCTIONS
def test_without_gradients_there_is_one_product(watch, reduction):
    with torch.no_grad():
        loss = linear_ctc_loss(*problem(C=97), reduction=reduction)
    assert not loss.requires_grad and watch.products == 1


def test_without_a_reduction_there_are_four_products(watch):
    losses = linear_ctc_loss(*problem(C=97), reduction="none")
    assert watch.products == 1
    losses.sum().backward()
    assert watch.products == 4


def test_no_tensor_is_larger_than_a_chunk(watch):
    chosen = problem(T=200, N=3, D=4, C=2000, dtype=torch.float32)
    linear_ctc_loss(*chosen, chunk_bytes=2**17).backward()
    assert 200 * 3 * 2000 * 4 / 2**17 > 30
    assert 2**16 < watch.largest <= 2**17


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
@REDUCTIONS
def test_half_precision_is_computed_in_float32(half, reduction):
    chosen = problem(dtype=half)
    wide = in_dtype(chosen, torch.float32)
    (loss, *ours), (expected, *theirs) = (loss_and_gradients(linear_ctc_loss, p, reduction=reduction)
                                          for p in (chosen, wide))
    assert loss.dtype == torch.float32 and torch.equal(loss, expected)
    for our, their in zip(ours, theirs):
        assert our.dtype == half and torch.equal(our, their.to(half))


def test_a_scaled_loss_keeps_small_gradients_in_float16():
    chosen = problem(dtype=torch.float16)
    small, = torch.autograd.grad(linear_ctc_loss(*chosen) * 2.0**-20, chosen.hidden)
    scaled, = torch.autograd.grad(linear_ctc_loss(*chosen) * 2.0**-20 * 2.0**20, chosen.hidden)
    plain, = torch.autograd.grad(linear_ctc_loss(*chosen), chosen.hidden)
    assert (small == 0).sum() > (plain == 0).sum() and torch.equal(scaled, plain)


def test_autocast_computes_in_float32():
    """Under autocast, a layer returns bfloat16: the loss takes that together with float32 parameters."""
    chosen = problem(dtype=torch.float32)
    mixed = chosen._replace(hidden=chosen.hidden.detach().bfloat16().requires_grad_())
    outside = loss_and_gradients(linear_ctc_loss, mixed)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss_and_gradients(linear_ctc_loss, mixed)
    assert [tensor.dtype for tensor in inside[1:]] == [torch.bfloat16, torch.float32, torch.float32]
    for our, other in zip(inside, outside):
        assert torch.equal(our, other)


@REDUCTIONS
@pytest.mark.slow
def test_compiles_as_one_graph(reduction):
    chosen = problem()

    def step(*leaves):
        return linear_ctc_loss(leaves[0] * 1.5, *leaves[1:], *chosen[3:], reduction=reduction).sum() * 2

    expected = torch.autograd.grad(step(*chosen.leaves), chosen.leaves)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for our, their in zip(torch.autograd.grad(compiled(*chosen.leaves), chosen.leaves), expected):
        assert torch.equal(our, their)


@pytest.mark.slow
def test_operators_pass_torchs_opcheck():
    chosen = problem()
    options = dict(blank=0, zero_infinity=False, chunk_bytes=1000)
    torch.library.opcheck(linear.linear_ctc_each, chosen[:6], options)
    for needs in ([True, True, True], [False, True, False]):
        for leaf, need in zip(chosen.leaves, needs):
            leaf.requires_grad_(need)
        torch.library.opcheck(linear.linear_ctc_sum, (*chosen[:6], torch.ones(4), needs), options,
                              test_utils=("test_schema", "test_faketensor", "test_autograd_registration"))


# ---- errors -----------------------------------------------------------------------------------


def with_number(name, value, *place):
    chosen = problem()
    with torch.no_grad():
        getattr(chosen, name)[place] = value
    return chosen


@pytest.mark.parametrize("wrong, error, message", [
    (lambda: problem()._replace(hidden=np.zeros((20, 4, 6))), TypeError,
     "hidden must be a tensor, got ndarray"),
    (lambda: problem()._replace(targets=[[1, 2]] * 4), TypeError, "targets must be a tensor, got list"),
    (lambda: problem()._replace(weight=torch.ones(11, 6).long()), TypeError,
     "weight must be a tensor of floats, got torch.int64"),
    (lambda: problem()._replace(targets=torch.ones(4, 5)), TypeError,
     "targets must hold integers, got a tensor of torch.float32"),
    (lambda: problem()._replace(input_lengths=torch.ones(4)), TypeError,
     "input_lengths must hold integers, got a tensor of torch.float32"),
    (lambda: problem()._replace(hidden=torch.ones(20, 2, 2, 6)), ValueError,
     r"hidden must have shape \(T, N, D\) or \(T, D\), got \(20, 2, 2, 6\)"),
    (lambda: problem()._replace(weight=torch.ones(6, 11)), ValueError,
     r"weight must have shape \(C, D\) with D = 6 as in hidden, got \(6, 11\)"),
    (lambda: problem()._replace(bias=torch.ones(6)), ValueError,
     r"bias must have shape \(11,\), one for each class, got \(6,\)"),
    (lambda: problem()._replace(hidden=torch.ones(20, 4, 6, device="meta")), ValueError,
     "weight is on cpu, hidden on meta"),
    (lambda: problem()._replace(input_lengths=[20, 20]), ValueError,
     r"input_lengths must have shape \(4,\), one for each sequence, got \(2,\)"),
    (lambda: problem()._replace(input_lengths=[20, 20, 21, 5]), ValueError,
     r"input_lengths\[2\] is 21, hidden has 20 frames"),
    (lambda: problem()._replace(target_lengths=[1, 2, -1, 1]), ValueError, r"target_lengths\[2\] is -1"),
    (lambda: problem()._replace(target_lengths=[1, 2, 6, 1]), ValueError,
     r"target_lengths\[2\] is 6, target 2 holds 5 values"),
    (lambda: problem()._replace(blank=11), ValueError, r"blank is 11, but the logits have classes 0\.\.10"),
    (lambda: with_number("targets", 11, 1, 0), ValueError,
     r"targets\[1\]\[0\] is 11, but the logits have classes 0\.\.10"),
    (lambda: with_number("targets", 0, 1, 0), ValueError, r"targets\[1\]\[0\] is 0, the blank"),
    (lambda: with_number("hidden", torch.nan, 2, 1, 3), ValueError,
     r"hidden\[t=2, n=1, d=3\] is nan; it must be finite"),
    (lambda: with_number("weight", -torch.inf, 10, 5), ValueError,
     r"weight\[c=10, d=5\] is -inf; it must be finite"),
    (lambda: with_number("bias", torch.inf, 4), ValueError,
     r"bias\[c=4\] is inf; it must be finite, or -inf for probability 0"),
    (lambda: with_number("bias", -torch.inf), ValueError, r"bias is -inf in every class c=0\.\.10"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_arguments_are_errors(monkeypatch, wrong, error, message):
    monkeypatch.setattr(linear, "solve", None)  # an error comes before any computation
    with pytest.raises(error, match=message):
        linear_ctc_loss(*wrong())


def test_other_options_are_errors():
    with pytest.raises(ValueError, match="reduction must be 'none', 'sum' or 'mean', got 'batchmean'"):
        linear_ctc_loss(*problem(), reduction="batchmean")
    with pytest.raises(ValueError, match="chunk_bytes must be at least 1, got 0"):
        linear_ctc_loss(*problem(), chunk_bytes=0)


def test_logits_that_overflow_are_an_error():
    chosen = problem(dtype=torch.float32)
    with torch.no_grad():
        chosen.hidden[3, 2] = 1e30
        chosen.weight[5] = 1e30
    with pytest.raises(ValueError, match=r"logits\[t=3, n=2\] overflow torch.float32"):
        linear_ctc_loss(*chosen)
