"""Solve all cases with one library, in a process of its own, because the library may crash.

    python -m benchmarks.peers.answer LIBRARY CASES ANSWERS START

CASES is a pickled list of `Inputs`. The program appends pickled objects to ANSWERS: first the version of
the library, or an `ImportError`; then for each case from number START on a pair (loss, gradient), or the text
of an exception.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .libraries import LIBRARIES, Inputs


def main() -> None:
    library, cases_path, answers_path, start = sys.argv[1:]
    cases = [Inputs(*case) for case in pickle.loads(Path(cases_path).read_bytes())]
    warnings.simplefilter("ignore")
    with open(answers_path, "ab") as file:

        def write(value: Any) -> None:
            pickle.dump(value, file)
            file.flush()    # before the next case, which may crash

        try:
            version, solve = LIBRARIES[library]()
        except ImportError as error:
            write(ImportError(str(error)))
            return
        write(version)
        for case in cases[int(start):]:
            try:
                loss, grad = solve(case)
                write((float(np.asarray(loss)), np.array(grad, np.float64)))
            except Exception as error:      # a library may raise anything
                lines = str(error).strip().splitlines() or [""]    # TensorFlow begins with a traceback
                write(f"{type(error).__name__}: {lines[-1].strip()}"[:200])


if __name__ == "__main__":
    main()
