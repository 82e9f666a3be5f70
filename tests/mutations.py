"""Do the tests notice a mistake? Changes the code in one place at a time and runs the tests of its module.

    python -m tests.mutations --minutes 30
    python -m tests.mutations --only beam_kernels
    python -m tests.mutations --only certified --minutes 60 --part 2/3

A mutation flips a sign, drops a term, a factor, a statement or a branch, shifts an index or the bound
of a loop, exchanges < and <=, == and !=, and/or, min/max. It is *killed* if a test fails, crashes or
runs for far too long. A mutation that survives either changes no answer, and is then listed with the
reason in `tests/tools/mutation_table.py`, or shows that a test is missing.

Two mutations are tried at a time, in copies of the project and as plain Python, because compiling each
of them would take a minute. (This needs NumPy 2: before it, np.uintp(3) + 1 was a float64.) The seed
determines the order of the mutations. Mutations that are not reached in time are counted. Different
parts K/N of one seed have no mutation in common.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.tools.mutants import excused, mutations
from tests.tools.mutation_table import EQUIVALENT, TARGETS, Equivalent
from tests.tools.mutation_trials import baseline, run_all
from tests.tools.suite import ROOT, copy_project


def check(root: Path, targets: dict[str, list[str]], equivalent: list[Equivalent], minutes: float,
          seed: int, part: tuple[int, int] = (1, 1)) -> int:
    """Print each survivor when it is found, and a table at the end; returns how many survived.

    `targets` names the modules, relative to the folder `root`, and the arguments of pytest for each;
    `part` (k, n) takes every n-th mutation, beginning with the k-th.
    """
    os.environ |= {"NUMBA_DISABLE_JIT": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    sources = {path: (root / path).read_bytes() for path in targets}
    found = {path: mutations(path, source) for path, source in sources.items()}
    known = set(excused(sources, found, equivalent))
    order = [mutation for path in found for mutation in found[path] if mutation not in known]
    random.Random(seed).shuffle(order)
    order = order[part[0] - 1::part[1]]
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_project(root, Path(folder).resolve() / name) for name in ("one", "two")]
        limits = {path: baseline(copies, path, arguments) for path, arguments in targets.items()}
        outcomes = run_all(copies, targets, order, limits, time.monotonic() + 60 * minutes)
    print("\n| module | mutations | equivalent | tried | killed | of these by time | survived |")
    print("|---" * 7 + "|")
    for path in targets:
        ends = [outcome for mutation, outcome in outcomes.items() if mutation.path == path]
        late, survived = ends.count("late"), ends.count("survived")
        print(f"| {path} | {len(found[path])} | {len(known & set(found[path]))} | {len(ends)} "
              f"| {len(ends) - survived} | {late} | {survived} |")
    what = "mutations" if part == (1, 1) else "mutations of part {}/{}".format(*part)
    print(f"\n{len(order) - len(outcomes)} of {len(order)} {what} were not reached", flush=True)
    return list(outcomes.values()).count("survived")


def part_of(text: str) -> tuple[int, int]:
    """Parse "2/3" as (2, 3): the second of three parts."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError
    return k, n


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="stop after this time (default: 30)")
    parser.add_argument("--only", metavar="MODULE", help="only modules whose names contain this")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order (default: 0)")
    parser.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N",
                        help="the K-th of N parts, to split a run")
    options = parser.parse_args()
    targets = {path: tests for path, tests in TARGETS.items() if not options.only or options.only in path}
    if not targets:
        parser.error(f"--only: expected a part of {', '.join(TARGETS)}, not {options.only!r}")
    return min(check(ROOT, targets, EQUIVALENT, options.minutes, options.seed, options.part), 1)


if __name__ == "__main__":
    sys.exit(main())
