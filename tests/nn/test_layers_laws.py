"""Laws that every layer obeys, on random shapes. tests/ctc/test_loss_laws.py lists all laws."""

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctc_scratch.nn import LSTM, BiLSTM, Linear, Stack
from tests.conftest import assert_close
from tests.tools.strategies import laws, random

LAYERS = {
    "LSTM": lambda D, H, rng, dtype: LSTM(D, H, rng, dtype),
    "BiLSTM": lambda D, H, rng, dtype: BiLSTM(D, H, rng, dtype),
    "Linear": lambda D, H, rng, dtype: Linear(D, H, rng, dtype),
    "Stack": lambda D, H, rng, dtype: Stack([BiLSTM(D, H, rng, dtype), LSTM(2 * H, 3, rng, dtype),
                                             Linear(3, 2, rng, dtype)]),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
both_types = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@st.composite
def batches(draw):
    """T frames, N sequences, D inputs, H units, the number of frames of each sequence, and a seed."""
    T, N, D, H = (draw(st.integers(1, most)) for most in (7, 9, 4, 9))
    lengths = draw(st.lists(st.integers(0, T), min_size=N, max_size=N))
    return T, N, D, H, lengths, draw(st.integers(0, 2**32 - 1))


def drawn(name, dtype, batch):
    """A layer, its input, lengths, and a gradient of its output that is 0 in the padding."""
    T, N, D, H, lengths, seed = batch
    rng = np.random.default_rng(seed)
    layer, x = LAYERS[name](D, H, rng, dtype), rng.standard_normal((T, N, D)).astype(dtype)
    dy = rng.standard_normal(layer.forward(x, lengths)[0].shape).astype(dtype)
    dy[np.arange(T)[:, None] >= lengths] = 0
    return layer, x, np.array(lengths), dy


def run(layer, x, lengths, dy):
    y, cache = layer.forward(x, lengths)
    return y, layer.backward(dy, cache)[0]


def assert_same(name, found, expected):
    """Equal bits, except where BLAS computes the products: Linear, and all layers in plain Python."""
    for what, one, other in zip(("y", "dx"), found, expected):
        bits = name in ("LSTM", "BiLSTM") and not numba.config.DISABLE_JIT
        assert_close(one, other, 0.0 if bits else 1e-5 if other.dtype == np.float32 else 1e-13, what)


@every_layer
@both_types
@laws
@given(batch=batches(), random=random)
def test_permuting_the_batch_permutes_y_and_dx(name, dtype, batch, random):
    layer, x, lengths, dy = drawn(name, dtype, batch)
    order = list(range(len(lengths)))
    random.shuffle(order)
    y, dx = run(layer, x, lengths, dy)
    found = run(layer, x[:, order], lengths[order], dy[:, order])
    assert_same(name, found, (y[:, order], dx[:, order]))


@every_layer
@both_types
@laws
@given(batch=batches(), frames=st.integers(1, 9))
def test_more_padding_changes_nothing(name, dtype, batch, frames):
    layer, x, lengths, dy = drawn(name, dtype, batch)
    T = len(x)
    expected = run(layer, x, lengths, dy)
    more = np.concatenate([x, np.full((frames, *x.shape[1:]), 7, dtype)])
    found = run(layer, more, lengths, np.concatenate([dy, np.zeros((frames, *dy.shape[1:]), dtype)]))
    assert_same(name, (found[0][:T], found[1][:T]), expected)
    assert not found[1][T:].any(), "the gradient of the padding is not 0"
