"""Arrays of an example as lines of a report, in at most 80 columns."""

from __future__ import annotations

import textwrap

import numpy as np
from numpy.typing import NDArray

from ..report import WIDTH


def digits(array: NDArray) -> int:
    """How many characters the numbers take; a 0 takes none, because zeros need not be read."""
    return sum(len(f"{value:g}") for value in array.ravel() if value)


def in_lines(name: str, array: NDArray, indent: str = "    ") -> list[str]:
    """The array in brackets after its name.

    >>> in_lines("x", np.array([[1.0, 0.5], [0, -2]]), "")
    ['x: [[1, 0.5], [0, -2]]']
    """
    return textwrap.wrap(f"{name}: {_text(np.asarray(array).tolist())}", WIDTH, initial_indent=indent,
                         subsequent_indent=indent + "  ")


def _text(value: list | float) -> str:
    return "[" + ", ".join(map(_text, value)) + "]" if isinstance(value, list) else f"{value:g}"
