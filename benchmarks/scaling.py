"""How do time and memory of ctc_loss grow with the frames, the labels, the classes and the batch?

    python -m benchmarks.scaling [--quick] [--seconds 1] [--figures DIRECTORY]

T, U, C and N are varied one at a time around one problem, in float32 on one thread. The time of the loss
and the gradient is measured for two of our methods and for torch (the median of calls in turns), the
memory for ours only. The exponent p of size^p is the slope of the upper half of a curve on logarithmic
axes.

Memory is the peak that a call needs in addition to the logits and the gradient, which exist before
the call. The usual tools do not show it: `tracemalloc` sees NumPy's arrays, but not those that
compiled code makes, and `ru_maxrss` starts from the peak of the parent process or of the imports.
Therefore each point is measured in a process of its own, which
- makes the logits and the gradient, and calls `ctc_loss` once, so that all code is loaded;
- asks Linux to reset the peak of resident memory (/proc/self/clear_refs);
- calls `ctc_loss` again and reads the peak (VmHWM).
malloc is told to return blocks of 64 KB and more to the system at once; otherwise the second call
would reuse what the first one has freed. Linux counts pages in batches, so the result is accurate to
about 0.3 MB.

The curves of "auto" have kinks where its way of working changes. Short sequences are solved several at a
time, with a buffer for all of them. For long sequences, checkpoints are kept instead of all states: that
takes less memory but more time, as the states between checkpoints are computed again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ctc_scratch import ctc_loss, get_num_threads, set_num_threads
from ctc_scratch.plots.style import AMBER, BLUE, GREY, GRID

from .tools.harness import interleave, machine, markdown, save
from .tools.torch_ctc import on_torch

BASE = dict(T=400, N=8, C=64, U=60)
SWEEPS = dict(
    T=[125, 250, 500, 1000, 2000, 4000],
    U=[6, 12, 24, 48, 96, 190],
    C=[8, 32, 128, 512, 2048, 8192],
    N=[1, 2, 4, 8, 16, 32, 64],
)
QUICK_BASE, QUICK_SWEEPS = dict(T=20, N=2, C=5, U=4), dict(T=[20, 40])
LONG = dict(T=20_000, N=1, C=32, U=2_000)
MEANING = dict(T="frames T", U="labels U", C="classes C", N="sequences N")
STYLES = {
    "auto": dict(color=BLUE, marker="o", linewidth=2.2),
    "log": dict(color=BLUE, marker="s", linewidth=1.2, linestyle="--", markerfacecolor="white"),
    "torch": dict(color=AMBER, marker="^", linewidth=1.8),
}
NORMAL, SMALL = 13, 11
LEAST_PEAK = 0.3
"""The least peak that can be measured, in megabytes; it is reported for anything smaller."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--quick", action="store_true", help="a few tiny problems, to see that it runs")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of timing per point (default: 1)")
    parser.add_argument("--figures", type=Path, help="directory to draw to (default: beside the results)")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)  # measure one point, in a process of its own
    options = parser.parse_args()
    if options.peak_of:
        print(peak(**json.loads(options.peak_of)))
        return
    base, sweeps, long = BASE, SWEEPS, LONG
    if options.quick:
        base, sweeps, long = QUICK_BASE, QUICK_SWEEPS, QUICK_BASE
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)

    print(f"{machine()}\nfloat32, one thread; around {listed(base)}\n")
    results: dict[str, Any] = {name: [measure({**base, name: size}, options.seconds) for size in sizes]
                               for name, sizes in sweeps.items()}
    for name, sizes in sweeps.items():
        print(table(name, sizes, results[name]) + "\n")
    results["long"] = {f"{method}, {dtype}": peak_of(long, method, dtype)
                       for method in ("auto", "exact") for dtype in ("float32", "float64")}
    print(f"{listed(long)}: peak memory besides logits and gradient\n")
    rows = [[name, f"{found:.1f}"] for name, found in results["long"].items()]
    print(markdown(["method, dtype", "MB"], rows))

    path = save("scaling", dict(base=base, sweeps=sweeps, results=results))
    pictures = options.figures or path.parent
    for name, sizes in sweeps.items():
        figure(name, sizes, results[name], base).savefig(pictures / f"scaling_{name}.png", dpi=150)
    print(f"\nwritten: {path}, {pictures / 'scaling_*.png'}")


# ---- measuring --------------------------------------------------------------------------------


def draw(T: int, N: int, C: int, U: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Random logits (T, N, C) and targets (N, U)."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, N, C)).astype(dtype), rng.integers(1, C, (N, U))


def measure(shape: dict[str, int], seconds: float) -> dict[str, Any]:
    """One point: seconds per contender, megabytes per method, how many samples the exact kernel solved."""
    import torch  # not above: a process that measures our memory must not load torch

    torch.set_num_threads(1)
    logits, targets = draw(**shape, dtype="float32")
    contenders = {method: lambda method=method: ctc_loss(logits, targets, method=method).loss
                  for method in ("auto", "log")}
    exact = int(ctc_loss(logits, targets).exact.sum())
    with_torch = on_torch(logits, targets)
    contenders["torch"] = lambda: with_torch()[0]
    expected = contenders["log"]()
    for name, call in contenders.items():
        assert np.allclose(call(), expected, rtol=1e-3), f"{name} at {shape}: {call()}, expected {expected}"
    before = get_num_threads()
    set_num_threads(1)
    times = interleave(contenders, seconds)
    set_num_threads(before)
    return dict(seconds={name: float(np.median(spent)) for name, spent in times.items()},
                megabytes={method: max(peak_of(shape, method, "float32"), LEAST_PEAK)
                           for method in ("auto", "log")},
                exact=exact)


def peak_of(shape: dict[str, int], method: str, dtype: str) -> float:
    """`peak`, measured in a new process; nan if the system has no /proc/self/clear_refs."""
    if not os.path.exists("/proc/self/clear_refs"):
        return float("nan")
    arguments = json.dumps(dict(shape=shape, method=method, dtype=dtype))
    run = subprocess.run([sys.executable, "-m", "benchmarks.scaling", "--peak-of", arguments],
                         capture_output=True, text=True, check=True,
                         env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16)})
    return float(run.stdout)


def peak(shape: dict[str, int], method: str, dtype: str) -> float:
    """The peak memory, in megabytes, that a call of ctc_loss needs besides its logits and its gradient."""
    set_num_threads(1)
    logits, targets = draw(**shape, dtype=dtype)
    grad = np.empty_like(logits)
    ctc_loss(logits, targets, method=method, out=grad)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")
    ctc_loss(logits, targets, method=method, out=grad)
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """A field of /proc/self/status, in megabytes."""
    return int(re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """The slope over the upper half of the sizes, on logarithmic axes."""
    half = len(sizes) // 2 if len(sizes) > 3 else 0
    slope = np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)[0]
    return round(float(slope), 2) + 0.0  # not -0.00


# ---- showing ----------------------------------------------------------------------------------


def listed(shape: dict[str, int]) -> str:
    """A shape in words, like 'T = 400, N = 8'."""
    return ", ".join(f"{name} = {size}" for name, size in shape.items())


def table(name: str, sizes: list[int], points: list[dict]) -> str:
    """A row per size, a column per contender; the exponents in the last row."""
    columns = [(kind, method) for kind in ("seconds", "megabytes") for method in points[0][kind]]
    header = [name, *(f"{method} [{'ms' if kind == 'seconds' else 'MB'}]" for kind, method in columns),
              "by the exact kernel"]
    rows = [[size, *(number(point, *column) for column in columns), point["exact"]]
            for size, point in zip(sizes, points)]
    slopes = [exponent(sizes, [point[kind][method] for point in points]) for kind, method in columns]
    return markdown(header, [*rows, ["exponent", *(f"{slope:.2f}" for slope in slopes), ""]])


def number(point: dict, kind: str, method: str) -> str:
    """Milliseconds or megabytes, with three digits."""
    return f"{point[kind][method] * (1e3 if kind == 'seconds' else 1):.3g}"


def figure(name: str, sizes: list[int], points: list[dict], base: dict[str, int]) -> Figure:
    """Time on the left, memory on the right, against one of T, U, C, N."""
    T, N, C, _ = (np.array(sizes) if key == name else base[key] for key in ("T", "N", "C", "U"))
    drawing = Figure(figsize=(7.2, 5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    curves(left, name, sizes, points, "seconds", 1e3).set_ylabel("time [ms]", fontsize=NORMAL)
    curves(right, name, sizes, points, "megabytes", 1).set_ylabel("peak extra memory [MB]", fontsize=NORMAL)
    right.plot(sizes, np.ones(len(sizes)) * T * N * C * 4 / 1e6, color=GREY, linestyle=":", linewidth=1.8,
               label="the gradient itself")
    for ax in left, right:
        ax.set_xlabel(MEANING[name], fontsize=NORMAL)
        ax.legend(fontsize=NORMAL, frameon=False, loc="upper center", bbox_to_anchor=(0.45, -0.19))
    right.axhspan(0, LEAST_PEAK, color="0.88", zorder=0)
    right.set_ylim(bottom=LEAST_PEAK / 3)
    right.text(0.98, 0.02, "too little to measure", transform=right.transAxes, ha="right", fontsize=SMALL)
    others = {key: size for key, size in base.items() if key != name}
    drawing.suptitle(f"{listed(others)}, float32, one thread", fontsize=NORMAL)
    return drawing


def curves(ax: Axes, name: str, sizes: list[int], points: list[dict], kind: str, factor: float) -> Axes:
    """Draw a line per contender on logarithmic axes, with its exponent in the legend."""
    for method in points[0][kind]:
        values = [point[kind][method] for point in points]
        label = method if method == "torch" else f"ours, {method}"
        ax.plot(sizes, factor * np.array(values), **STYLES[method], markersize=7,
                label=f"{label}: ${name}^{{{exponent(sizes, values):.2f}}}$")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sizes, map(str, sizes))
    ax.set_xticks([], minor=True)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL)
    ax.grid(color=GRID)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


if __name__ == "__main__":
    main()
