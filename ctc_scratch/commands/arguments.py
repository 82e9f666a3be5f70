"""What several verbs share: the types of their arguments, and the error for a wrong argument."""

from __future__ import annotations

from argparse import ArgumentTypeError


class UsageError(ValueError):
    """An option or a file that a command cannot use."""


def seed(text: str) -> int:
    """A seed: '7' as 7."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"expected a whole number, at least 0, not {text!r}")
    return int(text)


def labels(text: str) -> list[int]:
    """'1,1,2' as [1, 1, 2], and '' as []."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() for part in parts):
        raise ArgumentTypeError(f"expected labels like 1,1,2, not {text!r}")
    return [int(part) for part in parts]
