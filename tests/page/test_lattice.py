"""Room 2 of the page: what a person does in it, and the numbers that it then shows, compared with `reference`."""

import numpy as np
import pytest

from ctc_scratch.ctc import lattice, reference
from ctc_scratch.ctc.inputs.errors import InfeasibleTargetError
from ctc_scratch.ctc.labels import states_of
from tests.conftest import assert_close

pytestmark = pytest.mark.slow

TARGET, START = [1, 2], np.random.default_rng(0).standard_normal((4, 3))
BAR = '#lattice .bar[data-t="{}"][data-c="{}"]'


def logits_of(browser):
    """The logits (T, C) of the problem, as the link in the address gives them, rounded to three decimals."""
    browser.click("#share")
    x = browser.run("new URLSearchParams(location.hash.split('?')[1]).get('x')")
    return np.array([[float(value.replace("n", "-inf")) for value in row.split(",")] for row in x.split(";")])


def test_the_first_numbers_are_those_of_the_readme(opened):
    loss, _ = reference.loss_and_grad(START, TARGET)
    assert_close(opened.value("#loss"), loss, 1e-12, "loss")
    assert opened.text("#loss") == "2.1268" and opened.text("#count") == "15"


@pytest.mark.parametrize("view", ["alpha", "beta", "gamma"])
def test_the_cells_hold_alpha_beta_and_gamma(opened, view):
    opened.click(f'[data-view="{view}"]')
    log_probs = reference.log_softmax(START)
    expected = {"alpha": lambda: np.exp(reference.forward(log_probs, TARGET)),
                "beta": lambda: np.exp(reference.backward(log_probs, TARGET)),
                "gamma": lambda: reference.gamma(log_probs, TARGET)}[view]()
    shown = np.reshape(opened.values("#lattice .cell"), (5, 4)).T
    assert_close(shown, expected, 1e-12, view)
    assert opened.run(f"document.querySelector('[data-formula={view}]').hidden") is False
