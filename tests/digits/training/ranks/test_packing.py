"""The shards of a rank become one block of bytes, and come out of it as they were."""

import numpy as np
import pytest

from ctc_scratch.digits.training.gradients import ShardGradients
from ctc_scratch.digits.training.ranks.packing import label, pack, unpack

PARAMS = {"weight": np.zeros((3, 5), np.float32), "bias": np.zeros(7, np.float32)}


def shard(rng, T, N, C=4):
    """A shard whose gradients stand in another order than the parameters, one of them transposed."""
    grads = {"bias": rng.random(7, np.float32), "weight": rng.random((5, 3), np.float32).T}
    return ShardGradients(rng.random(), rng.random(N), rng.random(), grads,
                          rng.random((T, N, C), np.float32), rng.integers(T + 1, size=N), (0.1, 0.2, 0.3))


@pytest.mark.parametrize("room", [0, 10_000], ids=["new", "reused"])
@pytest.mark.parametrize("sizes", [[], [(2, 3)], [(5, 1), (3, 3), (0, 2)]], ids=["none", "one", "three"])
def test_shards_come_out_as_they_went_in(rng, sizes, room):
    shards = [shard(rng, T, N) for T, N in sizes]
    block = pack(shards, PARAMS, np.full(room, 255, np.uint8))
    found = list(unpack([label(each) for each in shards], block, PARAMS))
    assert len(found) == len(shards)
    for expected, each in zip(shards, found):
        for name in ("loss", "objective", "seconds"):
            assert getattr(each, name) == getattr(expected, name)
        assert list(each.grads) == list(PARAMS)
        for name, array in {**expected.grads, **expected._asdict()}.items():
            if isinstance(array, np.ndarray):
                own = each.grads.get(name, getattr(each, name, None))
                assert own.dtype == array.dtype, name
                np.testing.assert_array_equal(own, array, err_msg=name)
