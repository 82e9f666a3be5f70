"""What several verbs share: the types of their arguments, and the error for a wrong argument."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import numpy as np


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


def load_logits(path: str | Path) -> Any:
    """What a file of `numpy.save` holds; the caller checks that it is one array (T, C)."""
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:      # a damaged file can raise almost any exception
        raise UsageError(f"{path}: expected logits (T, C) as numpy.save writes them: {error}") from None
