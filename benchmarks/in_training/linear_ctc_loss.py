"""How much time and memory does a step of output layer and CTC loss take, with and without all logits?

    python -m benchmarks.in_training.linear_ctc_loss [--tables accuracy,times,memory] [--threads 1,2]
                                                 [--shapes 1000x8x512x20000x100] [--rounds 5] [--seconds 60]

Shapes are T x N x D x C x U. "torch" is F.linear, log_softmax, F.ctc_loss and backward, which keep the
logits (T, N, C) and other tensors of that shape. "ours" is `linear_ctc_loss` and backward, "ours, none" the
same with reduction="none", which computes the logits twice. All compute the float32 gradients w.r.t. hidden
states, weight and bias.

First, losses and gradients are compared with those of torch in float64, for a fresh layer, and for one whose
bias makes the blank likely, as in most frames of a trained network. Then the contenders take turns, with a
fresh layer. Last, the peak memory of a step is measured, each time in a new process (see
`tools/peak_memory.py`). It does not count hidden states, weight, bias and their gradients.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ctc_scratch import set_num_threads
from ctc_scratch.bridges.torch import linear_ctc_loss

from ..tools.harness import conclude, interleave, machine, milliseconds, ratio
from ..tools.peak_memory import resident

SHAPES = "1000x8x512x20000x100,500x16x256x5000x50,1000x4x512x50000x100"
CONTENDERS = ["torch", "ours", "ours, none"]


class Step(NamedTuple):
    """The arguments of the loss, of which the first three are the leaves."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor
    targets: Tensor
    input_lengths: Tensor
    target_lengths: Tensor

    def run(self, name: str) -> float:
        """One step of the contender `name`: returns the loss; the leaves then have gradients."""
        for leaf in self[:3]:
            leaf.grad = None
        if name == "torch":
            log_probs = F.linear(self.hidden, self.weight, self.bias).log_softmax(-1)
            loss = F.ctc_loss(log_probs, *self[3:])
            del log_probs  # or it would be kept while the next contender runs
        elif name == "ours":
            loss = linear_ctc_loss(*self)
        else:
            losses = linear_ctc_loss(*self, reduction="none")
            loss = (losses / self.target_lengths).mean()
        loss.backward()
        return loss.item()


def step(shape: tuple[int, ...], blank_bias: float = 0.0, dtype: torch.dtype = torch.float32) -> Step:
    """A random problem; hidden states are standard normal, and logits nearly so."""
    T, N, D, C, U = shape
    rng = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(T, N, D, generator=rng), torch.randn(C, D, generator=rng) / D**0.5
    bias, targets = torch.zeros(C), torch.randint(1, C, (N, U), generator=rng)
    bias[0] = blank_bias
    hidden, weight, bias = (tensor.to(dtype).requires_grad_() for tensor in (hidden, weight, bias))
    return Step(hidden, weight, bias, targets, torch.full((N,), T), torch.full((N,), U))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_training.linear_ctc_loss")
    tables = "accuracy,times,memory"
    parser.add_argument("--tables", default=tables, help=f"which tables (default: {tables})")
    parser.add_argument("--shapes", default=SHAPES, help=f"T x N x D x C x U (default: {SHAPES})")
    threads = ",".join(map(str, sorted({1, os.cpu_count() or 1})))
    parser.add_argument("--threads", default=threads, help=f"thread counts (default: {threads})")
    parser.add_argument("--rounds", type=int, default=5, help="the smallest number of rounds (default: 5)")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds per shape (default: 60)")
    parser.add_argument("--quick", action="store_true", help="a tiny problem, to see that it runs")
    options = parser.parse_args()
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes.split(",")]
    if options.quick:
        shapes = [(12, 2, 3, 40, 3)]
    print(f"{machine()}, torch {torch.__version__}\n")
    if "accuracy" in options.tables:
        accuracy(shapes)
    if "times" in options.tables:
        times(shapes, list(map(int, options.threads.split(","))), options.rounds, options.seconds)
    if "memory" in options.tables:
        memory(shapes)


def accuracy(shapes: list[tuple[int, ...]]) -> None:
    """Compare losses and gradients with torch in float64: the worst error as a share of the largest entry."""
    rows, results = [], []
    for shape in shapes:
        for layer, blank_bias in (("fresh", 0.0), ("blank likely", float(np.log(20 * shape[3])))):
            exact = step(shape, blank_bias, torch.float64)
            loss = exact.run("torch")
            for name in CONTENDERS:
                tried = step(shape, blank_bias)
                errors = [abs(tried.run(name) / loss - 1)]
                for leaf, true in zip(tried[:3], exact[:3]):
                    assert leaf.grad is not None and true.grad is not None
                    errors.append(float((leaf.grad - true.grad).abs().max() / true.grad.abs().max()))
                worst = 0.1 if name == "torch" else 1e-4  # torch's own gradients are off by 1 %
                assert max(errors) < worst, f"{name} {shape}: errors {errors}"
                rows.append([called(shape), layer, name, *(f"{error:.1e}" for error in errors)])
                results.append(dict(shape=shape, layer=layer, contender=name, errors=errors))
    header = ["T, N, D, C, U", "layer", "contender", "loss", "d_hidden", "d_weight", "d_bias"]
    conclude("linear_ctc_loss_accuracy", header, rows, results, "errors as shares of the largest entry")


def times(shapes: list[tuple[int, ...]], thread_counts: list[int], rounds: int, seconds: float) -> None:
    """Time the contenders in turns."""
    rows, results = [], []
    for threads in thread_counts:
        torch.set_num_threads(threads)
        set_num_threads(threads)
        for shape in shapes:
            made = step(shape)
            contenders: dict[str, Callable] = {
                name: (lambda name=name: made.run(name)) for name in CONTENDERS}
            spent = interleave(contenders, seconds, rounds)
            for name in CONTENDERS:
                rows.append([threads, called(shape), name, milliseconds(spent[name]),
                             f"{ratio(spent, name, 'torch'):.2f}"])
                results.append(dict(threads=threads, shape=shape, contender=name,
                                    seconds=spent[name].tolist()))
    conclude("linear_ctc_loss", ["threads", "T, N, D, C, U", "contender", "ms (middle half)", "time / torch"],
             rows, results)


def memory(shapes: list[tuple[int, ...]]) -> None:
    """Measure the peak memory of a step."""
    rows, results = [], []
    for shape in shapes:
        T, N, _, C, _ = shape
        logits = 4 * T * N * C / 1e6
        for name in CONTENDERS:
            megabytes = peak_of(shape, name)
            rows.append([called(shape), f"{logits:.0f}", name, f"{megabytes:.1f}",
                         f"{megabytes / logits:.3f}"])
            results.append(dict(shape=shape, contender=name, megabytes=megabytes, logits=logits))
    header = ["T, N, D, C, U", "logits: MB", "contender", "peak: MB", "peak / logits"]
    conclude("linear_ctc_loss_memory", header, rows, results, "peak: beside inputs and returned gradients")


def peak_of(shape: tuple[int, ...], name: str) -> float:
    """`peak`, measured in a new process; nan if the system has no /proc/self/clear_refs."""
    if not os.path.exists("/proc/self/clear_refs"):
        return float("nan")
    code = (f"from benchmarks.in_training.linear_ctc_loss import peak; "
            f"print(peak({json.dumps(shape)}, {name!r}))")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16)})
    return float(run.stdout)


def peak(shape: tuple[int, ...], name: str) -> float:
    """The peak memory of a step on one thread in megabytes, without the leaves and their gradients."""
    torch.set_num_threads(1)
    set_num_threads(1)
    made = step(shape)
    made.run(name)  # so that all code is loaded
    for leaf in made[:3]:
        leaf.grad = None
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")
    made.run(name)
    gradients = sum(leaf.numel() * leaf.element_size() for leaf in made[:3])
    return resident("VmHWM") - before - gradients / 1e6


def called(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


if __name__ == "__main__":
    main()
