"""Compile the kernels that most tests need, before several workers run the tests.

A kernel is compiled by the first call that needs it and then kept on disk. Workers that start together
would each compile nearly every kernel. So the calls below are made first, in as many processes as there
will be workers; those that take longest come first.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numba
import numpy as np


def random_logits(dtype: str) -> np.ndarray:
    """Logits (T, N, C) of a small batch."""
    return np.random.default_rng(0).standard_normal((6, 2, 4)).astype(dtype)


def compile_loss(dtype: str, method: str) -> None:
    from ctc_scratch import ctc_loss

    ctc_loss(random_logits(dtype), [[1, 2], [3]], method=method)


def compile_log_partition() -> None:
    from ctc_scratch import log_partition

    for dtype in ("f4", "f8"):
        log_partition(random_logits(dtype)[:, 0], [1, 2])


def compile_beam_search() -> None:
    from ctc_scratch import prefix_beam_search

    for dtype in ("f4", "f8"):
        prefix_beam_search(random_logits(dtype), top=2)


def compile_map_decode() -> None:
    from ctc_scratch import map_decode

    map_decode(random_logits("f8"))


def compile_align() -> None:
    from ctc_scratch import align

    for dtype in ("f4", "f8"):
        align(random_logits(dtype)[:, 0], [1, 2])
    align(random_logits("f8"), [[1, 2], [3]], star="ends")


def compile_objectives() -> None:
    from ctc_scratch import entropy_ctc_loss

    entropy_ctc_loss(random_logits("f8")[:, 0], [1, 2], weight=1.0)


def compile_network_float64() -> None:
    from ctc_scratch.digits.lessons.gradchecks import run_checks

    run_checks(np.random.default_rng(0))


def compile_training() -> None:
    from tests.tools.small_runs import small_trainer

    small_trainer(wave=0.1).step()
    small_trainer(optimiser="muon").step()


CALLS = [
    (compile_loss, "f4", "auto"),
    (compile_loss, "f8", "auto"),
    (compile_loss, "f4", "exact"),
    (compile_map_decode,),
    (compile_network_float64,),
    (compile_beam_search,),
    (compile_training,),
    (compile_loss, "f4", "log"),
    (compile_align,),
    (compile_objectives,),
    (compile_log_partition,),
]
"""Functions and their arguments. Later calls find the kernels they share with earlier ones compiled."""


def compile_kernels(processes: int) -> None:
    """Make all calls, in this many processes. Without compiled code there is nothing to do."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        for call in [pool.submit(*call) for call in CALLS]:
            call.result()
