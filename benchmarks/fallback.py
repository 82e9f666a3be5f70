"""Which inputs does the certified kernel leave to the exact kernel, and is every certified answer right?

    python -m benchmarks.fallback [--tables families,fuzz] [--quick]
                                  [--families normal,peaky] [--shapes 1000x100] [--digits 500]
                                  [--dtypes float32,float64] [--problems 100000] [--threads 1] [--seed 0]

The first table takes one sequence of each family of inputs (see `tools/families.py`) and shape. The
second takes random float64 problems in batches: T uniform in 1..500, U uniform in 0..T/2, C uniform in
2..60, independent normal logits whose standard deviation is log-uniform in 0.1..20, and labels that often
repeat in every third target. 100 000 of them take a few minutes.

The judge is `method="exact"` on the same logits in float64. An answer is wrong if its loss or an entry
of its gradient is further from the judge's than the bounds of the two answers and rounding allow. For
float32 logits that includes what the emissions may be off, as `CTCResult.bound` describes. The command
ends with status 1 if an answer is wrong.
"""

from __future__ import annotations

import argparse
import sys
from typing import Iterator, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ctc_scratch import ctc_loss, set_num_threads

from .tools import families
from .tools.harness import conclude, machine

SHAPES = [(500, 50), (1000, 100), (3000, 300), (5000, 500), (10_000, 1000), (20_000, 2000)]   # T, U
DIGITS = [50, 200, 500, 1000]
BATCH = 64
MOST_FRAMES, MOST_CLASSES = 500, 60
SCALES = (0.1, 0.5, 1, 2, 5, 10, 20)
"""The standard deviations at which the table of the fuzz is cut; the first and the last are its range."""
U64, U32 = 2.0**-53, 2.0**-24
"""Half a unit in the last place of 1, in float64 and in float32."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fallback")
    parser.add_argument("--tables", default="families,fuzz", help="which tables (default: families,fuzz)")
    parser.add_argument("--quick", action="store_true", help="a few tiny problems, to see that it runs")
    families.add_options(parser, SHAPES, DIGITS)
    parser.add_argument("--dtypes", default="float32,float64", help="of the families' logits (default: both)")
    parser.add_argument("--problems", type=int, default=100_000, help="of the fuzz (default: 100000)")
    parser.add_argument("--threads", type=int, default=1, help="threads of ctc_loss (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzz (default: 0)")
    options = parser.parse_args()
    if options.quick:
        options.families, options.shapes, options.problems = ["normal", "peaky"], [(40, 4)], 2 * BATCH
    set_num_threads(options.threads)

    print(f"{machine()}\n")
    wrong = 0
    if "families" in options.tables:
        wrong += of_families(options)
    if "fuzz" in options.tables:
        wrong += of_fuzz(options.problems, options.seed)
    if wrong:
        sys.exit(f"wrong answers: {wrong}")


# ---- judging ----------------------------------------------------------------------------------


class Verdicts(NamedTuple):
    """How far the answers for a batch are from the judge's; an array (N,) each."""

    exact: NDArray[np.bool_]    # solved by the exact kernel
    bound: NDArray              # what `ctc_loss` claims
    loss: NDArray               # error of the loss, relative or, below 1, absolute
    grad: NDArray               # the largest error of a gradient entry
    used: NDArray               # the share of the allowed error that either uses; an answer is wrong above 1

    @property
    def wrong(self) -> NDArray[np.bool_]:
        return ~(self.used <= 1)    # NaN is wrong too


def judge(logits: NDArray, targets: Sequence, lengths: NDArray | None = None) -> Verdicts:
    """Compare the answers for logits (T, N, C) with those of the exact kernel in float64."""
    ours = ctc_loss(logits, targets, lengths)
    exact = ctc_loss(logits.astype(np.float64, copy=False), targets, lengths, method="exact")
    loss = np.abs(ours.loss - exact.loss)
    grad = np.abs(ours.grad - exact.grad).max(axis=(0, 2), initial=0)
    emissions, rounding = (in_float32(logits, exact.grad) if logits.dtype == np.float32
                           else (np.zeros(len(targets)), 8 * U64))
    width = ours.bound + exact.bound
    used = np.maximum(loss / (width + emissions + 4 * U64 * exact.loss),
                      grad / (width + 2 * emissions + rounding))
    relative = loss / np.maximum(exact.loss, 1)
    return Verdicts(np.asarray(ours.exact), np.asarray(ours.bound), relative, grad, used)


def in_float32(logits: NDArray, grad: NDArray) -> tuple[NDArray, NDArray]:
    """What emissions in float32 add to the error of ln p, and what rounding adds to that of the gradient.

    Each emission is off by at most (3 + min(C, 67) + ln C + |x - max|) 2^-24 of itself. ln p is then off by
    the mean of their sum along a path, taken over the posterior (and 1 % for higher orders); an occupancy
    by at most twice that.
    """
    C = logits.shape[2]
    below = logits.max(axis=2, keepdims=True).astype(float) - logits
    probs = np.exp(-below)
    probs /= probs.sum(axis=2, keepdims=True)
    off = (3 + min(C, 67) + np.log(C) + below) * U32
    emissions = 1.01 * (np.abs(probs - grad) * off).sum(axis=(0, 2))
    return emissions, (probs * (off + 4 * U32)).max(axis=(0, 2)) + U32


def share(used: float) -> str:
    """A share in per cent, with two digits, like '0.034 %'."""
    return f"{100 * used:.2g} %"


# ---- families ---------------------------------------------------------------------------------


def of_families(options: argparse.Namespace) -> int:
    """Judge a sequence of each family and shape, print the table; returns how many answers are wrong."""
    rows, results, fallbacks, wrong = [], [], 0, 0
    for dtype in options.dtypes.split(","):
        for problem in tqdm(families.chosen(options, dtype), desc=f"families, {dtype}", leave=False):
            verdicts = judge(problem.logits[:, None], [problem.target])
            exact, bound, loss, grad, used = (float(field[0]) for field in verdicts)
            rounding = float(ctc_loss(problem.logits, problem.target, method="exact").bound)
            fallbacks, wrong = fallbacks + int(exact), wrong + int(verdicts.wrong[0])
            rows.append([problem.family, "{}, {}".format(*problem.shape), dtype,
                         "exact" if exact else "certified", f"{bound:.1e}", f"{bound - rounding:.1e}",
                         f"{loss:.1e}", f"{grad:.1e}", share(used) + " WRONG" * bool(verdicts.wrong[0])])
            results.append(dict(family=problem.family, shape=problem.shape, dtype=dtype, exact=bool(exact),
                                bound=bound, gap=bound - rounding, loss=loss, grad=grad, used=used))
    header = ["family", "T, U", "dtype", "kernel", "bound", "gap", "error of the loss", "of the gradient",
              "share of what is allowed"]
    conclude("fallback_families", header, rows, results,
             "gap: what the bound has beside rounding, which is all that the exact kernel's bound has",
             f"{fallbacks} of {len(rows)} problems fell back to the exact kernel; {wrong} answers are wrong")
    return wrong


# ---- fuzz -------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Random problems with a common number of classes."""

    logits: NDArray             # (T, N, C) of the longest
    targets: list[NDArray]      # N targets
    lengths: NDArray[np.intp]   # (N,) frames
    scales: NDArray             # (N,) standard deviation of the logits


def batches(problems: int, seed: int) -> Iterator[Batch]:
    """Batches of random problems; batch k depends on the seed and on k alone."""
    for k, first in enumerate(range(0, problems, BATCH)):
        yield random_batch(np.random.default_rng((seed, k)), min(BATCH, problems - first))


def random_batch(rng: np.random.Generator, N: int) -> Batch:
    """N random problems; in every third target, a label equals the one before it with probability 1/2."""
    C = int(rng.integers(2, MOST_CLASSES, endpoint=True))
    lengths = rng.integers(1, MOST_FRAMES, N, endpoint=True)
    scales = np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[-1]), N))
    logits = rng.standard_normal((lengths.max(), N, C)) * scales[:, None]
    targets = []
    for n, U in enumerate(rng.integers(0, lengths // 2, endpoint=True)):
        target = rng.integers(1, C, U)
        if n % 3 == 0:
            same = rng.random(U) < 0.5
            # Each label takes the value of the last one at or before it that does not repeat.
            target = target[np.maximum.accumulate(np.where(same, 0, np.arange(U)))]
        targets.append(target)
    return Batch(logits, targets, lengths, scales)


def of_fuzz(problems: int, seed: int) -> int:
    """Judge random problems, print the table; returns how many answers are wrong."""
    scales, found, culprits = [], [], []
    with tqdm(total=problems, desc="fuzz", leave=False) as bar:
        for k, batch in enumerate(batches(problems, seed)):
            verdicts = judge(batch.logits, batch.targets, batch.lengths)
            scales.append(batch.scales)
            found.append(verdicts)
            culprits += [f"batch {k}, sequence {n}" for n in np.flatnonzero(verdicts.wrong)]
            bar.update(len(batch.scales))
    scale, verdicts = np.concatenate(scales), Verdicts(*map(np.concatenate, zip(*found)))
    parts = [(f"{low:g} to {high:g}", (low <= scale) & (scale <= high))
             for low, high in zip(SCALES, SCALES[1:])]
    rows, results = [], []
    for name, part in [*parts, ("all", np.ones(len(scale), bool))]:
        certified, wrong = part & ~verdicts.exact, int((part & verdicts.wrong).sum())
        worst = {field: float(getattr(verdicts, field)[certified].max(initial=0))
                 for field in ("bound", "loss", "grad", "used")}
        rows.append([name, part.sum(), f"{100 * certified.sum() / max(part.sum(), 1):.2f} %", wrong,
                     *(f"{worst[field]:.1e}" for field in ("bound", "loss", "grad")), share(worst["used"])])
        results.append(dict(scale=name, problems=int(part.sum()), certified=int(certified.sum()),
                            wrong=wrong, **worst))
    header = ["standard deviation", "problems", "certified", "wrong", "largest bound", "error of the loss",
              "of the gradient", "share of what is allowed"]
    conclude("fallback_fuzz", header, rows, results, "bounds and errors are the largest of certified answers",
             *(f"wrong: seed {seed}, {culprit}" for culprit in culprits[:10]))
    return int(verdicts.wrong.sum())


if __name__ == "__main__":
    main()
