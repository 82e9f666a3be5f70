"""The shards of a batch add up to its gradient, wherever they are computed."""

import numpy as np
import pytest

from ctc_scratch.ctc import get_num_threads, set_num_threads
from ctc_scratch.digits.data.mnist_files import load_mnist
from ctc_scratch.digits.data.rows import RowBatch, RowSampler
from ctc_scratch.digits.model.reader import RowReader
from ctc_scratch.digits.training.gradients import (
    batch_gradients,
    cut,
    on_threads,
    shard_gradients,
)

pytestmark = pytest.mark.slow  # when kernels run as plain Python


@pytest.fixture(scope="module")
def digits():
    mnist = load_mnist()
    return mnist.train_images[:50], mnist.train_labels[:50]


def test_shards_add_up_to_the_gradient_of_the_whole_batch(rng, digits):
    model = RowReader(hidden=6, window=7, rng=rng, dtype=np.float64)
    batch = RowSampler(*digits, (1, 4), rng).batch(7)
    whole = shard_gradients(model, batch)
    for parts in (1, 2, 3, 20):
        loss, grads, shards = batch_gradients(model, batch, parts)
        assert len(shards) == min(parts, 7), "no shard is empty"
        assert loss == pytest.approx(whole.loss / 7, rel=1e-13)
        for name, grad in grads.items():
            np.testing.assert_allclose(grad, whole.grads[name] / 7, atol=1e-13, err_msg=name)
    assert [len(part.labels) for part in cut(batch, 3)] == [2, 2, 3]


def test_any_mapper_in_any_order_gives_the_same_bits(rng, digits):
    """Threads compute the shards, or a copy of the model does, beginning with the last shard."""
    model = RowReader(hidden=20, window=7, rng=rng)
    batch = RowSampler(*digits, (1, 4), rng).batch(12)

    def elsewhere(model, parts):
        other = RowReader(hidden=20, window=7, rng=np.random.default_rng(1))
        for name, param in model.params.items():
            other.params[name][...] = param
        return [on_threads(other, [part])[0] for part in reversed(parts)][::-1]

    before = get_num_threads()
    try:
        set_num_threads(3)
        loss, grads, _ = batch_gradients(model, batch, 4, on_threads)
    finally:
        set_num_threads(before)
    loss_elsewhere, grads_elsewhere, _ = batch_gradients(model, batch, 4, elsewhere)
    assert loss == loss_elsewhere
    for name, grad in grads.items():
        np.testing.assert_array_equal(grad, grads_elsewhere[name], err_msg=name)


def test_each_shard_reports_the_seconds_of_its_parts(rng, digits):
    shard = shard_gradients(RowReader(hidden=6, window=7, rng=rng), RowSampler(*digits, (1, 4), rng).batch(3))
    assert len(shard.seconds) == 3 and min(shard.seconds) > 0


def test_a_row_that_needs_more_than_the_claimed_frames_has_an_infinite_loss_and_no_gradient(rng, digits):
    """With 2 frames (1, 2) has a path, and (1, 1), which needs a blank in between, has none."""
    model = RowReader(hidden=6, window=7, rng=rng, dtype=np.float64)
    images = rng.random((2, 28, 56))
    both = RowBatch(images, np.array([56, 56]), [np.array([1, 2]), np.array([1, 1])])
    first = RowBatch(images[:1], np.array([56]), [np.array([1, 2])])
    result, expected = (shard_gradients(model, shard, claimed_frames=2) for shard in (both, first))
    assert np.isfinite(result.losses[0]) and result.losses[1] == np.inf
    assert result.losses[0] == pytest.approx(expected.losses[0], rel=1e-12)
    for name in model.params:
        np.testing.assert_allclose(result.grads[name], expected.grads[name], atol=1e-12, err_msg=name)


def test_results_print_in_one_line(rng, digits):
    model = RowReader(hidden=6, window=7, rng=rng)
    result = batch_gradients(model, RowSampler(*digits, (1, 4), rng).batch(3))
    assert repr(result) == f"BatchGradients({result.loss:.4g} nats per row, 2 shards)"
    assert repr(result.shards[0]).startswith("ShardGradients(1 rows, ")
