"""The LSTM equals torch's LSTM: outputs and all gradients, ragged batches, both directions, stacks."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ctc_scratch.nn import LSTM, BiLSTM, Stack
from tests.conftest import assert_close

LENGTHS = {
    "full": [9, 9, 9, 9],
    "sorted": [9, 7, 7, 1],
    "ragged": [3, 9, 1, 6],
    "all_short": [4, 2, 4, 3],
    "T=1": [1, 1, 1, 1],
}


def torch_lstm(directions, D, H):
    """A torch LSTM with copies of our weights; `directions` holds [forward, reverse] for each layer."""
    both = len(directions[0]) == 2
    reference = torch.nn.LSTM(D, H, num_layers=len(directions), bidirectional=both).double()
    for number, layer in enumerate(directions):
        for params, suffix in zip(layer, (f"_l{number}", f"_l{number}_reverse")):
            for ours, theirs in [("weight_ih", "weight_ih"), ("weight_hh", "weight_hh"), ("bias", "bias_ih")]:
                getattr(reference, theirs + suffix).data.copy_(torch.from_numpy(params[ours]))
            getattr(reference, "bias_hh" + suffix).data.zero_()
    return reference


def run_torch(reference, x, lengths, dy):
    """Returns y, dx, and a function that gives a gradient by layer, direction and our name."""
    x = torch.tensor(x, requires_grad=True)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(reference(packed)[0], total_length=len(x))
    y.backward(torch.from_numpy(dy))

    def grad(layer, direction, name):
        suffix = f"_l{layer}" + ("_reverse" if direction == "reverse" else "")
        return getattr(reference, name.replace("bias", "bias_ih") + suffix).grad.numpy()

    return y.detach().numpy(), x.grad.numpy(), grad


def by_direction(params):
    """The parameters of one layer as a list: forward, then reverse if there is a reverse direction."""
    if "weight_ih" in params:
        return [params]
    return [{key.split(".")[1]: array for key, array in params.items() if key.startswith(direction)}
            for direction in ("forward", "reverse")]


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("kind", [LSTM, BiLSTM])
def test_one_layer_equals_torch(kind, lengths, rng):
    D, H, T, N = 5, 7, max(lengths), len(lengths)
    layer = kind(D, H, rng, np.float64)
    reference = torch_lstm([by_direction(layer.params)], D, H)
    x, dy = rng.standard_normal((T, N, D)), rng.standard_normal((T, N, H * (1 + (kind is BiLSTM))))

    y, cache = layer.forward(x, lengths)
    dx, grads = layer.backward(dy, cache)
    torch_y, torch_dx, torch_grad = run_torch(reference, x, lengths, dy)

    assert_close(y, torch_y, 1e-10, "y")
    assert_close(dx, torch_dx, 1e-10, "dx")
    assert grads.keys() == layer.params.keys()
    for name, grad in grads.items():
        *direction, key = name.split(".")
        assert_close(grad, torch_grad(0, (direction or ["forward"])[0], key), 1e-10, name)


@pytest.mark.parametrize("kind", [LSTM, BiLSTM])
def test_two_layers_equal_torch(kind, rng):
    D, H, T, lengths = 4, 5, 8, [8, 3, 5]
    width = H * (1 + (kind is BiLSTM))
    layers = [kind(D, H, rng, np.float64), kind(width, H, rng, np.float64)]
    stack = Stack(layers)
    reference = torch_lstm([by_direction(layer.params) for layer in layers], D, H)
    x, dy = rng.standard_normal((T, 3, D)), rng.standard_normal((T, 3, width))

    y, cache = stack.forward(x, lengths)
    dx, grads = stack.backward(dy, cache)
    torch_y, torch_dx, torch_grad = run_torch(reference, x, lengths, dy)

    assert_close(y, torch_y, 1e-10, "y")
    assert_close(dx, torch_dx, 1e-10, "dx")
    for name, grad in grads.items():
        number, *direction, key = name.split(".")
        assert_close(grad, torch_grad(int(number), (direction or ["forward"])[0], key), 1e-10, name)


@pytest.mark.parametrize("seed", range(12))
def test_random_shapes_equal_torch(seed):
    rng = np.random.default_rng(seed)
    T, N, D, H = rng.integers(1, [12, 7, 9, 9]).tolist()
    lengths = rng.integers(1, T + 1, N)
    T = max(lengths)
    layer = BiLSTM(D, H, rng, np.float64)
    reference = torch_lstm([by_direction(layer.params)], D, H)
    x, dy = 3 * rng.standard_normal((T, N, D)), rng.standard_normal((T, N, 2 * H))

    y, cache = layer.forward(x, lengths)
    dx, grads = layer.backward(dy, cache)
    torch_y, torch_dx, torch_grad = run_torch(reference, x, lengths, dy)

    assert_close(y, torch_y, 1e-10, "y")
    assert_close(dx, torch_dx, 1e-10, "dx")
    for name, grad in grads.items():
        assert_close(grad, torch_grad(0, *name.split(".")), 1e-10, name)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(35, 64, 112, 128), (50, 3, 28, 33)], ids=str)
def test_a_large_layer_equals_torch(size, rng):
    T, N, D, H = size
    lengths = rng.integers(1, T + 1, N)
    lengths[1] = T
    layer = BiLSTM(D, H, rng, np.float64)
    reference = torch_lstm([by_direction(layer.params)], D, H)
    x, dy = rng.standard_normal((T, N, D)), rng.standard_normal((T, N, 2 * H))

    y, cache = layer.forward(x, lengths)
    dx, grads = layer.backward(dy, cache)
    torch_y, torch_dx, torch_grad = run_torch(reference, x, lengths, dy)

    assert_close(y, torch_y, 1e-10, "y")
    assert_close(dx, torch_dx, 1e-10, "dx")
    for name, grad in grads.items():
        assert_close(grad, torch_grad(0, *name.split(".")), 1e-10, name)


@pytest.mark.parametrize("kind", [LSTM, BiLSTM])
def test_float32_follows_float64(kind, rng):
    D, H, T, lengths = 5, 6, 30, [30, 12, 21]
    double = kind(D, H, rng, np.float64)
    single = kind(D, H, rng, np.float32)
    for name, array in single.params.items():
        double.params[name][...] = array
    x = rng.standard_normal((T, 3, D)).astype(np.float32)
    y64, cache64 = double.forward(x.astype(np.float64), lengths)
    dy = rng.standard_normal(y64.shape).astype(np.float32)
    dx64, grads64 = double.backward(dy.astype(np.float64), cache64)
    y32, cache32 = single.forward(x, lengths)
    dx32, grads32 = single.backward(dy, cache32)

    for what, ours, exact in [("y", y32, y64), ("dx", dx32, dx64),
                              *((name, grads32[name], grads64[name]) for name in grads64)]:
        assert ours.dtype == np.float32, f"{what} is {ours.dtype}"
        assert_close(ours, exact, 4e-6 * max(1, np.abs(exact).max()), what)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e30], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_changes_nothing(dtype, poison, rng):
    """Whatever stands in the padding of x and dy changes no bit; the padding of y and dx is 0."""
    D, H, T, lengths = 3, 4, 7, np.array([7, 0, 2, 5])
    stack = Stack([BiLSTM(D, H, rng, dtype), LSTM(2 * H, H, rng, dtype)])
    padded = np.arange(T)[:, None] >= lengths
    x = rng.standard_normal((T, 4, D)).astype(dtype)
    dy = rng.standard_normal((T, 4, H)).astype(dtype)

    results = []
    for value in (0, poison):
        x[padded] = dy[padded] = value
        y, cache = stack.forward(x, lengths)
        dx, grads = stack.backward(dy, cache)
        results.append({"y": y, "dx": dx, **grads})
    for name, clean in results[0].items():
        assert clean.tobytes() == results[1][name].tobytes(), f"{name} depends on the padding"
    assert not results[1]["y"][padded].any() and not results[1]["dx"][padded].any()


def test_a_sequence_does_not_depend_on_its_batch(rng):
    D, H, T, lengths = 3, 4, 6, [6, 2, 4]
    layer = BiLSTM(D, H, rng, np.float64)
    x = rng.standard_normal((T, 3, D))
    y, _ = layer.forward(x, lengths)
    for n, length in enumerate(lengths):
        alone, _ = layer.forward(x[:length, n:n + 1])
        assert_close(y[:length, n], alone[:, 0], 1e-14, f"sequence {n}")


def test_the_reverse_direction_reads_each_sequence_from_its_own_end(rng):
    """It equals the forward direction on reversed sequences."""
    D, H, T, lengths = 3, 4, 6, [6, 1, 4]
    both, ahead = BiLSTM(D, H, rng, np.float64), LSTM(D, H, rng, np.float64)
    for name, array in ahead.params.items():
        array[...] = both.params[f"reverse.{name}"]
    x = rng.standard_normal((T, 3, D))
    y, _ = both.forward(x, lengths)
    for n, length in enumerate(lengths):
        turned, _ = ahead.forward(x[:length, n:n + 1][::-1])
        assert_close(y[:length, n, H:][::-1], turned[:, 0], 1e-14, f"sequence {n}")


@pytest.mark.parametrize("T, N, lengths", [(0, 3, [0, 0, 0]), (4, 0, []), (4, 2, [0, 0])],
                         ids=["T=0", "N=0", "no_frames"])
def test_empty_batches(T, N, lengths, rng):
    layer = BiLSTM(3, 2, rng)
    y, cache = layer.forward(np.ones((T, N, 3), np.float32), lengths)
    dx, grads = layer.backward(np.ones((T, N, 4), np.float32), cache)
    assert y.shape == (T, N, 4) and dx.shape == (T, N, 3)
    assert not y.any() and not dx.any()
    for name, grad in grads.items():
        assert grad.shape == layer.params[name].shape and not grad.any(), name


def test_strided_input_is_the_same_input(rng):
    layer = LSTM(3, 2, rng)
    wide = rng.standard_normal((4, 5, 6)).astype(np.float32)
    strided, _ = layer.forward(wide[:, :, ::2])
    compact, _ = layer.forward(wide[:, :, ::2].copy())
    assert (strided == compact).all()


def test_backward_leaves_its_cache_as_it_was(rng):
    layer = LSTM(3, 4, rng)
    y, cache = layer.forward(rng.standard_normal((5, 2, 3)).astype(np.float32))
    first, second = layer.backward(y, cache), layer.backward(y, cache)
    assert (first[0] == second[0]).all()
    assert all((first[1][name] == second[1][name]).all() for name in layer.params)


def test_threads_can_share_a_layer(rng):
    layer = BiLSTM(6, 9, rng)
    batches = [rng.standard_normal((20, 3, 6)).astype(np.float32) for _ in range(8)]

    def work(x):
        y, cache = layer.forward(x)
        dx, grads = layer.backward(y, cache)
        return [y, dx, *grads.values()]

    alone = [work(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, batches))
    for number, (one, other) in enumerate(zip(alone, together)):
        assert all((a == b).all() for a, b in zip(one, other)), f"batch {number} depends on other threads"


def test_initial_weights(rng):
    H = 16
    params = LSTM(8, H, rng).params
    assert (params["bias"] == np.repeat([0, 1, 0, 0], H)).all()
    for k, gate in enumerate("ifgo"):
        block = params["weight_hh"][k * H:(k + 1) * H].astype(np.float64)
        assert_close(block @ block.T, np.eye(H), 1e-6, f"weight_hh of {gate} times its transpose")
    again = LSTM(8, H, np.random.default_rng(0)).params
    assert all((again[name] == array).all() for name, array in params.items())


@pytest.mark.parametrize("x, lengths, message", [
    (np.ones((4, 2), np.float32), None, r"shape \(\*, \*, 3\), not \(4, 2\)"),
    (np.ones((4, 2, 5), np.float32), None, r"shape \(\*, \*, 3\), not \(4, 2, 5\)"),
    (np.ones((4, 2, 3)), None, "float32 like the parameters, not float64"),
    (np.ones((4, 2, 3), np.float32), [4], r"2 integers.*shape \(1,\)"),
    (np.ones((4, 2, 3), np.float32), [4, 5], r"lengths\[1\] = 5 is not between 0 and T = 4"),
    (np.ones((4, 2, 3), np.float32), [-1, 4], r"lengths\[0\] = -1"),
    (np.ones((4, 2, 3), np.float32), [4.0, 4.0], "integers.*float64"),
], ids=["2-D", "D", "dtype", "too_few", "too_long", "negative", "float_lengths"])
def test_bad_input_is_refused(x, lengths, message, rng):
    for layer in (LSTM(3, 2, rng), BiLSTM(3, 2, rng)):
        with pytest.raises(ValueError, match=message):
            layer.forward(x, lengths)


def test_bad_gradient_and_dtype_are_refused(rng):
    layer = BiLSTM(3, 2, rng)
    _, cache = layer.forward(np.ones((4, 5, 3), np.float32))
    with pytest.raises(ValueError, match=r"dy must have shape \(4, 5, 4\), not \(4, 5, 2\)"):
        layer.backward(np.ones((4, 5, 2), np.float32), cache)
    with pytest.raises(ValueError, match="not float16"):
        LSTM(3, 2, rng, np.float16)
