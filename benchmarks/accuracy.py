"""How accurate are loss and gradient for long sequences, for large logits, and where rescaling fails?

    python -m benchmarks.accuracy [--quick] [--figure PATH]

There are two sweeps over random problems and one published problem that rescaling gets wrong. The
first sweep goes over T up to 20 000 (C = 30, U = T / 20, logits of standard deviation 1), the second
over the standard deviation up to 10 000 (T = 200, C = 30, U = 20). The tables show the worst error over
the samples: the relative error of the loss, and the largest absolute error of a gradient entry (which is
probs - occupancy, so it lies between -1 and 1). A sample *fails* if an answer is not finite or a
gradient entry is wrong by more than 0.1.

The truth is computed from the logits after rounding to the contender's dtype. Up to T = 400 it is the
recursion in 256 bits (mpmath). Longer sequences would take minutes, so for them it is the rescaled
recursion below in extended precision (64 bits, numbers down to 1e-4932); on platforms whose long double
is a float64, they are left out. Even extended precision could lose states, but then it would not agree
with our exact kernel, which works quite differently. The run ends if they differ by 1e-12.

The contenders beside ours are torch, the recursion of `reference` in float32, and the recursion of the
papers in float64, with the states divided by their sum at every frame (Graves et al. 2006, section 4.1).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ctc_scratch import ctc_loss
from ctc_scratch.ctc.labels import can_skip, extend
from ctc_scratch.plots.style import AMBER, BLUE, GREEN, GRID
from tests.tools import truth

from .tools.harness import machine, markdown, save
from .tools.torch_ctc import on_torch

LENGTHS = [200, 600, 2000, 6000, 20_000]
SCALES = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
MPMATH_UNTIL = 400
"""The longest sequence for which the truth is computed in 256 bits."""
EXTENDED = np.finfo(np.longdouble).maxexp > 16_000
"""Whether long double is more than float64; it is not on Windows nor on Apple's ARM."""
FAILS = 0.1
"""A sample whose gradient has a larger error than this in any entry counts as failed."""


class Answer(NamedTuple):
    """A contender's answer for one sequence."""

    loss: float
    grad: NDArray  # (T, C)
    exact: bool = False  # solved by the exact kernel


# ---- contenders -------------------------------------------------------------------------------


def ours(method: str) -> Callable[[NDArray, NDArray], Answer]:
    """A contender: ctc_loss with this method."""
    def call(logits, labels):
        result = ctc_loss(logits, labels, method=method)
        return Answer(float(result.loss), result.grad, bool(result.exact))

    return call


def with_torch(logits: NDArray, labels: NDArray) -> Answer:
    """A contender: log_softmax, ctc_loss and backward of torch, in the dtype of the logits."""
    losses, grad = on_torch(logits[:, None], labels[None])()
    return Answer(float(losses[0]), grad[:, 0])


def log_space(logits: NDArray, labels: NDArray) -> Answer:
    """A contender: the recursion in log space, with every number in the dtype of the logits."""
    ext = extend(labels, 0)
    log_probs = logits - logits.max(axis=1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    emit = log_probs[:, ext]
    log_alpha = _log_sweep(emit, can_skip(ext)) + emit
    # beta is the same recursion on the reversed sequence; it leaves out the emission of its own frame.
    joint = log_alpha + _log_sweep(emit[::-1, ::-1], can_skip(ext[::-1]))[::-1, ::-1]
    joint -= joint.max(axis=1, keepdims=True)
    gamma = np.exp(joint, out=joint)
    gamma /= gamma.sum(axis=1, keepdims=True)
    loss = -float(np.logaddexp(*log_alpha[-1, -2:]))
    return Answer(loss, np.exp(log_probs) - occupancy(gamma, ext, logits))


def _log_sweep(emit, skips):
    """ln of the probability that reaches each state, without the emission of its own frame."""
    log_skips = np.where(skips[2:], 0, -np.inf).astype(emit.dtype)
    log_reach = np.full_like(emit, -np.inf)
    log_reach[0, :2] = 0
    for t in range(1, len(emit)):
        row = log_reach[t - 1] + emit[t - 1]
        log_reach[t] = row
        log_reach[t, 1:] = np.logaddexp(log_reach[t, 1:], row[:-1])
        log_reach[t, 2:] = np.logaddexp(log_reach[t, 2:], row[:-2] + log_skips)
    return log_reach


def rescaled(logits: NDArray, labels: NDArray) -> Answer:
    """A contender: the recursion in linear space, with alpha and beta divided by their sums at each frame."""
    ext = extend(labels, 0)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    emit = probs[:, ext]
    with np.errstate(all="ignore"):  # rescaling fails silently in practice, too
        reach, log_likelihood = _rescaled_sweep(emit, can_skip(ext))
        back, _ = _rescaled_sweep(emit[::-1, ::-1], can_skip(ext[::-1]))
        gamma = reach * emit * back[::-1, ::-1]
        gamma /= gamma.sum(axis=1, keepdims=True)
    return Answer(-log_likelihood, probs - occupancy(gamma, ext, logits))


def _rescaled_sweep(emit, skips):
    """The probability that reaches each state, as in `_log_sweep`, and the sum of the divisors' logs."""
    T, S = emit.shape
    skips = skips.astype(emit.dtype)
    reach = np.zeros_like(emit)
    reach[0, :2] = 1
    log_total = 0.0
    for t in range(T):
        row = reach[t] * emit[t]
        row[:max(0, S - 2 * (T - t))] = 0  # too far from the end to finish
        total = row.sum()
        log_total += np.log(total)
        row /= total
        if t < T - 1:
            reach[t + 1] = row
            reach[t + 1, 1:] += row[:-1]
            reach[t + 1, 2:] += skips[2:] * row[:-2]
    return reach, float(log_total)


def occupancy(gamma: NDArray, ext: NDArray, logits: NDArray) -> NDArray:
    """gamma (T, S) summed over the states of each class: (T, C)."""
    total = np.zeros_like(logits)
    np.add.at(total.T, ext, gamma.T)
    return total


CONTENDERS: dict[str, tuple[Any, Callable[[NDArray, NDArray], Answer]]] = {
    "ours, float64": (np.float64, ours("auto")),
    "ours, exact kernel": (np.float64, ours("exact")),
    "ours, log space": (np.float64, ours("log")),
    "ours, float32": (np.float32, ours("auto")),
    "torch, float64": (np.float64, with_torch),
    "torch, float32": (np.float32, with_torch),
    "log space in float32": (np.float32, log_space),
    "rescaling, float64": (np.float64, rescaled),
}


# ---- measuring --------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy")
    parser.add_argument("--quick", action="store_true", help="a few short sequences, to see that it runs")
    parser.add_argument("--figure", type=Path, help="where to draw (default: beside the results)")
    options = parser.parse_args()
    lengths, scales, frames = ([50, 100], [1, 1000], 50) if options.quick else (LENGTHS, SCALES, 200)
    lengths = [T for T in lengths if EXTENDED or T <= MPMATH_UNTIL]

    print(f"{machine()}, torch {torch.__version__}\n")
    rng = np.random.default_rng(0)
    by_length = [compare([draw(rng, T, T // 20, 1) for _ in range(3 if T <= 6000 else 2)]) for T in lengths]
    by_scale = [compare([draw(rng, frames, frames // 10, scale) for _ in range(3)]) for scale in scales]
    published = compare([draw_counterexample(frames)])

    print("worst relative error of the loss / worst error of a gradient entry\n\n"
          "against T, with U = T / 20, C = 30, logits of standard deviation 1:\n")
    print(table([f"T = {T}" for T in lengths], by_length))
    print(f"\nagainst the logits' standard deviation, with T = {frames}, U = {frames // 10}, C = 30:\n")
    print(table([f"{scale:g}" for scale in scales], by_scale))
    print(f"\nT = {2 * frames}, labels 1, 2, 1, 2, ... (U = {3 * frames // 4}) of probability 1e-4, from the "
          "middle on 1e-30, else the blank:\n")
    rows = [[name, f"{found['says']:.2f}", cell(found)] for name, found in published.items()]
    print(markdown(["contender", "loss says [nats]", "errors"], rows))
    print(f"\nthe truth is {published['ours, exact kernel']['truth']:.2f} nats")

    path = save("accuracy", dict(
        lengths=dict(zip(lengths, by_length)), scales=dict(zip(scales, by_scale)),
        counterexample=published,
    ))
    picture = options.figure or path.with_suffix(".png")
    figure(lengths, by_length, scales, by_scale).savefig(picture, dpi=150)
    print(f"\nwritten: {path}, {picture}")


def draw(rng: np.random.Generator, T: int, U: int, scale: float, C: int = 30) -> tuple[NDArray, NDArray]:
    """Random logits (T, C) and labels (U,)."""
    return scale * rng.standard_normal((T, C)), rng.integers(1, C, U)


def draw_counterexample(half: int) -> tuple[NDArray, NDArray]:
    """A problem of 2 * half frames. The states that matter at the end begin below the smallest float64."""
    label = np.repeat([1e-4, 1e-30], half)
    return np.log(np.stack([1 - 2 * label, label, label], axis=1)), np.arange(3 * half // 4) % 2 + 1


def compare(problems: list[tuple[NDArray, NDArray]]) -> dict[str, dict[str, Any]]:
    """For each contender: the worst errors, how many samples fail, and how many the exact kernel solved."""
    worst: dict[str, dict[str, Any]] = {
        name: dict(loss=0.0, grad=0.0, fails=0, exact=0, samples=len(problems)) for name in CONTENDERS
    }
    for drawn, labels in problems:
        true = {dtype: solve(drawn.astype(dtype), labels) for dtype in (np.float64, np.float32)}
        for name, (dtype, call) in CONTENDERS.items():
            loss, grad, exact = call(drawn.astype(dtype), labels)
            errors = (float(abs(loss - true[dtype].loss) / true[dtype].loss),
                      float(np.abs(grad - true[dtype].grad).max()))
            fails = not (np.isfinite(loss) and errors[1] <= FAILS)  # also if the error is NaN
            found = worst[name]
            found["loss"], found["grad"] = np.maximum([found["loss"], found["grad"]], errors).tolist()
            found["fails"] += fails
            found["exact"] += exact
            found.update(says=loss, truth=float(true[dtype].loss))
            if name == "ours, exact kernel":
                assert max(errors) < 1e-12, f"two ways to the truth differ by {errors}"
    return worst


def solve(logits: NDArray, labels: NDArray) -> Any:
    """The true answer, with attributes loss and grad."""
    if len(logits) <= MPMATH_UNTIL:
        return truth.solve(logits, labels)
    return rescaled(logits.astype(np.longdouble), labels)


# ---- showing ----------------------------------------------------------------------------------


def table(columns: list[str], points: list[dict]) -> str:
    """A row per contender, a column per point; below, how many samples of "auto" the exact kernel solved."""
    rows = [[name, *(cell(point[name]) for point in points)] for name in CONTENDERS]
    for name in "ours, float64", "ours, float32":
        rows.append([f"{name}: by the exact kernel",
                     *("{exact} of {samples}".format_map(point[name]) for point in points)])
    return markdown(["", *columns], rows)


def cell(found: dict[str, Any]) -> str:
    """Both errors, as "loss / gradient", after "fails:" if any sample fails."""
    if found["fails"]:
        return "fails: {loss:.0e} / {grad:.0e}".format_map(found)
    return "{loss:.0e} / {grad:.0e}".format_map(found)


STYLES = {  # blue is ours; dashed is float32; hollow is solved by the exact kernel
    "ours, float64": dict(color=BLUE, marker="o", linewidth=2.2),
    "ours, exact kernel": dict(color=BLUE, marker="D", linewidth=1.2, markerfacecolor="white"),
    "ours, log space": dict(color=BLUE, marker="s", linewidth=1.2),
    "ours, float32": dict(color=BLUE, marker="o", linewidth=2.2, linestyle="--"),
    "torch, float64": dict(color=AMBER, marker="^", linewidth=1.8),
    "torch, float32": dict(color=AMBER, marker="^", linewidth=1.8, linestyle="--"),
    "log space in float32": dict(color=GREEN, marker="s", linewidth=1.8, linestyle="--"),
    "rescaling, float64": dict(color=GREEN, marker="X", linewidth=1.8, linestyle=":", markersize=9),
}
NORMAL, LEAST, TOP = 13, 1e-17, 50


def figure(lengths: list[int], by_length: list[dict], scales: list[float], by_scale: list[dict]) -> Figure:
    """Draw the worst gradient error against length and scale; failures are marked in a band at the top."""
    drawing = Figure(figsize=(7.2, 6.4), layout="constrained")
    left, right = drawing.subplots(1, 2, sharey=True)
    failing = [name for name in CONTENDERS if any(point[name]["fails"] for point in by_length + by_scale)]
    panel(left, lengths, by_length, failing).set_xlabel("frames T", fontsize=NORMAL)
    panel(right, scales, by_scale, failing).set_xlabel("std. deviation of logits", fontsize=NORMAL)
    left.set_ylabel("worst error of a gradient entry", fontsize=NORMAL)
    left.plot([], [], linestyle="", color=BLUE, marker="o", markersize=7, markerfacecolor="white",
              label="hollow: exact kernel")
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=NORMAL,
                   frameon=False, handlelength=2.2, columnspacing=0.8)
    return drawing


def panel(ax: Axes, xs: list[float], points: list[dict], failing: list[str]) -> Axes:
    """Draw one sweep: each contender has a line where it answers, and marks in the band where it fails."""
    for name, style in STYLES.items():
        style = {"markersize": 7, **style}
        errors = np.array([max(point[name]["grad"], LEAST) for point in points])
        fails = np.array([point[name]["fails"] > 0 for point in points])
        ax.plot(xs, np.where(fails, np.nan, errors), label=name, **style)
        if fails.any():
            height = TOP**((failing.index(name) + 0.6) / (len(failing) + 1))
            ax.plot(np.array(xs)[fails], [height * FAILS**0.5] * fails.sum(), **{**style, "linestyle": ""})
    for name in "ours, float64", "ours, float32":
        hollow = [(x, max(point[name]["grad"], LEAST)) for x, point in zip(xs, points)
                  if point[name]["exact"]]
        ax.plot(*np.reshape(hollow, (-1, 2)).T, linestyle="", color=BLUE, marker="o", markersize=7,
                markerfacecolor="white")
    ax.axhspan(FAILS, TOP, color="0.93", zorder=0)
    ax.text(0.02, 0.985, "fails: NaN, or wrong by > 0.1", transform=ax.transAxes, va="top", fontsize=NORMAL)
    ax.set(xscale="log", yscale="log", ylim=(LEAST, TOP))
    ax.tick_params(labelsize=NORMAL)
    ax.grid(color=GRID)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


if __name__ == "__main__":
    main()
