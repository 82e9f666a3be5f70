"""Five things that a stranger wants to see, with how many actions each takes.

An action is a click, a drag, a choice from a list, or a text typed into a field that has been clicked.
"""

import numpy as np
import pytest

from ctc_scratch.ctc.paths.lattice import lattice
from ctc_scratch.page.recording import packaged_recording
from tests.conftest import assert_close

pytestmark = pytest.mark.slow

START = np.random.default_rng(0).standard_normal((4, 3))    # what the page begins with


@pytest.fixture
def actions(opened, monkeypatch):
    """A list of the actions that a test takes in the page."""
    taken = []

    def counted(name, act):
        def acted(*args):
            taken.append(name)
            act(*args)
        monkeypatch.setattr(opened, name, acted)

    for name in ("click", "drag", "choose", "type"):    # `type` clicks into the field first
        counted(name, getattr(opened, name))
    return taken


def test_make_1_1_infeasible(opened, actions):
    opened.type("#target", "1,1")
    opened.click('[data-add="-1"]')
    opened.click('[data-add="-1"]')
    assert opened.text("#error") == "target 0 needs 3 frames (2 labels + 1 repeat) but has 2"
    assert len(actions) == 4


def test_find_the_input_where_greedy_is_wrong(opened, actions):
    opened.click('nav [data-room="decoding"]')
    assert opened.text("#decoding .verdict").startswith("Greedy is wrong here")
    assert len(actions) == 1


def test_make_blank_win_everywhere(opened, actions):
    opened.choose("#presets", "blank wins everywhere")
    opened.click('nav [data-room="decoding"]')
    opened.choose("#examples", "shared")
    assert opened.all("#decoding .decoder:first-child em") == ["nothing"]
    assert len(actions) == 3    # the first makes it so, the other two let greedy decoding say so


def test_make_blank_win_everywhere_by_one_drag(opened, actions):
    opened.drag('#lattice .handle[data-c="0"]', 0, -100)
    assert all(float(value) > 2 for value in opened.all('#lattice .bar[data-c="0"]', "e.ariaValueNow"))
    assert len(actions) == 1


def test_show_the_second_best_path(opened, actions):
    opened.click('nav [data-room="lattice"]')
    opened.click('[data-paths="next"]')
    second = lattice(START, [1, 2]).k_best(2)[1]
    assert_close(opened.value("#lattice .path-text b"), np.exp(second.log_prob), 1e-12, "probability")
    assert opened.text("#lattice .path-text").startswith("Path 2 of 15")
    assert len(actions) == 2


def test_find_the_step_at_which_the_network_leaves_the_plateau(opened, actions):
    opened.click('nav [data-room="learning"]')
    opened.click('[data-learn="first"]')
    moments = packaged_recording()["rows"][0]["moments"]
    first = next(moment["step"] for moment in moments if len(moment["reading"]) == 1)
    assert opened.value("#learning .moment-step") == first
    assert len(actions) == 2
