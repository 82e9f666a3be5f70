"""The command `python -m benchmarks.scaling_out`, its tables and its figure."""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ctc_scratch.digits.training.settings import Settings, with_preset
from ctc_scratch.plots.style import AMBER, BLUE, GREY, GRID

from ..tools import harness
from ..tools.harness import machine, markdown, take_turns
from .computed import CHANGES, efficiency, end_of_scaling, seconds_per_step
from .measured import in_processes, parts_of_a_step, run_steps, time_transport

FIGURE = Path(__file__).parents[1] / "figures" / "scaling_out.png"
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
