"""Whose loss and gradient can be believed: for long sequences, for large logits, and where rescaling breaks?

    python -m benchmarks.accuracy [--quick] [--figure PATH]

Two sweeps over random problems, over T up to 20 000 (C = 30, U = T / 20, logits of standard
deviation 1) and over the standard deviation up to 10 000 (T = 200, C = 30, U = 20), and a
published problem that rescaling gets wrong. An error is the worst over samples: of the loss
relatively, of the gradient over all its entries absolutely (an entry is probs - occupancy, so
between -1 and 1). A sample *fails* where an answer is not finite or a gradient entry
is off by more than 0.1.

The truth is the recursion in 256 bits (mpmath), on the numbers that the logits are in the
contender's own dtype. It takes minutes for a long sequence; so beyond T = 500 the exact kernel
stands in for it, which is compared with it first.

Contenders beside ours: torch; the recursion of `reference` in float32; and that of the papers with
its states divided by their sum at every frame (Graves et al. 2006, section 4.1), in float64.
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

from benchmarks.harness import machine, markdown, save
from ctc_scratch import ctc_loss
from ctc_scratch.ctc.labels import can_skip, extend
from tests import truth

LENGTHS = [200, 500, 1000, 2000, 5000, 10_000, 20_000]
SCALES = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
MPMATH_UNTIL = 500
"""The longest sequence for which the truth is computed in 256 bits."""
FAILS = 0.1
"""A gradient entry that is off by more is no gradient."""


class Answer(NamedTuple):
    """What a contender says of one sequence."""

    loss: float
    grad: NDArray  # (T, C)
    exact: bool = False  # done by the exact kernel


# ---- contenders -------------------------------------------------------------------------------


def ours(method: str) -> Callable[[NDArray, NDArray], Answer]:
    """ctc_loss with this method, as a contender."""
    def call(logits, labels):
        result = ctc_loss(logits, labels, method=method)
        return Answer(float(result.loss), result.grad, bool(result.exact))

    return call


def with_torch(logits: NDArray, labels: NDArray) -> Answer:
    """log_softmax, ctc_loss and backward, in the dtype of the logits."""
    leaf = torch.tensor(logits[:, None], requires_grad=True)
    lengths = torch.tensor([len(logits)]), torch.tensor([len(labels)])
    loss = torch.nn.functional.ctc_loss(leaf.log_softmax(2), torch.tensor(labels)[None], *lengths,
                                        reduction="sum")
    loss.backward()
    return Answer(loss.item(), leaf.grad.numpy()[:, 0])


def log_space(logits: NDArray, labels: NDArray) -> Answer:
    """The recursion in log space, every number in the dtype of the logits."""
    ext = extend(labels, 0)
    log_probs = logits - logits.max(axis=1, keepdims=True)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    emit = log_probs[:, ext]
    log_alpha = _log_sweep(emit, can_skip(ext)) + emit
    # Backwards it is the same problem; beta leaves out the emission of its own frame.
    joint = log_alpha + _log_sweep(emit[::-1, ::-1], can_skip(ext[::-1]))[::-1, ::-1]
    joint -= joint.max(axis=1, keepdims=True)
    gamma = np.exp(joint, out=joint)
    gamma /= gamma.sum(axis=1, keepdims=True)
    return Answer(-float(np.logaddexp(*log_alpha[-1, -2:])), np.exp(log_probs) - occupancy(gamma, ext, logits))


def _log_sweep(emit, skips):
    """ln of what reaches each state, before the emission of its frame."""
    log_reach = np.full_like(emit, -np.inf)
    log_reach[0, :2] = 0
    for t in range(1, len(emit)):
        row = log_reach[t - 1] + emit[t - 1]
        log_reach[t] = row
        log_reach[t, 1:] = np.logaddexp(log_reach[t, 1:], row[:-1])
        log_reach[t, 2:][skips[2:]] = np.logaddexp(log_reach[t, 2:], row[:-2])[skips[2:]]
    return log_reach


def rescaled(logits: NDArray, labels: NDArray) -> Answer:
    """The recursion in linear space: alpha and beta divided by their sums at each frame, nothing else."""
    ext = extend(labels, 0)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    emit = probs[:, ext]
    with np.errstate(all="ignore"):  # nothing warns whoever uses it either
        reach, log_likelihood = _rescaled_sweep(emit, can_skip(ext))
        back, _ = _rescaled_sweep(emit[::-1, ::-1], can_skip(ext[::-1]))
        gamma = reach * emit * back[::-1, ::-1]
        gamma /= gamma.sum(axis=1, keepdims=True)
    return Answer(-log_likelihood, probs - occupancy(gamma, ext, logits))


def _rescaled_sweep(emit, skips):
    """What reaches each state, before the emission of its frame, and the sum of the logs of all divisors."""
    T, S = emit.shape
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
    """gamma (T, S) summed over the states of each class (T, C)."""
    total = np.zeros_like(logits)
    np.add.at(total.T, ext, gamma.T)
    return total


CONTENDERS: dict[str, tuple[Any, Callable[[NDArray, NDArray], Answer]]] = {
    "auto, float64": (np.float64, ours("auto")),
    "exact, float64": (np.float64, ours("exact")),
    "log, float64": (np.float64, ours("log")),
    "auto, float32": (np.float32, ours("auto")),
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
    lengths, scales, samples = ([50, 100], [1, 1000], 2) if options.quick else (LENGTHS, SCALES, 4)
    frames = 50 if options.quick else 200

    print(f"{machine()}, torch {torch.__version__}\n")
    rng = np.random.default_rng(0)
    by_length = [compare([draw(rng, T, T // 20, 1) for _ in range(samples)]) for T in lengths]
    by_scale = [compare([draw(rng, frames, frames // 10, scale) for _ in range(samples)]) for scale in scales]
    published = compare([draw_counterexample(frames)])
    proved = [point["exact, float64"] for point in by_length + by_scale if "exact, float64" in point]
    print("the exact kernel beside 256 bits, worst of all samples of up to {} frames: loss {:.1e}, "
          "gradient {:.1e}\n".format(MPMATH_UNTIL, *(max(p[key] for p in proved) for key in ("loss", "grad"))))

    print("T, with U = T / 20, C = 30, logits of standard deviation 1: worst relative error of the loss / "
          f"worst error of a gradient entry, {samples} samples\n")
    print(table([f"T = {T}" for T in lengths], by_length, samples))
    print(f"\nStandard deviation of the logits, with T = {frames}, U = {frames // 10}, C = 30: the same, "
          f"{samples} samples\n")
    print(table([f"{scale:g}" for scale in scales], by_scale, samples))

    print(f"\nT = {2 * frames}, U = {3 * frames // 4}, labels 1, 2, 1, 2, ... of probability 1e-4, from the middle on "
          "1e-30, else the blank\n")
    rows = [[name, f"{(found := published[name])['says']:.2f}", f"{found['grad']:.0e}", verdict(found)]
            for name in CONTENDERS]
    print(markdown(["contender", "loss says [nats]", "gradient off by", ""], rows))
    print(f"\ntruth: {published['exact, float64']['truth']:.2f} nats")

    path = save("accuracy", dict(
        samples=samples, lengths=dict(zip(lengths, by_length)), scales=dict(zip(scales, by_scale)),
        counterexample=published,
    ))
    picture = options.figure or path.with_suffix(".png")
    figure(lengths, by_length, scales, by_scale).savefig(picture, dpi=150)
    print(f"\nwritten: {path}, {picture}")


def draw(rng: np.random.Generator, T: int, U: int, scale: float, C: int = 30) -> tuple[NDArray, NDArray]:
    """Random logits (T, C) and labels (U,)."""
    return scale * rng.standard_normal((T, C)), rng.integers(1, C, U)


def draw_counterexample(half: int) -> tuple[NDArray, NDArray]:
    """Twice `half` frames; the states that matter in the end are for long unlikely beyond float64's range."""
    label = np.repeat([1e-4, 1e-30], half)
    return np.log(np.stack([1 - 2 * label, label, label], axis=1)), np.arange(3 * half // 4) % 2 + 1


def compare(problems: list[tuple[NDArray, NDArray]]) -> dict[str, dict[str, float]]:
    """By contender: its worst errors, how many samples fail, how many the exact kernel has done."""
    worst: dict[str, dict[str, float]] = {}
    for drawn, labels in problems:
        short = len(drawn) <= MPMATH_UNTIL
        for dtype in np.float64, np.float32:
            logits = drawn.astype(dtype)
            true = (truth.solve if short else exact_in_float64)(logits, labels)
            for name, (its_dtype, call) in CONTENDERS.items():
                if its_dtype != dtype or name == "exact, float64" and not short:
                    continue
                loss, grad, exact = call(logits, labels)
                found = worst.setdefault(name, dict(loss=0.0, grad=0.0, fails=0, exact=0))
                errors = float(abs(loss - true.loss) / true.loss), float(np.abs(grad - true.grad).max())
                fails = not (np.isfinite(loss) and errors[1] <= FAILS)  # a NaN is not <= either
                found.update(
                    loss=np.fmax(found["loss"], np.nan_to_num(errors[0], nan=np.inf)),
                    grad=np.fmax(found["grad"], np.nan_to_num(errors[1], nan=np.inf)),
                    fails=found["fails"] + fails, exact=found["exact"] + exact,
                    says=loss, truth=float(true.loss),
                )
                if name == "exact, float64":
                    assert max(errors) < 1e-12, f"the exact kernel is off by {errors}"
    return worst


def exact_in_float64(logits: NDArray, labels: NDArray) -> Answer:
    """The stand-in for the truth: the exact kernel on the same numbers."""
    return ours("exact")(logits.astype(np.float64), labels)


# ---- showing ----------------------------------------------------------------------------------


def table(columns: list[str], points: list[dict], samples: int) -> str:
    """Contenders down, points across; last, how many samples of "auto" the exact kernel has done."""
    def cell(point, name):
        if name not in point:
            return "the truth here"
        found = point[name]
        if found["fails"]:
            return f"fails {found['fails']} of {samples}"
        return f"{found['loss']:.0e} / {found['grad']:.0e}"

    rows = [[name, *(cell(point, name) for point in points)] for name in CONTENDERS]
    for name in "auto, float64", "auto, float32":
        rows.append([f"{name}: by the exact kernel", *(f"{point[name]['exact']} of {samples}" for point in points)])
    return markdown(["", *columns], rows)


def verdict(found: dict[str, float]) -> str:
    """Whether an answer can be used, in a word or two."""
    if not np.isfinite(found["says"]):
        return "fails: no likelihood"
    if found["fails"]:
        return "fails: wrong without a word" if found["loss"] > 1e-3 else "fails: the gradient"
    return "exact kernel" if found["exact"] else ""


STYLES = {  # black is ours; dashes are float32
    "auto, float64": dict(color="black", marker="o", linewidth=2.2),
    "exact, float64": dict(color="black", marker="D", linewidth=1.2, markerfacecolor="white"),
    "log, float64": dict(color="black", marker="s", linewidth=1.2, markerfacecolor="white"),
    "auto, float32": dict(color="black", marker="o", linewidth=2.2, linestyle="--"),
    "torch, float64": dict(color="0.55", marker="^", linewidth=1.8),
    "torch, float32": dict(color="0.55", marker="^", linewidth=1.8, linestyle="--"),
    "log space in float32": dict(color="0.55", marker="s", linewidth=1.8, linestyle="--", markerfacecolor="white"),
    "rescaling, float64": dict(color="0.55", marker="X", linewidth=1.8, linestyle=":", markersize=9),
}
NORMAL, LEAST, FAILED = 13, 1e-17, [10.0 ** (0.1 + 0.45 * k) for k in range(4)]


def figure(lengths: list[int], by_length: list[dict], scales: list[float], by_scale: list[dict]) -> Figure:
    """Worst gradient error against length and against scale; whoever fails is marked in a band at the top."""
    drawing = Figure(figsize=(9, 6.6), layout="constrained")
    left, right = drawing.subplots(1, 2, sharey=True)
    panel(left, lengths, by_length).set_xlabel("frames T", fontsize=NORMAL)
    panel(right, scales, by_scale).set_xlabel("standard deviation of the logits", fontsize=NORMAL)
    left.set_ylabel("worst error of a gradient entry", fontsize=NORMAL)
    drawing.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=NORMAL,
                   frameon=False, handlelength=3)
    return drawing


def panel(ax: Axes, xs: list[float], points: list[dict]) -> Axes:
    """One sweep: a line a contender while it gives answers, marks in the band where it fails."""
    failing = [name for name in CONTENDERS if any(point.get(name, {"fails": 0})["fails"] for point in points)]
    for name, style in STYLES.items():
        good = [(x, max(point[name]["grad"], LEAST)) for x, point in zip(xs, points)
                if name in point and not point[name]["fails"]]
        ax.plot(*np.transpose(good).reshape(2, -1), label=name, **{"markersize": 7, **style})
        bad = [x for x, point in zip(xs, points) if name in point and point[name]["fails"]]
        if bad:
            ax.plot(bad, [FAILED[failing.index(name)]] * len(bad), **{"markersize": 7, **style, "linestyle": ""})
    ax.axhspan(0.5, 100, color="0.9", zorder=0)
    ax.text(0.02, 0.985, "fails", transform=ax.transAxes, va="top", fontsize=NORMAL)
    ax.set(xscale="log", yscale="log", ylim=(LEAST / 3, 100))
    ax.tick_params(labelsize=NORMAL)
    ax.grid(color="0.92")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


if __name__ == "__main__":
    main()
