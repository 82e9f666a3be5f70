"""What the arguments of several verbs have in common: their types, and the error for a wrong one."""

from __future__ import annotations

from argparse import ArgumentTypeError


class UsageError(ValueError):
    """An option or a file that a command cannot use."""


def seed(text: str) -> int:
    """A number from 0 on."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected a number from 0 on, not {text!r}")
    return int(text)


def labels(text: str) -> list[int]:
    """'1,1,2' as [1, 1, 2], and '' as []."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() for part in parts):
        raise ArgumentTypeError(f"expected labels from 0 on, like 1,1,2, not {text!r}")
    return [int(part) for part in parts]
