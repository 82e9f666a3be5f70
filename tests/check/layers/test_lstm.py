"""`check_lstm`: right LSTMs have no fault, wrong ones do, and the report shows a small problem."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ctc_scratch
from ctc_scratch.check.layers import LSTMAdapter, check_lstm
from ctc_scratch.check.layers.lstm import plain
from ctc_scratch.check.layers.lstm.check import NAMES
from tests.check.layers.lstm_functions import WAYS, adapter_of, ours, torch_lstm


def assert_right(report):
    assert report.ok and report.faults == () and report.findings == (), report
    assert "No fault was found." in str(report) and max(map(len, str(report).splitlines())) <= 80


def changed(*changes):
    """An adapter of the plain LSTM with texts changed: right, wrong, right, wrong, ..."""
    source = Path(plain.__file__).read_text(encoding="utf-8")
    for right, wrong in zip(changes[::2], changes[1::2]):
        assert right in source
        source = source.replace(right, wrong)
    module = ModuleType("changed")
    exec(source, module.__dict__)
    return adapter_of(module.solve)


# ---- right implementations


@pytest.mark.parametrize("way", [pytest.param(way, marks=() if way in ("both", "one sequence")
                                              else pytest.mark.slow)
                                 for way in WAYS])
def test_the_plain_lstm_is_right(way):
    assert_right(check_lstm(adapter_of(plain.solve, way)))


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("directions", ["both", pytest.param("forward", marks=pytest.mark.slow)])
def test_ours_is_right(directions, precision):
    assert_right(check_lstm(ours(directions, np.dtype(precision)), precision=precision))


@pytest.mark.parametrize("precision", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("directions", ["both", pytest.param("forward", marks=pytest.mark.slow)])
def test_torch_is_right(directions, precision):
    pytest.importorskip("torch")
    assert_right(check_lstm(torch_lstm(directions), precision=precision))


@pytest.mark.slow
def test_jax_is_right():
    jax = pytest.importorskip("jax")

    def forward(x, weight_ih, weight_hh, bias):
        def step(state, x):
            h, c = state
            i, f, g, o = jax.numpy.split(x @ weight_ih.T + h @ weight_hh.T + bias, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
            h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
            return (h, c), h

        zeros = jax.numpy.zeros((x.shape[1], weight_hh.shape[1]), x.dtype)
        return jax.lax.scan(step, (zeros, zeros), x)[1]

    def backward(dy, *arrays):
        _, pull_back = jax.vjp(forward, *arrays)
        return dict(zip(("x", "weight_ih", "weight_hh", "bias"), pull_back(dy)))

    # JAX compiles for each shape, so it is asked a few shapes only.
    few = tuple(name for name in NAMES if name not in ("same call, same answer", "one frame"))
    with jax.enable_x64(True):
        report = check_lstm(forward, backward=backward, tensor=jax.numpy.asarray, skip=few)
    assert_right(report)
    assert [row.problems for row in report.rows] == [1, 5]


# ---- what is said


def test_what_is_not_checked_is_said():
    def forward(x, weight_ih, weight_hh, bias):
        return ours("forward").forward(x, weight_ih, weight_hh, bias, lengths=None)

    report = check_lstm(forward)
    assert_right(report)
    assert report.notes[1] == (
        "Not checked: gradients (no backward), initial states (no h0, c0), lengths, final states.")
    report = check_lstm(forward, backward=lambda dy, x, *weights: {"x": ours("forward").backward(
        dy, x, *weights, lengths=None)["x"]}, skip=("60 frames",))
    assert_right(report)
    assert "the gradient of weight_hh, the gradient of bias, gradients through" in report.notes[1]
    assert report.notes[1].endswith("final states, the row '60 frames'.")


def test_a_report_names_the_mistake_the_place_and_a_small_problem():
    report = check_lstm(changed("o * np.tanh(c_new)\n", "o * c_new\n"))
    text = str(report)
    assert [twin.name for twin in report.twins] == ["no tanh on the cell"] and not report.ok
    assert max(map(len, text.splitlines())) <= 80
    assert "no tanh on the cell: h = o c" in text
    assert "done right in ctc_scratch/check/layers/lstm/plain.py:" in text
    finding = report.findings[0]
    assert finding.problem.size[:5] == (1, 0, 1, 1, 1)      # one sequence of one frame, D = H = 1
    assert finding.text in text and all(line in text for line in finding.example)
    found = json.loads(json.dumps(report.as_dict()))
    assert found["findings"][0]["probably"][0]["mistake"] == "no tanh on the cell" and not found["ok"]


@pytest.mark.slow
def test_two_mistakes_are_named_part_by_part():
    """A wrong output with a gradient that is wrong in another way; then a gradient that nobody listed."""
    report = check_lstm(changed("return dx, dh_before", "return 2 * dx, dh_before",
                                "o * np.tanh(c_new)\n", "o * c_new\n"))
    assert [(finding.kind, [twin.name for twin in finding.twins]) for finding in report.findings][:1] == [
        ("the outputs", ["no tanh on the cell"])]
    assert report.findings[1].kind.endswith(": the gradients") and report.findings[1].twins == ()
    report = check_lstm(changed("np.outer(dz, h)", "np.outer(dz, h) + 1"))
    assert {finding.kind.rpartition(": ")[2] for finding in report.findings[:-1]} == {"the gradients"}
    assert report.findings[-1].kind == "finite differences" and report.twins == ()


def test_a_mistake_of_the_gradient_is_found_by_finite_differences_too():
    report = check_lstm(changed("dz = np.concatenate([di, df, dg, do])", "dz = np.concatenate([df, di, dg, "
                                                                         "do])"))
    assert [twin.name for twin in report.twins] == ["gates of the gradient in another order"]
    assert "the slope of the LSTM's own output" in report.findings[-1].text


# ---- what depends on earlier calls, and what is written into


def test_a_state_that_leaks_over_calls_is_named():
    left = {}

    def solve(x, lengths, weights, h0, c0, dy, reverse):
        h0, c0 = left.get(h0.shape, (h0, c0))
        found = plain.solve(x, lengths, weights, h0, c0, dy, reverse)
        left[h0.shape] = found["h_n"], found["c_n"]
        return found

    report = check_lstm(adapter_of(solve, "ragged y"))
    assert [twin.name for twin in report.twins] == ["state leaks over calls"]
    assert len(report.rows) == 1 and "Nothing else was tested" in report.findings[0].text


def test_gradients_that_accumulate_over_calls_are_named():
    right = ours("forward")
    sums = {}

    def backward(dy, x, *weights, lengths):
        found = right.backward(dy, x, *weights, lengths=lengths)
        for name, grad in found.items():
            if name != "x":
                sums[name] = found[name] = sums.get(name, 0) + grad
        return found

    report = check_lstm(right, backward=backward)
    assert [twin.name for twin in report.twins] == ["gradients accumulate over calls"]


def test_a_random_answer_depends_on_the_call():
    rng = np.random.default_rng(0)
    report = check_lstm(lambda x, *w: ours("forward").forward(x, *w, lengths=None) + rng.standard_normal())
    assert not report.ok and report.twins == () and len(report.rows) == 1


def test_a_function_that_writes_into_its_arguments_is_reported():
    right = ours("forward")

    def forward(x, weight_ih, weight_hh, bias, lengths):
        y = right.forward(x, weight_ih, weight_hh, bias, lengths=lengths)
        bias += 1
        return y

    report = check_lstm(right, forward=forward)
    assert [fault.text for fault in report.faults] == ["the functions write into bias"]


@pytest.mark.slow
def test_another_layout_is_named():
    """A function of (T, N, D) that is called with (N, T, D)."""
    report = check_lstm(lambda x, *w: ours("forward").forward(x, *w, lengths=None), layout="NTD")
    assert [twin.name for twin in report.twins] == ["time and batch exchanged"]


@pytest.mark.slow
def test_float32_is_a_fault_unless_it_is_promised():
    def forward(x, *weights, lengths):
        arrays = [np.asarray(array, np.float32) for array in (x, *weights)]
        return ours("forward", np.float32).forward(*arrays, lengths=lengths)

    assert [twin.name for twin in check_lstm(forward).twins] == ["float32 inside"]
    assert_right(check_lstm(forward, precision="float32"))
    wrong = check_lstm(changed("o * np.tanh(c_new)\n", "o * c_new\n"), precision="float32")
    assert [twin.name for twin in wrong.twins] == ["no tanh on the cell"]


@pytest.mark.slow
def test_an_error_is_a_fault_with_a_small_problem():
    def forward(x, *weights):
        if len(x) > 1:
            raise RuntimeError("one frame is enough")
        return ours("forward").forward(x, *weights, lengths=None)

    (finding,) = check_lstm(forward).findings
    assert finding.text == "answer is RuntimeError: one frame is enough, expected no error"
    assert finding.problem.size[:5] == (1, 0, 2, 1, 1)


# ---- what is refused


@pytest.mark.parametrize("fn, options, error, message", [
    (3, {}, TypeError, "forward must be callable, got 3"),
    (len, {"backward": 3}, TypeError, "backward must be callable, got 3"),
    (len, {"layout": "NDT"}, ValueError, "layout must be one of TND, NTD, TD, got 'NDT'"),
    (len, {"directions": 2}, ValueError, "directions must be one of forward, reverse, both, got 2"),
    (len, {"biases": 3}, ValueError, "biases must be 0, 1 or 2, got 3"),
    (len, {"biases": True}, ValueError, "biases must be 0, 1 or 2, got True"),
    (len, {"padding": "none"}, ValueError, "padding must be one of zero, any, got 'none'"),
    (len, {"skip": "60 frames"}, ValueError, "skip must be a tuple of names, got '60 frames'"),
    (len, {"skip": ("nothing",)}, ValueError, "there is no row 'nothing'; the rows are same call, same "
                                              "answer, one"),
    (len, {"precision": "float16"}, ValueError, "precision must be one of float64, float32, got 'float16'"),
    (lambda x, h0: 0, {}, ValueError, "forward must take both h0 and c0, or neither"),
    (lambda x, lengths: 0, {"layout": "TD"}, ValueError, "lengths are of a batch"),
    (lambda x, lengths: 0, {"backward": len}, ValueError, "forward and backward must both take lengths, or "
                                                          "neither"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_bad_arguments_are_refused(fn, options, error, message):
    with pytest.raises(error, match=message):
        check_lstm(fn, **options)


@pytest.mark.parametrize("forward, backward, message", [
    (lambda x, *w: None, None, "forward returned None, expected y"),
    (lambda x, *w: (x, 1), None, r"forward returned 2 things, expected y, \(y, h_n, c_n\) or \(y, \(h_n, "
                                 r"c_n\)\)"),
    (lambda x, *w: x[0], None, r"y has shape \(2, 2\), expected \(2, 2, 2\)"),
    (lambda x, *w: x, lambda dy, *w: dy, "backward returned ndarray, expected a dict with some of x, "
                                         "weight_ih,"),
    (lambda x, *w: x, lambda dy, *w: {"y": 1}, r"backward returned \['y'\], expected a dict"),
    (lambda x, *w: x, lambda dy, *w: {"bias": 1}, r"gradient of bias has shape \(\), expected \(8,\)"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_answers_of_another_form_are_faults(forward, backward, message):
    adapter = LSTMAdapter(forward, backward)
    from ctc_scratch.check.layers.lstm.problems import random_problem

    with pytest.raises(ValueError, match=message):
        raise ValueError(adapter.call(random_problem(np.random.default_rng(0), adapter.form, (2, 2), 2,
                                                     2)).error)


def test_the_rows_are_named_once():
    assert len(set(NAMES)) == len(NAMES)


def test_the_names_are_public():
    assert ctc_scratch.check_lstm is check_lstm and ctc_scratch.LSTMAdapter is LSTMAdapter
