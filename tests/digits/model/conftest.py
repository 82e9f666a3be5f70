"""Small models and the path of a model file."""

import numpy as np
import pytest

from ctc_scratch.digits.model.reader import RowReader


def make_model(seed=0, hidden=2, dtype=np.float32, **settings):
    rng = np.random.default_rng(seed)
    return RowReader(hidden=hidden, window=2, rng=rng, dtype=dtype, **settings)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def assert_same_weights(one, two):
    assert one.params.keys() == two.params.keys()
    for name in one.params:
        np.testing.assert_array_equal(one.params[name], two.params[name], strict=True)
