"""The efficiency of training on R machines, computed from the parts of a step on one of them."""

from __future__ import annotations

import numpy as np

CHANGES = ("as it is", "overlap", "float16", "slices", "slices, own generators")
"""The program as it is, and with one or two changes."""


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
