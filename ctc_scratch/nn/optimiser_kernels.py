"""The loops of the optimisers and of clipping: each goes once through all entries of an array (size,).

NumPy would go through memory several times, once per operation.
"""

import numpy as np

from ..compiled.cache import cached_njit

# nogil: threads may step several arrays side by side. error_model: x/0 is inf as in NumPy, without a test
# that keeps LLVM from vectorising. contract: a fused multiply-add rounds once instead of twice.
compiled = cached_njit(nogil=True, error_model="numpy", fastmath={"contract"})

# reassoc: the sum runs in several lanes. All its terms are squares, so no order of them cancels digits.
compiled_sum = cached_njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})


@compiled_sum
def sum_of_squares(grad):
    """Σ grad², in float64 whatever the type of grad."""
    total = 0.0
    for k in range(grad.size):
        total += np.float64(grad[k]) * np.float64(grad[k])
    return total


@compiled
def scale(grad, factor):
    """grad *= factor."""
    for k in range(grad.size):
        grad[k] *= factor


@compiled
def sgd_step(param, grad, velocity, momentum, rate):
    """v = momentum v + grad;  param -= rate v."""
    for k in range(param.size):
        velocity[k] = momentum * velocity[k] + grad[k]
        param[k] -= rate * velocity[k]


@compiled
def adam_step(param, grad, m, v, keep_m, add_m, keep_v, add_v, rate, root, eps):
    """m = keep m + add grad;  v = keep v + add grad²;  param -= rate m / (root sqrt(v) + eps).

    `rate` and `root` hold Adam's corrections for a start at m = v = 0.
    """
    for k in range(param.size):
        m[k] = keep_m * m[k] + add_m * grad[k]
        v[k] = keep_v * v[k] + add_v * grad[k] * grad[k]
        param[k] -= rate * m[k] / (root * np.sqrt(v[k]) + eps)
