"""The optimisers and clipping equal torch's; averages and the one-cycle rate follow their formulas."""

import math
import time

import numpy as np
import pytest
import torch

from ctc_scratch.nn import SGD, Adam, Average, Muon, clip_by_global_norm, one_cycle
from tests.conftest import assert_close

SHAPES = {"a": (3, 5), "b": (7,), "c": (2, 3, 2)}


def arrays(rng, dtype=np.float64, scale=1.0):
    return {name: (scale * rng.standard_normal(shape)).astype(dtype) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("dtype, atol", [(np.float64, 1e-13), (np.float32, 2e-6)])
@pytest.mark.parametrize("ours, theirs", [
    (SGD, lambda p: torch.optim.SGD(p, lr=1, momentum=0.9)),
    (lambda p: SGD(p, momentum=0.0), lambda p: torch.optim.SGD(p, lr=1)),
    (Adam, lambda p: torch.optim.Adam(p, lr=1)),
    (lambda p: Adam(p, betas=(0.8, 0.95), eps=1e-3),
     lambda p: torch.optim.Adam(p, lr=1, betas=(0.8, 0.95), eps=1e-3)),
], ids=["SGD", "SGD_no_momentum", "Adam", "Adam_betas_eps"])
def test_steps_equal_torch(ours, theirs, dtype, atol, rng):
    params = arrays(rng, dtype)
    mirror = {name: torch.tensor(p) for name, p in params.items()}      # torch.tensor copies
    optimiser, reference = ours(params), theirs(list(mirror.values()))
    for step in range(20):
        rate = 0.05 / (1 + step)
        grads = arrays(rng, dtype, scale=10.0 ** -(step % 4))
        for name, grad in grads.items():
            mirror[name].grad = torch.tensor(grad)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        optimiser.step(grads, rate)
    for name, param in params.items():
        assert_close(param, mirror[name].numpy(), atol, name)


@pytest.mark.parametrize("dtype, atol", [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_the_average_is_the_weighted_sum_of_all_steps(rng, dtype, atol):
    params = arrays(rng, dtype)
    average = Average(params, decay=0.5)
    seen = [{name: param.copy() for name, param in params.items()}]
    for step in range(1, 13):
        for name, change in arrays(rng, dtype).items():
            params[name] += change
        average.step()
        seen.append({name: param.copy() for name, param in params.items()})
    decays = [min(0.5, (1 + step) / (10 + step)) for step in range(1, 13)]
    assert 0.5 in decays and min(decays) < 0.5, "the steps must cover the warm-up and what follows it"
    weights = [np.prod(decays)] + [(1 - d) * np.prod(decays[k + 1:]) for k, d in enumerate(decays)]
    assert sum(weights) == pytest.approx(1, abs=1e-12)
    for name in SHAPES:
        expected = sum(w * p[name].astype(float) for w, p in zip(weights, seen))
        assert_close(average.average[name], expected, atol, name)
        assert average.state[f"average.{name}"] is average.average[name], "a checkpoint restores it in place"


def test_an_average_continues_from_its_state(rng):
    params = arrays(rng, np.float32)
    one = Average(params, 0.9)
    one.step()
    two = Average({name: np.zeros_like(param) for name, param in params.items()}, 0.9)
    for name, array in one.state.items():
        two.state[name][...] = array
    for name, param in params.items():
        param += 1
        two.params[name][...] = param
    one.step()
    two.step()
    for name in SHAPES:
        np.testing.assert_array_equal(one.average[name], two.average[name])


@pytest.mark.parametrize("decay", [-0.1, 1.0, np.nan])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\)"):
        Average({}, decay)


@pytest.mark.parametrize("make, message", [
    (lambda: SGD({}, momentum=1.0), r"momentum must be in \[0, 1\), not 1.0"),
    (lambda: SGD({}, momentum=-0.1), "momentum"),
    (lambda: Adam({}, betas=(0.9, 1.0)), r"betas must be in \[0, 1\), not \(0.9, 1.0\)"),
    (lambda: Adam({}, betas=(-0.1, 0.9)), "betas"),
    (lambda: Muon({}, {}, momentum=1.0), r"momentum must be in \[0, 1\), not 1.0"),
    (lambda: Muon({}, {}, momentum=-0.1), "momentum"),
], ids=["momentum=1", "momentum<0", "beta=1", "beta<0", "muon=1", "muon<0"])
def test_momentum_and_betas_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_betas_and_decay_may_be_zero():
    """Adam then steps by the rate in the direction of each gradient; the average equals the parameters."""
    params = {"w": np.array([1.0, 2.0])}
    average = Average(params, decay=0.0)
    optimiser = Adam(params, betas=(0.0, 0.0))
    for _ in range(2):
        optimiser.step({"w": np.array([3.0, -0.5])}, 0.1)
        average.step()
    assert_close(params["w"], [0.8, 2.2], 1e-7, "param")
    assert_close(average.average["w"], params["w"], 1e-15, "average")


def muon(params):
    return Muon(params, {"a": 3} if "a" in params else {})


@pytest.mark.parametrize("kind", [SGD, Adam, muon, lambda params: Average(params, 0.5)],
                         ids=["SGD", "Adam", "Muon", "Average"])
@pytest.mark.parametrize("param", [np.zeros((3, 4)).T, np.zeros(3, np.float16), np.zeros(3, int)],
                         ids=["strided", "float16", "int"])
def test_parameters_that_cannot_be_stepped_are_refused(kind, param):
    with pytest.raises(ValueError, match="parameter w must be a C-contiguous float32 or float64 array"):
        kind({"w": param})


@pytest.mark.parametrize("kind", [SGD, Adam, muon])
def test_parameters_and_state_are_all_that_must_be_saved(kind, rng):
    """A new optimiser with the parameters and the state of an old one takes the same next step."""
    params = arrays(rng, np.float32)
    optimiser = kind(params)
    first, second = arrays(rng, np.float32), arrays(rng, np.float32)
    optimiser.step(first, 0.1)

    restored = {name: param.copy() for name, param in params.items()}
    resumed = kind(restored)
    assert resumed.state.keys() == optimiser.state.keys()
    for name, array in optimiser.state.items():
        resumed.state[name][...] = array
    optimiser.step(second, 0.1)
    resumed.step(second, 0.1)
    for name, param in params.items():
        assert (restored[name] == param).all(), f"{name} differs after the step"
    assert optimiser.state["step"] == 2


@pytest.mark.parametrize("kind", [SGD, Adam, muon])
def test_wrong_gradients_are_refused(kind, rng):
    params = arrays(rng)
    before = {name: param.copy() for name, param in params.items()}
    optimiser = kind(params)
    good = arrays(rng)
    for bad, message in [
        ({"a": good["a"]}, r"expected gradients of \['a', 'b', 'c'\], found those of \['a'\]"),
        ({**good, "b": good["b"][:-1]}, r"gradient of b is float64 \(6,\), the parameter is float64 \(7,\)"),
        ({**good, "b": good["b"].astype(np.float32)}, "gradient of b is float32"),
    ]:
        with pytest.raises(ValueError, match=message):
            optimiser.step(bad, 0.1)
    assert all((params[name] == before[name]).all() for name in params) and optimiser.state["step"] == 0


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-12), (np.float32, 1e-6)])
def test_clipping_equals_torch(dtype, rtol, scale, rng):
    grads = arrays(rng, dtype, scale)
    mirror = [torch.zeros(shape, dtype=torch.from_numpy(grads["a"]).dtype) for shape in SHAPES.values()]
    for tensor, grad in zip(mirror, grads.values()):
        tensor.grad = torch.tensor(grad)
    norm = clip_by_global_norm(grads, 2.0)
    torch_norm = float(torch.nn.utils.clip_grad_norm_(mirror, 2.0))
    assert math.isclose(norm, torch_norm, rel_tol=rtol), f"norm {norm!r}, torch {torch_norm!r}"
    for (name, grad), tensor in zip(grads.items(), mirror):         # torch divides by norm + 1e-6
        assert_close(grad, tensor.grad.numpy(), 1e-6, name)
    after = math.sqrt(sum((grad.astype(np.float64) ** 2).sum() for grad in grads.values()))
    assert math.isclose(after, min(norm, 2.0), rel_tol=1e-6), f"norm afterwards {after!r}"


def test_norm_is_summed_in_float64():
    grad = np.full(100_000, 1e-3, np.float32)
    grad[0] = 100           # a float32 sum would lose all other entries, which are 5e-6 of the norm
    exact = math.sqrt(float(grad[0]) ** 2 + 99_999 * float(grad[1]) ** 2)
    norm = clip_by_global_norm({"g": grad}, 1e9)
    assert math.isclose(norm, exact, rel_tol=1e-10), f"{norm!r}, not {exact!r}"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
def test_a_non_finite_norm_is_returned_and_nothing_is_scaled(bad, rng):
    grads = arrays(rng)
    grads["b"][3] = bad
    before = {name: grad.copy() for name, grad in grads.items()}
    assert not math.isfinite(clip_by_global_norm(grads, 1.0))
    for name, grad in grads.items():
        np.testing.assert_array_equal(grad, before[name])


def test_clipping_refuses_what_it_cannot_change_in_place():
    with pytest.raises(ValueError, match="gradient of g must be C-contiguous"):
        clip_by_global_norm({"g": np.ones((3, 4)).T}, 1.0)
    with pytest.raises(ValueError, match="max_norm must be positive, not 0"):
        clip_by_global_norm({"g": np.ones(3)}, 0)


def test_one_cycle_rises_in_a_line_and_falls_as_half_a_cosine():
    steps, peak = 200, 3e-3
    rates = [one_cycle(step, steps, peak, warmup=0.25, start=0.1, end=0.01) for step in range(steps + 1)]
    top = steps // 4
    assert math.isclose(rates[0], 0.1 * peak) and math.isclose(rates[top], peak)
    assert math.isclose(rates[-1], 0.01 * peak) and max(rates) == rates[top]
    assert np.ptp(np.diff(rates[:top + 1])) < 1e-12, "the rise is a line"
    assert (np.diff(rates[top:]) < 0).all(), "then it only falls"
    middle = rates[(top + steps) // 2]
    assert math.isclose(middle, peak * (1 + 0.01) / 2, rel_tol=1e-2), f"half a cosine is {middle} midway"
    assert np.abs(np.diff(rates)).max() < 0.03 * peak, "no jumps"


@pytest.mark.parametrize("steps, warmup", [(1, 0.3), (10, 0.0), (10, 1.0)])
def test_one_cycle_at_the_extremes_of_steps_and_warmup(steps, warmup):
    rates = [one_cycle(step, steps, 1.0, warmup=warmup) for step in range(steps + 1)]
    assert all(0 <= rate <= 1 for rate in rates), rates
    assert max(rates) == 1 or steps == 1, rates


def test_one_cycle_refuses_bad_arguments():
    for step in (-1, 11):
        with pytest.raises(ValueError, match=f"step {step} is not between 0 and steps = 10"):
            one_cycle(step, 10, 1.0)
    with pytest.raises(ValueError, match="warmup"):
        one_cycle(0, 10, 1.0, warmup=30)


@pytest.mark.slow
@pytest.mark.alone
def test_a_step_on_half_a_million_parameters_takes_milliseconds(rng):
    params = {"w": rng.standard_normal(500_000).astype(np.float32)}
    optimiser, grads = Adam(params), {"w": rng.standard_normal(500_000).astype(np.float32)}
    clip_by_global_norm(grads, 1e9), optimiser.step(grads, 1e-3)        # compiles
    times = []
    for _ in range(20):
        start = time.perf_counter()
        clip_by_global_norm(grads, 1e9)
        optimiser.step(grads, 1e-3)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02, f"{1e3 * min(times):.1f} ms"


def test_an_optimiser_prints_in_one_line(rng):
    params = arrays(rng)
    adam = Adam(params)
    adam.step(arrays(rng), 0.1)
    assert repr(adam) == "Adam(3 arrays of 34 numbers, step 1, betas=(0.9, 0.999), eps=1e-08)"
    assert repr(SGD({"w": np.zeros(2)})) == "SGD(1 array of 2 numbers, step 0, momentum=0.9)"
    assert repr(Average(params, 0.5)) == "Average(3 arrays of 34 numbers, step 0, decay=0.5)"
