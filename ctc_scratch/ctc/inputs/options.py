"""Checks of single options: a choice, a count, a real number, the blank."""

from __future__ import annotations

from typing import Any, Collection

import numpy as np


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """An error unless the option `name` is one of the `choices`."""
    if not isinstance(value, str) or value not in choices:
        *others, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(others)} or {last}, got {value!r}")


def check_count(name: str, value: Any) -> int:
    """The value as an int, which must be at least 1."""
    if not is_integer(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


def check_not_negative(name: str, value: Any) -> float:
    """The value as a float, which must be at least 0; inf is allowed."""
    number = _number(name, value)
    if not number >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return number


def check_not_positive(name: str, value: Any) -> float:
    """The value as a float, which must be at most 0; -inf is allowed."""
    number = _number(name, value)
    if not number <= 0:
        raise ValueError(f"{name} must be at most 0, got {value}")
    return number


def check_real(name: str, value: Any) -> float:
    """The value as a float, which must be finite."""
    number = _number(name, value)
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}")
    return number


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    return float(value)


def check_blank(blank: Any, C: int) -> int:
    """The blank as an int, which must be one of the classes 0..C-1."""
    if not is_integer(blank):
        raise TypeError(f"blank must be an integer, got {blank!r}")
    if not 0 <= blank < C:
        raise ValueError(f"blank is {blank}, but the logits have classes 0..{C - 1}")
    return int(blank)


def is_integer(value: Any) -> bool:
    """Whether the value is an integer of Python or NumPy; a bool does not count as one."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
