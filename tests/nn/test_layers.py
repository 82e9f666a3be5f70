"""Linear equals torch's Linear; a Stack equals its layers applied one after the other."""

import numpy as np
import pytest
import torch

from ctc_scratch.nn import LSTM, BiLSTM, Linear, Stack
from tests.conftest import assert_close


@pytest.mark.parametrize("dtype, atol", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_linear_equals_torch(dtype, atol, rng):
    layer = Linear(5, 3, rng, dtype)
    layer.params["bias"][...] = rng.standard_normal(3)
    x, dy = rng.standard_normal((6, 4, 5)).astype(dtype), rng.standard_normal((6, 4, 3)).astype(dtype)
    y, cache = layer.forward(x)
    dx, grads = layer.backward(dy, cache)

    weight, bias, tx = (torch.tensor(a, requires_grad=True) for a in (*layer.params.values(), x))
    ty = torch.nn.functional.linear(tx, weight, bias)
    ty.backward(torch.from_numpy(dy))
    for name, ours, theirs in [("y", y, ty.detach()), ("dx", dx, tx.grad),
                               ("weight", grads["weight"], weight.grad), ("bias", grads["bias"], bias.grad)]:
        assert ours.dtype == dtype, f"{name} is {ours.dtype}"
        assert_close(ours, theirs.numpy(), atol, name)


def test_stack_is_composition(rng):
    lstm, linear = BiLSTM(3, 4, rng, np.float64), Linear(8, 2, rng, np.float64)
    stack = Stack({"lstm0": lstm, "linear": linear})
    x, lengths = rng.standard_normal((5, 2, 3)), [5, 3]
    y, cache = stack.forward(x, lengths)
    dx, grads = stack.backward(np.ones_like(y), cache)

    hidden, lstm_cache = lstm.forward(x, lengths)
    expected, linear_cache = linear.forward(hidden, lengths)
    dhidden, linear_grads = linear.backward(np.ones_like(y), linear_cache)
    expected_dx, lstm_grads = lstm.backward(dhidden, lstm_cache)
    assert (y == expected).all() and (dx == expected_dx).all()
    assert list(grads) == list(stack.params)
    for name, grad in lstm_grads.items():
        assert (grads[f"lstm0.{name}"] == grad).all(), name
    for name, grad in linear_grads.items():
        assert (grads[f"linear.{name}"] == grad).all(), name


def test_stack_params_are_the_arrays_of_its_layers(rng):
    """Writing into `params` changes what the layers compute; optimisers and checkpoints rely on this."""
    stack = Stack([LSTM(3, 4, rng), Linear(4, 2, rng)])
    assert list(stack.params) == ["0.weight_ih", "0.weight_hh", "0.bias", "1.weight", "1.bias"]
    x = np.ones((5, 2, 3), np.float32)
    before, _ = stack.forward(x)
    stack.params["0.weight_ih"][...] *= 2
    between, _ = stack.forward(x)
    stack.params["1.bias"][...] += 1
    after, _ = stack.forward(x)
    assert (before != between).any()
    assert_close(after, between + 1, 1e-6, "y after the bias grew by 1")


@pytest.mark.parametrize("make", [lambda rng: Linear(3, 2, rng), lambda rng: LSTM(3, 2, rng),
                                  lambda rng: BiLSTM(3, 2, rng),
                                  lambda rng: Stack([BiLSTM(3, 4, rng), BiLSTM(8, 2, rng)])],
                         ids=["Linear", "LSTM", "BiLSTM", "Stack"])
def test_gradients_of_parameters_are_the_same_without_dx(make, rng):
    layer = make(rng)
    x = rng.standard_normal((6, 3, 3)).astype(np.float32)
    y, cache = layer.forward(x, [6, 2, 4])
    _, grads = layer.backward(y, cache)
    nothing, alone = layer.backward(y, cache, input_gradient=False)
    assert nothing is None
    for name, grad in grads.items():
        assert_close(alone[name], grad, 1e-6, name)


def test_empty_stack_is_the_identity():
    x = np.ones((2, 3, 4), np.float32)
    y, cache = Stack([]).forward(x)
    dx, grads = Stack([]).backward(y, cache)
    assert (y == x).all() and (dx == x).all() and grads == {}


def test_bad_input_is_refused(rng):
    layer = Linear(3, 2, rng)
    with pytest.raises(ValueError, match=r"x must have shape \(\*, \*, 3\), not \(4, 2, 5\)"):
        layer.forward(np.ones((4, 2, 5), np.float32))
    with pytest.raises(ValueError, match="x must be float32 like the parameters, not float64"):
        layer.forward(np.ones((4, 2, 3)))
    _, cache = layer.forward(np.ones((4, 2, 3), np.float32))
    with pytest.raises(ValueError, match=r"dy must have shape \(4, 2, 2\), not \(2, 4, 2\)"):
        layer.backward(np.ones((2, 4, 2), np.float32), cache)


def test_a_layer_and_its_cache_print_in_one_line(rng):
    stack = Stack({"lstm": BiLSTM(3, 4, rng), "output": Linear(8, 2, rng, np.float32)})
    assert repr(stack) == "Stack(lstm: BiLSTM(D=3, H=4, float32), output: Linear(D=8, C=2, float32))"
    assert repr(LSTM(3, 4, rng, np.float64)) == "LSTM(D=3, H=4, float64)"
    _, cache = stack.forward(np.ones((5, 2, 3), np.float32), [5, 2])
    assert repr(cache) == "StackCache(2 layers)"
    assert repr(cache.caches[0][0]) == "LSTMCache(T=5, N=2, D=3, H=4, 7 frames in use)"
