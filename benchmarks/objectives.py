"""What do second derivatives and other objectives cost, compared with the exact kernel's loss and gradient?

    python -m benchmarks.objectives [--seconds 2] [--threads 1] [--quick]

All contenders take turns on the same batch of float32 standard normal logits. The last column is the time of
a contender divided by that of `ctc_loss(method="exact")`. Before anything is timed, the objectives that
become plain CTC with neutral options (all but the minimum risk) are compared with the CTC loss.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from ctc_scratch import Workspace, ctc_loss, log_partition, set_num_threads
from ctc_scratch.ctc import objectives
from ctc_scratch.ctc.hessian import ctc_loss_hvp, log_partition_hvp

from .ctc_loss import problem
from .tools.harness import conclude, interleave, machine, milliseconds, ratio

SHAPES = [(500, 16, 64, 100), (2000, 1, 32, 400)]   # T, N, C, U
HYPOTHESES = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.objectives")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds per contender (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="default: 1")
    parser.add_argument("--quick", action="store_true", help="a tiny problem, to see that it runs")
    options = parser.parse_args()
    set_num_threads(options.threads)
    rows, results = [], []
    for shape in [(12, 2, 5, 3)] if options.quick else SHAPES:
        calls = contenders(*problem(shape))
        compare(*problem(shape))
        times = interleave(calls, options.seconds * len(calls))
        for name in calls:
            rows.append(["{}, {}, {}, {}".format(*shape), name, milliseconds(times[name]),
                         f"{ratio(times, name, 'exact'):.2f}"])
            results.append(dict(shape=shape, contender=name, seconds=times[name].tolist()))
    print(f"{machine()}\n")
    conclude("objectives", ["T, N, C, U", "contender", "ms (middle half)", "time / exact"], rows, results)


def contenders(logits: np.ndarray, targets: np.ndarray) -> dict:
    """The calls to be timed, by name; "exact" is what all are compared with."""
    C, rng = logits.shape[2], np.random.default_rng(1)
    vectors = rng.standard_normal(logits.shape)
    prior, workspace = np.full(C, 1 / C), Workspace()
    nbest = [[np.where(rng.random(len(target)) < 0.1, 1 + rng.integers(C - 1, size=len(target)), target)
              for _ in range(HYPOTHESES)] for target in targets]
    losses = {
        "entropy": lambda **more: objectives.entropy_ctc_loss(logits, targets, weight=0.1, **more),
        "prior": lambda **more: objectives.prior_ctc_loss(logits, targets, prior=prior, weight=0.3, **more),
        "focal": lambda **more: objectives.focal_ctc_loss(logits, targets, power=1.0, per_label=True, **more),
        "delay": lambda **more: objectives.delay_ctc_loss(logits, targets, weight=0.001, **more),
        "Bayes risk": lambda **more: objectives.bayes_risk_ctc_loss(logits, targets, **more),
        "star": lambda **more: objectives.star_ctc_loss(logits, targets, star="everywhere", star_weight=-1.0,
                                                        **more),
        "topology":
            lambda **more: objectives.topology_ctc_loss(logits, targets, stay_on_labels=False, **more),
        f"minimum risk, {HYPOTHESES} hypotheses":
            lambda **more: objectives.min_risk_ctc_loss(logits, targets, hypotheses=nbest, **more),
    }
    return {
        "exact": lambda: ctc_loss(logits, targets, method="exact"),
        "auto": lambda: ctc_loss(logits, targets),
        "log_partition, gamma": lambda: log_partition(logits, targets),
        "log_partition, occupancy": lambda: log_partition(logits, targets, want="occupancy"),
        "log_partition_hvp": lambda: log_partition_hvp(logits, targets, vectors),
        "log_partition_hvp, workspace":
            lambda: log_partition_hvp(logits, targets, vectors, workspace=workspace),
        "ctc_loss_hvp": lambda: ctc_loss_hvp(logits, targets, vectors),
        "ctc_loss_hvp, workspace": lambda: ctc_loss_hvp(logits, targets, vectors, workspace=workspace),
        **losses,
        **{f"{name}, with an HVP": partial(loss, vectors=vectors) for name, loss in losses.items()},
    }


def compare(logits: np.ndarray, targets: np.ndarray) -> None:
    """Check that objectives with neutral options return the CTC loss and its gradient."""
    plain = ctc_loss(logits.astype(np.float64), targets, method="exact")
    C = logits.shape[2]
    for name, found in {
        "entropy": objectives.entropy_ctc_loss(logits, targets, weight=0.0),
        "prior": objectives.prior_ctc_loss(logits, targets, prior=np.full(C, 1 / C), weight=0.0),
        "focal": objectives.focal_ctc_loss(logits, targets, power=0.0),
        "delay": objectives.delay_ctc_loss(logits, targets, weight=0.0),
        "Bayes risk": objectives.bayes_risk_ctc_loss(logits, targets, weight=0.0),
        "star": objectives.star_ctc_loss(logits, targets, star="everywhere", star_weight=-np.inf),
        "topology": objectives.topology_ctc_loss(logits, targets),
        "ctc_loss_hvp": ctc_loss_hvp(logits, targets, np.zeros(logits.shape)),
    }.items():
        worst = float(np.abs(found.grad - plain.grad).max())
        assert np.allclose(found.loss, plain.loss, rtol=1e-5) and worst < 1e-4, f"{name}: off by {worst}"


if __name__ == "__main__":
    main()
