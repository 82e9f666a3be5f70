"""Loops that fill and copy parts of a workspace. Slices would do the same, and take longer to compile."""

from .bits import unsigned
from .fused import part


@part
def fill(w, n, start, value):
    """w[start:start+n] = value."""
    n, start = unsigned(n), unsigned(start)
    for k in range(n):
        w[start + k] = value


@part
def copy(w, n, source, target):
    """w[target:target+n] = w[source:source+n]."""
    n, source, target = unsigned(n), unsigned(source), unsigned(target)
    for k in range(n):
        w[target + k] = w[source + k]
