"""The plain LSTM equals ours where ours can be asked, and its gradients are those of its outputs."""

import numpy as np
import pytest

from ctc_scratch.check.layers.answers import GRADIENT
from ctc_scratch.check.layers.lstm import plain
from ctc_scratch.check.layers.lstm.adapter import _by_nn
from ctc_scratch.check.layers.lstm.check import TWINS
from ctc_scratch.check.layers.lstm.problems import Form, Problem, random_problem
from tests.conftest import assert_close

REVERSE = [(False,), (True,), (False, True)]


def problem_of(reverse, lengths=(3, 1, 4), states=True, seed=0):
    form = Form(reverse, 2, True, True, True, True)
    return random_problem(np.random.default_rng(seed), form, lengths, 2, 3, states=states, padding=1)


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
def test_the_plain_lstm_is_ours(reverse):
    arrays = problem_of(reverse, states=False).arrays()
    found = plain.solve(**arrays, reverse=reverse)
    for name, array in _by_nn(arrays, reverse).items():
        assert_close(found[name], array, 1e-13, name)


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
def test_final_states_continue_a_sequence(reverse):
    """Two halves, the second one started with the final states of the first, equal the whole."""
    whole = problem_of(reverse, (5,)).arrays()
    for k, is_reverse in enumerate(reverse):
        one = {**whole, "weights": {name: array[k:k + 1] for name, array in whole["weights"].items()},
               "h0": whole["h0"][k:k + 1], "c0": whole["c0"][k:k + 1], "dy": whole["dy"][:, :, k:k + 1]}
        parts = [slice(3, 5), slice(0, 3)] if is_reverse else [slice(0, 2), slice(2, 5)]
        expected = plain.solve(**one, reverse=(is_reverse,))
        for part in parts:
            length = part.stop - part.start
            found = plain.solve(**{**one, "x": one["x"][part], "dy": one["dy"][part],
                                   "lengths": np.array([length])}, reverse=(is_reverse,))
            assert_close(found["y"], expected["y"][part], 1e-14, f"frames {part}")
            one = {**one, "h0": found["h_n"], "c0": found["c_n"]}
        assert_close(found["c_n"], expected["c_n"], 1e-14, "c_n")


def worst_slope(solve, problem, reverse):
    """The largest difference between a gradient and the slope of the sum of y dy, as a share of it."""
    arrays = problem.arrays()
    found = solve(**arrays, reverse=reverse)
    N, T = len(problem.x), len(arrays["x"])
    in_use = (np.arange(T)[:, None] < problem.lengths)[..., None, None]
    dy = arrays["dy"] * (in_use if solve is plain.solve else 1)

    def total(name, moved):
        if name in arrays["weights"]:
            y = solve(**{**arrays, "weights": {**arrays["weights"], name: moved}}, reverse=reverse)["y"]
        else:
            y = solve(**{**arrays, name: moved}, reverse=reverse)["y"]
        return (y.reshape(dy.shape) * dy).sum()

    worst = 0.0
    for name, array in [("x", arrays["x"]), *arrays["weights"].items(), ("h0", arrays["h0"]), ("c0",
                                                                                               arrays["c0"])]:
        gradient = found[f"{GRADIENT}{name}"]
        direction = np.random.default_rng(N).standard_normal(array.shape)
        slope = (total(name, array + 1e-5 * direction) - total(name, array - 1e-5 * direction)) / 2e-5
        worst = max(worst, abs(slope - (gradient * direction).sum()) / max(1, np.abs(gradient).max()))
    return worst


@pytest.mark.parametrize("reverse", REVERSE, ids=str)
def test_the_gradients_are_the_slopes(reverse):
    assert worst_slope(plain.solve, problem_of(reverse), reverse) < 1e-7


OWN_GRADIENT = [twin for twin in TWINS if len(twin.variants) > 1 and twin.variants[-1][:1] == twin.variants[0]
                and twin.name not in ("slopes forgotten", "weight gradients transposed")]


def test_twins_with_a_gradient_of_their_own_are_many():
    assert len(OWN_GRADIENT) > 50


@pytest.mark.slow
@pytest.mark.parametrize("twin", OWN_GRADIENT, ids=lambda twin: twin.name)
def test_the_gradient_of_a_wrong_output_is_its_slope(twin):
    """The last variant of a twin whose output is wrong has the gradient of that output."""
    reverse = (False, True)
    problem = random_problem(np.random.default_rng(0), Form(reverse, 2, True, True, True, True), (3, 3, 3), 3,
                             3,
                             states=True)
    solve = twin.functions("solve")[-1]
    assert worst_slope(solve, problem, reverse) < 1e-6, twin.name


def test_a_problem_has_numbers_that_float32_holds():
    problem = problem_of((False, True))
    for array in [*problem.x, *problem.dy, *problem.weights.values(), problem.states]:
        assert (array.astype(np.float32) == array).all()


def test_smaller_problems_are_smaller_and_fit():
    problem = problem_of((False, True), (2, 1))
    kinds = set()
    for smaller in problem.smaller():
        assert isinstance(smaller, Problem)
        if smaller.size < problem.size and smaller.lengths.max() > 0:
            plain.solve(**smaller.arrays(), reverse=(False, True))
            kinds.add(next(k for k, (a, b) in enumerate(zip(smaller.size, problem.size)) if a != b))
    assert kinds == {0, 1, 2, 3, 4, 5}
