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
    assert check.place == (17, 4) and check.compared == 12 and len(calls) == 2 + 4 * 12


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
    assert np.isnan(check.error) and np.isnan(check.analytic) and check.place == (1,)
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
    params = {"w": np.ones((0, 3)), "v": np.ones(1)}
    empty, full = check_grad(lambda: (params["v"].sum(), {"w": np.ones((0, 3)), "v": np.ones(1)}), params)
    assert empty == GradCheck("w", 0.0, 0.0, 0.0, "no entries", 0) and full.compared == 3


# ---- what cannot be checked is refused -------------------------------------------------------


def test_a_function_with_dropout_is_refused_unless_it_is_seeded(rng):
    params, drawn = {"w": rng.standard_normal(30)}, np.random.default_rng(1)

    def f():
        kept = drawn.random(30) < 0.5
        return (kept * params["w"]).sum(), {"w": kept.astype(float)}

    with pytest.raises(ValueError, match="not deterministic.*returned losses .* the gradient of w differed"):
        check_grad(f, params)

    def f_seeded():
        kept = np.random.default_rng(1).random(30) < 0.5
        return (kept * params["w"]).sum(), {"w": kept.astype(float)}

    assert_grad(f_seeded, params)


def test_a_gradient_that_differs_in_its_last_bit_is_refused():
    params, grad = {"w": np.ones(2)}, np.ones(2)

    def f():
        grad[1] = np.nextafter(grad[1], 2)      # the array is the same one in each call
        return params["w"].sum(), {"w": grad}

    with pytest.raises(ValueError, match="returned losses 2.0 and 2.0, and the gradient of w differed"):
        check_grad(f, params)


def test_a_function_that_changes_its_parameters_is_refused_and_undone():
    params = {"w": np.array([1.0, 2.0])}

    def f():
        grad = 2 * params["w"]
        loss = (params["w"] ** 2).sum()
        params["w"] -= 0.1 * grad
        return loss, {"w": grad}

    with pytest.raises(ValueError, match="f changed parameter w"):
        check_grad(f, params)
    assert params["w"].tolist() == [1, 2]


def cubes(params):
    """The sum of all cubes, with its right gradient."""
    return lambda: (sum((p ** 3).sum() for p in params.values()), {k: 3 * p ** 2 for k, p in params.items()})


@pytest.mark.parametrize("options, error, message", [
    (dict(directions=0, entries=0), ValueError, "nothing to check: directions and entries are both 0"),
    (dict(directions=-1), ValueError, "directions must be at least 0, not -1"),
    (dict(entries=-4), ValueError, "entries must be at least 0, not -4"),
    (dict(entries=40.0), TypeError, "entries must be a whole number, not 40.0"),
    (dict(directions=True), TypeError, "directions must be a whole number, not True"),
    (dict(step=0), ValueError, "step must be positive and finite, not 0"),
    (dict(step=-1e-3), ValueError, "step must be positive and finite, not -0.001"),
    (dict(step=np.nan), ValueError, "step must be positive and finite, not nan"),
    (dict(step=np.inf), ValueError, "step must be positive and finite, not inf"),
    (dict(step="1e-3"), TypeError, "step must be a number, not '1e-3'"),
    (dict(step=1e-17), ValueError, r"step 1e-17 is too small for parameter w at \(1,\): adding it to 2.0"),
    (dict(rng=0), TypeError, "rng must be a numpy.random.Generator, not 0"),
    (dict(tolerance=np.inf), ValueError, "tolerance must be positive and finite, not inf"),
    (dict(tolerance=np.nan), ValueError, "tolerance must be positive and finite, not nan"),
])
def test_options_that_check_nothing_are_refused(options, error, message):
    params = {"w": np.array([0.0, 2.0])}
    with pytest.raises(error, match=message):
        assert_grad(cubes(params), params, **options)


@pytest.mark.parametrize("options, compared", [(dict(directions=0), 3), (dict(entries=0), 2)])
def test_either_kind_of_comparison_can_be_left_out(options, compared):
    params = {"w": np.arange(3.0)}
    (check,) = assert_grad(cubes(params), params, **options)
    assert check.compared == compared


@pytest.mark.parametrize("params, error, message", [
    ({}, ValueError, r"nothing to check: params hold no numbers, only \[\]"),
    ({"w": np.ones((0, 3))}, ValueError, r"nothing to check: params hold no numbers, only \['w'\]"),
    ([np.ones(2)], TypeError, "params must be a dict of float64 arrays, not list"),
    ({"w": [1.0, 2.0]}, TypeError, "parameter w must be a float64 array, not list"),
    ({"w": np.float64(1)}, TypeError, "parameter w must be a float64 array, not float64"),
    ({"w": np.broadcast_to(1.0, 3)}, ValueError, "parameter w is read-only"),
])
def test_parameters_that_cannot_be_checked_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        check_grad(lambda: pytest.fail("called"), params)


FORM = r"f must return \(loss, grads\): one real number, and a dict with the gradient of each parameter; "


@pytest.mark.parametrize("result, error, message", [
    (None, TypeError, FORM + "it returned None"),
    (3.0, TypeError, FORM + "it returned 3.0"),
    ({"w": np.ones(2)}, TypeError, FORM + "it returned {'w': array"),
    ((), TypeError, FORM + "it returned a tuple of length 0"),
    ((1.0,), TypeError, FORM + "it returned a tuple of length 1"),
    ((1.0, {"w": np.ones(2)}, "cache"), TypeError, FORM + "it returned a tuple of length 3"),
    (({"w": np.ones(2)}, 1.0), TypeError, FORM + "it returned a loss {'w': array"),
    ((None, {"w": np.ones(2)}), TypeError, FORM + "it returned a loss None"),
    (("1", {"w": np.ones(2)}), TypeError, FORM + "it returned a loss '1'"),
    ((1j, {"w": np.ones(2)}), TypeError, FORM + "it returned a loss 1j"),
    ((np.ones(2), {"w": np.ones(2)}), TypeError, FORM + r"it returned a loss of shape \(2,\)"),
    ((np.float32(1), {"w": np.ones(2)}), ValueError, "need a float64 loss, but f returned float32"),
    ((np.nan, {"w": np.ones(2)}), ValueError, "finite loss at the given parameters, it returned nan"),
    ((np.inf, {"w": np.ones(2)}), ValueError, "finite loss at the given parameters, it returned inf"),
    ((1.0, None), TypeError, FORM + "in place of the dict it returned NoneType"),
    ((1.0, np.ones(2)), TypeError, FORM + "in place of the dict it returned ndarray"),
    ((1.0, [np.ones(2)]), TypeError, FORM + "in place of the dict it returned list"),
    ((1.0, {"w": None}), TypeError, FORM + "the gradient of w is None"),
    ((1.0, {"w": 1j * np.ones(2)}), TypeError, FORM + "the gradient of w is array"),
    ((1.0, {"w": [[1.0], 2.0]}), TypeError, FORM + r"the gradient of w is \[\[1.0\], 2.0\]"),
    ((1.0, {}), ValueError, r"names and shapes \[\('w', \(2,\)\)\], found \[\]"),
    ((1.0, {"w": np.ones((2, 1))}), ValueError, r"found \[\('w', \(2, 1\)\)\]"),
    ((1.0, {"w": np.ones(2), "v": np.ones(1)}), ValueError, r"found .*\('v', \(1,\)\)"),
])
def test_the_error_for_an_odd_result_names_the_form_expected(result, error, message):
    params = {"w": np.ones(2)}
    with pytest.raises(error, match=message):
        check_grad(lambda: result, params)


def test_an_infinite_slope_passes_no_gradient():
    """The loss is finite at the parameters, infinite to their right; other arrays are judged as before."""
    params = {"w": np.zeros(1), "v": np.zeros(1)}

    def f():
        return (np.inf if params["w"][0] > 0 else 0.0) + params["v"][0], {"w": np.array([np.inf]),
                                                                          "v": np.array([2.0])}

    first, second = check_grad(f, params, directions=0)
    assert np.isnan(first.error)
    assert second.analytic == 2 and abs(second.error - 0.5) < 1e-9


def test_a_check_prints_in_one_line():
    check = GradCheck("w", 2.0, -12.0, 12.0, (1,), 4)
    assert str(check) == "w at (1,): analytic -12, numeric 12, relative error 2.0e+00"
    assert repr(check) == f"GradCheck({check}, the worst of 4)"
