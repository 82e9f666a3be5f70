"""Watch stops a run that diverges, explains a long plateau once, and is silent on a run that learns."""

import json

import numpy as np
import pytest

from ctc_scratch.digits.training.gradients import DivergedError
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.digits.training.watch import IN_A_ROW, PLATEAU, Report, Watch


def report(step, blank_rate):
    return Report(step, 11.5, 1.0, blank_rate, 3.0, 1e-3)


def test_a_run_that_learns_raises_and_says_nothing():
    watch = Watch(Settings())
    for step in range(500):
        watch.step(34 / (1 + step), 14 / (1 + step) + (40 if step % 50 == 0 else 0))
        assert watch.report(report(10 * step, 0.74)) is None


@pytest.mark.parametrize("norm", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_ends_the_run_at_once(norm):
    with pytest.raises(DivergedError, match=f"the gradient's norm is {norm}"):
        Watch(Settings()).step(1.0, norm)


@pytest.mark.parametrize("loss, norm", [(200, 10), (30, 2000)], ids=["loss", "norm"])
def test_an_explosion_ends_the_run_only_if_it_lasts(loss, norm):
    watch = Watch(Settings())
    watch.step(34, 14)
    for _ in range(IN_A_ROW - 1):
        watch.step(loss, norm)
    watch.step(33, 14)          # one good step starts the count anew
    for _ in range(IN_A_ROW - 1):
        watch.step(loss, norm)
    with pytest.raises(DivergedError, match=f"now {loss} nats, at first 34.*now {norm}, at first 14"):
        watch.step(loss, norm)


def test_the_plateau_is_normal_until_it_should_have_ended():
    said = {}
    watch = Watch(Settings(batch=64))
    for step in range(10, 3000, 10):
        if sentence := watch.report(report(step, 1.0)):
            said[step] = sentence
    assert said.pop(10) == PLATEAU
    (step, warning), = said.items()
    assert step == 1010 and "after 1010 steps the network still answers blank" in warning
    assert warning.count(".") == 2 and "--rate other than 0.015" in warning, "one sentence and one rate"


def test_the_first_digits_read_end_the_plateau():
    watch = Watch(Settings(batch=64))
    said = [watch.report(report(step, 1.0 if step % 100 else 0.9)) for step in range(10, 3000, 10)]
    assert [sentence for sentence in said if sentence] == [PLATEAU]


def test_a_run_that_ends_on_the_plateau_was_too_short():
    for minutes, more in (0, "more --steps."), (1, "more --steps or --minutes."):
        watch = Watch(Settings(batch=64, minutes=minutes))
        assert watch.end(0) is None
        watch.report(report(10, 1.0))
        assert "it has seen 640 rows" in watch.end(10) and watch.end(10).endswith(more)
    assert watch.end(2000) is None, "after so many steps the run is stuck, which `report` says"
    watch.report(report(20, 0.9))
    assert watch.end(20) is None


def test_the_state_survives_json_and_is_all_that_a_watch_remembers():
    one, two = Watch(Settings()), Watch(Settings())
    one.step(34.5, 14.5)
    for _ in range(IN_A_ROW - 1):
        one.step(200.0, 14.0)
    one.report(report(10, 1.0))
    two.state.update(json.loads(json.dumps(one.state)))
    assert two.report(report(20, 1.0)) is None, "a sentence is said once"
    with pytest.raises(DivergedError):
        two.step(200.0, 14.0)
