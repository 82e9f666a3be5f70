"""Alignments and decoders for tensors, which are detached and converted to arrays."""

from __future__ import annotations

import functools
from typing import Any, Callable

import torch

from ... import ctc
from .tensors import to_arrays


def _for_tensors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of the core accept tensors as well; no gradient passes through it."""

    @functools.wraps(function)
    @torch.compiler.disable
    def call(*arguments: Any, **options: Any) -> Any:
        return function(*to_arrays(arguments), **to_arrays(options))

    call.__doc__ = f"""`ctc_scratch.{function.__name__}` for tensors; see there for arguments and results.

    No gradient passes through it.
    """
    return call


align = _for_tensors(ctc.align)
greedy_decode = _for_tensors(ctc.greedy_decode)
prefix_beam_search = _for_tensors(ctc.prefix_beam_search)
