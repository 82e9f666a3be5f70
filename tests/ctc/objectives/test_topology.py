"""Topologies: how many frames a target needs."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import InfeasibleTargetError
from ctc_scratch.ctc.objectives import topology_ctc_loss


@pytest.mark.parametrize("labels", [[1], [1, 1], [1, 2], [1, 1, 2], [1, 2, 2, 2]], ids=str)
@pytest.mark.parametrize("flags", list(itertools.product([True, False], repeat=3)), ids=str)
def test_the_error_names_the_fewest_frames_that_suffice(flags, labels):
    options = dict(zip(("skip", "stay_on_labels", "collapse"), flags))
    with pytest.raises(InfeasibleTargetError) as caught:
        topology_ctc_loss(np.zeros((len(labels) - 1, 3)), labels, **options)
    needed = caught.value.required
    assert f"{len(labels)} label" in str(caught.value) and "blank" in str(caught.value)
    assert np.isfinite(topology_ctc_loss(np.zeros((needed, 3)), labels, **options).loss)
    with pytest.raises(InfeasibleTargetError, match=f"needs {needed} frame.* but has {needed - 1}$"):
        topology_ctc_loss(np.zeros((needed - 1, 3)), labels, **options)
