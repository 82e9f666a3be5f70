"""Numbers m 2^e as pairs of mantissa and exponent, and sums that keep their digits.

The exponent is kept in a float64, too; a 0 is the pair (0, EMPTY).
"""

from ...compiled.bits import EMPTY, bits_of_float64, float64_from_bits, power_of_two
from .flags import kernel, part

FRACTION, ONE = (1 << 52) - 1, 1023 << 52
COUNT_BITS, COUNT_BIAS = 1075 << 52, 2.0**52 + 1023  # float64_from_bits(COUNT_BITS | j) = 2^52 + j


@part
def plain(m, e):
    """m 2^e as one number; 0 if e is too low for a normal one."""
    return m * power_of_two(min(e, 900.0)) if e >= -1022.0 else 0.0


@part
def joined(stay, stay_exp, step, step_exp, skip, skip_exp, can_skip):
    """m, e with m 2^e = stay + step + (skip if can_skip), where m is in [1, 2), or 0."""
    top = max(stay_exp, step_exp)
    top = max(top, skip_exp) if can_skip > 0.0 else top
    # A term below 2^-960 of the largest does not change the sum.
    m = (stay * power_of_two(max(stay_exp - top, -960.0))
         + step * power_of_two(max(step_exp - top, -960.0))
         + can_skip * skip * power_of_two(min(max(skip_exp - top, -960.0), 0.0)))
    bits = bits_of_float64(m)
    e = top + (float64_from_bits(COUNT_BITS | (bits >> 52)) - COUNT_BIAS)
    return (float64_from_bits((bits & FRACTION) | ONE), e) if m > 0.0 else (0.0, EMPTY)


# Loops, because array assignment also compiles Numba's message about unequal shapes, which takes a third of
# the compile time of this folder.
@part
def copy(source, out):
    """out = source, element by element."""
    for k in range(source.shape[0]):
        out[k] = source[k]


@part
def copy_states(source, out):
    """out = source, where both are (2, S + 4): mantissas and exponents."""
    copy(source[0], out[0])
    copy(source[1], out[1])


@kernel
def fold(values, n):
    """Add values by halves until n are left, with about log2(len(values)) roundings each.

    With n = 2, the even entries end in values[0] and the odd ones in values[1].
    """
    length = values.shape[0]
    while length > n:
        half = ((length + 1) // 2 + n - 1) // n * n
        add(values[:length - half], values[half:length])
        length = half


@part
def add(values, others):
    """values += others, element by element."""
    for k in range(values.shape[0]):
        values[k] += others[k]
