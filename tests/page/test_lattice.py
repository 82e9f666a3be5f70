"""Room 2 of the page: what a person does in it; the numbers that it then shows are those of `reference`."""

import numpy as np
import pytest

from ctc_scratch.ctc import reference
from ctc_scratch.ctc.inputs.errors import InfeasibleTargetError
from ctc_scratch.ctc.labels import count_repeats, min_frames
from ctc_scratch.ctc.paths.lattice import lattice
from tests.conftest import assert_close
from tests.page.problems import LOGITS, TARGET, link

pytestmark = pytest.mark.slow

START = np.random.default_rng(0).standard_normal((4, 3))    # what the page begins with, and the README
UNIT = 18       # pixels by which a bar is dragged per unit of its logit


def bar(t, c):
    return f'#lattice .bar[data-t="{t}"][data-c="{c}"]'


def cell(t, s):
    return f'#lattice .cell[data-t="{t}"][data-s="{s}"]'


def assert_shows_loss_of(browser, logits, target, what):
    loss, _ = reference.loss_and_grad(logits, target)
    assert_close(browser.value("#loss"), loss, 1e-12, f"loss {what}")
    assert_close(browser.value("#probability"), np.exp(-loss), 1e-12, f"probability {what}")


def cells(browser, T, S):
    return np.reshape(browser.values("#lattice .cell"), (S, T)).T


def test_the_first_numbers_are_those_of_the_readme(opened):
    assert_shows_loss_of(opened, START, [1, 2], "at first")
    assert opened.text("#loss") == "2.1268" and opened.text("#count") == "15"


@pytest.mark.parametrize("view", ["alpha", "beta", "gamma"])
def test_the_cells_hold_alpha_beta_and_gamma(opened, page, view):
    opened.open(page, link())
    opened.click(f'#lattice [data-view="{view}"]')
    log_probs = reference.log_softmax(LOGITS)
    expected = {"alpha": lambda: np.exp(reference.forward(log_probs, TARGET)),
                "beta": lambda: np.exp(reference.backward(log_probs, TARGET)),
                "gamma": lambda: reference.gamma(log_probs, TARGET)}[view]()
    assert_close(cells(opened, *expected.shape), expected, 1e-12, view)
    assert opened.all("#lattice [data-formula]:not([hidden])", "e.dataset.formula") == [view]


def test_a_bar_is_dragged_with_the_mouse(opened):
    opened.drag(bar(2, 1), 0, -2 * UNIT)
    moved = START.copy()
    moved[2, 1] += 2
    assert_shows_loss_of(opened, moved, [1, 2], "after a drag")
    opened.drag(bar(2, 1), 0, 2 * UNIT)
    assert_shows_loss_of(opened, START, [1, 2], "after a drag back")


def test_a_bar_is_dragged_with_a_finger(browser, page):
    browser.open(page, "#lattice", width=360, height=760, touch=True)
    browser.touch_drag(bar(1, 2), 0, 1.5 * UNIT)
    moved = START.copy()
    moved[1, 2] -= 1.5
    assert_shows_loss_of(browser, moved, [1, 2], "after a drag")
    assert browser.complaints == [] and browser.requests == []


def test_a_bar_is_moved_by_keys(opened):
    """One click would close it, so the row's name is clicked, and Tab leads to the bars."""
    opened.click('#lattice .handle[data-c="0"]')
    opened.press("Tab")
    opened.press("ArrowRight", 2)
    opened.press("ArrowUp", 3)
    opened.press("ArrowDown", shift=True)
    moved = START.copy()
    moved[2, 0] += 0.3 - 1
    assert_shows_loss_of(opened, moved, [1, 2], "after keys")
    opened.press("Delete")
    moved[2, 0] = -np.inf
    assert_shows_loss_of(opened, moved, [1, 2], "after Delete")


def test_a_row_is_moved_as_a_whole(opened):
    opened.drag('#lattice .handle[data-c="0"]', 0, -UNIT)
    moved = START + [1, 0, 0]
    assert_shows_loss_of(opened, moved, [1, 2], "after a row was moved")


def test_a_click_closes_a_bar_and_opens_it_again(opened):
    opened.click(bar(1, 1))
    closed = START.copy()
    closed[1, 1] = -np.inf
    assert_shows_loss_of(opened, closed, [1, 2], "with a closed bar")
    assert opened.text("#count") == f"{lattice(closed, [1, 2]).num_alignments} of 15"
    opened.click(bar(1, 1))
    assert_shows_loss_of(opened, START, [1, 2], "with the bar open again")


def test_the_last_open_class_of_a_frame_stays_open(opened):
    for c in range(3):
        opened.click(bar(0, c))
    closed = START.copy()
    closed[0, :2] = -np.inf
    assert_shows_loss_of(opened, closed, [1, 2], "with all but one class closed")


def test_the_sum_of_a_state(opened, page):
    """Stay, step and skip with their numbers, their arrows, and the total."""
    opened.open(page, link())
    opened.move_to(cell(2, 3))
    log_probs = reference.log_softmax(LOGITS)
    alpha = np.exp(reference.forward(log_probs, TARGET))
    y = np.exp(log_probs[2, TARGET[1]])
    shown = opened.values("#lattice .sum b")
    assert_close(shown, [alpha[1, 3], alpha[1, 2], alpha[1, 1], y, alpha[2, 3]], 1e-12, "sum")
    assert_close(sum(shown[:3]) * shown[3], shown[4], 1e-12, "sum, added up")
    assert opened.all("#lattice .move", "e.dataset.part") == ["stay", "step", "skip"]
    assert "state 4 (label 2) at frame 3" in opened.text("#lattice .sum")
    opened.move_to(cell(2, 5))      # the second 2: no skip leads to it
    assert opened.all("#lattice .move", "e.dataset.part") == ["stay", "step"]


def test_states_are_visited_by_keys(opened):
    opened.run("document.querySelector('#lattice .cell[tabindex=\"0\"]').focus()")
    opened.press("ArrowRight")
    opened.press("ArrowDown")
    assert "state 3 (blank) at frame 3" in opened.text("#lattice .sum")


def test_symbols_and_picture_light_up_together(opened):
    opened.click(cell(2, 3))
    opened.move_to('#lattice [data-formula="alpha"] .skip')
    assert opened.all("#lattice .move.lit", "e.dataset.part") == ["skip"]
    assert opened.all("#lattice .cell.lit", "e.dataset.t + e.dataset.s") == ["11"]
    opened.move_to(bar(2, 2))
    assert opened.all("#lattice .formula .lit", "e.dataset.part") == ["y-now"]


def test_best_paths_one_after_another(opened):
    best = lattice(START, [1, 2]).k_best(4)
    for rank, path in enumerate(best, start=1):
        if rank > 1:
            opened.click('[data-paths="next"]')
        assert_close(opened.value("#lattice .path-text b"), np.exp(path.log_prob), 1e-12, f"path {rank}")
        shown = opened.all("#lattice .path-text .chip", "e.textContent")
        assert shown == ["–" if c == 0 else str(c) for c in path.path]


def test_samples_are_drawn_and_taken_away(opened):
    opened.click('[data-paths="samples"]')
    assert len(opened.all("#lattice polyline.sample")) == 8
    opened.click('[data-paths="none"]')
    assert opened.all("#lattice polyline") == []


def test_a_path_is_drawn_through_states(opened):
    """The best of the paths that pass through two states."""
    opened.click(cell(1, 1))
    opened.click(cell(3, 4))
    through = [path for path in lattice(START, [1, 2]).k_best(15)
               if path.path[1] == 1 and path.path[3] == 0]
    assert_close(opened.value("#lattice .path-text b"), np.exp(through[0].log_prob), 1e-12, "probability")


@pytest.mark.parametrize("target, T", [([1, 1], 2), ([1, 2, 2, 1], 4)])
def test_too_few_frames_are_explained_in_the_words_of_the_error(opened, target, T):
    opened.type("#target", ",".join(map(str, target)))
    opened.type("#frames", str(T))
    error = InfeasibleTargetError(0, min_frames(target), T, count_repeats(target))
    assert opened.text("#error") == str(error)
    assert opened.text("#loss") == "∞" and opened.text("#count") == "0"
    opened.move_to("#lattice .picture")
    assert "1 more frame" in opened.text("#lattice .hint-infeasible")


def test_closed_bars_that_leave_no_path_are_explained(opened):
    for t in range(4):
        opened.click(bar(t, 2))
    assert opened.text("#error") == ("target 0 has probability 0: it has 4 frames and needs 2 frames "
                                     "(2 labels + 0 repeats), but -inf logits close every path")


def test_blank_wins_everywhere_by_the_list(opened):
    opened.choose("#presets", "blank wins everywhere")
    assert_shows_loss_of(opened, np.tile([4.0, 0, 0], (4, 1)), [1, 2], "with blank everywhere")
