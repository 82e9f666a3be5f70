"""Rooms 1, 3, 4, 5 and 6 of the page: what a person does in them, and the numbers that they then show."""

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration, greedy_decode, reference
from ctc_scratch.ctc.labels import collapse
from ctc_scratch.page.recording import packaged_recording
from tests.conftest import assert_close
from tests.page.problems import LOGITS, TARGET, link

pytestmark = pytest.mark.slow

START = np.random.default_rng(0).standard_normal((4, 3))    # what the page begins with


def press_slider(browser, selector, key, times=1):
    browser.run(f"document.querySelector({selector!r}).focus()")
    browser.press(key, times)


# ---- 1: paths


def test_all_paths_are_listed_and_counted(opened):
    listed = opened.all("#paths .list button", "e.dataset.path")
    assert listed == [",".join(map(str, path)) for path in enumeration.alignments([1, 2], 4)]
    assert opened.text("#paths .count") == "15" and opened.text("#paths .over") == "6"


def test_a_path_is_put_together_by_clicks(opened):
    path = [2, 2, 0, 1]
    for t, c in enumerate(path):
        opened.click(f'#paths .frame[data-t="{t}"] .option[data-c="{c}"] circle')
    expected = reference.log_softmax(START)[np.arange(4), path].sum()
    assert_close(opened.value("#path-probability"), np.exp(expected), 1e-12, "probability")
    assert opened.all("#paths .verdict .chip", "e.textContent") == [str(c) for c in collapse(path)]
    assert "not the target" in opened.text("#paths .verdict")


def test_a_path_is_put_together_by_keys(opened):
    opened.run("document.querySelector('#paths .frame').focus()")
    before = opened.run("document.querySelector('#paths .frame').getAttribute('aria-valuenow')")
    opened.press("ArrowDown")
    opened.press("ArrowRight")
    opened.press("ArrowUp")
    assert opened.run("document.querySelector('#paths .frame').getAttribute('aria-valuenow')") != before
    assert opened.run("document.activeElement.dataset.t") == "1"


def test_a_listed_path_is_shown_above(opened):
    opened.click('#paths .list button[data-path="1,1,2,0"]')
    assert opened.all("#paths .frame", "e.getAttribute('aria-valuenow')") == list("1120")
    assert ", the target" in opened.text("#paths .verdict")


def test_of_many_paths_the_best_are_listed(opened):
    opened.type("#frames", "12")
    assert opened.text("#paths .count").replace("\u202f", "") == str(enumeration.count_alignments([1, 2], 12))
    assert len(opened.all("#paths .list button")) == 60


# ---- 3: the gradient


def test_the_bars_are_the_gradient_and_a_step_goes_down_it(opened, page):
    opened.open(page, link("gradient"))
    logits = LOGITS.copy()
    for steps in range(3):
        loss, grad = reference.loss_and_grad(logits, TARGET)
        assert_close(opened.values("#gradient .grad"), grad.ravel(), 1e-12, f"gradient after {steps} steps")
        assert_close(opened.value("#gradient .loss-number"), loss, 1e-12, f"loss after {steps} steps")
        opened.click('[data-act="step"]')
        logits -= grad
    opened.click('[data-act="back"]')
    loss, _ = reference.loss_and_grad(LOGITS, TARGET)
    assert_close(opened.value("#loss"), loss, 1e-12, "loss at the start")


def test_a_step_with_a_shared_bias(opened, page):
    opened.open(page, link("gradient"))
    opened.click("#bias")
    opened.click('[data-act="step"]')
    _, grad = reference.loss_and_grad(LOGITS, TARGET)
    stepped = LOGITS - grad - grad.sum(axis=0)
    assert_close(opened.value("#loss"), reference.loss_and_grad(stepped, TARGET)[0], 1e-12, "loss")


def test_a_fresh_network_learns_blank_first_and_then_spikes(opened):
    opened.click('[data-act="fresh"]')
    most, steps = 0.0, 0
    while steps < 60:
        steps, blank = opened.value("#gradient .step-number"), opened.value("#gradient .blank-number")
        most = max(most, blank)
    assert opened.run("document.querySelector('[data-act=play]').textContent") == "pause"
    opened.click('[data-act="play"]')
    assert most > 0.75      # the plateau
    assert opened.value("#gradient .loss-number") < 1.5


# ---- 4: decoding


def test_the_example_of_the_readme(opened):
    probs = opened.values("#decoding .decoder b")
    assert_close(probs, [0.36, 0.64, 0.64], 1e-12, "probabilities")
    assert opened.text("#decoding .verdict").startswith("Greedy is wrong here")


def test_other_inputs_where_greedy_is_wrong(opened):
    for _ in range(3):
        opened.click('[data-decode="another"]')
        opened.click("#share")
        p = opened.run("new URLSearchParams(location.hash.split('?')[1]).get('p')")
        log_probs = np.log([[float(x) for x in row.split(",")] for row in p.split(";")])
        all_labellings = enumeration.labelling_distribution(reference.log_softmax(log_probs))
        best = max(all_labellings, key=all_labellings.__getitem__)
        assert tuple(greedy_decode(log_probs)) != best
        shown = opened.values("#decoding .decoder b")
        assert_close(shown[2], all_labellings[best], 1e-3, "probability, of rounded input")
        assert shown[0] < shown[2]


def test_the_beam_grows_frame_by_frame(opened):
    opened.click('[data-decode="another"]')
    opened.click('[data-decode="next"]')        # from the last frame to the first column
    counts = []
    for _ in range(4):
        counts.append(len(opened.all("#decoding .prefix")))
        opened.click('[data-decode="next"]')
    assert counts == sorted(counts) and counts[0] == 1 and counts[1] > 1


def test_a_wider_beam_keeps_more(opened):
    opened.click('[data-decode="another"]')
    press_slider(opened, "#width", "End")
    kept = len(opened.all("#decoding .prefix:not(.dropped)"))
    press_slider(opened, "#width", "Home")
    assert kept > len(opened.all("#decoding .prefix:not(.dropped)")) == 4


def test_probabilities_are_dragged(opened):
    opened.drag('#decoding .bar[data-t="0"][data-c="1"]', 0, -36)
    logits = np.log([[0.6, 0.4], [0.6, 0.4]])
    logits[0, 1] += 2
    loss, _ = reference.loss_and_grad(logits, [1])
    assert_close(opened.values("#decoding .decoder b")[2], np.exp(-loss), 1e-12, "P of 1")
    assert opened.text("#decoding .verdict").startswith("Greedy is right here")


# ---- 5: a network learns


def test_the_slider_goes_through_the_recorded_steps(opened):
    moments = packaged_recording()["rows"][0]["moments"]
    press_slider(opened, "#moment", "End")
    assert opened.value("#learning .moment-step") == moments[-1]["step"]
    assert_close(opened.value("#learning .moment-loss"), moments[-1]["loss"], 0, "loss")
    press_slider(opened, "#moment", "ArrowLeft", 3)
    assert opened.value("#learning .moment-step") == moments[-4]["step"]
    read = [str(label - 1) for label in moments[-4]["reading"]]
    assert opened.all("#learning .reading .chips:first-of-type .chip", "e.textContent") == read


def test_the_curve_takes_the_cursor(opened):
    opened.click("#learning .chart")
    middle = opened.value("#learning .moment-step")
    assert 100 < middle < 300
    opened.press("End")
    assert opened.value("#learning .moment-step") == 400


def test_the_plateau_ends_with_the_first_digit(opened):
    moments = packaged_recording()["rows"][0]["moments"]
    begin = next(i for i, moment in enumerate(moments) if not moment["reading"])
    first = next(moment["step"] for moment in moments[begin:] if moment["reading"])
    opened.click('[data-learn="first"]')
    assert opened.value("#learning .moment-step") == first
    assert f"The first digit comes at step {first}" in opened.text("#learning .plateau-text")


def test_play_goes_on_by_itself(opened):
    opened.click('[data-learn="begin"]')
    opened.click('[data-learn="play"]')
    step = 0
    while step < 3:
        step = opened.value("#learning .moment-step")
    opened.click('[data-learn="play"]')
    stopped = opened.value("#learning .moment-step")
    opened.run("new Promise((done) => setTimeout(done, 400))")
    assert opened.value("#learning .moment-step") <= stopped + 1


# ---- 6: numerics


def test_the_examples_of_numerics_move(opened):
    small = opened.value(".drift-error")
    press_slider(opened, "#drift-frames", "End")
    assert opened.value(".drift-error") > small > 1e-6 and opened.value(".drift-double") < 1e-10
    assert opened.value(".lost-rescaled") > opened.value(".lost-truth") + 100
    press_slider(opened, "#lost-first", "Home")
    assert_close(opened.value(".lost-rescaled"), opened.value(".lost-truth"), 1e-10, "rescaled")
    gaps = []
    for key in "Home", "End":
        press_slider(opened, "#bounds-bits", key)
        gaps.append(opened.value(".bounds-gap"))
    assert gaps[0] > 5 and 0 <= gaps[1] < 0.1
