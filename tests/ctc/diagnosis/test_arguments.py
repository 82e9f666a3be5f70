"""Arguments that are not a batch at all lead to a finding, not to an exception."""

import numpy as np
import pytest

from ctc_scratch.ctc.diagnosis.diagnose import diagnose, diagnose_lengths


@pytest.mark.parametrize("targets, frames", [([[1], [2], [3]], [4, 4]), ([[1, 2]], [-1]), ([[1]], [2.5])])
def test_frames_that_are_not_numbers_of_frames(targets, frames):
    assert [f.cause for f in diagnose_lengths(targets, frames).findings] == ["lengths"]


@pytest.mark.parametrize("targets", [
    None, 3, {1: [1]}, {1, 2}, "ab", iter([[1]]), object(), [[None]], [{}], [[[1], [1, 2]]], [1.5],
    [[1.5]], [None], b"12",
], ids=lambda targets: type(targets).__name__)
def test_targets_that_are_not_targets_are_a_finding(targets):
    for found in (diagnose(np.zeros((5, 1, 3)), targets), diagnose(np.zeros((5, 3)), targets),
                  diagnose_lengths(targets, 4)):
        assert len(found.errors) == 1 and str(found).count("ERROR") == 1


@pytest.mark.parametrize("options, word", [
    (dict(blank=None), "blank"), (dict(blank="1"), "blank"), (dict(blank=1.5), "blank"),
    (dict(blank=-1), "blank"),
    (dict(classes="3"), "classes"), (dict(classes=0), "classes"), (dict(frames=[[1], [1, 2]]), "frames"),
    (dict(frames="x"), "frames"), (dict(frames=None), "frames"), (dict(frames={}), "frames"),
])
def test_other_arguments_of_a_wrong_kind_are_a_finding(options, word):
    finding, = diagnose_lengths(**{"targets": [[3, 2]], "frames": 4, **options}).errors
    assert word in finding.what
