"""The closed form of gamma under uniform outputs."""

import itertools

import numpy as np
import pytest

from ctc_scratch.ctc import enumeration
from ctc_scratch.digits.lessons.uniform import uniform_gamma
from tests.conftest import assert_close


@pytest.mark.parametrize("T", range(6))
def test_uniform_gamma_equals_enumeration(T):
    log_probs = np.full((T, 3), -np.log(3.0))
    for U in range(4):
        for labels in itertools.product([1, 2], repeat=U):
            if enumeration.count_alignments(labels, T):
                expected = enumeration.gamma(log_probs, labels)
                assert_close(uniform_gamma(labels, T), expected, 1e-14, f"gamma of {labels}")
            else:
                with pytest.raises(ValueError, match=f"do not fit in {T} frames"):
                    uniform_gamma(labels, T)
