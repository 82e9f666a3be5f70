"""The table of the bridge's own cost: our loss as a torch function, compared with the call it makes.

A direct call of `ctc_loss` on NumPy arrays is compared with forward and backward of `ctc_loss_from_logits`,
plain and as `(loss / 4).backward()`, where the gradient has to be multiplied by 1/4. "least" is the least
that torch asks of a function written in Python: it makes the same call of `ctc_loss`, but converts no
argument and saves nothing for a second derivative. Like the bridge, it skips the Python part of
`Function.apply`. The first problem is so small that its row shows little but the overhead.
"""

from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
import torch

from ctc_scratch import Workspace, ctc_loss, set_num_threads
from ctc_scratch.torch import ctc_loss_from_logits

from ..ctc_loss import SHAPES, problem
from ..tools.harness import interleave, markdown, milliseconds, ratio

SMALL = (10, 1, 5, 2)  # T, N, C, U


def contenders(shape: tuple[int, int, int, int]) -> dict[str, Callable[[], Any]]:
    """The calls to be timed; all compute the mean loss of one batch and its gradient w.r.t. the logits."""
    T, N, C, U = shape
    logits, targets = problem(shape)
    lengths = np.full(N, T), np.full(N, U)
    workspace = Workspace()
    leaf = torch.tensor(logits, requires_grad=True)
    rest = [torch.from_numpy(array) for array in (targets, *lengths)]

    def core() -> Any:
        return ctc_loss(logits, targets, *lengths, reduction="mean", infeasible="inf", workspace=workspace)

    class Least(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, leaf: torch.Tensor) -> torch.Tensor:
            result = core()
            ctx.grad = result.grad
            return torch.tensor(result.loss)

        @staticmethod
        def backward(ctx: Any, upstream: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(ctx.grad).mul_(upstream)

    least = super(torch.autograd.Function, Least).apply     # type: ignore[misc]

    def backward(loss: torch.Tensor, divisor: int) -> Any:
        leaf.grad = None
        (loss if divisor == 1 else loss / divisor).backward()
        return leaf.grad

    return {
        "core": core,
        "bridge": lambda: backward(ctc_loss_from_logits(leaf, *rest), 1),
        "bridge / 4": lambda: backward(ctc_loss_from_logits(leaf, *rest), 4),
        "least": lambda: backward(least(leaf), 1),
        "least / 4": lambda: backward(least(leaf), 4),
    }


def bridge_table(seconds: float, shapes: Sequence[tuple[int, int, int, int]] = (SMALL, *SHAPES)
                 ) -> tuple[str, list[dict[str, Any]]]:
    set_num_threads(1)
    torch.set_num_threads(1)
    rows, results = [], []
    for shape in shapes:
        calls = contenders(shape)
        grad = calls["core"]().grad
        for name, divisor in ("bridge", 1), ("bridge / 4", 4):
            assert np.array_equal(calls[name]().numpy(), grad / divisor), f"{name}: another gradient, {shape}"
        times = interleave(calls, seconds * len(calls))
        rows.append(["{}, {}, {}, {}".format(*shape), milliseconds(times["core"]),
                     f"{1e6 * np.median(times['bridge'] - times['core']):.0f}",
                     *(f"{100 * ratio(times, 'core', name):.0f} %" for name in list(calls)[1:])])
        results.append(dict(shape=shape, seconds={name: spent.tolist() for name, spent in times.items()}))
    header = ["T, N, C, U", "`ctc_loss`, ms", "the bridge adds, µs", "speed of the bridge", "with loss / 4",
              "speed of least", "with loss / 4"]
    return markdown(header, rows), results
