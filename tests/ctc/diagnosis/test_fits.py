"""How targets fit their frames, and which logits of -inf close their paths."""

import numpy as np

from ctc_scratch.ctc import ctc_loss, enumeration
from ctc_scratch.ctc.diagnosis.diagnose import diagnose, diagnose_lengths
from ctc_scratch.ctc.labels import states_of


def test_where_minus_infinity_ends_the_last_path(rng):
    """Against the enumeration: which entries end the last paths, and how few would have to be finite?"""
    seen = 0
    for _ in range(300):
        labels = rng.integers(1, 3, rng.integers(1, 4)).tolist()
        logits = np.where(rng.random((5, 3)) < 0.5, -np.inf, 0.0)
        logits[np.arange(5), rng.integers(3, size=5)] = 0.0
        paths = np.array(enumeration.alignments(labels, 5))
        if not len(paths):
            continue
        closed = logits[np.arange(5), paths] == -np.inf
        fit, = diagnose(logits, labels).fits
        if not closed.any(axis=1).all():
            assert fit.dead_frame is None and not fit.killers
            continue
        seen += 1
        dies = closed.argmax(axis=1)
        assert fit.dead_frame == dies.max()
        assert set(fit.killers) == {(t, paths[i, t]) for i, t in enumerate(dies)}
        assert len(fit.opening) == closed.sum(axis=1).min()
        for t, c in fit.opening:
            logits[t, c] = 0.0
        assert np.isfinite(ctc_loss(logits, labels, method="exact").loss)
    assert seen > 50


def test_numbers_of_a_target_that_is_too_long():
    found = diagnose_lengths([1, 1, 2, 2, 2, 3], 5, classes=4)
    fit, = found.fits
    assert (fit.labels, fit.repeats, fit.needed, fit.given, fit.dead_frame) == (6, [1, 3, 4], 9, 5, 5)
    assert "needs 9 frames (6 labels + 3 repeats, at label 1, 3, 4) but has 5" in " ".join(str(found).split())
    assert states_of([1, 0, 1, 2, 0])[-1] // 2 == 3 and "begun 3 of 6 labels" in " ".join(str(found).split())


def test_one_target_with_as_many_frames_as_labels():
    """With a single target this may be a coincidence, so the text only asks whether labels were counted."""
    finding, = diagnose_lengths([1, 1, 2], 3).findings
    assert finding.cause == "too-few-frames" and "were labels counted in place of frames?" in finding.what
    assert diagnose_lengths([1, 2, 3], 3).findings == []
