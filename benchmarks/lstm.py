"""Is an LSTM written by hand in NumPy and Numba as fast as torch's?

    python -m benchmarks.lstm [--repeats 15] [--threads 1]

Both run one float32 layer with the same weights, forward and backward, up to the gradients of the
weights, the bias and the input. First both answers are compared with torch's float64 answers, then
the two take turns. By default there is one BLAS thread: a second one makes products of this size slower,
in torch too.
"""

from __future__ import annotations

import argparse
from typing import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ctc_scratch.nn import LSTM

from .tools.harness import conclude, first_call, interleave, machine, milliseconds, ratio

SHAPES = [  # T, N, D, H
    (140, 32, 28, 128),
    (35, 64, 112, 128),
    (70, 64, 256, 128),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lstm")
    parser.add_argument("--repeats", type=int, default=15, help="rounds per shape (default: 15)")
    parser.add_argument("--threads", type=int, default=1, help="threads of BLAS and of torch (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    print(f"{machine()}, torch {torch.__version__}\n{first_call(ours_on((1, 1, 1, 1)))}\n")

    rows, results = [], []
    with threadpool_limits(options.threads, user_api="blas"):
        for shape in SHAPES:
            contenders = {"ctc_scratch": ours_on(shape), "torch": torch_on(shape, torch.float32)}
            errors = compare(contenders, torch_on(shape, torch.float64))
            times = interleave(contenders, seconds=0, least=options.repeats)
            for name in contenders:
                rows.append(["{}, {}, {}, {}".format(*shape), name, milliseconds(times[name]),
                             f"{ratio(times, 'torch', name):.2f}", f"{errors[name]:.1e}"])
                results.append(dict(threads=options.threads, shape=shape, contender=name,
                                    error=errors[name], seconds=times[name].tolist()))
    header = ["T, N, D, H", "contender", "ms (middle half)", "times as fast as torch", "worst error"]
    conclude("lstm", header, rows, results,
             "worst error: over y, dx and all gradients, relative to the largest entry of each array")


def problem(shape: tuple[int, int, int, int]) -> tuple[LSTM, np.ndarray, np.ndarray]:
    """A layer, its input, and the gradient w.r.t. its output: the same at each call."""
    T, N, D, H = shape
    rng = np.random.default_rng(0)
    layer = LSTM(D, H, rng)
    return layer, *(rng.standard_normal((T, N, size)).astype(np.float32) for size in (D, H))


def ours_on(shape: tuple[int, int, int, int]) -> Callable[[], list[np.ndarray]]:
    """A function that returns y, dx, and the gradients of weight_ih, weight_hh and bias."""
    layer, x, dy = problem(shape)

    def call():
        y, cache = layer.forward(x)
        dx, grads = layer.backward(dy, cache)
        return [y, dx, *grads.values()]

    return call


def torch_on(shape: tuple[int, int, int, int], dtype: torch.dtype) -> Callable[[], list[np.ndarray]]:
    """A function that returns the same arrays from torch.nn.LSTM with the same weights."""
    ours, x, dy = problem(shape)
    layer = torch.nn.LSTM(*shape[2:]).to(dtype)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(ours.params["weight_ih"]))
        layer.weight_hh_l0.copy_(torch.from_numpy(ours.params["weight_hh"]))
        layer.bias_ih_l0.copy_(torch.from_numpy(ours.params["bias"]))
        layer.bias_hh_l0.zero_()
    leaf, dy = torch.tensor(x, dtype=dtype, requires_grad=True), torch.tensor(dy, dtype=dtype)

    def call():
        layer.zero_grad()
        leaf.grad = None
        y, _ = layer(leaf)
        y.backward(dy)
        found = y, leaf.grad, layer.weight_ih_l0.grad, layer.weight_hh_l0.grad, layer.bias_ih_l0.grad
        return [tensor.detach().numpy() for tensor in found]

    return call


def compare(contenders: dict, oracle: Callable[[], list[np.ndarray]]) -> dict[str, float]:
    """The worst error of each contender, relative to the largest entry of each array."""
    exact = oracle()
    errors = {name: max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(call(), exact))
              for name, call in contenders.items()}
    assert max(errors.values()) < 1e-5, f"the answers differ: {errors}"
    return errors


if __name__ == "__main__":
    main()
