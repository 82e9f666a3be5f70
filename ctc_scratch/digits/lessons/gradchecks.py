"""Every gradient of the project, compared with differences of the loss: `ctc-scratch gradcheck`.

Each subject is a function that returns the loss and its gradients at the current values of its
parameters. Inputs are checked like parameters. The last subjects are whole training steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ...ctc import ctc_loss
from ...nn import LSTM, BiLSTM, GradCheck, Linear, Stack, check_grad
from ...nn.gradcheck import LossAndGrads
from ...nn.layers import Layer
from ..data.rows import RowBatch
from ..model.reader import RowReader
from ..model.vertical import VerticalLSTM
from ..training.gradients import shard_gradients

TOLERANCE = 1e-6
"""The largest relative error that passes; errors are in fact smaller by orders of magnitude."""


class CheckedGradient(NamedTuple):
    """The worst comparison for one array of one subject."""

    subject: str
    check: GradCheck

    @property
    def passed(self) -> bool:
        """Whether the relative error is small enough; NaN is not."""
        return self.check.error <= TOLERANCE


def run_checks(rng: np.random.Generator) -> list[CheckedGradient]:
    """Check all subjects, on small random problems in float64."""
    return [
        CheckedGradient(subject, check)
        for subject, f, params in _subjects(rng)
        for check in check_grad(f, params, rng)
    ]


def describe(results: Sequence[CheckedGradient]) -> str:
    """A table of the worst relative errors, 80 columns wide, and the failures in full."""
    lines = [f"{'subject':28} {'gradient with respect to':30} {'rel. error':>10}  ok"]
    for result in results:
        lines.append(f"{result.subject:28} {result.check.name:30} {result.check.error:10.1e}  "
                     f"{'yes' if result.passed else 'NO'}")
    lines += [f"FAILED {r.subject}: {r.check}" for r in results if not r.passed]
    worst = max(results, key=lambda r: np.nan_to_num(r.check.error, nan=np.inf))
    compared = sum(r.check.compared for r in results)
    lines.append(f"{compared} comparisons with central differences; worst relative error "
                 f"{worst.check.error:.1e}\n({worst.subject}, {worst.check.name}); allowed {TOLERANCE:.0e}")
    lines += ["This proves that each gradient is that of its loss, not that the loss is right.",
              "Whether a CTC is right: ctc-scratch check."]
    return "\n".join(lines)


def _subjects(rng: np.random.Generator) -> Iterator[tuple[str, LossAndGrads, dict[str, np.ndarray]]]:
    """Each subject's name, its function, and the arrays with respect to which that is differentiated."""
    for subject, T, C, target in [
        ("CTC, random", 8, 4, [1, 3, 2]),
        ("CTC, repeats", 9, 4, [2, 2, 2, 1]),
        ("CTC, tight fit", 5, 4, [1, 1, 2, 3]),
        ("CTC, empty target", 4, 3, []),
        ("CTC, -inf entries", 8, 5, [1, 3, 2]),
    ]:
        logits = rng.standard_normal((T, C))
        if "-inf" in subject:
            logits[:, 4] = -np.inf  # a class the target never uses
            logits[1, 0] = logits[5, 1] = -np.inf  # some of its paths have probability 0
        yield subject, _ctc(logits, target), {"logits": logits}

    D, H, N = 3, 4, 3
    lengths = np.array([6, 4, 1])
    layers: dict[str, Layer] = {
        "Linear": Linear(D, H, rng, np.float64),
        "LSTM": LSTM(D, H, rng, np.float64),
        "BiLSTM": BiLSTM(D, H, rng, np.float64),
        "stack of 2 BiLSTM + Linear": Stack({
            "lstm0": BiLSTM(D, H, rng, np.float64),
            "lstm1": BiLSTM(2 * H, H, rng, np.float64),
            "linear": Linear(2 * H, 2, rng, np.float64),
        }),
    }
    for subject, layer in layers.items():
        x = rng.standard_normal((6, N, D))
        yield subject, _layer(layer, x, lengths, rng), {"x": x, **layer.params}
    vertical, x = VerticalLSTM(1, H, rng, np.float64), rng.standard_normal((6, N, 28))
    yield "vertical LSTM", _layer(vertical, x, lengths, rng), {"x": x, **vertical.params}

    rows = RowBatch(rng.random((2, 28, 112)), np.array([112, 84]), [np.array([2, 2, 8]), np.array([0])])
    for subject, units in (("reader + CTC, end to end", 0), ("the same, vertical LSTM", 3)):
        model = RowReader(hidden=4, layers=2, window=14, vertical=units, rng=rng, dtype=np.float64)
        yield subject, _training_step(model, rows), model.params


def _ctc(logits: np.ndarray, target: list[int]) -> LossAndGrads:
    def f():
        result = ctc_loss(logits, target)
        return result.loss, {"logits": result.grad}

    return f


def _layer(layer: Layer, x: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> LossAndGrads:
    """The loss is a randomly weighted sum of all outputs, so that errors in two of them do not cancel."""
    y, _ = layer.forward(x, lengths)
    used = np.arange(len(y))[:, None, None] < lengths[:, None]
    weights = rng.standard_normal(y.shape) * used

    def f():
        y, cache = layer.forward(x, lengths)
        dx, grads = layer.backward(weights, cache)
        return (weights * y).sum(), {"x": dx, **grads}

    return f


def _training_step(model: RowReader, rows: RowBatch) -> LossAndGrads:
    def f():
        result = shard_gradients(model, rows)
        return result.loss, result.grads

    return f
