"""The gradient check accepts every gradient of the layers, and reports where a wrong one is wrong."""

import numpy as np
import pytest

from ctc_scratch.nn import LSTM, BiLSTM, GradCheck, Linear, Stack, assert_grad, check_grad

TOLERANCE = 1e-6


def make_problem(layer, rng, T=4, lengths=(4, 2), D=3):
    """f and params of a loss that is not linear and weights every output of `layer` differently."""
    params = {"x": rng.standard_normal((T, len(lengths), D)), **layer.params}
    y, _ = layer.forward(params["x"], lengths)
    weights = rng.standard_normal(y.shape) * (np.arange(T)[:, None, None] < np.array(lengths)[:, None])

    def f():
        y, cache = layer.forward(params["x"], lengths)
        dx, grads = layer.backward(weights * np.cos(y), cache)
        return (weights * np.sin(y)).sum(), {"x": dx, **grads}

    return f, params


@pytest.mark.parametrize("make", [
    lambda rng: Linear(3, 4, rng, np.float64),
    lambda rng: LSTM(3, 4, rng, np.float64),
    lambda rng: BiLSTM(3, 4, rng, np.float64),
    lambda rng: Stack([BiLSTM(3, 4, rng, np.float64), BiLSTM(8, 3, rng, np.float64),
                       Linear(6, 2, rng, np.float64)]),
], ids=["Linear", "LSTM", "BiLSTM", "stack"])
def test_every_gradient_is_right(make, rng):
    f, params = make_problem(make(rng), rng)
    checks = assert_grad(f, params, rng, tolerance=TOLERANCE)
    assert [check.name for check in checks] == list(params)
    assert all(check.analytic != 0 and check.compared > 2 for check in checks)


def test_one_wrong_entry_is_found_and_named(rng):
    """One entry of a correct gradient is changed; the report names it and gives both numbers."""
    params = {"w": rng.standard_normal((4, 5))}

    def f():
        grad = np.cos(params["w"])
        grad[2, 3] = 0.5
        return np.sin(params["w"]).sum(), {"w": grad}

    (check,) = check_grad(f, params)
    assert check.place == (2, 3) and check.analytic == 0.5
    assert abs(check.numeric - np.cos(params["w"][2, 3])) < 1e-10
    assert "w at (2, 3): analytic 0.5, numeric" in str(check)


def test_large_arrays_are_sampled_with_their_largest_entries(rng):
    params = {"w": rng.standard_normal((60, 50))}
    calls = []

    def f():
        calls.append(0)
        grad = np.cos(params["w"])
        grad[17, 4] = 100.0
        return np.sin(params["w"]).sum(), {"w": grad}

    (check,) = check_grad(f, params, entries=12, directions=0)
    assert check.place == (17, 4) and check.compared == 12 and len(calls) == 1 + 4 * 12


def test_random_directions_find_what_sampled_entries_miss(rng):
    """If every entry is slightly wrong, the errors add up along a random direction."""
    params = {"w": rng.standard_normal(2000)}
    exact = np.zeros(2000)
    exact[0] = 1.0

    def f():
        grad = exact.copy()
        grad[1000:] = 1e-10     # far below the floor of 1e-3 of the largest entry
        return params["w"][0], {"w": grad}

    (check,) = check_grad(f, params, entries=4, directions=0)
    assert check.error < TOLERANCE
    (check,) = check_grad(lambda: (params["w"][0], {"w": exact + 1e-4}), params, entries=0, directions=1)
    assert check.place == "random direction 0" and check.error > 1e-4


def test_the_relative_error_has_a_floor(rng):
    """|a - n| / max(|a|, |n|, 1e-3 of the largest entry), over all parameters."""
    params = {"large": np.array([2.0]), "small": np.array([0.0])}
    checks = check_grad(lambda: (1000 * params["large"].sum(),
                                 {"large": np.array([1000.0]), "small": np.array([1e-4])}), params)
    assert checks[0].error < 1e-9
    assert abs(checks[1].error - 1e-4) < 1e-12, checks[1]


def test_nan_is_the_worst_error():
    params = {"w": np.array([1.0, 2.0])}
    (check,) = check_grad(lambda: (params["w"].sum(), {"w": np.array([1.0, np.nan])}), params)
    assert np.isnan(check.error) and np.isnan(check.analytic)
    with pytest.raises(AssertionError, match="analytic nan"):
        assert_grad(lambda: (params["w"].sum(), {"w": np.array([1.0, np.nan])}), params)


def test_parameters_are_restored_exactly(rng):
    params = {"w": rng.standard_normal(5)}
    before = params["w"].copy()
    check_grad(lambda: ((params["w"] ** 2).sum(), {"w": 2 * params["w"]}), params)
    assert (params["w"] == before).all()

    def fails():
        if (params["w"] != before).any():
            raise RuntimeError("loss without a value")
        return 0.0, {"w": np.zeros(5)}

    with pytest.raises(RuntimeError):
        check_grad(fails, params)
    assert (params["w"] == before).all()


def test_float32_and_gradients_that_do_not_fit_are_refused():
    single = {"w": np.ones(2, np.float32)}
    with pytest.raises(ValueError, match="float64, but parameter w is float32"):
        check_grad(lambda: (0.0, single), single)
    double = {"w": np.ones(2)}
    with pytest.raises(ValueError, match="expected gradients with the names and shapes"):
        check_grad(lambda: (0.0, {"v": np.ones(2)}), double)
    with pytest.raises(ValueError, match="expected gradients with the names and shapes"):
        check_grad(lambda: (0.0, {"w": np.ones(3)}), double)


def test_empty_parameter_has_nothing_to_compare():
    params = {"w": np.ones((0, 3))}
    assert check_grad(lambda: (1.0, {"w": np.ones((0, 3))}), params) == [
        GradCheck("w", 0.0, 0.0, 0.0, "no entries", 0)]


def test_a_check_prints_in_one_line():
    check = GradCheck("w", 2.0, -12.0, 12.0, (1,), 4)
    assert str(check) == "w at (1,): analytic -12, numeric 12, relative error 2.0e+00"
    assert repr(check) == f"GradCheck({check}, the worst of 4)"
