"""Progress is step / steps unless time runs out, and it always reaches 1."""

import pytest

from ctc_scratch.digits.training.schedule import Schedule


def test_without_a_limit_progress_is_step_over_steps():
    schedule = Schedule(7, minutes=0)
    for step in range(1, 8):
        assert not schedule.finished
        schedule.advance(seconds=1e6 * step)
        assert schedule.progress == step / 7
    assert schedule.finished


def test_a_time_limit_that_is_not_reached_changes_nothing():
    schedule = Schedule(50, minutes=1)
    for step in range(1, 51):
        schedule.advance(seconds=step)
        assert schedule.progress == pytest.approx(step / 50, abs=1e-12)
    assert schedule.finished and schedule.step == 50


def test_a_slow_first_step_does_not_count_as_the_pace():
    schedule = Schedule(1000, minutes=10)
    for step in range(1, 1001):
        schedule.advance(seconds=1 + 0.5 * step)
        assert schedule.progress == pytest.approx(step / 1000, abs=1e-12)
    assert schedule.finished


@pytest.mark.parametrize("pace", [lambda step: 1.0, lambda step: 1 + step / 50, lambda step: 3 - step / 50],
                         ids=["steady", "slowing", "quickening"])
def test_a_time_limit_that_is_too_short_is_kept_without_a_jump_in_progress(pace):
    schedule, seconds, before, step = Schedule(1000, minutes=1), 0.0, 0.0, 0
    while not schedule.finished:
        seconds += pace(step)
        step += 1
        schedule.advance(seconds)
        assert before < schedule.progress <= before + 0.2, f"step {step}"
        before = schedule.progress
    assert 60 - 2 * pace(step) < seconds <= 60 + pace(step), "ends in time, and not early"


def test_a_schedule_continues_from_the_values_in_a_checkpoint():
    one, two = Schedule(100, minutes=1), Schedule(100, minutes=1)
    for step in range(1, 31):
        one.advance(step)
    two.step, two.progress, two.seconds = one.step, one.progress, one.seconds
    for step in range(31, 40):
        one.advance(step)
        two.advance(step)
        assert one.progress == two.progress


def test_a_schedule_ends_at_once_when_time_has_run_out():
    schedule = Schedule(100, minutes=1)
    schedule.advance(seconds=61)
    assert schedule.finished
