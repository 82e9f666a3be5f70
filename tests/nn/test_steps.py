"""A flipped sign in any backward line of the LSTM is found by the gradient check, and named."""

import inspect
import textwrap
from types import FunctionType

import numpy as np
import pytest

from ctc_scratch.nn import LSTM, assert_grad, check_grad, lstm, steps
from tests.nn.test_gradcheck import TOLERANCE, make_problem


def planted(function, line, wrong):
    """`function` with one line of its source changed, in plain Python."""
    source = textwrap.dedent(inspect.getsource(getattr(function, "py_func", function)))
    assert source.count(line) == 1, f"{line!r} stands {source.count(line)} times in {function}"
    source = source.replace(line, wrong)
    source = source[source.index("def "):]      # without the decorator
    names = dict(vars(inspect.getmodule(function)))
    exec(compile(source, "<planted>", "exec"), names)
    return names[function.__name__]


GATES = {
    "hidden carry": ("dh_out[j] + dh_back[j]", "dh_out[j] - dh_back[j]"),
    "dy": ("dh_out[j] + dh_back[j]", "-dh_out[j] + dh_back[j]"),
    "h to c": ("dc_back[j] + (o_dh", "dc_back[j] - (o_dh"),
    "tanh' of c": ("o_dh - o_dh * (tanh_c", "o_dh + o_dh * (tanh_c"),
    "cell carry in": ("dc_j = dc_back[j] + ", "dc_j = -dc_back[j] + "),
    "cell carry out": ("dc_back[j] = f_dc", "dc_back[j] = -f_dc"),
    "o": ("do[j] = ", "do[j] = -"),
    "sigmoid' of o": ("o_dh - o_dh * o[j]", "o_dh + o_dh * o[j]"),
    "g": ("dg[j] = i_dc - ", "dg[j] = -i_dc + "),
    "tanh' of g": ("i_dc - i_dc * (g[j]", "i_dc + i_dc * (g[j]"),
    "f": ("df[j] = ", "df[j] = -"),
    "sigmoid' of f": ("f_dc - f_dc * f[j]", "f_dc + f_dc * f[j]"),
    "i": ("di[j] = ", "di[j] = -"),
    "sigmoid' of i": ("i_dc - i_dc * i[j]", "i_dc + i_dc * i[j]"),
}


@pytest.mark.parametrize("line, wrong", GATES.values(), ids=GATES)
def test_a_wrong_sign_in_the_gates_is_found(line, wrong, monkeypatch, rng):
    f, params = make_problem(LSTM(3, 2, rng, np.float64), rng)
    assert_grad(f, params, rng, tolerance=TOLERANCE, entries=8)
    names = {**vars(steps), "gates_backward": planted(steps.gates_backward, line, wrong)}
    backward = getattr(steps.steps_backward, "py_func", steps.steps_backward)
    monkeypatch.setattr(lstm, "steps_backward", FunctionType(backward.__code__, names))
    errors = {check.name: check.error for check in check_grad(f, params, rng, entries=8)}
    assert all(errors[name] > 1e-2 for name in ("x", "weight_ih", "bias")), errors
    with pytest.raises(AssertionError, match="bias at .*: analytic .*, numeric .*"):
        assert_grad(f, params, rng, tolerance=TOLERANCE, entries=8)


ASSEMBLY = {
    "dx": (steps.unpack_add, "target[d] += ", "target[d] -= ", {"x"}),
    "weight_ih": (lstm._backward, '"weight_ih": ', '"weight_ih": -', {"weight_ih"}),
    "weight_hh": (lstm._backward, '"weight_hh": ', '"weight_hh": -', {"weight_hh"}),
    "bias": (lstm._backward, '"bias": ', '"bias": -', {"bias"}),
    "dh": (lstm._backward, 'into_panels(params["weight_hh"])', 'into_panels(-params["weight_hh"])',
           {"x", "weight_ih", "weight_hh", "bias"}),
    "step order": (steps.steps_backward, "range(starts.size - 2, -1, -1)", "range(starts.size - 1)",
                   {"x", "weight_ih", "weight_hh", "bias"}),
}


@pytest.mark.parametrize("function, line, wrong, names", ASSEMBLY.values(), ids=ASSEMBLY)
def test_a_wrong_gradient_is_found_in_its_own_array(function, line, wrong, names, monkeypatch, rng):
    f, params = make_problem(LSTM(3, 2, rng, np.float64), rng)
    monkeypatch.setattr(lstm, function.__name__, planted(function, line, wrong))
    checks = check_grad(f, params, rng, entries=8)
    found = {check.name for check in checks if not check.error <= TOLERANCE}
    assert found == names, [str(check) for check in checks]
    assert all(check.error > 1e-2 for check in checks if check.name in names)
