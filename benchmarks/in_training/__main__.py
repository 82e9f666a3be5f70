"""How much time does our loss save in a torch training loop: of the loss alone, and of a whole step?

    python -m benchmarks.in_training [--tables steps,bridge,curve] [--models linear,conv] [--rounds 5]

The table *steps* has five networks on random features of 80 dimensions, in float32: a linear probe, a small
convolutional network, and BiLSTMs. Each is trained with torch's loss, which is log_softmax and `ctc_loss`,
and with `ctc_scratch.torch.ctc_loss_from_logits`. Before anything is timed, our loss and its gradient w.r.t.
the logits are compared with torch's in float64.

The table *bridge* compares our loss as a torch function with the plain call of `ctc_loss` (see `bridge`).

The table *curve* trains a BiLSTM to read rows of 5 digits for 300 steps from one seed with either loss, in
float64 and in float32, and compares the loss at every step.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from ..tools.harness import machine, save
from .bridge import bridge_table
from .curve import STEPS, curve_table
from .steps import NETWORKS, SHAPES, steps_table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_training")
    parser.add_argument("--tables", default="steps,bridge,curve", help="which tables (default: all)")
    parser.add_argument("--models", default=",".join(NETWORKS), help="which networks (default: all five)")
    parser.add_argument("--threads", default="1,2", help="thread counts to measure (default: 1,2)")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps with each loss (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tiny problems, to see that all runs")
    options = parser.parse_args()
    print(f"{machine()}, torch {torch.__version__}\n")
    results: dict[str, Any] = {}
    if "steps" in options.tables:
        shapes = [(30, 2, 8, 5)] if options.quick else SHAPES
        table, results["steps"] = steps_table(options.models.split(","),
                                              [int(count) for count in options.threads.split(",")],
                                              options.rounds, shapes)
        print(f"\nmilliseconds, medians\n\n{table}\n")
    if "bridge" in options.tables:
        table, results["bridge"] = (
            bridge_table(0.01, [(12, 4, 5, 3)]) if options.quick else bridge_table(2.0))
        print(f"one thread, float32\n\n{table}\n")
    if "curve" in options.tables:
        count = 5 if options.quick else STEPS
        table, results["curve"] = curve_table(count)
        print(f"{count} steps on rows of 5 digits\n\n{table}\n")
    print(f"written: {save('in_training', results)}")


if __name__ == "__main__":
    main()
