"""Does the quick suite pass on other processors than this one?

    python -m tests.machines
    python -m tests.machines --only oldest

NumPy, OpenBLAS and Numba choose their code by what the processor can do, and the last bits of their
results differ. Each level below hides some of it from them. (What this processor lacks cannot be
switched on.) A level runs the tests that are not slow, with newly compiled kernels, and prints a line.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.tools.suite import ROOT, copy_project, run_suite

GENERIC_NUMBA = {"NUMBA_CPU_NAME": "generic"}


def processor_features() -> list[str]:
    """The features of this processor for which NumPy has special code, by NumPy's names: X86_V3, ..."""
    return list(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))


def without(features: list[str], openblas: str) -> dict[str, str]:
    """Variables that turn these features off in NumPy, and make OpenBLAS use an older processor's code."""
    environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    if platform.machine() in ("x86_64", "AMD64"):
        environment["OPENBLAS_CORETYPE"] = openblas
    return environment


def levels(features: list[str]) -> dict[str, dict[str, str]]:
    """The environment of each level on a processor with these features."""
    avx512 = [name for name in features if name.startswith("AVX512") or name == "X86_V4"]
    found: dict[str, dict[str, str]] = {"as-is": {}}
    if avx512:
        found["without-avx512"] = without(avx512, "Haswell")
    baseline = without(features, "Nehalem") if features else {}
    if baseline:
        found["baseline-numpy"] = baseline
    found["generic-numba"] = GENERIC_NUMBA
    found["oldest"] = baseline | GENERIC_NUMBA
    return found


def main() -> int:
    choices = levels(processor_features())
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(choices), help="run this level alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # In a copy: kernels kept beside the source would be found there and not compiled for the level.
        project = copy_project(ROOT, Path(folder, "project"))
        passed = [
            run_suite(" ".join([name, *(f"{key}='{value}'" for key, value in environment.items())]),
                      project, sys.executable, "-m", "not slow",
                      NUMBA_CACHE_DIR=str(Path(folder, name)), **environment)
            for name, environment in choices.items() if options.only in (None, name)
        ]
    return not all(passed)


if __name__ == "__main__":
    sys.exit(main())
