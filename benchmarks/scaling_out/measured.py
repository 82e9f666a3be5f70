"""What is timed: training steps on ranks, the transport between two ranks, and the parts of a step."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ctc_scratch import set_num_threads
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.training.gradients import cut, mean_gradient, on_threads
from ctc_scratch.digits.training.settings import Settings
from ctc_scratch.digits.training.trainer import Trainer

from ..tools.harness import interleave

MEASURED: dict[str, Any] = dict(shards=4, steps=10**6)
BLOCKS = [0, 2**20, 2**22, 2**24]
"""Sizes of the blocks that time the transport [bytes]."""


def in_processes(ranks: int, what: str, options: argparse.Namespace, **variables: str) -> dict[str, float]:
    """What rank 0 of some ranks prints, or a single process if `ranks` is 0."""
    mpiexec = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks)] if ranks else []
    command = [*mpiexec, sys.executable, "-m", "benchmarks.scaling_out", "--rank", what,
               "--rounds", str(options.rounds), "--steps", str(options.steps)]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}")
    return json.loads(next(line for line in ended.stdout.splitlines() if line.startswith("{")))


def trainer_of(settings: Settings, mapper: Any = on_threads) -> Trainer:
    return Trainer(settings, *training_split(load_mnist()), mapper)


def run_steps(options: argparse.Namespace) -> dict[str, float]:
    """In a rank, or alone: the median and the least seconds of a training step."""
    threads = int(os.environ["CTC_THREADS"])
    if "PMI_SIZE" not in os.environ:
        set_num_threads(threads)
        return timed_steps(trainer_of(Settings(**MEASURED)), options.steps)
    from ctc_scratch.digits.training.ranks.ranks import Ranks

    with Ranks(threads) as ranks:
        if ranks.rank:
            ranks.follow()
            sys.exit()
        trainer = trainer_of(Settings(**MEASURED), ranks.mapper)
        ranks.begin(trainer)
        return timed_steps(trainer, options.steps)


def timed_steps(trainer: Trainer, steps: int) -> dict[str, float]:
    """The median and the least seconds of some steps, after three that do not count."""
    spent = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        trainer.step()
        spent.append(time.perf_counter() - start)
    return dict(seconds=float(np.median(spent[3:])), fastest=min(spent[3:]))


def time_transport(options: argparse.Namespace) -> dict[str, float]:
    """In a rank: the latency of an exchange [s], and its bandwidth [bytes received per second]."""
    from ctc_scratch.digits.training.ranks.mpi import Exchange

    exchange, medians = Exchange(), []
    for size in BLOCKS:
        block, spent = np.zeros(size, np.uint8), []
        for _ in range(5 * options.rounds):
            exchange.all_send(None)     # all begin at the same time
            start = time.perf_counter()
            exchange.all_send(None, block)
            spent.append(time.perf_counter() - start)
        medians.append(float(np.median(spent)))
    exchange.is_over = True
    slope = np.polyfit(BLOCKS, medians, 1)[0]
    if exchange.rank:
        sys.exit()
    return dict(latency=medians[0], bandwidth=float(1 / slope))


def parts_of_a_step(settings: Settings, rounds: int) -> dict[str, float]:
    """Seconds of each part of a step on two threads, and the bytes of a gradient."""
    set_num_threads(2)
    trainer = trainer_of(settings)
    model, sampler = trainer.model, trainer.sampler
    batch = sampler.batch(settings.batch)
    shards = cut(batch, settings.shards)
    results = on_threads(model, shards)
    grads = mean_gradient(model, [shard.grads for shard in results], settings.batch)

    def draw(only: slice) -> None:
        sampler.only = only
        sampler.batch(settings.batch)

    calls = {
        "rows": lambda: draw(slice(None)),
        "numbers": lambda: draw(slice(0, 0)),
        "half": lambda: draw(slice(0, settings.batch // 2)),
        "network": lambda: on_threads(model, shards),
        "add": lambda: mean_gradient(model, [shard.grads for shard in results], settings.batch),
        "optimiser": lambda: trainer.optimiser.step(grads, 1e-9),
    }
    times = interleave(calls, 0, least=2 * rounds)
    backward = float(np.mean([shard.seconds[2] / sum(shard.seconds) for shard in on_threads(model, shards)]))
    return {**{name: float(np.median(spent)) for name, spent in times.items()}, "backward": backward,
            "bytes": float(sum(grad.nbytes for grad in grads.values())),
            "rows_bytes": float(batch.images.nbytes)}
