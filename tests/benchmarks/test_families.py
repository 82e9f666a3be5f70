"""The families of inputs have the shapes and the probabilities that their descriptions promise."""

import argparse

import numpy as np
import pytest

from benchmarks.tools import families, reader_rows
from benchmarks.tools.families import FAMILIES, SILENCE, SPIKE, draw
from ctc_scratch import ctc_loss
from ctc_scratch.ctc.labels import min_frames

PEAKY = [family for family in FAMILIES if family.startswith("peaky")]


def softmax(logits):
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return probs / probs.sum(axis=1, keepdims=True)


def heard(logits):
    """The labels of the spikes, in order."""
    winner = logits.argmax(axis=1)
    return winner[winner > 0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("T, U", [(200, 20), (30, 15), (7, 1), (5, 0)])
def test_shapes_and_targets(family, T, U):
    logits, target = draw(family, T, U, C=6)
    assert logits.shape == (T, 6) and logits.dtype == np.float32 and np.isfinite(logits).all()
    assert target.shape == (U,) and np.all((1 <= target) & (target < 6))
    assert min_frames(target) <= T


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_arguments_draw_the_same_problem(family):
    (logits, target), (again, same) = (draw(family, 40, 4, dtype=np.float64) for _ in range(2))
    assert np.array_equal(logits, again) and np.array_equal(target, same)
    assert not np.array_equal(logits, draw(family, 40, 4, seed=1, dtype=np.float64)[0])
    assert np.array_equal(logits.astype(np.float32), draw(family, 40, 4)[0])


@pytest.mark.parametrize("family", families.SCALES)
def test_the_scale_of_independent_logits(family):
    logits, _ = draw(family, 2000, 10)
    assert logits.std() == pytest.approx(families.SCALES[family], rel=0.02)
    assert abs(logits.mean()) < 0.02 * families.SCALES[family]


@pytest.mark.parametrize("family", PEAKY)
def test_spikes_and_silence_have_the_probabilities_promised(family):
    logits, target = draw(family, 300, 30, dtype=np.float64)
    probs, winner = softmax(logits), logits.argmax(axis=1)
    expected = np.where(winner > 0, SPIKE, SILENCE)
    assert np.abs(probs.max(axis=1) - expected).max() < 1e-12
    assert np.all(np.diff(np.flatnonzero(winner)) >= 2), "two spikes without a blank between them"


@pytest.mark.parametrize("family, wrong", [("peaky", 0), ("peaky_wrong_5", 5), ("peaky_wrong_20", 20)])
def test_so_many_spikes_are_wrong(family, wrong):
    logits, target = draw(family, 1000, 100)
    assert np.count_nonzero(heard(logits) != target) == wrong


def test_the_missing_third_is_the_first():
    logits, target = draw("peaky_missing", 900, 90)
    assert np.array_equal(heard(logits), target[30:])


def test_another_text_has_little_in_common_with_the_target():
    logits, target = draw("peaky_other_text", 1000, 100)
    assert len(heard(logits)) == 100 and np.count_nonzero(heard(logits) == target) < 20


@pytest.mark.slow
def test_a_peaky_target_is_nearly_certain_and_wrong_labels_are_costly():
    losses = [float(ctc_loss(*draw(family, 1000, 100)).loss) for family in ("peaky", "peaky_wrong_5")]
    # 100 spikes and 900 silences; a few alignments beside the one of the spikes add a little.
    certain = -100 * np.log(SPIKE) - 900 * np.log(SILENCE)
    assert certain - 0.3 < losses[0] < certain and losses[1] > losses[0] + 5 * np.log(100)


def test_half_silence_is_sure_of_the_blank_in_its_first_half():
    blank = softmax(draw("half_silence", 1000, 100)[0])[:, 0]
    assert np.median(blank[:500]) > 0.99 and np.median(blank[500:]) < 0.1


def test_repeats_come_in_fours():
    _, target = draw("repeats", 100, 11)
    assert all(len(set(target[k:k + 4])) == 1 for k in range(0, 11, 4))


@pytest.mark.parametrize("arguments, message", [
    (("loud", 10, 1), "'loud' is none of the synthetic families uniform, "),
    (("reader", 10, 1), "'reader' is none of the synthetic families uniform, "),
    (("normal", 9, 5), "expected T >= 2 U and C >= 3, got T = 9, U = 5, C = 32"),
    (("normal", 10, 5, 2), "expected T >= 2 U and C >= 3, got T = 10, U = 5, C = 2"),
])
def test_what_cannot_be_drawn_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        draw(*arguments)


def test_options_choose_the_problems():
    parser = argparse.ArgumentParser()
    families.add_options(parser, [(1000, 100)], [200])
    assert parser.parse_args([]).families == [*FAMILIES, *reader_rows.READERS]
    options = parser.parse_args(["--families", "peaky,wide", "--shapes", "40x4,20x2"])
    chosen = list(families.chosen(options, np.float64))
    assert [(problem.family, problem.shape) for problem in chosen] == [
        ("peaky", (40, 4)), ("peaky", (20, 2)), ("wide", (40, 4)), ("wide", (20, 2))]
    assert all(problem.logits.dtype == np.float64 for problem in chosen)


def test_an_unknown_family_is_named(capsys):
    parser = argparse.ArgumentParser()
    families.add_options(parser, [(1000, 100)], [200])
    with pytest.raises(SystemExit):
        parser.parse_args(["--families", "normal,loud"])
    assert "'loud' is none of the families uniform, " in capsys.readouterr().err


@pytest.mark.slow
def test_the_shipped_reader_reads_its_row():
    problem, = families.problems(["reader"], [], [20])
    assert problem.shape == (140, 20) and problem.logits.shape[1] == 11
    assert ctc_loss(problem.logits, problem.target).loss < 20


@pytest.mark.slow
def test_a_fresh_network_learns_in_its_first_steps():
    losses = []
    for family in ("fresh_0", "fresh_30", "fresh_30"):
        logits, target = reader_rows.row(family, 10)
        assert logits.shape == (40, 11) and len(target) == 10
        losses.append(float(ctc_loss(logits, target).loss))
    assert losses[0] > losses[1] == losses[2]
