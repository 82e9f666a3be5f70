"""How much faster is training on several machines, and where does that end?

    python -m benchmarks.scaling_out [--rounds 5] [--steps 20] [--figure PATH]

First, what can be measured on one machine. 1 to 4 ranks, and 1 or 2 threads without ranks, train the default
model on batches of 64 rows in 4 shards, in turns. All ranks share the cores and the memory of this machine,
so more ranks than cores gain nothing. The transport is timed between two ranks, through shared memory and
through TCP: the latency of an empty exchange, and the bandwidth of large blocks.

Then a computation. Each of R machines has 64 rows of every batch, in two shards on two threads, so the batch
grows with R. The parts of a step are timed for each model. On R machines they take

    random numbers of all rows      R times as long as on one
    adding the gradients            R times as long as on one
    own rows, network, optimiser    as long as on one
    exchange                        latency log2(R) + 2 (R - 1) G / bandwidth, for gradients of G bytes

The efficiency is the time of a step on one machine as a share of that on R machines. Four changes to the
program are computed as well. Overlap hides the exchange behind the backward pass, as far as that takes as
long. float16 halves the blocks, and changes the weights. With slices each machine adds one R-th of all
gradients and sends the sum, so that it receives about 3 G whatever R is; the bits stay. If each shard has a
random generator of its own, no machine draws numbers for others; the batches are then different ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch import set_num_threads
from ctc_scratch.digits.data.mnist_files import load_mnist, training_split
from ctc_scratch.digits.training.gradients import cut, mean_gradient, on_threads
from ctc_scratch.digits.training.settings import Settings, with_preset
from ctc_scratch.digits.training.trainer import Trainer
from ctc_scratch.plots.style import AMBER, BLUE, GREY, GRID

from .tools import harness
from .tools.harness import interleave, machine, markdown, take_turns

FIGURE = Path(__file__).parent / "figures" / "scaling_out.png"
MEASURED: dict[str, Any] = dict(shards=4, steps=10**6)
CONTENDERS = {"1 thread": (0, 1), "2 threads": (0, 2), "1 rank": (1, 1),
              **{f"{ranks} ranks": (ranks, 1) for ranks in (2, 3, 4)}}
"""Ranks (0: without mpiexec) and threads of each."""

MODELS: dict[str, dict[str, Any]] = {
    "default, 1 x 128": {},
    "best, 2 x 160": {name: getattr(with_preset("best"), name)
                      for name in ("hidden", "layers", "window", "vertical", "optimiser")},
    "2 x 512": dict(hidden=512, layers=2),
}
MACHINES = [1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1000]
ETHERNET = "10 Gbit Ethernet (assumed)"
TRANSPORTS: dict[str, dict[str, str]] = {"shared memory": {}, "TCP": dict(UCX_TLS="tcp,self")}
CHANGES = ("as it is", "overlap", "float16", "slices", "slices, own generators")
BLOCKS = [0, 2**20, 2**22, 2**24]
"""Sizes of the blocks that time the transport [bytes]."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_out")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default: 5)")
    parser.add_argument("--steps", type=int, default=20, help="steps in a turn (default: 20)")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where to draw (default: figures/)")
    parser.add_argument("--rank", choices=["train", "transport"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        print(json.dumps({"train": run_steps, "transport": time_transport}[options.rank](options)))
        return
    cores = len(os.sched_getaffinity(0))
    print(f"{machine()}; load before: {os.getloadavg()[0]:.1f}\n")
    fastest = dict.fromkeys(CONTENDERS, np.inf)

    def turn(name: str) -> float:
        ranks, threads = CONTENDERS[name]
        found = in_processes(ranks, "train", options, CTC_THREADS=str(threads))
        fastest[name] = min(fastest[name], found["fastest"])
        return found["seconds"]

    times = take_turns({name: partial(turn, name) for name in CONTENDERS}, 0, options.rounds, options.rounds)
    print(f"all ranks share {cores} cores\n\n{markdown(*measured_table(times, fastest))}\n")

    transports = {name: in_processes(2, "transport", options, **variables)
                  for name, variables in TRANSPORTS.items()}
    print(markdown(["transport between two ranks", "latency", "bandwidth"],
                   [[name, f"{1e6 * t['latency']:.0f} us", f"{t['bandwidth'] / 1e9:.2f} GB/s"]
                    for name, t in transports.items()]))
    transports[ETHERNET] = dict(latency=transports["TCP"]["latency"], bandwidth=1.25e9)

    parts = {name: parts_of_a_step(Settings(**changes), options.rounds) for name, changes in MODELS.items()}
    print(f"\n{markdown(*parts_table(parts))}\n\n{data_text(parts['default, 1 x 128'], transports['TCP'])}\n")
    for transport in ("TCP", ETHERNET):
        print(f"{transport}: efficiency\n\n{markdown(*efficiency_table(parts, transports[transport]))}\n\n"
              f"{overlap_text(parts, transports[transport])}\n")
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    figure(parts, transports).savefig(options.figure, dpi=150)
    path = harness.save("scaling_out", dict(times={name: spent.tolist() for name, spent in times.items()},
                                            fastest=fastest, transports=transports, parts=parts))
    print(f"load after: {os.getloadavg()[0]:.1f}\ndrawn: {options.figure}\nwritten: {path}")


# ---- measuring --------------------------------------------------------------------------------


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


# ---- computing --------------------------------------------------------------------------------


def seconds_per_step(part: dict[str, float], transport: dict[str, float], R: int, change: str
                     ) -> dict[str, float]:
    """The parts of a step on R machines, each of which has a batch of its own in two shards."""
    own_generators, slices = "own generators" in change, "slices" in change
    size = part["bytes"] * (0.5 if change == "float16" else 1)
    received = (3 if slices else 2 * R) * size * (R - 1) / R
    exchange = 0.0 if R == 1 else transport["latency"] * np.log2(R) + received / transport["bandwidth"]
    if change == "overlap":
        exchange = max(0.0, exchange - part["backward"] * part["network"])
    return {
        "random numbers": part["numbers"] * (1 if own_generators else R),
        "own rows": part["rows"] - part["numbers"] + part["network"],
        "exchange": float(exchange),
        "adding": part["add"] * (1 if slices else R),
        "optimiser": part["optimiser"],
    }


def efficiency(part: dict[str, float], transport: dict[str, float], R: int, change: str) -> float:
    """The time of a step on one machine as a share of that on R machines."""
    one, several = (sum(seconds_per_step(part, transport, count, change).values()) for count in (1, R))
    return one / several


def end_of_scaling(part: dict[str, float], transport: dict[str, float], change: str) -> str:
    """The most machines with an efficiency of at least a half, and the largest part beyond these."""
    counts = [R for R in range(1, 1001) if efficiency(part, transport, R, change) >= 0.5]
    if counts[-1] == 1000:
        return "beyond 1000"
    spent = seconds_per_step(part, transport, counts[-1] + 1, change)
    grown = {name: spent[name] for name in ("random numbers", "exchange", "adding")}
    return f"{counts[-1]}: {max(grown, key=lambda name: grown[name])}"


# ---- showing ----------------------------------------------------------------------------------


def measured_table(times: dict[str, np.ndarray], fastest: dict[str, float]
                   ) -> tuple[list[str], list[list[str]]]:
    header = ["", "ms per step (middle half)", "as a share of 2 threads", "fastest step, ms", "as a share"]
    return header, [[name, harness.milliseconds(spent), f"{harness.ratio(times, name, '2 threads'):.2f}",
                     f"{1e3 * fastest[name]:.1f}", f"{fastest[name] / fastest['2 threads']:.2f}"]
                    for name, spent in times.items()]


def parts_table(parts: dict[str, dict[str, float]]) -> tuple[list[str], list[list[str]]]:
    names = ("numbers", "rows", "network", "add", "optimiser")
    header = ["model", "gradient", "random numbers, ms", "all of drawing", "network and CTC", "adding",
              "optimiser"]
    return header, [[name, f"{part['bytes'] / 1e6:.2f} MB", *(f"{1e3 * part[key]:.2f}" for key in names)]
                    for name, part in parts.items()]


def data_text(part: dict[str, float], transport: dict[str, float]) -> str:
    """What the rows of a batch cost two ranks, drawn on both or drawn on one and sent."""
    sent = part["rows"] + transport["latency"] + part["rows_bytes"] / 2 / transport["bandwidth"]
    return (f"rows on two ranks: {1e3 * part['rows']:.2f} ms if each draws all, {1e3 * part['half']:.2f} ms "
            f"if each draws the pixels of its own half, {1e3 * sent:.2f} ms if one draws all and sends half "
            f"through TCP")


def overlap_text(parts: dict[str, dict[str, float]], transport: dict[str, float]) -> str:
    """How much overlap could bring at two machines, at the most."""
    gains = []
    for name, part in parts.items():
        as_it_is, overlap = (sum(seconds_per_step(part, transport, 2, change).values())
                             for change in CHANGES[:2])
        gains.append(f"{name}: {1 - overlap / as_it_is:.1%}")
    return f"of a step on two machines, overlap saves at most: {', '.join(gains)}"


def efficiency_table(parts: dict[str, dict[str, float]], transport: dict[str, float]
                     ) -> tuple[list[str], list[list[str]]]:
    """A row per model and change: efficiency for some numbers of machines, and where half of it is left."""
    shown = [2, 8, 32, 125, 1000]
    rows = [[name, change, *(f"{efficiency(part, transport, R, change):.0%}" for R in shown),
             end_of_scaling(part, transport, change)]
            for name, part in parts.items() for change in CHANGES]
    return ["model", "", *map(str, shown), "half is left at, and what grows"], rows


def figure(parts: dict[str, dict[str, float]], transports: dict[str, dict[str, float]]) -> Figure:
    """Efficiency against machines: a panel per transport, a colour per model, dashes per change."""
    drawing = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = drawing.subplots(1, 2, sharey=True)
    for ax, transport in zip(axes, ("TCP", ETHERNET)):
        for (name, part), colour in zip(parts.items(), (BLUE, AMBER, GREY)):
            for change, dashes in (("as it is", "-"), ("slices", "--"), ("slices, own generators", ":")):
                shares = [100 * efficiency(part, transports[transport], R, change) for R in MACHINES]
                ax.plot(MACHINES, shares, color=colour, linestyle=dashes, markersize=3,
                        marker="o" if dashes == "-" else "", label=f"{name}, {change}")
        ax.set(xscale="log", xlabel="machines, each with 64 rows per batch", title=transport, ylim=(0, 103))
        ax.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
        ax.grid(color=GRID)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("efficiency [%]")
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False,
                   fontsize=7)
    return drawing


if __name__ == "__main__":
    main()
