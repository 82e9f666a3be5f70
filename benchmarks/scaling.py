"""How do time and memory of ctc_loss grow, and is it fast on all families of inputs?

    python -m benchmarks.scaling [--tables sweeps,families] [--quick] [--seconds 1] [--figures DIRECTORY]
                                 [--families normal,wide,peaky]

All problems are float32, on one thread; times are medians of calls in turns.

Sweeps: T, U, C and N are varied one at a time around one problem of standard normal logits. The time of
the loss and the gradient is measured for two of our methods and for torch, the memory (in addition to
logits and gradient, see `tools/peak_memory.py`) for ours only. The exponent p of size^p is the slope of
the upper half of a curve on logarithmic axes. It stands in the table only, and only where the curve grows
steadily: over few sizes, and from memory too little to measure, a slope is noise. The curves of "auto"
have kinks where its way of working changes. Short sequences are solved several at a time, with a buffer
for all of them. For long sequences, checkpoints are kept instead of all states: that takes less memory but
more time, as the states between checkpoints are computed again.

Families: one sequence of each family (see `tools/families.py`) with C = 32 and U = T / 10. The time per
cell of the lattice, T U of them, is measured for "auto", for the exact kernel and for torch, and for all
families it is noted whether "auto" fell back to the exact kernel.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from tqdm import tqdm

from ctc_scratch import Workspace, ctc_loss, set_num_threads
from ctc_scratch.plots.style import AMBER, BLUE, GREEN, GREY, GRID

from .tools import harness
from .tools.families import FAMILIES, draw, names
from .tools.harness import conclude, interleave, machine, markdown, one_turn, ratio, save, take_turns
from .tools.peak_memory import LEAST_PEAK, normal_batch, peak_of
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
STYLES: dict[str, dict[str, Any]] = {
    "auto": dict(color=BLUE, marker="o", linewidth=2.2),
    "log": dict(color=BLUE, marker="s", linewidth=1.2, linestyle="--", markerfacecolor="white"),
    "torch": dict(color=AMBER, marker="^", linewidth=1.8),
}
NORMAL, SMALL = 13, 11

LENGTHS = [500, 1000, 2000, 5000, 10_000, 20_000]
"""Frames of the sequences of each family."""
FAMILIES_C, FRAMES_PER_LABEL = 32, 10
MARKERS = ("o", "s", "D", "v", "P")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling")
    parser.add_argument("--tables", default="sweeps,families", help="which tables (default: sweeps,families)")
    parser.add_argument("--quick", action="store_true", help="a few tiny problems, to see that it runs")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of timing per point (default: 1)")
    parser.add_argument("--figures", type=Path, help="directory to draw to (default: beside the results)")
    parser.add_argument("--families", type=names, default="normal,wide,peaky",
                        help="synthetic families to time (default: normal,wide,peaky)")
    options = parser.parse_args()
    if real := [family for family in options.families if family not in FAMILIES]:
        parser.error(f"--families: {real[0]} cannot be drawn in any length")
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)

    print(f"{machine()}\nfloat32, one thread\n")
    set_num_threads(1)
    torch.set_num_threads(1)
    if "sweeps" in options.tables:
        sweep_all(options)
    if "families" in options.tables:
        compare_families(options)


# ---- sweeps -----------------------------------------------------------------------------------


def sweep_all(options: argparse.Namespace) -> None:
    """Vary T, U, C and N, print the tables, draw the figures and save the numbers."""
    base, sweeps, long = BASE, SWEEPS, LONG
    if options.quick:
        base, sweeps, long = QUICK_BASE, QUICK_SWEEPS, QUICK_BASE
    print(f"around {listed(base)}\n")
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
    print(f"\nwritten: {path}, {pictures / 'scaling_[TUCN].png'}\n")


def measure(shape: dict[str, int], seconds: float) -> dict[str, Any]:
    """One point: seconds per contender, megabytes per method, how many samples the exact kernel solved."""
    logits, targets = normal_batch(**shape, dtype="float32")
    with_torch = on_torch(logits, targets)
    contenders: dict[str, Callable[[], Any]] = {
        "auto": lambda: ctc_loss(logits, targets).loss,
        "log": lambda: ctc_loss(logits, targets, method="log").loss,
        "torch": lambda: with_torch()[0],
    }
    exact = int(ctc_loss(logits, targets).exact.sum())
    expected = contenders["log"]()
    for name, call in contenders.items():
        assert np.allclose(call(), expected, rtol=1e-3), f"{name} at {shape}: {call()}, expected {expected}"
    times = interleave(contenders, seconds)
    return dict(seconds={name: float(np.median(spent)) for name, spent in times.items()},
                megabytes={method: max(peak_of(shape, method, "float32"), LEAST_PEAK)
                           for method in ("auto", "log")},
                exact=exact)


def exponent(sizes: Sequence[int], values: Sequence[float], least: float = 0.0) -> str:
    """The slope over the upper half of the sizes, on logarithmic axes; "-" where a slope would be noise.

    That is so if there are fewer than three points, if a value is not above `least`, or if a value is more
    than a quarter off the line.
    """
    half = len(sizes) // 2 if len(sizes) > 3 else 0
    x, y = np.log(sizes[half:]), np.log(values[half:])
    if len(x) < 3 or min(values[half:]) <= least:
        return "-"
    slope, start = np.polyfit(x, y, 1)
    if np.abs(y - start - slope * x).max() > np.log(1.25):
        return "-"
    return f"{round(float(slope), 2) + 0.0:.2f}"  # not -0.00


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
    slopes = [exponent(sizes, [point[kind][method] for point in points],
                       LEAST_PEAK if kind == "megabytes" else 0.0) for kind, method in columns]
    return markdown(header, [*rows, ["exponent", *slopes, ""]])


def number(point: dict, kind: str, method: str) -> str:
    """Milliseconds or megabytes, with three digits."""
    return f"{point[kind][method] * (1e3 if kind == 'seconds' else 1):.3g}"


def figure(name: str, sizes: list[int], points: list[dict], base: dict[str, int]) -> Figure:
    """Time on the left, memory on the right, against one of T, U, C, N."""
    T, N, C, _ = (np.array(sizes) if key == name else base[key] for key in ("T", "N", "C", "U"))
    drawing = Figure(figsize=(7.2, 5), layout="constrained")
    left, right = drawing.subplots(1, 2)
    curves(left, sizes, points, "seconds", 1e3).set_ylabel("time [ms]", fontsize=NORMAL)
    curves(right, sizes, points, "megabytes", 1).set_ylabel("peak extra memory [MB]", fontsize=NORMAL)
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


def curves(ax: Axes, sizes: list[int], points: list[dict], kind: str, factor: float) -> Axes:
    """Draw a line per contender on logarithmic axes."""
    for method in points[0][kind]:
        values = [point[kind][method] for point in points]
        ax.plot(sizes, factor * np.array(values), **STYLES[method], markersize=7,
                label=method if method == "torch" else f"ours, {method}")
    on_logarithmic_axes(ax, sizes)
    return ax


def on_logarithmic_axes(ax: Axes, sizes: Sequence[int]) -> None:
    """Make both axes logarithmic, with a tick at each size."""
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sizes, map(str, sizes))
    ax.set_xticks([], minor=True)
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL)
    ax.grid(color=GRID)
    ax.spines[["top", "right"]].set_visible(False)


# ---- families ---------------------------------------------------------------------------------


def compare_families(options: argparse.Namespace) -> None:
    """Time sequences of each family and length, print the table, draw the figure and save the numbers."""
    lengths = [40, 80] if options.quick else LENGTHS
    timed = {family: [time_family(family, T, options.seconds)
                      for T in tqdm(lengths, desc=family, leave=False)] for family in options.families}
    fell_back = {T: [family for family in FAMILIES if ctc_loss(*problem(family, T)).exact]
                 for T in lengths}
    rows = [[family, f"{T}, {T // FRAMES_PER_LABEL}", "exact" if point["exact"] else "certified",
             *(f"{point['nanoseconds'][name]:.3g}" for name in ("auto", "exact", "torch")),
             f"{point['torch / auto']:.1f}"]
            for family, points in timed.items() for T, point in zip(lengths, points)]
    header = ["family", "T, U", "kernel", "ours [ns per cell]", "exact", "torch", "torch / ours"]
    conclude("scaling_families", header, rows, dict(timed=timed, lengths=lengths, fell_back=fell_back),
             *(f"T = {T}: {len(found)} of {len(FAMILIES)} families fell back"
               + f" ({', '.join(found)})" * bool(found) for T, found in fell_back.items()))
    path = (options.figures or harness.RESULTS) / "scaling_families.png"
    families_figure(lengths, timed, fell_back).savefig(path, dpi=150)
    print(f"drawn: {path}")


def problem(family: str, T: int) -> tuple[np.ndarray, np.ndarray]:
    """The sequence of a family with T frames."""
    return draw(family, T, T // FRAMES_PER_LABEL, FAMILIES_C)


def time_family(family: str, T: int, seconds: float) -> dict[str, Any]:
    """One point: nanoseconds per cell of each contender, and whether "auto" fell back."""
    logits, target = problem(family, T)
    contenders: dict[str, Callable[[], Any]] = {
        method: partial(ctc_loss, logits, target, method=method, workspace=Workspace(),
                        out=np.empty_like(logits)) for method in ("auto", "exact")}
    contenders["torch"] = on_torch(logits[:, None], target[None])
    auto, exact, (losses, _) = (call() for call in contenders.values())
    for loss in auto.loss, losses[0]:
        assert abs(loss - exact.loss) <= 1e-2 * max(exact.loss, 1), f"{family}, T = {T}: {loss}, {exact.loss}"
    # The calls above have warmed up, and a call of torch can take seconds.
    times = take_turns({name: partial(one_turn, call) for name, call in contenders.items()}, seconds, least=3)
    cells = T * len(target)
    return {"exact": bool(auto.exact), "torch / auto": ratio(times, "torch", "auto"),
            "nanoseconds": {name: 1e9 * float(np.median(spent)) / cells for name, spent in times.items()}}


def families_figure(lengths: list[int], timed: dict[str, list[dict]], fell_back: dict[int, list[str]]
                    ) -> Figure:
    """Time per cell against T: a line per family for ours, a band over the families for the others."""
    drawing = Figure(figsize=(7.2, 5.6), layout="constrained")
    ax = drawing.subplots()
    for name, label, colour, marker in ("torch", "torch", AMBER, "^"), ("exact", "exact kernel", GREEN, ""):
        spent = np.array([[point["nanoseconds"][name] for point in points] for points in timed.values()])
        ax.fill_between(lengths, spent.min(axis=0), spent.max(axis=0), color=colour, alpha=0.45, linewidth=0)
        ax.plot(lengths, np.median(spent, axis=0), color=colour, linewidth=1.8, marker=marker,
                label=f"{label}: median and range of these families")
    ax.plot([], [], color=BLUE, linestyle="none", marker="o", markersize=8, markerfacecolor="white",
            label="hollow: fell back to the exact kernel")
    for marker, dashes, (family, points) in zip(cycle(MARKERS), cycle(["-", "--", ":"]), timed.items()):
        values = [point["nanoseconds"]["auto"] for point in points]
        ax.plot(lengths, values, color=BLUE, linestyle=dashes, marker=marker, markersize=8, linewidth=1.8,
                label=f"ours, {family}")
        hollow = [(T, value) for T, value, point in zip(lengths, values, points) if point["exact"]]
        ax.plot(*np.reshape(hollow, (-1, 2)).T, color=BLUE, linestyle="none", marker=marker, markersize=8,
                markerfacecolor="white")
    on_logarithmic_axes(ax, lengths)
    ax.set_xticks(lengths, [f"{T}\n{len(fell_back[T])} of {len(FAMILIES)}" for T in lengths])
    low, high = ax.get_ylim()
    ticks = [tick for tick in (0.3, 1, 3, 10, 30, 100, 300, 1000, 3000) if low <= tick <= high]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xlabel("frames T, and how many of all families fell back", fontsize=NORMAL)
    ax.set_ylabel("time per lattice cell [ns]", fontsize=NORMAL)
    ax.set_title(f"one sequence, U = T / {FRAMES_PER_LABEL}, C = {FAMILIES_C}, float32, one thread",
                 fontsize=NORMAL)
    drawing.legend(fontsize=SMALL, frameon=False, ncols=2, loc="outside lower center")
    return drawing


if __name__ == "__main__":
    main()
