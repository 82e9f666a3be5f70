"""The description of a target with which the exact kernel works."""

import numpy as np
import pytest

from ctc_scratch.ctc.exact.layout import describe_target
from ctc_scratch.ctc.labels import can_skip, extend


@pytest.mark.parametrize("labels", [(), (1,), (1, 1), (1, 2), (1, 1, 2), (2, 1, 1, 1)], ids=str)
def test_slots_and_skips_describe_the_extended_labels(labels):
    S = 2 * len(labels) + 1
    target = describe_target(np.array(labels, np.intp), 0, 9, 3)
    assert target.classes.tolist()[0] == 0 and sorted(target.classes) == sorted({0, *labels})
    assert target.classes[target.slots].tolist() == extend(labels).tolist()
    assert target.skips[:S].tolist() == can_skip(extend(labels)).tolist() and not target.skips[S:].any()
    assert target.windows[0].tolist() == [0, 1], "before the first frame all mass is in the first blank"
