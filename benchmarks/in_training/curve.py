"""The table of learning curves: a torch BiLSTM learns to read rows of 5 digits with either loss."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn

from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.data.rows import RowSampler
from ctc_scratch.digits.model.reader import RowReader, digits_to_labels

from ..tools.harness import markdown
from .contenders import LOSSES, BiLSTM, Loss

STEPS, BATCH, WINDOW = 300, 16, 4  # steps, rows per batch, columns per frame


def digit_batches(count: int) -> list[tuple[torch.Tensor, ...]]:
    """Batches of rows of 5 training digits: frames of 4 columns (T, N, 112), targets, and lengths of both."""
    sampler = RowSampler(*training_split(load_mnist())[0], (5, 5), np.random.default_rng(0))
    reader = RowReader(1, 1, True, WINDOW, rng=np.random.default_rng(0))  # only cuts rows into frames
    batches = []
    for _ in range(count):
        rows = sampler.batch(BATCH)
        x, lengths = reader.frames(rows.images, rows.widths)
        targets = np.stack([digits_to_labels(digits) for digits in rows.labels])
        batches.append((*map(torch.from_numpy, (x, targets, lengths)), torch.full((BATCH,), 5)))
    return batches


def train(loss_of: Loss, batches: list[tuple[torch.Tensor, ...]], dtype: torch.dtype
          ) -> tuple[np.ndarray, float]:
    """Train a BiLSTM; returns the loss at each step, and the seconds that all steps took together."""
    torch.manual_seed(0)
    network = BiLSTM(1, 64, batches[0][0].shape[2], 11).to(dtype)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses, start = [], time.perf_counter()
    for x, *rest in batches:
        optimiser.zero_grad()
        loss = loss_of(network(x.to(dtype)), *rest)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    return np.array(losses), time.perf_counter() - start


def curve_table(steps: int) -> tuple[str, list[dict[str, Any]]]:
    batches, rows, results = digit_batches(steps), [], []
    for dtype in (torch.float64, torch.float32):
        curves, seconds = {}, {}
        for name, loss_of in LOSSES.items():
            train(loss_of, batches[:2], dtype)  # warm up
            curves[name], seconds[name] = train(loss_of, batches, dtype)
        apart = np.abs(curves["torch"] - curves["ctc_scratch"])
        rows.append([str(dtype).removeprefix("torch."), *(f"{curves['ctc_scratch'][k]:.4f}" for k in (0, -1)),
                     f"{apart.max():.1e}", *(f"{seconds[name]:.1f}" for name in LOSSES)])
        results.append(dict(dtype=str(dtype), curves={name: each.tolist() for name, each in curves.items()},
                            seconds=seconds))
    header = ["type", "first loss", "last loss", "largest difference of the curves", "seconds, torch's loss",
              "seconds, our loss"]
    return markdown(header, rows), results
