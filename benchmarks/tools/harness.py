"""What the benchmarks share: interleaved timing, medians with their spread, tables, files.

A machine's speed drifts, so two times are comparable only if they are measured together. Contenders
therefore take turns, and a ratio is the median of the ratios of all rounds.
"""

from __future__ import annotations

import json
import os
import platform
import time
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np

RESULTS = Path(__file__).parents[1] / "results"


def interleave(contenders: Mapping[str, Callable[[], Any]], seconds: float = 2.0,
               least: int = 5, most: int = 200, turn: float = 0.01) -> dict[str, np.ndarray]:
    """Time the contenders in turns; returns the seconds per call of each, one number per round.

    A turn is at least one call and lasts at least `turn` seconds; its result is the mean of its calls. (A
    single short call would mostly measure the state in which the previous contender left the caches.)
    One call of each contender before the first round warms up. There are at least `least` rounds and at
    most `most`; after `seconds`, no further round begins unless `least` requires it.
    """
    for call in contenders.values():
        call()
    return take_turns({name: partial(one_turn, call, turn) for name, call in contenders.items()},
                      seconds, least, most)


def take_turns(turns: Mapping[str, Callable[[], float]], seconds: float = 2.0,
               least: int = 5, most: int = 200) -> dict[str, np.ndarray]:
    """As `interleave`, for contenders that measure themselves, such as one in another process.

    Each function takes one turn and returns the seconds per call. Nothing is warmed up.
    """
    times: dict[str, list[float]] = {name: [] for name in turns}
    order = list(turns.items())
    start = time.perf_counter()
    while (rounds := len(next(iter(times.values())))) < most:
        if rounds >= least and time.perf_counter() - start > seconds:
            break
        first = rounds % len(turns)  # so that no contender always comes first
        for name, measure in order[first:] + order[:first]:
            times[name].append(measure())
    return {name: np.array(spent) for name, spent in times.items()}


def one_turn(call: Callable[[], Any], turn: float = 0.01) -> float:
    """Make at least one call, and more until `turn` seconds are over; returns the seconds per call."""
    calls, before = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - before < turn:
        call()
        calls += 1
    return (time.perf_counter() - before) / calls


def ratio(times: Mapping[str, np.ndarray], slow: str, fast: str) -> float:
    """How many times as long `slow` takes as `fast`: the median over the rounds."""
    return float(np.median(times[slow] / times[fast]))


def stolen() -> np.ndarray:
    """Clock ticks that other virtual machines took from this one, and all ticks, since it started.

    The difference between two calls shows how much of the processor this machine really had. Both are NaN
    if the system is not Linux.
    """
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split(maxsplit=9)[1:9]]
    except (OSError, ValueError):
        return np.full(2, np.nan)
    return np.array([ticks[7], sum(ticks)], float)


def milliseconds(spent: np.ndarray) -> str:
    """The median and the middle half in milliseconds, like '3.21 (3.10-3.40)'."""
    low, middle, high = np.percentile(1e3 * spent, [25, 50, 75])
    digits = 3 if middle < 1 else 2 if middle < 10 else 1
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a Markdown table whose columns are aligned."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """One line with the date, the processor, its widest registers, and the versions of Python and NumPy."""
    fields = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields[name.strip()] = value.strip()
    except OSError:
        pass
    model = fields.get("model name") or platform.processor() or platform.machine()
    flags = fields.get("flags", "").split()
    registers = " (AVX-512)" if "avx512f" in flags else " (AVX2)" if "avx2" in flags else ""
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{when}, {model}{registers}, {os.cpu_count()} cores, {versions}"


def first_call(call: Callable[[], Any]) -> str:
    """Make a call that compiles or loads kernels; returns a line that says how long it took."""
    start = time.perf_counter()
    call()
    return f"first call (compiles, or loads from the cache): {time.perf_counter() - start:.2f} s"


def conclude(name: str, header: Sequence[str], rows: Sequence[Sequence[Any]], payload: Any,
             *remarks: str) -> None:
    """Print a table with remarks below it, and save the numbers behind it."""
    print(markdown(header, rows))
    print("\n".join(["", *remarks, f"written: {save(name, payload)}"]))


def save(name: str, payload: Any) -> Path:
    """Write `benchmarks/results/NAME.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "results": payload}, indent=2) + "\n")
    return path
