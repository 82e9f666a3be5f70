"""How long do the CTC loss and its gradient take, compared with torch, optax and our slower rungs?

    python -m benchmarks.ctc_loss [--tables batches,against,single] [--threads 1,2] [--seconds 2] [--quick]
                                  [--families normal,peaky] [--shapes 1000x100] [--digits 500]
                                  [--against CHECKOUT] [--slow]

Each contender computes the loss and the gradient w.r.t. float32 logits. For torch that is log_softmax,
ctc_loss and backward; for optax (if installed, extra `bench`) it is the compiled value_and_grad of its
ctc_loss, which includes log_softmax. "reused" is our loss with a workspace and an array for the
gradient, "fresh" is our loss without them.

The first table has five batches of standard normal logits. First every answer is compared with the
float64 reference, then the contenders take turns. The reference and the log-space kernel take long, so
they are timed on the first sequences of the batch and their times are scaled up. Last, "reused" on one
thread and "reused" on several take turns. On a virtual machine a second core helps only while no other
machine uses it. The share of time that other machines took is therefore printed with the ratio.

The second table has single sequences of each family of inputs (see `tools/families.py`), on one thread;
it names the kernel that answered. Our loss runs in a process of its own.

With `--against` another checkout of this project takes turns with ours on the same inputs, in a process of
its own too: `git worktree add ../before COMMIT` makes a folder with an older commit. Then the table of
single sequences has it as a contender, and one more table compares the two on the five batches, on one
thread.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import torch

from ctc_scratch import Workspace, ctc_loss, set_num_threads
from ctc_scratch.ctc import reference

from .tools import families
from .tools.checkout import HERE, Answer, folder, in_turns
from .tools.harness import (
    conclude,
    first_call,
    interleave,
    machine,
    milliseconds,
    ratio,
    stolen,
)
from .tools.torch_ctc import on_torch

SHAPES = [  # T, N, C, U
    (140, 32, 11, 5),
    (150, 64, 28, 40),
    (500, 16, 64, 100),
    (1000, 8, 5000, 60),
    (2000, 1, 32, 400),
]


SINGLE_SHAPES = [(1000, 100), (3000, 300), (10_000, 1000)]   # T, U; with C = 32
DIGITS = [200, 500, 1000]


def main() -> None:
    # One thread for optax, like the others. XLA reads this when it starts.
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ctc_loss")
    tables = "batches,against,single"
    parser.add_argument("--tables", default=tables, help=f"which tables (default: {tables})")
    parser.add_argument("--quick", action="store_true", help="tiny problems, to see that it runs")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per row (default: 2)")
    parser.add_argument("--threads", default="1,2", help="batches: thread counts (default: 1,2)")
    families.add_options(parser, SINGLE_SHAPES, DIGITS)
    parser.add_argument("--against", type=folder, metavar="CHECKOUT", help="folder of another commit")
    parser.add_argument("--restarts", type=int, default=5, help="starts of each process (default: 5)")
    parser.add_argument("--slow", action="store_true", help="single: time the exact and the log kernel too")
    options = parser.parse_args()
    shapes, inputs = SHAPES, families.chosen(options)
    if options.quick:
        shapes, inputs = [(12, 4, 5, 3)], families.problems(["normal", "peaky"], [(40, 4)], [])

    print(f"{machine()}\n{first_call(lambda: ctc_loss(np.zeros((2, 1, 2), np.float32), [[1]]))}\n")
    if "batches" in options.tables:
        batches(shapes, list(map(int, options.threads.split(","))), options.seconds)
    if "against" in options.tables and options.against:
        batches_against(shapes, options.seconds, options.restarts, options.against)
    if "single" in options.tables:
        single(list(inputs), options.seconds, options.restarts, options.against, options.slow)


# ---- batches ----------------------------------------------------------------------------------


def batches(shapes: Sequence[tuple[int, int, int, int]], thread_counts: Sequence[int],
            seconds: float) -> None:
    """Measure batches of standard normal logits, print the table and save it."""
    rows, results, remarks = [], [], []
    for threads in thread_counts:
        set_num_threads(threads)
        torch.set_num_threads(threads)
        for shape in shapes:
            called = "{}, {}, {}, {}".format(*shape)
            errors, times = compare(shape, seconds, threads)
            for name in times:
                rows.append([threads, called, name, milliseconds(times[name]),
                             f"{ratio(times, 'torch', name):.2f}", f"{errors[name]:.1e}"])
                results.append(dict(threads=threads, shape=shape, contender=name, error=errors[name],
                                    seconds=times[name].tolist()))
            if threads > 1:
                times, taken = on_threads(shape, seconds, threads)
                remarks.append(f"{called}: {threads} threads are {ratio(times, 'one', 'more'):.2f} times as "
                               f"fast as one, {milliseconds(times['more'])} and {milliseconds(times['one'])} "
                               f"ms; other machines took {100 * taken:.1f} % of the time")
                for count, spent in zip((1, threads), times.values()):
                    results.append(dict(threads=count, shape=shape, contender="reused, in turns",
                                        stolen=taken, seconds=spent.tolist()))
    header = ["threads", "T, N, C, U", "contender", "ms (middle half)", "times as fast as torch",
              "worst error"]
    conclude("ctc_loss", header, rows, results, *remarks)


def batches_against(shapes: Sequence[tuple[int, int, int, int]], seconds: float, restarts: int,
                    against: Path) -> None:
    """Compare another checkout with this one on the same batches, print the table and save it."""
    contenders: dict[str, tuple[str | Path, str]] = {"ours": (HERE, "auto"), "before": (against, "auto")}
    problems = [problem(shape) for shape in shapes]
    answers, times = in_turns(problems, contenders, lambda *_: {}, seconds, restarts)
    rows, results = [], []
    for shape, found, timed in zip(shapes, answers, times):
        apart = float(np.abs(found["ours"].grad - found["before"].grad).max())
        assert apart < 1e-4, f"{shape}: gradients differ by {apart}"
        rows.append(["{}, {}, {}, {}".format(*shape), milliseconds(timed["ours"]),
                     milliseconds(timed["before"]), f"{ratio(timed, 'ours', 'before'):.3f}", f"{apart:.1e}"])
        results.append(dict(shape=shape, apart=apart,
                            seconds={name: spent.tolist() for name, spent in timed.items()}))
    header = ["T, N, C, U", "ms (middle half)", "before: ms", "ours / before", "gradients differ by"]
    conclude("ctc_loss_against", header, rows, results, "")


def problem(shape: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Random logits and targets of a shape, the same ones at each call."""
    T, N, C, U = shape
    rng = np.random.default_rng(0)
    return rng.standard_normal((T, N, C)).astype(np.float32), rng.integers(1, C, (N, U))


def compare(shape: tuple[int, int, int, int], seconds: float, threads: int) -> tuple[dict, dict]:
    """The worst error of each contender's gradient, and the times of each contender."""
    T, N, C, U = shape
    logits, targets = problem(shape)
    few = range(1 if T * U > 5_000 else 4)
    truth = [reference.loss_and_grad(logits[:, n], targets[n]) for n in few]

    workspace, out = Workspace(), np.empty_like(logits)
    contenders = {
        "reused": lambda: _ours(logits, targets, workspace=workspace, out=out),
        "fresh": lambda: _ours(logits, targets),
        "torch": on_torch(logits, targets),
        "torch softmax alone": _torch_softmax(logits),
        **_with_optax(logits, targets, threads),
    }
    errors = {"reference": 0.0, "torch softmax alone": float("nan")}
    for name, call in {**contenders, "log space": lambda: _ours(logits, targets, method="log")}.items():
        if name in errors:
            continue
        losses, grads = call()
        errors[name] = max(float(np.abs(grads[:, n] - grad).max()) for n, (_, grad) in zip(few, truth))
        for n, (loss, _) in zip(few, truth):
            # A float32 loss of thousands of nats has about three correct digits.
            assert abs(losses[n] - loss) <= 1e-3 * loss, f"{name}: loss {losses[n]}, reference {loss}"
        assert errors[name] < 1e-2, f"{name}: gradient off by {errors[name]}"

    some = np.ascontiguousarray(logits[:, :len(few)])
    contenders["log space"] = lambda: _ours(some, targets[:len(few)], method="log")
    contenders["reference"] = lambda: [reference.loss_and_grad(some[:, n], targets[n]) for n in few]
    times = interleave(contenders, seconds)
    for name in ("log space", "reference"):
        times[name] *= N / len(few)
    return errors, times


def on_threads(shape: tuple[int, int, int, int], seconds: float, threads: int
               ) -> tuple[dict[str, np.ndarray], float]:
    """Times on one thread and on several, in turns, and the share of the time that other machines took."""
    logits, targets = problem(shape)
    workspace, out = Workspace(), np.empty_like(logits)

    def on(count):
        def call():
            set_num_threads(count)  # takes effect at the first call of a turn
            ctc_loss(logits, targets, workspace=workspace, out=out)
        return call

    before = stolen()
    times = interleave({"one": on(1), "more": on(threads)}, seconds, most=1000)
    taken, ticks = stolen() - before
    set_num_threads(threads)
    return times, float(taken / max(ticks, 1))


def _ours(logits, targets, **options):
    result = ctc_loss(logits, targets, **options)
    return result.loss, result.grad


def _torch_softmax(logits):
    leaf, upstream = torch.tensor(logits, requires_grad=True), torch.ones(logits.shape)

    def call():
        leaf.grad = None
        leaf.log_softmax(2).backward(upstream)

    return call


def _with_optax(logits, targets, threads):
    """optax, compiled. It chooses its threads itself, so it is left out unless one thread is measured."""
    if threads != 1:
        return {}
    try:
        import jax
        import optax
    except ImportError:
        return {}
    T, N, C = logits.shape
    paddings = np.zeros((N, T), np.float32), np.zeros(targets.shape, np.float32)

    @jax.jit
    def loss_and_grad(x):
        def total(x):
            losses = optax.ctc_loss(x, paddings[0], targets, paddings[1])
            return losses.sum(), losses

        (_, losses), grad = jax.value_and_grad(total, has_aux=True)(x)
        return losses, grad

    swapped = jax.numpy.asarray(logits.transpose(1, 0, 2))  # optax expects the batch first

    def call():
        losses, grad = loss_and_grad(swapped)
        return np.asarray(losses), np.asarray(grad).transpose(1, 0, 2)

    return {"optax": call}


# ---- single sequences -------------------------------------------------------------------------


def single(problems: Sequence[families.Problem], seconds: float, restarts: int, against: Path | None,
           slow: bool) -> None:
    """Measure single sequences on one thread, print the table and save it."""
    contenders: dict[str, tuple[str | Path, str]] = {"ours": (HERE, "auto")}
    if against:
        contenders["before"] = (against, "auto")
    if slow:
        contenders |= {"exact": (HERE, "exact"), "log": (HERE, "log")}
    torch.set_num_threads(1)
    answers, times = in_turns(
        [(logits, target) for _, logits, target in problems], contenders,
        lambda logits, target: {"torch": on_torch(logits[:, None], target[None])}, seconds, restarts)
    rows, results = [], []
    for problem, found, timed in zip(problems, answers, times):
        errors = errors_of(problem, found)
        rows.append(single_row(problem, found, timed, errors))
        results.append(dict(family=problem.family, shape=problem.shape, errors=errors,
                            exact={name: bool(answer.exact) for name, answer in found.items()},
                            seconds={name: spent.tolist() for name, spent in timed.items()}))
    header = ["family", "T, U", "kernel", "ms (middle half)", "torch / ours", "error", "torch's error"]
    header += ["before: kernel", "before: ms", "ours / before"] if against else []
    header += ["exact / ours", "log / ours"] if slow else []
    conclude("ctc_loss_single", header, rows, results, "error: the worst of any gradient entry")


def errors_of(problem: families.Problem, answers: dict[str, Answer]) -> dict[str, float]:
    """The worst error of each gradient; the truth is that of the exact kernel in float64."""
    truth = ctc_loss(problem.logits.astype(np.float64), problem.target, method="exact")
    grads = {name: answer.grad for name, answer in answers.items()}
    grads["torch"] = on_torch(problem.logits[:, None], problem.target[None])()[1][:, 0]
    errors = {name: float(np.abs(grad - truth.grad).max()) for name, grad in grads.items()}
    ours = answers["ours"].loss
    assert abs(ours - truth.loss) <= 1e-3 * max(truth.loss, 1) and errors["ours"] < 1e-3, (
        f"{problem.family} {problem.shape}: loss {ours}, not {truth.loss}; gradient off by {errors['ours']}")
    return errors


def single_row(problem: families.Problem, answers: dict[str, Answer], times: dict[str, np.ndarray],
               errors: dict[str, float]) -> list[str]:
    """A row of the table; the contenders that were left out have no columns."""
    row: list[Any] = [problem.family, "{}, {}".format(*problem.shape), kernel(answers["ours"]),
                      milliseconds(times["ours"]), f"{ratio(times, 'torch', 'ours'):.1f}",
                      f"{errors['ours']:.1e}", f"{errors['torch']:.1e}"]
    if "before" in times:
        row += [kernel(answers["before"]), milliseconds(times["before"]),
                f"{ratio(times, 'ours', 'before'):.3f}"]
    if "exact" in times:
        row += [f"{ratio(times, name, 'ours'):.1f}" for name in ("exact", "log")]
    return row


def kernel(answer: Answer) -> str:
    """Which kernel answered."""
    return "exact" if answer.exact else "certified"


if __name__ == "__main__":
    main()
