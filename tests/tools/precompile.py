"""The kernels that most tests need, compiled by several processes at once.

A kernel is compiled by the first call that needs it and then kept on disk. When several workers run the
tests, each of them would compile nearly every kernel for itself. So these calls are made first, in as many
processes as there will be workers; those that compile longest begin.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numba
import numpy as np


def logits(dtype: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 2, 4)).astype(dtype)


def the_loss(dtype: str, method: str) -> None:
    from ctc_scratch import ctc_loss

    ctc_loss(logits(dtype), [[1, 2], [3]], method=method)


def the_partition() -> None:
    from ctc_scratch import log_partition

    log_partition(logits("f8")[:, 0], [1, 2])


def the_beam() -> None:
    from ctc_scratch import prefix_beam_search

    prefix_beam_search(logits("f4"), top=2)
    prefix_beam_search(logits("f8"), top=2)


def the_map() -> None:
    from ctc_scratch import map_decode

    map_decode(logits("f8"))


def the_alignment() -> None:
    from ctc_scratch import align

    align(logits("f4")[:, 0], [1, 2])
    align(logits("f8")[:, 0], [1, 2])


def the_gradients() -> None:
    from ctc_scratch.digits.lessons.gradchecks import run_checks

    run_checks(np.random.default_rng(0))


def the_training() -> None:
    from tests.tools.small_runs import small_trainer

    small_trainer(wave=0.1).step()
    small_trainer(optimiser="muon").step()


JOBS = [
    (the_loss, "f4", "auto"),
    (the_loss, "f8", "auto"),
    (the_loss, "f4", "exact"),
    (the_map,),
    (the_gradients,),
    (the_beam,),
    (the_training,),
    (the_loss, "f4", "log"),
    (the_alignment,),
    (the_partition,),
]


def compile_kernels(processes: int) -> None:
    """Make all the calls, in this many processes; without compiled code there is nothing to do."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned) as pool:
        for job in [pool.submit(*job) for job in JOBS]:
            job.result()
