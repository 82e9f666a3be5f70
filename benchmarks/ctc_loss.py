"""How long does CTC's loss with its gradient take, beside the reference and torch?

    python -m benchmarks.ctc_loss [--threads 1,2] [--seconds 2]

Loss and gradient w.r.t. float32 logits: for torch that is log_softmax, ctc_loss
and backward. The answers are compared first, each with the float64 reference;
then the contenders take turns. The reference computes one sequence at a time,
so it is timed on the first ones of the batch and scaled up.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.harness import interleave, machine, markdown, milliseconds, ratio, save
from ctc_scratch import ctc_loss, set_num_threads
from ctc_scratch.ctc import reference

SHAPES = [  # T, N, C, U
    (140, 32, 11, 5),
    (150, 64, 28, 40),
    (500, 16, 64, 100),
    (1000, 8, 5000, 60),
    (2000, 1, 32, 400),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ctc_loss")
    parser.add_argument("--threads", default="1,2", help="numbers of threads (default: 1,2)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for a shape (default: 2)")
    options = parser.parse_args()

    start = time.perf_counter()
    ctc_loss(np.zeros((2, 1, 2), np.float32), [[1]])
    first = time.perf_counter() - start
    print(f"{machine()}\nfirst call (compiles, or loads from the cache): {first:.2f} s\n")

    rows, results = [], []
    for threads in map(int, options.threads.split(",")):
        set_num_threads(threads)
        torch.set_num_threads(threads)
        for shape in SHAPES:
            errors, times = compare(shape, options.seconds)
            for name in times:
                rows.append([threads, "{}, {}, {}, {}".format(*shape), name, milliseconds(times[name]),
                             f"{ratio(times, 'torch', name):.2f}", f"{errors[name]:.1e}"])
                results.append(dict(threads=threads, shape=shape, contender=name, error=errors[name],
                                    seconds=times[name].tolist()))
    header = ["threads", "T, N, C, U", "contender", "ms (middle half)", "torch / it", "worst error"]
    print(markdown(header, rows))
    print(f"\nwritten: {save('ctc_loss', results)}")


def compare(shape: tuple[int, int, int, int], seconds: float) -> tuple[dict, dict]:
    """The worst error of each contender's gradient, then its times."""
    T, N, C, U = shape
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((T, N, C)).astype(np.float32)
    targets = rng.integers(1, C, (N, U))
    sample = range(1 if T * U > 20_000 else min(N, 4))
    truth = [reference.loss_and_grad(logits[:, n], targets[n]) for n in sample]

    torch_targets = torch.tensor(targets)
    torch_lengths = torch.full((N,), T), torch.full((N,), U)

    def with_torch():
        leaf = torch.tensor(logits, requires_grad=True)
        log_probs = leaf.log_softmax(2)
        losses = torch.nn.functional.ctc_loss(log_probs, torch_targets, *torch_lengths, reduction="none")
        losses.sum().backward()
        return losses.detach().numpy(), leaf.grad.numpy()

    def with_kernels():
        result = ctc_loss(logits, targets)
        return result.loss, result.grad

    contenders = {"kernels (log space)": with_kernels, "torch": with_torch}
    errors = {"reference": 0.0}
    for name, call in contenders.items():
        losses, grads = call()
        errors[name] = max(float(np.abs(grads[:, n] - grad).max()) for n, (_, grad) in zip(sample, truth))
        for n, (loss, _) in zip(sample, truth):
            # A float32 loss of some thousand nats is good to a part in a thousand or so.
            assert abs(losses[n] - loss) <= 1e-3 * loss, f"{name}: loss {losses[n]}, reference {loss}"
        assert errors[name] < 1e-2, f"{name}: gradient off by {errors[name]}"

    def with_reference():
        for n in sample:
            reference.loss_and_grad(logits[:, n], targets[n])

    times = interleave({"reference": with_reference, **contenders}, seconds)
    times["reference"] *= N / len(sample)
    return errors, times


if __name__ == "__main__":
    main()
