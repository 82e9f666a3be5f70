"""Each way through the certified kernels, very improbable states, and the memory that it takes."""

import numpy as np
import pytest

from ctc_scratch.compiled.exp import exp_below64
from ctc_scratch.ctc import Workspace, ctc_loss
from ctc_scratch.ctc.inputs.targets import check_targets
from ctc_scratch.ctc.inputs.values import check_logits
from ctc_scratch.ctc.running import plan, solver
from tests.conftest import as_plain_python, assert_close

WAYS = {
    "lanes": dict(T=9, N=5, C=40, U=2),  # eight sequences side by side
    "columns": dict(T=12, N=3, C=90, U=5),  # one at a time, the classes of its own target
    "dense": dict(T=60, N=1, C=70, U=20, ragged=False),  # one at a time, every class
}


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("dtype, off", [(np.float64, 1e-13), (np.float32, 1e-5)])
@pytest.mark.parametrize("way", WAYS)
def test_each_way_gives_what_the_exact_kernel_gives(make_problem, way, dtype, off, reduction):
    problem = make_problem(**WAYS[way], dtype=dtype, blank=WAYS[way]["C"] - 1)
    auto, exact = (ctc_loss(*problem[:3], blank=problem.blank, reduction=reduction, method=method)
                   for method in ("auto", "exact"))
    assert not auto.exact.any()
    assert_close(auto.loss, exact.loss, off * max(1, np.max(exact.loss)), "loss")
    assert_close(auto.grad, exact.grad, off, "gradient")


@pytest.mark.parametrize("method", ["auto", "exact"])
def test_padding_may_hold_anything_even_in_a_sequence_without_frames(rng, method):
    """All lanes run to the last frame of the longest sequence; the first sequence has no frame."""
    logits, lengths = rng.standard_normal((6, 5, 4)), np.array([0, 6, 5, 4, 2])
    targets = [[], [1, 2], [3], [2, 2], [1]]
    expected = ctc_loss(logits, targets, lengths, method=method)
    logits[np.arange(6)[:, None] >= lengths] = np.nan
    result = ctc_loss(logits, targets, lengths, method=method)
    for name in ("loss", "grad", "bound", "exact"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_a_label_that_is_impossible_at_a_frame_has_the_gradient_0_there(rng, way):
    """Exactly 0: the emission is stored as a negated floor, which must not show in the gradient."""
    T, N, C, U = (WAYS[way][size] for size in "TNCU")
    logits, targets = rng.standard_normal((T, N, C)), np.tile(np.arange(1, U + 1), (N, 1))
    logits[0, :, U] = -np.inf
    grad = ctc_loss(logits, targets).grad
    assert (grad[0, :, U] == 0).all()
    assert np.delete(grad[0], U, axis=1).all() and grad[1:].all()


@pytest.mark.parametrize("side_by_side", [True, False], ids=["lanes", "alone"])
def test_a_gap_of_any_width_is_no_error(side_by_side):
    """In plain Python, too, where math.ldexp raises OverflowError and does not return inf."""
    rng = np.random.default_rng(0)
    T, scale = (300, 20) if side_by_side else (1500, 100)
    frames = check_logits(scale * rng.standard_normal((T, 8)).astype(np.float32))
    packed = check_targets(rng.integers(1, 8, 20), None, frames, 0)
    problem = plan.Problem(frames, packed, 0, np.ones(1))
    planned = plan.make_plan(problem, side_by_side)
    assert (planned.side_by_side is not None) == side_by_side
    outputs = solver.Outputs(np.zeros(1), np.zeros_like(frames.rows), None)
    gaps = solver._certify(problem, planned, outputs, None)
    assert 1e100 < gaps[0]


@pytest.mark.parametrize("T, C, U", [(1000, 8, 4), (500, 70, 20)])
def test_the_bracket_of_an_improbable_target_is_narrow(make_problem, T, C, U):
    """Its states are rescaled many times, and none gets lost."""
    logits, targets, _, _ = make_problem(T=T, N=1, C=C, U=U, ragged=False)
    auto, exact = (ctc_loss(logits, targets, method=method) for method in ("auto", "exact"))
    assert exact.loss[0] > 1500 and not auto.exact.any()
    assert_close(auto.loss / exact.loss, [1.0], 1e-12, "relative loss")
    assert_close(auto.grad, exact.grad, 1e-12, "gradient")


def assert_answer(logits, labels, by_exact):
    """The answer is that of the exact kernel, which has been asked for it, or not."""
    result, expected = ctc_loss(logits, labels), ctc_loss(logits, labels, method="exact")
    assert result.exact == by_exact
    assert_close(result.loss / expected.loss, 1.0, 1e-12, "relative loss")
    assert_close(result.grad, expected.grad, 1e-12, "gradient")


@pytest.mark.parametrize("nats, by_exact", [(840, False), (900, True)])
def test_how_improbable_a_state_may_be_before_exact_takes_over(nats, by_exact):
    """Ten labels of nats / 10 each; for 24 frames a class outside the target has the most mass."""
    logits = np.full((48, 4), -nats / 10)
    logits[:, 0] = 0.0
    logits[:24, 3] = 2.0
    labels = 1 + np.arange(10) % 2
    assert_answer(logits, labels, by_exact)


@pytest.mark.parametrize("nats, by_exact", [(60, False), (120, True)])
def test_how_improbable_each_of_many_labels_may_be_before_exact_takes_over(nats, by_exact):
    """A hundred labels that cost so many nats each: the total does not matter, as each has its exponent."""
    logits = np.full((480, 4), -float(nats))
    logits[:, 0] = 0.0
    logits[:240, 3] = 2.0
    labels = 1 + np.arange(100) % 2
    assert_answer(logits, labels, by_exact)


# ---- memory ---------------------------------------------------------------------------------------


class Fenced(Workspace):
    """A workspace that puts 64 numbers after each array it hands out, to see whether they change."""

    def __init__(self):
        super().__init__()
        self.fences = []

    def _take(self, size):
        numbers = np.full(size + 64, 7.5)
        self.fences.append(numbers[size:])
        return numbers[:size]

    def _give(self, numbers):
        pass


@pytest.mark.parametrize("budget", [2**18, 1], ids=["whole", "segments"])
@pytest.mark.parametrize("way", [*WAYS, "one frame", "no label"])
def test_nothing_after_the_end_of_the_workspace_is_written(make_problem, monkeypatch, way, budget):
    shape = {**WAYS, "one frame": dict(T=1, N=3, C=90, U=1), "no label": dict(T=33, N=9, C=5, U=0)}[way]
    logits, targets, lengths, _ = make_problem(**shape)
    expected, workspace = ctc_loss(logits, targets, lengths), Fenced()
    monkeypatch.setattr("ctc_scratch.ctc.running.solver.BUDGET", budget)
    result = ctc_loss(logits, targets, lengths, workspace=workspace)
    assert not result.exact.any()
    assert np.array_equal(result.loss, expected.loss) and np.array_equal(result.grad, expected.grad)
    assert workspace.fences and all((fence == 7.5).all() for fence in workspace.fences)


# ---- plain Python only: compiled parts have no entry point for Python ---------------------------------


@as_plain_python
@pytest.mark.parametrize("size", [1, 30, 300])
def test_exp_is_corrected_for_the_rounding_of_the_difference(rng, size):
    x = np.append(size * rng.standard_normal(2000), [0.0, -np.inf])
    top = x.max()
    with np.errstate(invalid="ignore"):
        found = exp_below64(x, top)
    right = np.exp(x.astype(np.longdouble) - top)
    counts = (x - top > -700) & (x > -np.inf)
    off = np.abs(found[counts] / right[counts] - 1).max()
    assert off <= 3 * 2.0**-53, f"{float(off * 2.0**53):.2f} roundings"
    assert found[-1] == 0.0 and (found <= 1.0).all()
