"""Laws of `diagnose`. The table of all laws is in tests/ctc/test_loss_laws.py."""

import numpy as np
from hypothesis import given

from ctc_scratch.ctc import ctc_loss, diagnose
from tests.tools.strategies import laws, problems, random, reordered


@laws
@given(problem=problems(fits=False, holes=True), random=random)
def test_the_diagnosis_finds_an_error_where_ctc_loss_does(problem, random):
    logits, targets, lengths, blank = problem
    found = diagnose(logits, targets, lengths, blank=blank)
    wrong = ctc_loss(logits, targets, lengths, blank=blank, infeasible="inf").loss == np.inf
    assert bool(found.errors) == wrong.any()
    assert [fit.dead_frame is not None for fit in found.fits] == wrong.tolist()

    order = list(range(len(targets)))
    random.shuffle(order)
    other = reordered(problem, order)
    permuted = diagnose(other.logits, other.targets, other.logit_lengths, blank=blank)
    assert [fit._replace(n=0) for fit in permuted.fits] == [found.fits[n]._replace(n=0) for n in order]
    swapped = diagnose(logits.transpose(1, 0, 2), targets, lengths, blank=blank, layout="NTC")
    assert swapped.fits == found.fits
    padded = np.concatenate([logits, np.full((2, *logits.shape[1:]), np.nan)])
    assert diagnose(padded, targets, lengths, blank=blank).fits == found.fits
    for n, fit in enumerate(found.fits):
        alone = diagnose(logits[:lengths[n], n], targets[n], blank=blank)
        assert [one._replace(n=n) for one in alone.fits] == [fit]
