"""What must be equal on all ranks for equal bits: versions, processors, and the results of a probe.

NumPy, OpenBLAS and Numba choose their code by the features of the processor, and with it the last bits of
products, sums and exponentials differ. `names` are compared first, because they say what to make equal.
`probe` computes what training computes, and so finds differences that no name shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numba
import numpy as np
from threadpoolctl import threadpool_info

from .... import __version__
from ...data.rows import RowSampler
from ...errors import RanksError
from ...model.parallel import run_tasks
from ...model.reader import RowReader
from ..checkpoint import versions
from ..gradients import cut, on_threads
from ..trainer import Trainer

Facts = dict[str, str]
"""What decides the bits that a rank computes: from its name in error messages to its value."""

DIGITS = "the checksum of the digits"
PROBES = ("a product", "an exponential", "the gradient of a shard")


def names(trainer: Trainer) -> Facts:
    """The versions, processor features and digits of this process."""
    config: dict = np.show_config(mode="dicts")     # type: ignore
    simd = config["SIMD Extensions"]
    libraries = [" ".join(str(library.get(key, "")) for key in ("internal_api", "version", "architecture"))
                 for library in threadpool_info() if library["user_api"] == "blas"]
    return {
        "ctc_scratch": __version__, **versions(),
        "Numba's processor": numba.config.CPU_NAME or "the host's",     # type: ignore[attr-defined]
        "NumPy's processor features": " ".join([*simd.get("baseline", []), *simd.get("found", [])]),
        "BLAS": ", ".join(sorted(set(libraries))),
        DIGITS: f"{trainer.data_checksum:08x}",
    }


def probe(trainer: Trainer) -> Facts:
    """Hashes of a product, of exponentials, and of the gradient of a shard; this takes as long as a step."""
    settings, rng = trainer.settings, np.random.default_rng(0)
    values = rng.standard_normal((256, 200), np.float32)
    model = RowReader(**settings.reader, rng=rng, class_names=trainer.model.class_names)
    sampler = RowSampler(trainer.sampler.images, trainer.sampler.labels, settings.digits, rng,
                         trainer.sampler.augment)
    rows = len(cut(sampler.batch(settings.batch), settings.shards)[0].labels)
    shard, = on_threads(model, [sampler.batch(rows)])
    # With one BLAS thread, as in training: the bits of a product depend on their number.
    product, = run_tasks(lambda matrix: matrix @ matrix.T, [values], [values.size])
    results = ([product], [np.exp(values), np.exp(values.astype(np.float64))],
               [shard.logits, *(shard.grads[name] for name in model.params)])
    return dict(zip(PROBES, map(_hash, results)))


def difference(hosts: Sequence[str], all_facts: Sequence[Facts]) -> str:
    """Which rank differs from rank 0, and in what, as part of a sentence; '' if none does.

    >>> difference(["a", "b"], [{"numpy": "2.4.6", "numba": "0.68"}, {"numpy": "2.3.1", "numba": "0.68"}])
    'rank 1 on b has numpy 2.3.1, rank 0 on a has 2.4.6'
    >>> difference(["a", "b"], [{"a product": "0f"}, {"a product": "1e"}])
    'rank 1 on b computes other bits of a product than rank 0 on a, with the same versions'
    """
    first = all_facts[0]
    differing = [rank for rank, own in enumerate(all_facts) if own != first]
    if not differing:
        return ""
    rank, others = differing[0], len(differing) - 1
    own, where = all_facts[rank], f"rank 0 on {hosts[0]}"
    unequal = [name for name in first if own[name] != first[name]]
    more = f" ({others} more rank{'s' * (others > 1)} differ{'s' * (others == 1)}, too)" if others else ""
    if unequal[0] in PROBES:
        return (f"rank {rank} on {hosts[rank]} computes other bits of {' and '.join(unequal)} than {where}, "
                f"with the same versions{more}")
    return (f"rank {rank} on {hosts[rank]} has {', '.join(f'{name} {own[name]}' for name in unequal)}, "
            f"{where} has {', '.join(first[name] for name in unequal)}{more}")


def compare(hosts: Sequence[str], all_facts: Sequence[Facts], different_bits_allowed: bool) -> str:
    """Check that all ranks compute the same bits; returns how they differ if that is allowed, else ''.

    Raises
    ------
    RanksError
        They differ and that is not allowed, or they train on different digits, which never is.
    """
    found = difference(hosts, all_facts)
    if len({own.get(DIGITS) for own in all_facts}) > 1:
        raise RanksError(f"{found}: give all ranks the same files of digits")
    if found and not different_bits_allowed:
        raise RanksError(f"{found}, so their last bits can differ: make them equal, or train with "
                         f"--allow-different-bits")
    return found


def _hash(arrays: Sequence[np.ndarray]) -> str:
    """The first half of the SHA-256 of the bytes of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:32]
