"""The layer that reads each frame from top to bottom."""

import numpy as np
import pytest

from ctc_scratch.digits.model.vertical import VerticalLSTM
from ctc_scratch.nn.gradcheck import check_grad

WINDOW, H, LENGTHS = 3, 2, np.array([2, 4, 0])


@pytest.fixture
def layer(rng):
    return VerticalLSTM(WINDOW, H, rng, np.float64)


def test_each_frame_is_a_sequence_of_patches_from_top_to_bottom(rng, layer):
    images = rng.standard_normal((4, 3, WINDOW, 28))                # (T, N, column, y)
    y, _ = layer.forward(images.reshape(4, 3, -1), LENGTHS)
    assert y.shape == (4, 3, 7 * 2 * H)
    for n, length in enumerate(LENGTHS):
        assert not y[length:, n].any()
        row = images[:length, n].reshape(-1, 28)                    # (column, y)
        paper = np.pad(row, [(2, 2), (1, 1)])                       # with 2 columns of the neighbours, if any
        for t in range(length):
            frame = paper[WINDOW * t:WINDOW * (t + 1) + 4]
            patches = [frame[:, 2 * p:2 * p + 4].reshape(1, -1) for p in range(14)]
            read, _ = layer.lstm.forward(np.array(patches))
            np.testing.assert_allclose(y[t, n].reshape(7, 2 * H), read[1::2, 0], rtol=1e-13, atol=1e-15)


def test_padding_is_never_read_and_gets_no_gradient(rng, layer):
    x, dy = rng.standard_normal((4, 3, WINDOW * 28)), rng.standard_normal((4, 3, 7 * 2 * H))
    y, cache = layer.forward(x, LENGTHS)
    dx, grads = layer.backward(dy, cache)
    padded = np.arange(4)[:, None] >= LENGTHS
    x[padded] = dy[padded] = np.nan
    again, cache = layer.forward(x, LENGTHS)
    dx_again, grads_again = layer.backward(dy, cache)
    np.testing.assert_array_equal(again, y)
    np.testing.assert_array_equal(dx_again, dx)
    assert not dx[padded].any() and dx[~padded].all()
    for name, grad in grads.items():
        np.testing.assert_array_equal(grads_again[name], grad, err_msg=name)


def test_backward_is_the_gradient_of_forward(rng, layer):
    x, weights = rng.standard_normal((4, 3, WINDOW * 28)), rng.standard_normal((4, 3, 7 * 2 * H))

    def f():
        y, cache = layer.forward(x, LENGTHS)
        dx, grads = layer.backward(weights, cache)
        return (weights * y).sum(), {"x": dx, **grads}

    for check in check_grad(f, {"x": x, **layer.params}, rng):
        assert check.error < 1e-6, check


def test_a_first_layer_may_leave_out_the_gradient_of_its_input(rng, layer):
    x, dy = rng.standard_normal((4, 3, WINDOW * 28)), rng.standard_normal((4, 3, 7 * 2 * H))
    _, cache = layer.forward(x)
    none, grads = layer.backward(dy, cache, input_gradient=False)
    _, same = layer.backward(dy, cache)
    assert none is None
    for name, grad in same.items():
        np.testing.assert_array_equal(grads[name], grad, err_msg=name)


def test_batches_without_frames_or_rows(layer):
    for shape in ((0, 2), (3, 0)):
        y, cache = layer.forward(np.zeros((*shape, WINDOW * 28)))
        dx, grads = layer.backward(np.zeros_like(y), cache)
        assert y.shape == (*shape, 28) and dx.shape == (*shape, WINDOW * 28)
        assert not any(grad.any() for grad in grads.values())


def test_errors_for_bad_arguments_hold_their_numbers(layer):
    with pytest.raises(ValueError, match=r"x must have shape \(\*, \*, 84\), not \(4, 3, 80\)"):
        layer.forward(np.zeros((4, 3, 80)))
    with pytest.raises(ValueError, match=r"lengths\[1\] = 5 is not between 0 and T = 4"):
        layer.forward(np.zeros((4, 3, 84)), [4, 5, 4])
    _, cache = layer.forward(np.zeros((4, 3, 84)))
    with pytest.raises(ValueError, match=r"dy must have shape"):
        layer.backward(np.zeros((4, 3, 27)), cache)
