"""`Twin`: a plain implementation with one mistake, so that a report can name the mistake that it sees."""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any, Callable, NamedTuple

from ..twins import altered, place_of

Change = tuple[str, str]
"""A text of the source, and the text that replaces it."""


class Twin(NamedTuple):
    """A mistake, in one or more variants; each variant is a tuple of changes to the source of `module`.

    coarse : its answers are compared coarsely, because their rounding errors depend on the program
    """

    module: ModuleType
    name: str
    why: str
    variants: tuple[tuple[Change, ...], ...]
    coarse: bool = False

    @property
    def place(self) -> str:
        """File, line and function of the code that does it right: where the first changed text stands."""
        path = self.module.__name__.replace(".", "/") + ".py"
        return place_of(self.variants[0][0][0], _source(self.module), path)

    def functions(self, name: str) -> list[Callable[..., Any]]:
        """The function of this name in each variant."""
        return [getattr(_altered(self.module, variant), name) for variant in self.variants]


@functools.lru_cache(maxsize=None)
def _source(module: ModuleType) -> str:
    return inspect.getsource(module)


@functools.lru_cache(maxsize=None)
def _altered(module: ModuleType, changes: tuple[Change, ...]) -> ModuleType:
    text = _source(module)
    for right, wrong in changes:
        text = text.replace(right, wrong)
    return altered(module, text)


def once(right: str, *wrong: str) -> tuple[tuple[Change, ...], ...]:
    """Variants of one change each, all of the same text."""
    return tuple(((right, each),) for each in wrong)


def with_gradient(forward: Change, *backward: Change) -> tuple[tuple[Change, ...], ...]:
    """Two variants of a wrong output: with the gradient of the right one, and with its own gradient.

    A backward pass may be written for the right output, or follow the wrong one, as automatic
    differentiation does.
    """
    return (forward,), (forward, *backward)
