"""Loops that fill and copy parts of a workspace. Slices would do the same, and take longer to compile."""

from .bits import unsigned
from .fused import part


@part
def fill(w, n, at, value):
    """w[at:at+n] = value."""
    n, at = unsigned(n), unsigned(at)
    for k in range(n):
        w[at + k] = value


@part
def copy(w, n, source, target):
    """w[target:target+n] = w[source:source+n]."""
    n, source, target = unsigned(n), unsigned(source), unsigned(target)
    for k in range(n):
        w[target + k] = w[source + k]
