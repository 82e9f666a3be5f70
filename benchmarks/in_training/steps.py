"""The table of training steps: five networks on random features, with torch's loss and with ours.

A step is zero_grad, forward, loss, backward and Adam. It is cut at the logits, so that the loss and its
gradient are timed apart from the forward and the backward pass of the network. Both losses take turns on one
batch.
"""

from __future__ import annotations

import time
from typing import Any, Callable

import numpy as np
import torch
from torch import nn

from ctc_scratch import set_num_threads

from ..tools.harness import markdown, take_turns
from .contenders import LOSSES, BiLSTM, Loss

SHAPES = [(500, 16, 64, 100), (1500, 16, 500, 300)]  # T, N, C, U
D = 80  # features per frame, as from log-mel filterbanks

# ---- networks: (T, N, D) -> (T, N, C) ---------------------------------------------------------


class Convolutional(nn.Module):
    """Three convolutions over time, each 5 frames wide with 128 channels, and an output layer."""

    def __init__(self, D: int, C: int):
        super().__init__()
        widths = [D, 128, 128, 128]
        self.layers = nn.Sequential(*(each for a, b in zip(widths, widths[1:])
                                      for each in (nn.Conv1d(a, b, 5, padding=2), nn.ReLU())))
        self.output = nn.Linear(128, C)

    def forward(self, x):
        return self.output(self.layers(x.permute(1, 2, 0)).permute(2, 0, 1))


NETWORKS: dict[str, tuple[str, Callable[[int], nn.Module]]] = {
    "linear": ("linear probe", lambda C: nn.Linear(D, C)),
    "conv": ("3 convolutions", lambda C: Convolutional(D, C)),
    "lstm1": ("BiLSTM 1 x 128", lambda C: BiLSTM(1, 128, D, C)),
    "lstm2": ("BiLSTM 2 x 256", lambda C: BiLSTM(2, 256, D, C)),
    "lstm3": ("BiLSTM 3 x 512", lambda C: BiLSTM(3, 512, D, C)),
}


# ---- steps ------------------------------------------------------------------------------------


def step(network: nn.Module, optimiser: torch.optim.Optimizer, loss_of: Loss, batch: Any) -> list[float]:
    """One training step; returns the seconds of its parts: network forward, loss, network backward, Adam."""
    x, *rest = batch
    times = [time.perf_counter()]
    optimiser.zero_grad()
    logits = network(x)
    times.append(time.perf_counter())
    cut = logits.detach().requires_grad_()
    loss_of(cut, *rest).backward()
    times.append(time.perf_counter())
    logits.backward(cut.grad)
    times.append(time.perf_counter())
    optimiser.step()
    times.append(time.perf_counter())
    return np.diff(times).tolist()


def random_batch(shape: tuple[int, int, int, int]) -> tuple[torch.Tensor, ...]:
    """Features (T, N, D), targets (N, U), and lengths (N,) of both; nothing is padded."""
    T, N, C, U = shape
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(T, N, D, generator=generator), torch.randint(1, C, (N, U), generator=generator),
            torch.full((N,), T), torch.full((N,), U))


def compare(network: nn.Module, batch: Any) -> None:
    """Check our loss and its gradient w.r.t. the logits against torch's in float64.

    torch's own float32 gradients may be off by a thousandth of the largest entry at T = 1500, U = 300.
    """
    x, *rest = batch
    logits = network(x).detach()
    found = {}
    for name, dtype in ("ctc_scratch", torch.float32), ("torch", torch.float64):
        cut = logits.detach().to(dtype).requires_grad_()
        loss = LOSSES[name](cut, *rest)
        loss.backward()
        found[name] = loss.item(), cut.grad
    (loss, grad), (expected, truth) = found.values()
    worst = float((grad - truth).abs().max() / truth.abs().max())
    assert abs(loss / expected - 1) < 1e-5 and worst < 1e-4, f"the answers differ: {loss, expected, worst}"


def measure(name: str, shape: tuple[int, int, int, int], threads: int, rounds: int) -> dict[str, np.ndarray]:
    """Seconds (rounds, 4) of the parts of a step, for each loss."""
    set_num_threads(threads)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network, batch = NETWORKS[name][1](shape[2]), random_batch(shape)
    compare(network, batch)
    parts: dict[str, list[list[float]]] = {loss: [] for loss in LOSSES}
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)

    def turn(loss: str) -> float:
        parts[loss].append(step(network, optimiser, LOSSES[loss], batch))
        return sum(parts[loss][-1])

    for loss in LOSSES:
        step(network, optimiser, LOSSES[loss], batch)  # warm up
    take_turns({loss: lambda loss=loss: turn(loss) for loss in LOSSES}, seconds=0, least=rounds)
    return {loss: np.array(seconds) for loss, seconds in parts.items()}


def steps_table(models: list[str], threads: list[int], rounds: int, shapes: list[tuple[int, int, int, int]]
                ) -> tuple[str, list[dict[str, Any]]]:
    rows, results = [], []
    for shape in shapes:
        for name in models:
            for count in threads:
                parts = measure(name, shape, count, rounds)
                theirs, ours = (np.median(parts[loss], axis=0) for loss in LOSSES)
                wholes = [parts[loss].sum(axis=1) for loss in LOSSES]
                rows.append([
                    "{}, {}, {}, {}".format(*shape), NETWORKS[name][0], count,
                    *(f"{1e3 * seconds:.1f}" for seconds in (ours[0], ours[2], ours[3], theirs[1], ours[1])),
                    f"{np.median(parts['torch'][:, 1] / parts['ctc_scratch'][:, 1]):.1f}",
                    *(f"{1e3 * np.median(whole):.0f}" for whole in wholes),
                    f"{np.median(wholes[0] / wholes[1]):.2f}"])
                results.append(dict(shape=shape, network=name, threads=count,
                                    seconds={loss: each.tolist() for loss, each in parts.items()}))
                print(f"measured: {rows[-1]}", flush=True)
    header = ["T, N, C, U", "network", "threads", "forward", "backward", "Adam", "torch's loss", "our loss",
              "ratio", "step, torch's loss", "step, our loss", "ratio"]
    return markdown(header, rows), results
