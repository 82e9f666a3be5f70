"""A wrong twin as a function that can be checked, for one sequence or for a batch."""

import numpy as np


def single(solve, *, gradient=True, **promised):
    """fn(logits, target, blank) from a function with the arguments of `batch.solve`."""

    def fn(logits, target, blank=0):
        with np.errstate(all="ignore"):
            losses, grad = solve(logits[:, None], target[None], np.array([len(logits)]),
                                 np.array([len(target)]), blank=blank, **promised)
        return (losses[0], grad[:, 0]) if gradient else losses[0]

    return fn


def batched(solve, *, gradient=True, **promised):
    """fn(logits, targets, logit_lengths, target_lengths, blank), layout "TNC"."""

    def fn(logits, targets, logit_lengths, target_lengths, blank):
        with np.errstate(all="ignore"):
            losses, grad = solve(logits, targets, logit_lengths, target_lengths, blank=blank, **promised)
        return (losses, grad) if gradient else losses

    return fn
