"""If a batch has several mistakes, all are named, the most severe first, each with its sequences."""

from itertools import combinations

import numpy as np
import pytest

from ctc_scratch.commands.main import main
from ctc_scratch.ctc import ctc_loss
from ctc_scratch.ctc.diagnosis.diagnose import diagnose, diagnose_lengths
from ctc_scratch.ctc.diagnosis.findings import CAUSES
from tests.ctc.diagnosis.test_diagnose import MISTAKES, Plan

# Mistakes that can be planted one after the other without undoing each other, in this order.
TOGETHER = ["a_nan", "time_first_logits_said_to_be_batch_first", "a_blank_that_is_no_integer",
            "a_masked_class", "no_frames_at_all", "a_length_beyond_the_end", "a_stray_blank",
            "a_target_within_a_target", "a_label_that_is_no_class"]


def causes(found):
    return [finding.cause for finding in found.findings]


def by_severity(expected):
    return sorted(expected, key=list(CAUSES).index)


@pytest.mark.parametrize("names", [*combinations(TOGETHER, 2), TOGETHER], ids=" + ".join)
def test_all_planted_mistakes_are_named(names):
    plan = Plan()
    for name in names:
        MISTAKES[name][2](plan)
    found = plan.diagnose()
    expected = {MISTAKES[name][0] for name in names}
    assert list(dict.fromkeys(causes(found))) == by_severity(expected), str(found)
    assert max(map(len, str(found).splitlines())) <= 79


def test_several_mistakes_are_all_named():
    plan = Plan()
    plan.logits = plan.probs().swapaxes(0, 1)
    plan.lengths = np.maximum(plan.U, 2)
    plan.targets[0] = np.array([4, 4, 4])
    plan.lengths[0] = 3
    found = plan.diagnose()
    assert {f.cause for f in found.errors} == {"time-batch-exchanged", "lengths-in-labels"}
    assert {f.cause for f in found.suspicions} == {"probabilities"}
    assert str(found).endswith("2 errors, 1 suspicion.")


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_no_pair_of_mistakes_raises(name):
    """The second mistake may undo the first; if no error is found, `ctc_loss` has to accept the batch."""
    for other in MISTAKES:
        plan = Plan()
        MISTAKES[other][2](plan)
        try:
            MISTAKES[name][2](plan)
        except (ValueError, TypeError, IndexError, AttributeError, RuntimeWarning):
            continue    # it needs something that the first mistake has removed
        found = plan.diagnose()
        assert max(map(len, str(found).splitlines())) <= 79, other
        if not found.errors:
            ctc_loss(plan.logits, plan.targets, plan.lengths, plan.target_lengths, **plan.options)


def test_bad_values_are_counted_by_kind_and_the_first_of_them_named(rng):
    logits = rng.standard_normal((20, 3, 4))
    logits[2:7, 0, 1] = np.nan
    logits[4, 1, 0] = np.inf
    logits[[5, 6], 2] = -np.inf
    finding, = diagnose(logits, [[1], [2], [3]]).findings
    assert finding.cause == "not-finite" and finding.indices == [0, 1, 2]
    assert finding.what == (
        "NaN in 5 frames: frame 2 of sequence 0, frame 3 of sequence 0, frame 4 of sequence 0 and 2 more. "
        "+inf in 1 frame: frame 4 of sequence 1. "
        "only -inf in 2 frames: frame 5 of sequence 2, frame 6 of sequence 2.")


def test_a_bad_frame_hides_no_probabilities(rng):
    logits = rng.dirichlet(np.ones(4), size=(20, 3))
    logits[2, 0] = np.nan
    assert causes(diagnose(logits, [[1], [2], [3]])) == ["not-finite", "probabilities"]


def test_what_is_wrong_with_labels_is_found_beside_padding():
    """Padding is reported as padding alone, not as wrong labels, as blanks or as a misfit, too."""
    targets = np.array([[1, 2, 0, -1, -1], [3, 3, 3, 3, -1], [9, 1, -1, -1, -1]])
    found = diagnose(np.zeros((6, 3, 4)), targets, [6, 6, 6])
    assert [(f.cause, f.indices) for f in found.findings] == [
        ("padding-in-targets", [0, 1, 2]), ("labels", [2]), ("labels-contain-blank", [0]),
        ("too-few-frames", [1])]


def test_a_misfit_beside_targets_with_blanks_is_found():
    """Targets 0 and 1 hold blanks, and fit once they are collapsed like paths; target 2 does not fit."""
    found = diagnose_lengths([[0, 2, 2, 0], [1, 0, 1, 1, 1], [3, 3, 3]], [4, 4, 4])
    assert [(f.cause, f.indices) for f in found.findings] == [
        ("labels-contain-blank", [0, 1]), ("too-few-frames", [2])]


@pytest.mark.parametrize("logits, expected", [
    (np.zeros((6, 3, 4), complex), ["shape", "labels", "labels-contain-blank"]),
    (None, ["shape", "labels", "labels-contain-blank"]),
    ([[0.0, 1.0], [2.0]], ["arguments", "labels", "labels-contain-blank"]),
    (np.zeros((6, 2, 4)), ["shape", "labels", "labels-contain-blank"]),
    (np.full((6, 2, 4), np.nan), ["shape", "labels", "labels-contain-blank", "not-finite"]),
])
def test_bad_logits_hide_no_bad_targets(logits, expected):
    assert causes(diagnose(logits, [[1, 0], [3], [-7]])) == expected


@pytest.mark.parametrize("arguments, expected", [
    ((None,), ["shape", "not-finite"]),
    (({1: [1]},), ["shape", "not-finite"]),
    (([[1], None, [2]],), ["labels", "not-finite"]),
    (([[1], [2], [3]], None, [[1], [1, 2]]), ["arguments", "not-finite"]),
    (([[1, 2], [2], [9]], [[1], [1, 2]]), ["arguments", "labels"]),
    (([[1, 2], [2], [9]], [6, 6]), ["lengths", "labels"]),
    (([[1, 2], [2], [9]], [6.0, 6.0, 6.0]), ["lengths", "labels", "not-finite"]),
    (([1, 2, 0], [6, 6, 6], [1, 1, 2]), ["shape", "not-finite"]),
])
def test_bad_targets_and_lengths_hide_no_bad_values(arguments, expected):
    logits = np.zeros((6, 3, 4))
    logits[0, 0, 0] = np.nan
    assert causes(diagnose(logits, *arguments)) == expected


def test_options_of_diagnose_lengths_hide_no_bad_targets():
    found = diagnose_lengths([[1, 9], [2.5]], [4, -1], blank="0", classes=4)
    assert causes(found) == ["arguments", "lengths", "labels", "labels"]
    assert causes(diagnose_lengths([[1, -9], [2, 2]], [4, 2], classes="4")) == [
        "arguments", "labels", "too-few-frames"]


def test_a_data_set_with_several_faults_is_reported_in_80_columns(tmp_path, capsys):
    targets = ["1 2"] * 40 + ["0 3"] * 12 + ["7 1"] * 12 + ["1 1 1"] * 12 + ["1 2"] * 12
    lines = [f"{-1 if n >= 76 else 4},{target}" for n, target in enumerate(targets)]
    (tmp_path / "d.csv").write_text("\n".join(["frames,target", *lines, ""]))
    assert main(["diagnose", str(tmp_path / "d.csv"), "--classes", "4"]) == 1
    out = capsys.readouterr().out
    titles = [line.split()[1].rstrip(":") for line in out.splitlines() if line.startswith("ERROR")]
    assert titles == ["lengths", "labels", "labels-contain-blank", "too-few-frames"]
    for first in (76, 52, 40, 64):
        places = ", ".join(str(n) for n in range(first, first + 5))
        assert f"  12 sequences: {places} ...\n" in out, out
    assert "4 errors, 0 suspicions." in out and max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("frames", [[2**63 + 5, 2**64 - 1], [2**63 - 1, 0], [12_345_678, 1_234_567]])
def test_absurd_numbers_of_frames_fit_80_columns(frames):
    frames = np.array(frames, np.uint64)
    for found in (diagnose_lengths([[1, 2], [3, 3]], frames),
                  diagnose_lengths([1, 1, 2, 2, 3, 3, 4, 4], frames[0])):
        assert max(map(len, str(found).splitlines())) <= 79, found
